// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's side of the world: the loop, doorbells as virtio_host.c answers
 * them, and a back-end whose sockets are a few numbers each.
 */
#include "tests/fuzz/vsock_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/log.h"

/* More turns than any script can need: the device chases its own tail. */
#define TURNS_MAX	2000u

struct world world;

void world_violated(const char *file, int line, const char *rule)
{
	fprintf(stderr, "%s:%d: broken rule: %s\n", file, line, rule);
	abort();
}

/* The loop, as devices/loop.h has it. */

int loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t ms)
{
	loop_timer_cancel(loop, timer);
	if (loop->timers == WORLD_TIMERS)
		return -ENOMEM;
	timer->deadline = loop->now + ms;
	loop->timer[loop->timers++] = timer;
	timer->slot = loop->timers;
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *last;

	if (!timer->slot)
		return;
	world_require(loop->timer[timer->slot - 1] == timer);
	last = loop->timer[--loop->timers];
	loop->timer[timer->slot - 1] = last;
	last->slot = timer->slot;
	timer->slot = 0;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at = &loop->tasks;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (!*at)
		loop->tasks_end = at;
	task->queued = false;
}

void world_advance(uint64_t ms)
{
	struct loop *loop = &world.loop;
	struct loop_timer *due;

	loop->now += ms;
	/* What a handler arms anew is due later, if only by a millisecond. */
	do {
		due = NULL;
		for (unsigned int i = 0; i < loop->timers; i++)
			if (loop->timer[i]->deadline <= loop->now &&
			    (!due || loop->timer[i]->deadline < due->deadline))
				due = loop->timer[i];
		if (due) {
			loop_timer_cancel(loop, due);
			oracle_step_begin();
			due->fn(due);
			oracle_step_end();
		}
	} while (due);
}

/* Doorbells. */

static void host_interrupt(void *host)
{
	(void)host;
	world.interrupts++;
}

static void host_kick(void *host, unsigned int queue)
{
	(void)host;
	world_require(queue <= VIRTIO_KICK_STATUS);
	world.pending |= 1u << queue;
	if (queue < VSOCK_QUEUES)
		oracle_kicked(queue);
}

static void host_broken(void *host, const struct fail *why)
{
	(void)host;
	world_require(why->text[0] != '\0');
	world_require(world.dev->vdev.status & VIRTIO_STATUS_NEEDS_RESET);
	/* As virtio_host.c: the register file may have found it. */
	host_kick(NULL, VIRTIO_KICK_STATUS);
}

static const struct virtio_host_ops host_ops = {
	.interrupt = host_interrupt,
	.kick = host_kick,
	.broken = host_broken,
};

void world_ring(unsigned int queue)
{
	host_kick(NULL, queue);
}

static void notify(unsigned int queue)
{
	struct virtio_device *vdev = &world.dev->vdev;

	if (virtio_device_live(vdev) && vdev->queue[queue].ready)
		vdev->ops->queue_notify(vdev, queue);
}

static void notify_all(void)
{
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++)
		notify(i);
}

static void show_status(void)
{
	struct virtio_device *vdev = &world.dev->vdev;
	bool reset = world.resets != vdev->resets;
	bool was_ok = world.status & VIRTIO_STATUS_DRIVER_OK;

	if (!reset && world.status == vdev->status)
		return;
	world.resets = vdev->resets;
	world.status = vdev->status;
	vdev->ops->status_changed(vdev);
	if (reset || !was_ok)
		notify_all();
}

static void answer_doorbells(unsigned int bits)
{
	struct virtio_device *vdev = &world.dev->vdev;

	pthread_mutex_lock(&vdev->lock);
	show_status();
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++)
		if (bits & 1u << i)
			notify(i);
	pthread_mutex_unlock(&vdev->lock);
}

bool world_turn(void)
{
	struct loop *loop = &world.loop;
	unsigned int bits = world.pending, tasks = 0;

	if (!bits && !loop->tasks)
		return false;
	oracle_step_begin();
	world.pending = 0;
	if (bits)
		answer_doorbells(bits);
	for (struct loop_task *t = loop->tasks; t; t = t->next)
		tasks++;
	while (tasks--) {
		struct loop_task *task = loop->tasks;

		loop_undefer(loop, task);
		task->fn(task);
	}
	oracle_step_end();
	return true;
}

