// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The driver's side of the socket device: rings, packets, events. See
 * vsock_driver.h.
 *
 * Called by tests and benchmarks, on the one thread that plays the driver. The
 * order of things is that of Linux: virtio_vsock_probe(), rx_fill(),
 * event_fill(), event_work(), send_pkt_work().
 */
#include "tests/fake/vsock_driver.h"

#include <errno.h>
#include <string.h>

#include "tests/fake/vsock_sock.h"

#define GUARD		64u
#define GUARD_BYTE	0xa5

void fake_vsock_violate(struct fake_vsock *v, const char *rule)
{
	if (!v->violation)
		v->violation = rule;
}

static void *token_of(uint16_t slot)
{
	return (void *)(uintptr_t)(slot + 1u);
}

static uint16_t slot_of(const void *token)
{
	return (uint16_t)((uintptr_t)token - 1);
}

static void set_defaults(struct fake_vsock_config *c)
{
	if (!c->queue_size)
		c->queue_size = 256;
	if (!c->rx_seg[0])
		c->rx_seg[0] = FAKE_VSOCK_RX_LINUX;
	if (!c->rx_count || c->rx_count > c->queue_size)
		c->rx_count = c->queue_size;
	if (!c->events)
		c->events = FAKE_VSOCK_EVENTS;
	if (!c->event_len)
		c->event_len = sizeof(struct vsock_event);
	if (!c->tx_slots)
		c->tx_slots = 64;
	if (c->tx_slots > c->queue_size)
		c->tx_slots = c->queue_size;
	if (!c->tx_payload)
		c->tx_payload = VSOCK_PAYLOAD_MAX;
	if (!c->features)
		c->features = UINT64_MAX;
	if (!c->buf_alloc)
		c->buf_alloc = 256u << 10;
	if (!c->socks)
		c->socks = 64;
}

static void all_free(uint16_t *list, unsigned int *num, unsigned int count)
{
	/* The last one is taken first: let that be slot 0. */
	for (unsigned int i = 0; i < count; i++)
		list[i] = (uint16_t)(count - 1 - i);
	*num = count;
}

static void lay_out(struct fake_vsock *v, struct fake_guest *guest)
{
	const struct fake_vsock_config *c = &v->config;
	uint64_t len;

	v->rx_stride = (c->rx_seg[0] + c->rx_seg[1] + 2 * GUARD - 1) &
		       ~(GUARD - 1);
	len = (uint64_t)v->rx_stride * c->rx_count;
	v->rx_gpa = fake_guest_alloc(guest, len, 4096);
	v->rx_mem = fake_guest_at(guest, v->rx_gpa, len);
	memset(v->rx_mem, GUARD_BYTE, len);

	len = (uint64_t)c->event_len * c->events;
	v->event_gpa = fake_guest_alloc(guest, len, 64);
	v->event_mem = fake_guest_at(guest, v->event_gpa, len);

	v->tx_stride = (FAKE_VSOCK_HDR + c->tx_payload + 63) & ~63u;
	len = (uint64_t)v->tx_stride * c->tx_slots;
	v->tx_gpa = fake_guest_alloc(guest, len, 4096);
	v->tx_mem = fake_guest_at(guest, v->tx_gpa, len);
}

void fake_vsock_init(struct fake_vsock *v, struct fake_guest *guest,
		     struct virtio_device *vdev,
		     const struct fake_vsock_config *config)
{
	memset(v, 0, sizeof(*v));
	fake_driver_init(&v->driver, guest, vdev);
	v->rx = &v->driver.queue[VSOCK_QUEUE_RX];
	v->tx = &v->driver.queue[VSOCK_QUEUE_TX];
	v->event = &v->driver.queue[VSOCK_QUEUE_EVENT];
	if (config)
		v->config = *config;
	set_defaults(&v->config);
	lay_out(v, guest);
}

