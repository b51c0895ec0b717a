// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest has not read yet, and so how much more it may be sent. Part of
 * the engine, called by its other files on the loop thread. What the timer does
 * is in unread_ask.c.
 *
 * Theory. Credit counts bytes. But a guest pays for packets, however short, and
 * Linux 6.12 and later count that, too: where packets that wait to be read cost
 * more than the buffer has bytes, the connection is reset, with ENOBUFS. So a
 * host that writes little at a time to a program that reads late would lose it.
 *
 * Rules
 *  1. A packet is unread until the guest's fwd_cnt has reached its end. Linux
 *     counts what it takes off its queue, in order, and a queue of joined
 *     packets is shorter, so there never are more than are noted here.
 *  2. There are no more than VSOCK_UNREAD_MAX, nor than one for each
 *     VSOCK_UNREAD_COST bytes of the guest's buffer. Beyond, what the host
 *     writes stays in its socket; a stream's writes join there, and the next
 *     packet is a long one. A message that has begun goes on: no more packets
 *     than one for each RX buffer's worth of credit, for which the bounds leave
 *     room. Notes beyond the ring's end go into the last one.
 *  3. An empty message has no byte that fwd_cnt could pass. It was read if one
 *     behind it was, or if the guest sends a CREDIT_UPDATE without any news, as
 *     Linux does for each message read, and the oldest unread one is empty.
 *  4. The guest may have read and not told: Linux tells when all is read, or, as
 *     6.1 does, not until it was 192 KiB. So it is asked: when half of what may
 *     be unread is, when a connection has to wait, and again while it has credit
 *     but too many packets, the more rarely the longer nothing moves. Nobody is
 *     asked twice before he has answered, unless he lets VSOCK_ASK_PATIENCE
 *     pass. Of credit that comes back where there was none any guest tells.
 *  5. A driver that has looked at VSOCK_ASK_VAIN requests, and answers none,
 *     is an old one (Linux before 5.13), which does not count packets, either.
 *     Nor do we, then, until it is reset.
 */
#include "devices/vsock/unread.h"

#include "devices/vsock/conn.h"

void vsock_unread_reset(struct vsock_unread *unread)
{
	unread->mute = false;
}

void vsock_unread_add(struct vsock_conn *conn)
{
	list_init(&conn->unread.hungry);
}

void vsock_unread_remove(struct vsock_conn *conn)
{
	list_remove(&conn->unread.hungry);
}

uint32_t vsock_conn_room(const struct vsock_conn *conn)
{
	uint32_t in_flight = conn->tx_cnt - conn->peer_fwd_cnt;

	return in_flight < conn->peer_buf_alloc ?
	       conn->peer_buf_alloc - in_flight : 0;
}

static struct vsock_unread_packet *packet_at(struct vsock_conn *conn,
					     uint32_t i)
{
	return &conn->unread.packet[(conn->unread.head + i) %
				    VSOCK_UNREAD_MAX];
}

static void drop(struct vsock_conn *conn, uint32_t count)
{
	conn->unread.head = (conn->unread.head + count) % VSOCK_UNREAD_MAX;
	conn->unread.count -= count;
}

/* Rule 1; an empty one goes with the next that is not. */
static void drop_read(struct vsock_conn *conn)
{
	uint32_t in_flight = conn->tx_cnt - conn->peer_fwd_cnt, read = 0;

	for (uint32_t i = 0; i < conn->unread.count; i++) {
		const struct vsock_unread_packet *packet = packet_at(conn, i);

		if (packet->empty)
			continue;
		/* Unsigned, so that the window may be of any size. */
		if (conn->tx_cnt - packet->end < in_flight)
			break;
		read = i + 1;
	}
	drop(conn, read);
}

/* Rule 2. */
static uint32_t limit_of(const struct vsock_conn *conn)
{
	uint32_t limit = conn->peer_buf_alloc / VSOCK_UNREAD_COST;

	if (limit > VSOCK_UNREAD_MAX)
		return VSOCK_UNREAD_MAX;
	return limit ? limit : 1;
}