void world_idle(void)
{
	unsigned int turns = 0;

	while (world_turn())
		world_require(turns++ < TURNS_MAX);
	oracle_at_rest();
}

/* The back-end. */

static struct world_conn *to_world(struct vsock_conn *conn)
{
	return list_entry(conn, struct world_conn, conn);
}

void world_messages_add(struct world_messages *m, uint32_t len, bool eor)
{
	unsigned int at = (m->head + m->count) % WORLD_MESSAGES;

	world_require(m->count < WORLD_MESSAGES);
	m->len[at] = len;
	m->eor[at] = eor;
	m->count++;
}

void world_messages_drop(struct world_messages *m)
{
	m->head = (m->head + 1) % WORLD_MESSAGES;
	m->count--;
}

void world_message(struct world_conn *wc, uint32_t len, bool eor)
{
	if (wc->seq->to_read.count < 16)
		world_messages_add(&wc->seq->to_read, len, eor);
}

static struct world_conn *new_conn(uint16_t type)
{
	struct world_conn *wc = calloc(1, sizeof(*wc));

	world_require(wc);
	wc->life = world.dev->vdev.resets;
	wc->in_error = -EAGAIN;
	wc->out_room = world.fresh_room;
	if (type == VSOCK_TYPE_SEQPACKET) {
		wc->seq = calloc(1, sizeof(*wc->seq));
		world_require(wc->seq);
	}
	list_append(&world.conns, &wc->link);
	world.conns_num++;
	return wc;
}

static struct vsock_conn *backend_request(struct vsock_backend *backend,
					  uint32_t host_port, uint16_t type,
					  bool *connected)
{
	struct world_oracle *o = &world.oracle;
	struct world_conn *wc;

	(void)backend;
	world_require(o->packet_valid &&
		      le16_get(o->packet.op) == VSOCK_OP_REQUEST &&
		      le16_get(o->packet.type) == type &&
		      le32_get(o->packet.dst_port) == host_port);
	if (!world.answer)
		return NULL;
	wc = new_conn(type);
	wc->buf_alloc = le32_get(o->packet.buf_alloc);
	wc->fwd_cnt = le32_get(o->packet.fwd_cnt);
	wc->established = world.answer == 1;
	wc->undecided = !wc->established;
	*connected = wc->established;
	return &wc->conn;
}

static void backend_established(struct vsock_conn *conn)
{
	struct world_conn *wc = to_world(conn);

	world_require(wc->by_host && !wc->established);
	world_require(wc->said || world.oracle.blind);
	wc->established = true;
}

static void check_sent(struct world_conn *wc, const struct iovec *iov,
		       unsigned int count, size_t total)
{
	size_t at = wc->fifo_head;

	/* What the guest said, all of it, and in its order. */
	world_require(total <= wc->fifo_len);
	for (unsigned int i = 0; i < count; i++) {
		world_require(!memcmp(wc->fifo + at, iov[i].iov_base,
				      iov[i].iov_len));
		at += iov[i].iov_len;
	}
}

/* On seqpacket: one message, the one whose turn it is. */
static void check_message(const struct world_conn *wc, size_t total,
			  unsigned int flags)
{
	const struct world_messages *m = &wc->seq->to_host;

	world_require(m->count && m->len[m->head] == total);
	world_require(m->eor[m->head] == (flags == VSOCK_SEND_EOR));
}

static ssize_t backend_send(struct vsock_conn *conn, const struct iovec *iov,
			    unsigned int count, unsigned int flags)
{
	struct world_conn *wc = to_world(conn);
	size_t total = 0;

	for (unsigned int i = 0; i < count; i++)
		total += iov[i].iov_len;
	world_require(count <= VSOCK_BATCH_IOV && !wc->out_over);
	check_sent(wc, iov, count, total);
	if (wc->seq)
		check_message(wc, total, flags);
	else
		world_require(!flags);
	if (wc->out_error) {
		wc->out_over = true;
		return wc->out_error;
	}
	/* An empty packet of a stream is passed on as it is. */
	if (!total && !wc->seq)
		return 0;
	/* A message goes out as a whole. */
	if (wc->seq && (!wc->out_room || total > wc->out_room))
		return -EAGAIN;
	if (total > wc->out_room)
		total = wc->out_room;
	if (!total && !wc->seq)
		return -EAGAIN;
	if (wc->seq)
		world_messages_drop(&wc->seq->to_host);
	wc->out_room -= (uint32_t)total;
	wc->fifo_head += (uint32_t)total;
	wc->fifo_len -= (uint32_t)total;
	return (ssize_t)total;
}

