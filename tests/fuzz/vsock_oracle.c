// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules that the vsock device is held to: memory, chains, interrupts.
 *
 * Theory of operation. A step is a stretch in which the device runs; the guest
 * stands still meanwhile. Within one, each chain that it pops is noted with
 * the memory it may write; when it is pushed, the bytes it claims to have
 * written are copied to a shadow of guest memory, and at the end of the step
 * so are the used rings. If memory and shadow ever differ, the device wrote
 * what was not its own.
 *
 * What the packets in the chains say is looked at by vsock_rules.c.
 */
#include "tests/fuzz/vsock_world.h"

#include <errno.h>
#include <string.h>

#include "devices/vsock/ready.h"

int __real_virtq_pop(struct virtq *q, struct iovec *iov, unsigned int iov_max,
		     struct virtq_chain *chain, struct fail *why);
int __wrap_virtq_pop(struct virtq *q, struct iovec *iov, unsigned int iov_max,
		     struct virtq_chain *chain, struct fail *why);
void __real_virtq_unpop(struct virtq *q, uint16_t count);
void __wrap_virtq_unpop(struct virtq *q, uint16_t count);
void __real_virtq_push(struct virtq *q, uint16_t head, uint32_t len);
void __wrap_virtq_push(struct virtq *q, uint16_t head, uint32_t len);
bool __real_virtq_hold(struct virtq *q, uint16_t head);
bool __wrap_virtq_hold(struct virtq *q, uint16_t head);
void __real_virtq_push_held(struct virtq *q, uint16_t head, uint32_t len);
void __wrap_virtq_push_held(struct virtq *q, uint16_t head, uint32_t len);

/* Chains that the device has; large, and of no meaning between steps. */
static struct world_lent lent_chains[VSOCK_QUEUES];

/* Those of them, of the TX queue, that stay with it from step to step. */
static struct {
	unsigned int count;
	uint16_t head[WORLD_QUEUE_MAX];
} held;

static unsigned int queue_number(const struct virtq *q)
{
	ptrdiff_t i = q - world.dev->vdev.queue;

	world_require(i >= 0 && i < (ptrdiff_t)VSOCK_QUEUES);
	return (unsigned int)i;
}

/* Memory. */

static uint8_t *shadow_of(const void *host)
{
	const uint8_t *p = host;

	for (unsigned int i = 0; i < world.guest.mem.count; i++) {
		const struct guest_region *r = &world.guest.mem.region[i];

		if (p >= r->host && p < r->host + r->size)
			return world.oracle.shadow[i] + (p - r->host);
	}
	world_violated(__FILE__, __LINE__, "a segment lies in guest RAM");
}

static void legitimate(const void *host, size_t len)
{
	if (len)
		memcpy(shadow_of(host), host, len);
}

static bool overlaps(const void *a, size_t a_len, const void *b, size_t b_len)
{
	const uint8_t *p = a, *q = b;

	return p < q + b_len && q < p + a_len;
}

static size_t used_len(const struct virtq *q)
{
	return sizeof(struct virtq_used) + 2 +
		q->size * sizeof(struct virtq_used_elem);
}

static bool in_standard_place(const struct virtq *q)
{
	gpa_t base = WORLD_RING(queue_number(q));

	return q->desc_gpa == base && q->driver_gpa == base + WORLD_AVAIL &&
		q->device_gpa == base + WORLD_USED;
}

/* Chains. */

static void taint_if_on_rings(const struct iovec *iov)
{
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		const struct virtq *q = &world.dev->vdev.queue[i];

		if (!q->ready)
			continue;
		if (overlaps(q->used, used_len(q), iov->iov_base,
			     iov->iov_len) ||
		    overlaps(q->avail, q->size * 2u + 6u, iov->iov_base,
			     iov->iov_len))
			world.oracle.tainted = true;
	}
}

static void mark_overlaps(struct world_lent *lent, struct world_chain *chain,
			  const struct iovec *part)
{
	for (unsigned int i = 0; i <= lent->count; i++) {
		struct world_chain *other = &lent->chain[i];

		for (unsigned int j = 0; j < other->in_num; j++) {
			if (!overlaps(other->in[j].iov_base,
				      other->in[j].iov_len, part->iov_base,
				      part->iov_len))
				continue;
			other->overlaps = true;
			chain->overlaps = true;
			if (other == chain)
				chain->overlaps_itself = true;
		}
	}
}