uint32_t vsock_unread_room(struct vsock_conn *conn)
{
	uint32_t limit = limit_of(conn);

	/* Whoever has sockets with messages answers. */
	if (conn->engine->unread.mute && !conn->seq)
		return VSOCK_UNREAD_MAX;
	drop_read(conn);
	return conn->unread.count < limit ? limit - conn->unread.count : 0;
}

void vsock_unread_ask(struct vsock_conn *conn)
{
	if (!conn->unread.asked && !conn->engine->unread.mute)
		conn->due |= VSOCK_DUE_CREDIT_REQUEST;
}

void vsock_unread_sent(struct vsock_conn *conn, uint32_t len)
{
	struct vsock_conn_unread *unread = &conn->unread;

	conn->tx_cnt += len;
	if (unread->count < VSOCK_UNREAD_MAX)
		unread->count++;
	*packet_at(conn, unread->count - 1) = (struct vsock_unread_packet){
		.end = conn->tx_cnt, .empty = !len,
	};
	/* Rule 4. Of messages each one's reading is told. */
	if (!conn->seq && unread->count == limit_of(conn) / 2)
		vsock_unread_ask(conn);
}

void vsock_unread_asked(struct vsock_conn *conn)
{
	conn->unread.asked = true;
	conn->unread.asked_at = conn->engine->rx->used_idx;
	conn->unread.waited = 0;
}

void vsock_unread_ask_in(struct vsock_engine *engine, uint32_t ms)
{
	engine->unread.wait = ms;
	/* Without memory for a timer the guest's own news have to do. */
	(void)loop_timer_arm(engine->loop, &engine->unread.timer, ms);
}

/* Things move: to be asked soon. */
static void hasten(struct vsock_engine *engine)
{
	if (!engine->unread.timer.slot ||
	    engine->unread.wait > VSOCK_ASK_FIRST)
		vsock_unread_ask_in(engine, VSOCK_ASK_FIRST);
}

void vsock_unread_wait(struct vsock_conn *conn, bool waits)
{
	struct vsock_engine *engine = conn->engine;

	if (waits && !conn->unread.waits)
		vsock_unread_ask(conn);
	conn->unread.waits = waits;
	if (!waits || !vsock_conn_room(conn)) {
		list_remove(&conn->unread.hungry);
	} else if (list_empty(&conn->unread.hungry)) {
		list_append(&engine->unread.hungry, &conn->unread.hungry);
		hasten(engine);
	}
}

/*
 * Takes note of a CREDIT_UPDATE. Rule 3: one without news is the answer, if one
 * is due, as no other of Linux's answers on such a socket is; it has told the
 * news before.
 */
static void take_update(struct vsock_conn *conn, bool news)
{
	struct vsock_conn_unread *unread = &conn->unread;

	if (conn->seq && news)
		return;
	if (conn->seq && !unread->asked && unread->count &&
	    packet_at(conn, 0)->empty)
		drop(conn, 1);
	unread->asked = false;
	unread->vain = 0;
}

bool vsock_unread_news(struct vsock_conn *conn,
		       const struct vsock_header *hdr)
{
	uint32_t buf_alloc = le32_get(hdr->buf_alloc);
	uint32_t fwd_cnt = le32_get(hdr->fwd_cnt);
	bool moved = fwd_cnt != conn->peer_fwd_cnt;
	bool news = moved || buf_alloc != conn->peer_buf_alloc;

	conn->peer_buf_alloc = buf_alloc;
	conn->peer_fwd_cnt = fwd_cnt;
	if (le16_get(hdr->op) == VSOCK_OP_CREDIT_UPDATE)
		take_update(conn, news);
	if (!conn->unread.waits)
		return false;
	if (moved && !list_empty(&conn->unread.hungry))
		hasten(conn->engine);
	return true;
}