static ssize_t recv_message(struct world_conn *wc, const struct iovec *iov,
			    unsigned int count, bool *eor)
{
	struct world_messages *m = &wc->seq->to_read;
	uint32_t len = m->len[m->head];
	uint8_t *to = iov->iov_base;

	/* Whoever reads it has asked for its length before. */
	world_require(m->count && count == 1 && iov->iov_len == len && eor);
	/* One that is longer than the guest's buffer would never end. */
	world_require(len <= wc->buf_alloc);
	for (uint32_t i = 0; i < len; i++)
		to[i] = oracle_pattern(wc, wc->in_at + i);
	wc->in_at += len;
	*eor = m->eor[m->head];
	world_messages_add(&wc->seq->to_show, len, *eor);
	world_messages_drop(m);
	return len;
}

static ssize_t backend_message(struct vsock_conn *conn)
{
	const struct world_conn *wc = to_world(conn);
	const struct world_messages *m = &wc->seq->to_read;

	world_require(wc->established);
	if (m->count)
		return m->len[m->head];
	return wc->in_error ? wc->in_error : -ENODATA;
}

static ssize_t backend_recv(struct vsock_conn *conn, const struct iovec *iov,
			    unsigned int count, bool *eor)
{
	struct world_conn *wc = to_world(conn);
	uint32_t got = 0;

	world_require(count && count <= VSOCK_BATCH_IOV && wc->established);
	if (wc->seq)
		return recv_message(wc, iov, count, eor);
	world_require(!eor);
	for (unsigned int i = 0; i < count && wc->in_left; i++) {
		uint8_t *to = iov[i].iov_base;
		size_t part = iov[i].iov_len;

		world_require(part);
		if (part > wc->in_left)
			part = wc->in_left;
		for (size_t j = 0; j < part; j++)
			to[j] = oracle_pattern(wc, wc->in_at + (uint32_t)j);
		wc->in_at += (uint32_t)part;
		wc->in_left -= (uint32_t)part;
		got += (uint32_t)part;
	}
	return got ? (ssize_t)got : wc->in_error;
}

static void backend_want_send(struct vsock_conn *conn, bool want)
{
	world_require(!want || vsock_conn_pending(conn));
}

/* Bytes that the host socket should have had; of messages, whole ones. */
static bool left_over(const struct world_conn *wc)
{
	return wc->seq ? wc->seq->to_host.count : wc->fifo_len;
}

static void backend_shut(struct vsock_conn *conn, unsigned int directions)
{
	struct world_conn *wc = to_world(conn);

	world_require(directions && !(directions & ~VSOCK_SHUTDOWN_BOTH));
	/* All that the guest has sent came before its end. */
	if (directions & VSOCK_SHUTDOWN_SEND)
		world_require(!left_over(wc) || wc->out_over || wc->excused);
}

static void backend_release(struct vsock_conn *conn)
{
	struct world_conn *wc = to_world(conn);

	/* A guest that has said that it ends loses nothing. */
	if (conn->guest_shut & VSOCK_SHUTDOWN_SEND)
		world_require(!left_over(wc) || wc->out_over || wc->excused ||
			      world.ending);
	list_remove(&wc->link);
	world.conns_num--;
	free(wc->fifo);
	free(wc->seq);
	free(wc);
}

static void backend_gate(struct vsock_backend *backend, bool open)
{
	(void)backend;
	world.gate_open = open;
}

static const struct vsock_backend_ops backend_ops = {
	.request = backend_request,
	.established = backend_established,
	.send = backend_send,
	.recv = backend_recv,
	.message = backend_message,
	.want_send = backend_want_send,
	.shut = backend_shut,
	.release = backend_release,
	.gate = backend_gate,
};

struct world_conn *world_conn_at(unsigned int i)
{
	struct list_node *at = world.conns.next;

	if (!world.conns_num)
		return NULL;
	for (i %= world.conns_num; i; i--)
		at = at->next;
	return list_entry(at, struct world_conn, link);
}

void world_connect(uint32_t guest_port, uint16_t type)
{
	struct world_conn *wc = new_conn(type);

	wc->by_host = true;
	if (!vsock_conn_request(&world.dev->engine, &wc->conn, guest_port,
				type))
		return;
	list_remove(&wc->link);
	world.conns_num--;
	free(wc->seq);
	free(wc);
}