static void lend(struct world_lent *lent, const struct virtq_chain *from)
{
	struct world_chain *chain = &lent->chain[lent->count];

	world_require(lent->count < WORLD_QUEUE_MAX);
	world_require(from->in_num <= WORLD_QUEUE_MAX);
	chain->head = from->head;
	chain->in_len = from->in_len;
	chain->in_num = 0;
	chain->overlaps = false;
	chain->overlaps_itself = false;
	for (unsigned int i = 0; i < from->in_num; i++) {
		const struct iovec *part = &from->iov[from->out_num + i];

		taint_if_on_rings(part);
		mark_overlaps(lent, chain, part);
		chain->in[chain->in_num++] = *part;
	}
	lent->count++;
}

int __wrap_virtq_pop(struct virtq *q, struct iovec *iov, unsigned int iov_max,
		     struct virtq_chain *chain, struct fail *why)
{
	unsigned int number = queue_number(q);
	int ret;

	world_require(world.oracle.stepping);
	if (number == VSOCK_QUEUE_TX)
		rules_settle();
	ret = __real_virtq_pop(q, iov, iov_max, chain, why);
	if (ret == -EINVAL) {
		world.oracle.bad_ring = true;
		world_require(why->text[0] != '\0');
	}
	if (ret <= 0)
		return ret;
	world_require(virtio_device_live(&world.dev->vdev));
	lend(&lent_chains[number], chain);
	if (number == VSOCK_QUEUE_TX)
		rules_to_host(chain);
	else
		rules_settle();
	return ret;
}

void __wrap_virtq_unpop(struct virtq *q, uint16_t count)
{
	struct world_lent *lent = &lent_chains[queue_number(q)];

	if (q->ready) {
		world_require(count <= lent->count);
		lent->count -= count;
	}
	__real_virtq_unpop(q, count);
}

/* The bytes that the device says it has written. */
static void take_back(const struct world_chain *chain, uint32_t len)
{
	for (unsigned int i = 0; i < chain->in_num && len; i++) {
		size_t part = chain->in[i].iov_len;

		if (part > len)
			part = len;
		legitimate(chain->in[i].iov_base, part);
		len -= (uint32_t)part;
	}
}

static void check_pushed(const struct virtq *q, uint16_t head, uint32_t len)
{
	const struct virtq_used_elem *elem =
		&q->used->ring[(uint16_t)(q->used_idx - 1) & (q->size - 1)];

	world_require(le32_get(elem->id) == head && le32_get(elem->len) == len);
}

void __wrap_virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	unsigned int number = queue_number(q);
	struct world_lent *lent = &lent_chains[number];
	struct world_chain *chain = &lent->chain[0];

	rules_settle();
	if (!q->ready) {
		__real_virtq_push(q, head, len);
		return;
	}
	/* Chains are used in the order in which they came. */
	world_require(lent->count && chain->head == head);
	world_require(len <= chain->in_len);
	if (number == VSOCK_QUEUE_RX)
		rules_to_guest(chain, len);
	else if (number == VSOCK_QUEUE_EVENT)
		rules_event(chain, len);
	else
		world_require(!len);
	take_back(chain, len);
	__real_virtq_push(q, head, len);
	check_pushed(q, head, len);
	lent->count--;
	for (unsigned int i = 0; i < lent->count; i++) {
		struct world_chain *to = &lent->chain[i];
		const struct world_chain *from = to + 1;

		/* Not the whole of it: most have one segment. */
		memcpy(to, from, offsetof(struct world_chain, in) +
		       from->in_num * sizeof(from->in[0]));
	}
}

bool __wrap_virtq_hold(struct virtq *q, uint16_t head)
{
	struct world_lent *lent = &lent_chains[queue_number(q)];
	bool is_held = __real_virtq_hold(q, head);

	world_require(queue_number(q) == VSOCK_QUEUE_TX);
	if (!is_held)
		return false;
	/* It is the one popped last, and has a REQUEST in it. */
	world_require(lent->count &&
		      lent->chain[lent->count - 1].head == head);
	world_require(!lent->chain[lent->count - 1].in_num);
	world_require(le16_get(world.oracle.packet.op) == VSOCK_OP_REQUEST);
	world_require(held.count < WORLD_QUEUE_MAX);
	lent->count--;
	held.head[held.count++] = head;
	return true;
}