int fake_vsock_find_vqs(struct fake_vsock *v)
{
	int err;

	fake_reset(&v->driver);
	err = fake_negotiate(&v->driver, v->config.features);
	for (unsigned int i = 0; i < VSOCK_QUEUES && !err; i++)
		err = fake_queue_setup(&v->driver, i, v->config.queue_size);
	all_free(v->rx_free, &v->rx_free_num, v->config.rx_count);
	all_free(v->event_free, &v->event_free_num, v->config.events);
	all_free(v->tx_free, &v->tx_free_num, v->config.tx_slots);
	v->rx_num = 0;
	return err;
}

void fake_vsock_read_cid(struct fake_vsock *v)
{
	uint64_t low = fake_read(&v->driver, VIRTIO_MMIO_CONFIG);

	v->cid = low | (uint64_t)fake_read(&v->driver,
					   VIRTIO_MMIO_CONFIG + 4) << 32;
}

static unsigned int direct_for(const struct fake_vsock *v)
{
	return v->driver.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) ?
	       0 : FAKE_ALL_DIRECT;
}

static bool add_rx(struct fake_vsock *v, uint16_t slot)
{
	const uint32_t *seg = v->config.rx_seg;
	gpa_t gpa = v->rx_gpa + (gpa_t)slot * v->rx_stride;
	const struct fake_seg segs[2] = {
		{ gpa, seg[0] }, { gpa + seg[0], seg[1] },
	};
	unsigned int count = seg[1] ? 2 : 1;
	unsigned int direct = count == 1 ? FAKE_ALL_DIRECT : direct_for(v);

	return fake_add(v->rx, segs, 0, count, direct, token_of(slot)) >= 0;
}

void fake_vsock_fill_rx(struct fake_vsock *v)
{
	while (v->rx_free_num && add_rx(v, v->rx_free[v->rx_free_num - 1])) {
		v->rx_free_num--;
		v->rx_num++;
	}
	fake_kick(v->rx);
}

void fake_vsock_event_refill(struct fake_vsock *v, uint16_t slot)
{
	const struct fake_seg seg = {
		v->event_gpa + (gpa_t)slot * v->config.event_len,
		v->config.event_len,
	};

	if (fake_add(v->event, &seg, 0, 1, FAKE_ALL_DIRECT,
		     token_of(slot)) < 0)
		fake_vsock_violate(v, "event ring has no room for its buffers");
}

void fake_vsock_add_events(struct fake_vsock *v, unsigned int count)
{
	while (count-- && v->event_free_num)
		fake_vsock_event_refill(v,
					v->event_free[--v->event_free_num]);
}

void fake_vsock_fill_events(struct fake_vsock *v)
{
	fake_vsock_add_events(v, v->event_free_num);
	fake_kick(v->event);
}

int fake_vsock_probe(struct fake_vsock *v)
{
	int err = fake_vsock_find_vqs(v);

	if (err)
		return err;
	fake_vsock_read_cid(v);
	fake_driver_ok(&v->driver);
	fake_vsock_fill_rx(v);
	fake_vsock_fill_events(v);
	return 0;
}

struct vsock_header fake_vsock_header(const struct fake_vsock *v,
				      enum vsock_op op, uint32_t guest_port,
				      uint32_t host_port)
{
	return (struct vsock_header){
		.src_cid = le64_make(v->cid),
		.dst_cid = le64_make(VSOCK_CID_HOST),
		.src_port = le32_make(guest_port),
		.dst_port = le32_make(host_port),
		.type = le16_make(VSOCK_TYPE_STREAM),
		.op = le16_make((uint16_t)op),
		.buf_alloc = le32_make(v->config.buf_alloc),
	};
}

unsigned int fake_vsock_reap(struct fake_vsock *v)
{
	struct fake_used used;
	unsigned int count = 0;
	int ret;

	while ((ret = fake_harvest(v->tx, &used)) > 0) {
		if (used.len)
			fake_vsock_violate(v, "TX packet used with a length");
		v->tx_free[v->tx_free_num++] = slot_of(used.token);
		count++;
	}
	if (ret < 0)
		fake_vsock_violate(v, "TX used ring is wrong");
	return count;
}