/* The device's lives. */

static void new_device(uint64_t cid)
{
	const struct vsock_device_options options = {
		.guest_cid = cid,
		.queue_size = WORLD_QUEUE_MAX,
		.seqpacket = true,
	};
	struct vsock_device *dev = calloc(1, sizeof(*dev));
	struct fail why;

	world_require(dev);
	world.backend = (struct vsock_backend){ .ops = &backend_ops };
	world.gate_open = false;
	world.pending = 0;
	world_require(!vsock_device_init(dev, &world.loop, &world.guest.mem,
					 &world.backend, &options, &why));
	/* No luck here: the same input is the same run. */
	dev->engine.next_host_port = 0;
	dev->engine.buf_alloc = world.buf_alloc;
	dev->engine.conns_max = world.conns_max;
	if (world.tight)
		dev->engine.credit.budget = 1;
	dev->vdev.host_ops = &host_ops;
	world.resets = dev->vdev.resets;
	world.status = dev->vdev.status;
	world.dev = dev;
}

static void drop_device(void)
{
	world.ending = true;
	vsock_device_destroy(world.dev);
	world.ending = false;
	free(world.dev);
	world.dev = NULL;
	world_require(!world.conns_num && list_empty(&world.conns));
	world_require(!world.loop.timers && !world.loop.tasks);
}

static void load(const void *data, size_t len, uint64_t cid)
{
	struct state_node root;
	struct fail why;

	new_device(cid);
	world_require(!state_check(data, len, &why));
	state_root(&root, data);
	/* Whatever a guest does, it cannot spoil its own snapshot. */
	if (virtio_device_load(&world.dev->vdev, &root, &why) ||
	    state_leave(&root, &why))
		world_violated(__FILE__, __LINE__, why.text);
	oracle_device_new(true);
	oracle_step_begin();
	world_require(!virtio_device_loaded(&world.dev->vdev, &why));
	oracle_step_end();
}

void world_reload(uint64_t cid, bool drain)
{
	struct virtio_device *vdev = &world.dev->vdev;
	struct state_writer w;
	struct fail why;
	const void *data;
	size_t len;

	if (drain) {
		pthread_mutex_lock(&vdev->lock);
		show_status();
		notify_all();
		pthread_mutex_unlock(&vdev->lock);
		world_idle();
	}
	world_require(!state_writer_init(&w));
	oracle_step_begin();
	virtio_device_save(vdev, &w);
	oracle_step_end();
	/* It looked at the event queue; the doorbell is yet to come. */
	world.oracle.lagging = !drain;
	if (state_writer_finish(&w, &data, &len, &why))
		world_violated(__FILE__, __LINE__, why.text);
	if (cid) {
		oracle_memory();
		drop_device();
		load(data, len, cid);
	}
	state_writer_free(&w);
}

/* RAM as each run finds it; allocated once, for speed. */
static void power_on(void)
{
	static struct fake_guest guest;
	static uint8_t pattern[WORLD_RX_SIZE];

	if (!guest.mem.count) {
		fake_guest_init(&guest, WORLD_LOW, WORLD_HIGH);
		for (unsigned int i = 0; i < sizeof(pattern); i++)
			pattern[i] = (uint8_t)(i * 7 + i / 256);
	}
	world.guest = guest;
	memset(guest.mem.region[0].host, 0, WORLD_RX);
	memcpy(guest.mem.region[0].host + WORLD_RX, pattern, WORLD_RX_SIZE);
	memset(guest.mem.region[1].host, 0, WORLD_HIGH);
}

void world_begin(uint32_t buf_alloc, uint32_t conns_max, bool tight)
{
	/* That a driver is slow or wrong is no news here. */
	log_set_level(LOG_LEVEL_ERROR);
	memset(&world, 0, sizeof(world));
	world.buf_alloc = buf_alloc;
	world.conns_max = conns_max;
	world.tight = tight;
	world.fresh_room = UINT32_MAX;
	world.answer = 1;
	world.loop.tasks_end = &world.loop.tasks;
	list_init(&world.conns);
	power_on();
	oracle_begin();
	new_device(WORLD_CID);
	oracle_device_new(false);
}

void world_end(void)
{
	oracle_memory();
	drop_device();
}