/* With the driver goes what was held of it. */
static void see_resets(void)
{
	if (world.oracle.held_life != world.dev->vdev.resets ||
	    !world.dev->engine.tx->ready)
		held.count = 0;
	world.oracle.held_life = world.dev->vdev.resets;
}

void __wrap_virtq_push_held(struct virtq *q, uint16_t head, uint32_t len)
{
	uint16_t before = q->used_idx;
	unsigned int i = 0;

	see_resets();
	__real_virtq_push_held(q, head, len);
	if (!q->ready)
		return;
	while (i < held.count && held.head[i] != head)
		i++;
	/* What was held before a reset is not pushed after it. */
	if (i == held.count) {
		world_require(before == q->used_idx);
		return;
	}
	world_require(!len);
	world_require((uint16_t)(before + 1) == q->used_idx);
	check_pushed(q, head, len);
	held.count--;
	memmove(&held.head[i], &held.head[i + 1],
		(held.count - i) * sizeof(held.head[0]));
}

/* What is held is a REQUEST that has no answer, and all of those are. */
static void check_held(void)
{
	const struct vsock_engine *engine = &world.dev->engine;
	const struct virtq *q = engine->tx;
	unsigned int requests = 0;

	/* The device has yet to hear of a reset. */
	if (world.dev->resets != world.dev->vdev.resets)
		return;
	for (struct list_node *at = world.conns.next; at != &world.conns;
	     at = at->next)
		requests += list_entry(at, struct world_conn, link)
			->conn.held != VSOCK_HELD_NONE;
	for (unsigned int i = 0; i < engine->replies_count; i++)
		requests += engine->replies[(engine->replies_head + i) %
					    engine->replies_size].held !=
			    VSOCK_HELD_NONE;
	world_require(requests == held.count);
	world_require((unsigned int)(q->held_count - q->again) == held.count);
}

/* Steps. */

static uint16_t wanted(const struct virtq *q)
{
	if (q->event_idx)
		return le16_get(q->avail->ring[q->size]);
	return le16_get(q->avail->flags);
}

void oracle_step_begin(void)
{
	struct world_oracle *o = &world.oracle;

	world_require(!o->stepping);
	o->stepping = true;
	o->lagging = false;
	o->interrupts = world.interrupts;
	o->bad_ring = false;
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		const struct virtq *q = &world.dev->vdev.queue[i];
		struct world_before *b = &o->before[i];

		*b = (struct world_before){ 0 };
		lent_chains[i].count = 0;
		if (!q->ready || o->kicked_life[i] != world.dev->vdev.resets)
			o->kicked[i] = false;
		if (!q->ready)
			continue;
		if (!in_standard_place(q))
			o->tainted = true;
		b->used = (uint8_t *)q->used;
		b->len = used_len(q);
		b->flushed = q->flushed;
		b->wanted = wanted(q);
	}
	see_resets();
	rules_driver();
}

/*
 * Section 2.7.7.2: who asked to hear of used buffers has heard of them, or will
 * of those that it sent.
 */
static void check_interrupt(const struct virtq *q, const struct world_before *b)
{
	uint16_t moved = (uint16_t)(q->flushed - b->flushed);
	bool due;

	if (!moved || b->wanted != wanted(q))
		return;
	if (q->event_idx)
		due = (uint16_t)(q->flushed - b->wanted - 1) < moved;
	else
		due = !(b->wanted & VIRTQ_AVAIL_F_NO_INTERRUPT);
	world_require(!due || world.interrupts != world.oracle.interrupts ||
		      (q == world.dev->engine.tx &&
		       world.dev->interrupt.slot));
}

void oracle_step_end(void)
{
	struct world_oracle *o = &world.oracle;
	const struct virtio_device *vdev = &world.dev->vdev;

	rules_settle();
	rules_driver();
	rules_force();
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		const struct virtq *q = &vdev->queue[i];

		if (o->before[i].used)
			legitimate(o->before[i].used, o->before[i].len);
		if (!q->ready)
			continue;
		/* Nothing popped is left, nothing pushed is unpublished. */
		world_require(!lent_chains[i].count);
		world_require((uint16_t)(q->last_avail - q->used_idx) ==
			      q->held_count);
		if (i == VSOCK_QUEUE_TX)
			check_held();
		else
			world_require(!q->held_count);
		world_require(q->flushed == q->used_idx);
		if (o->before[i].used)
			check_interrupt(q, &o->before[i]);
		world_require(!(vdev->status & VIRTIO_STATUS_NEEDS_RESET));
	}
	if (o->bad_ring) {
		world_require(vdev->status & VIRTIO_STATUS_NEEDS_RESET);
		world_require(world.interrupts != o->interrupts);
	}
	o->stepping = false;
}