unsigned int fake_vsock_tx_room(struct fake_vsock *v)
{
	unsigned int chains = v->tx->free_num;

	if (v->config.tx_direct || direct_for(v))
		chains /= 2;
	return v->tx_free_num < chains ? v->tx_free_num : chains;
}

int fake_vsock_add_at(struct fake_vsock *v, const struct vsock_header *hdr,
		      gpa_t data, uint32_t len)
{
	unsigned int direct = v->config.tx_direct ? FAKE_ALL_DIRECT :
						    direct_for(v);
	uint16_t slot;
	gpa_t gpa;

	if (!v->tx_free_num)
		fake_vsock_reap(v);
	if (!v->tx_free_num)
		return -ENOSPC;
	slot = v->tx_free[v->tx_free_num - 1];
	gpa = v->tx_gpa + (gpa_t)slot * v->tx_stride;
	memcpy(v->tx_mem + (size_t)slot * v->tx_stride, hdr, sizeof(*hdr));
	if (fake_add(v->tx, (const struct fake_seg[]){
			{ gpa, FAKE_VSOCK_HDR }, { data, len },
		     }, len ? 2 : 1, 0, len ? direct : FAKE_ALL_DIRECT,
		     token_of(slot)) < 0)
		return -ENOSPC;
	v->tx_free_num--;
	return 0;
}

int fake_vsock_add(struct fake_vsock *v, const struct vsock_header *hdr,
		   const void *data, uint32_t len)
{
	size_t at;

	if (!v->tx_free_num)
		fake_vsock_reap(v);
	if (!v->tx_free_num || len > v->config.tx_payload)
		return -ENOSPC;
	at = (size_t)v->tx_free[v->tx_free_num - 1] * v->tx_stride +
	     FAKE_VSOCK_HDR;
	if (len)
		memcpy(v->tx_mem + at, data, len);
	return fake_vsock_add_at(v, hdr, v->tx_gpa + at, len);
}

bool fake_vsock_kick(struct fake_vsock *v)
{
	return fake_kick(v->tx);
}

/* What the specification asks of every packet. */
static void check_packet(struct fake_vsock *v,
			 const struct fake_vsock_packet *p)
{
	uint16_t op = le16_get(p->hdr.op);
	uint32_t flags = le32_get(p->hdr.flags);

	if (p->used != FAKE_VSOCK_HDR + le32_get(p->hdr.len))
		fake_vsock_violate(v, "used length is not header and payload");
	if (op == VSOCK_OP_INVALID || op > VSOCK_OP_CREDIT_REQUEST)
		fake_vsock_violate(v, "unknown op");
	if (op != VSOCK_OP_RW && p->len)
		fake_vsock_violate(v, "payload on a control packet");
	if (le64_get(p->hdr.dst_cid) >> 32 || le64_get(p->hdr.src_cid) >> 32)
		fake_vsock_violate(v, "upper half of a CID is not 0");
	/* EOM, EOR, and an empty message: those are for seqpacket alone. */
	if (op == VSOCK_OP_RW &&
	    le16_get(p->hdr.type) == VSOCK_TYPE_SEQPACKET) {
		if (flags & ~(VSOCK_SEQ_EOM | VSOCK_SEQ_EOR) ||
		    flags == VSOCK_SEQ_EOR)
			fake_vsock_violate(v, "flags are wrong for a message");
		if (!p->len && !flags)
			fake_vsock_violate(v, "RW without payload or EOM");
		return;
	}
	if (op == VSOCK_OP_RW && !p->len)
		fake_vsock_violate(v, "RW without payload");
	if (op == VSOCK_OP_SHUTDOWN ? !flags || flags > VSOCK_SHUTDOWN_BOTH :
				      flags != 0)
		fake_vsock_violate(v, "flags are wrong for the op");
}

