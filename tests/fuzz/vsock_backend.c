// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's programs: a back-end whose sockets are a few numbers each. What
 * the device asks of one, and what it hands over, must be as the guest said it.
 *
 * Called by the device, in a turn of vsock_host.c's loop, and by the script.
 */
#include "tests/fuzz/vsock_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
					  uint32_t patience, bool *connected)
{
	struct world_oracle *o = &world.oracle;
	struct world_conn *wc;

	(void)backend;
	(void)patience;
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

/* The host knows no limit. */
static void backend_enlarge(struct vsock_conn *conn)
{
	(void)conn;
}

static void backend_release(struct vsock_conn *conn, bool lost)
{
	struct world_conn *wc = to_world(conn);

	/* A guest that has said that it ends loses nothing. */
	if (conn->guest_shut & VSOCK_SHUTDOWN_SEND)
		world_require(!left_over(wc) || wc->out_over || wc->excused ||
			      world.ending);
	/* What is lost is told. */
	world_require(lost || !left_over(wc) || wc->out_over || wc->excused);
	list_remove(&wc->link);
	world.conns_num--;
	free(wc->fifo);
	free(wc->seq);
	free(wc);
}

void world_gate(struct vsock_backend *backend, bool open)
{
	(void)backend;
	world.gate_open = open;
}

const struct vsock_backend_ops world_backend_ops = {
	.request = backend_request,
	.established = backend_established,
	.send = backend_send,
	.recv = backend_recv,
	.message = backend_message,
	.want_send = backend_want_send,
	.shut = backend_shut,
	.enlarge = backend_enlarge,
	.release = backend_release,
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