/* Not after each step: a wrong byte is as wrong later. */
void oracle_memory(void)
{
	for (unsigned int i = 0; i < world.guest.mem.count; i++)
		world_require(!memcmp(world.oracle.shadow[i],
				      world.guest.mem.region[i].host,
				      world.guest.mem.region[i].size));
}

/* Will the driver's next buffer be announced to us? */
static bool armed(const struct virtq *q)
{
	const void *event = &q->used->ring[q->size];
	const le16 *avail_event = event;

	if (q->event_idx)
		return le16_get(*avail_event) == q->last_avail;
	return !le16_get(q->used->flags);
}

void oracle_kicked(unsigned int queue)
{
	const struct virtq *q = &world.dev->vdev.queue[queue];

	world.oracle.kicked[queue] = q->ready;
	world.oracle.kicked_idx[queue] = virtq_avail_idx(q);
	world.oracle.kicked_life[queue] = world.dev->vdev.resets;
}

/* What was announced was taken; what comes next will be. */
static void check_queue_at_rest(unsigned int queue)
{
	const struct virtq *q = &world.dev->vdev.queue[queue];
	uint16_t ahead = (uint16_t)(q->last_avail -
				    world.oracle.kicked_idx[queue]);

	if (!q->ready)
		return;
	world_require(armed(q));
	world_require(!world.oracle.kicked[queue] || ahead < INT16_MAX ||
		      virtq_avail_idx(q) == q->last_avail);
}

static void check_rings_at_rest(void)
{
	const struct vsock_engine *engine = &world.dev->engine;

	if (engine->replies_count || !list_empty(&engine->ready))
		check_queue_at_rest(VSOCK_QUEUE_RX);
	if (!vsock_engine_blocked(engine))
		check_queue_at_rest(VSOCK_QUEUE_TX);
}

void oracle_at_rest(void)
{
	const struct world_oracle *o = &world.oracle;
	const struct vsock_device *dev = world.dev;
	bool live = virtio_device_live(&dev->vdev);
	bool open = vsock_device_gate(dev) == VSOCK_GATE_OPEN &&
		dev->engine.running;
	uint32_t lingering = 0;

	world_require(!world.pending && !world.loop.tasks);
	world_require(o->lagging || dev->state == vsock_device_gate(dev));
	world_require(world.conns_num ==
		      dev->engine.count + dev->engine.lingering);
	world_require(world.conns_num == dev->engine.opened[false] +
		      dev->engine.opened[true]);
	world_require(dev->engine.opened[false] <= world.conns_max &&
		      dev->engine.opened[true] <= world.conns_max);
	for (struct list_node *at = world.conns.next; at != &world.conns;
	     at = at->next)
		lingering += list_entry(at, struct world_conn, link)
			->conn.state == VSOCK_CONN_LINGERING;
	world_require(lingering == dev->engine.lingering);
	if (open && !o->lagging && !o->tainted)
		check_rings_at_rest();
	if (open && !o->lagging && !o->blind)
		rules_at_rest();
	/* A broken device, or one without a driver, has nobody to talk to. */
	if (!live)
		world_require(!dev->engine.count);
	if (world.resets == dev->vdev.resets && live && !o->lagging)
		world_require(world.gate_open == open);
}

/* Lives. */

void oracle_begin(void)
{
	static uint8_t low[WORLD_LOW], high[WORLD_HIGH];
	struct world_oracle *o = &world.oracle;

	o->shadow[0] = low;
	o->shadow[1] = high;
	for (unsigned int i = 0; i < world.guest.mem.count; i++)
		memcpy(o->shadow[i], world.guest.mem.region[i].host,
		       world.guest.mem.region[i].size);
}

void oracle_device_new(bool loaded)
{
	const struct virtq *events = &world.dev->vdev.queue[VSOCK_QUEUE_EVENT];
	struct world_oracle *o = &world.oracle;

	o->resets = world.dev->vdev.resets;
	o->gate_forced = world.dev->gate_forced;
	o->forced = false;
	o->cid_read = false;
	o->returned = false;
	held.count = 0;
	o->held_life = o->resets;
	if (!loaded)
		return;
	o->unsent = true;
	if (events->ready)
		o->ev_seen = virtq_avail_idx(events);
}