int fake_vsock_recv(struct fake_vsock *v, struct fake_vsock_packet *packet)
{
	struct fake_used used;
	const uint8_t *buf;
	int ret = fake_harvest(v->rx, &used);

	if (ret < 0)
		fake_vsock_violate(v, "RX used ring is wrong");
	if (ret <= 0)
		return 0;
	v->rx_num--;
	packet->slot = slot_of(used.token);
	packet->used = used.len;
	packet->len = 0;
	if (used.len < FAKE_VSOCK_HDR) {
		if (used.len)
			fake_vsock_violate(v, "RX buffer used below a header");
		v->rx_empty++;
		return 1;
	}
	buf = v->rx_mem + (size_t)packet->slot * v->rx_stride;
	memcpy(&packet->hdr, buf, sizeof(packet->hdr));
	packet->data = buf + FAKE_VSOCK_HDR;
	packet->len = used.len - FAKE_VSOCK_HDR;
	check_packet(v, packet);
	return 1;
}

void fake_vsock_release(struct fake_vsock *v,
			const struct fake_vsock_packet *packet)
{
	v->rx_free[v->rx_free_num++] = packet->slot;
	if (v->rx_num < (v->config.rx_count + 1) / 2)
		fake_vsock_fill_rx(v);
}

bool fake_vsock_guards(const struct fake_vsock *v)
{
	uint32_t len = v->config.rx_seg[0] + v->config.rx_seg[1];

	for (unsigned int i = 0; i < v->config.rx_count; i++) {
		const uint8_t *buf = v->rx_mem + (size_t)i * v->rx_stride;

		for (uint32_t at = len; at < v->rx_stride; at++)
			if (buf[at] != GUARD_BYTE)
				return false;
	}
	return true;
}

int fake_vsock_event_take(struct fake_vsock *v, uint16_t *slot, bool *valid)
{
	struct fake_used used;
	struct vsock_event event;
	int ret = fake_harvest(v->event, &used);

	if (ret < 0)
		fake_vsock_violate(v, "event used ring is wrong");
	if (ret <= 0)
		return 0;
	*slot = slot_of(used.token);
	memcpy(&event, v->event_mem + (size_t)*slot * v->config.event_len,
	       sizeof(event));
	*valid = used.len == sizeof(event) &&
		 le32_get(event.id) == VSOCK_EVENT_TRANSPORT_RESET;
	if (!*valid)
		fake_vsock_violate(v, "event of another length or kind");
	return 1;
}

static void step(struct fake_vsock *v, enum fake_vsock_step which)
{
	if (v->hook)
		v->hook(v, which);
}

/* virtio_vsock_event_handle() and virtio_vsock_event_fill_one(). */
static void handle_event(struct fake_vsock *v, uint16_t slot, bool valid)
{
	step(v, FAKE_VSOCK_EVENT_TAKEN);
	if (valid) {
		v->resets_seen++;
		fake_vsock_read_cid(v);
		step(v, FAKE_VSOCK_CID_READ);
		if (v->sockets)
			fake_sockets_sweep(v->sockets);
		step(v, FAKE_VSOCK_SWEPT);
	}
	fake_vsock_event_refill(v, slot);
	step(v, FAKE_VSOCK_REFILLED);
}

unsigned int fake_vsock_event_work(struct fake_vsock *v)
{
	unsigned int count = 0;
	uint16_t slot;
	bool valid;

	/* vring_interrupt(): no work is queued for a ring without news. */
	if (fake_used_idx(v->event) == v->event->used_seen)
		return 0;
	do {
		fake_interrupts_off(v->event);
		while (fake_vsock_event_take(v, &slot, &valid)) {
			handle_event(v, slot, valid);
			count++;
		}
	} while (fake_interrupts_on(v->event));
	fake_kick(v->event);
	step(v, FAKE_VSOCK_KICKED);
	return count;
}
