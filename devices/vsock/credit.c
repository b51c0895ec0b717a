// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Credit for the guest: how much it may send, and when it hears of it. Part of
 * the engine, called by its other files on the loop thread.
 *
 * Theory. The guest may send up to fwd_cnt + buf_alloc, as told in the last
 * header: the right edge. With a whole window of 256 KiB for everybody, a guest
 * with 128 busy connections puts 16 MiB into the TX ring before the device gets
 * to run, all of which has left the caches by then, and every copy is made from
 * memory. So busy connections share a budget: the guest is told of less than
 * the host has taken, such that a connection may not send more than its share.
 * To the guest it looks as if the host read later.
 *
 * Rules
 *  1. The right edge never moves left: fwd_told only grows, up to fwd_cnt, and
 *     buf_alloc never changes.
 *  2. Busy is who sends data, until others have sent VSOCK_CREDIT_MEMORY bytes
 *     since. Bytes, not time: where nothing is sent nobody needs to forget, and
 *     no timer has to run.
 *  3. A share is the budget divided by the busy connections; no less than
 *     VSOCK_CREDIT_SHARE_MIN, or updates cost more than they save, and no more
 *     than the window. One or two connections thus have whole windows.
 *  4. The guest is told when it may send no more than half of a share, and in
 *     each packet that goes to it anyway.
 *  5. Nobody waits for anybody: a connection that has used its credit is given
 *     a share as soon as the host has taken the bytes.
 *
 * A connection that was idle still has a whole window: it takes effect when
 * that is used. A message longer than a share takes several: what is held back
 * is of what the host has taken before, so the whole window can always be had.
 */
#include "devices/vsock/credit.h"

#include "devices/vsock/engine.h"

void vsock_credit_init(struct vsock_credit *credit)
{
	credit->budget = VSOCK_CREDIT_BUDGET;
	list_init(&credit->busy);
}

void vsock_credit_add(struct vsock_conn *conn)
{
	list_init(&conn->credit.busy);
}

void vsock_credit_remove(struct vsock_conn *conn)
{
	if (list_empty(&conn->credit.busy))
		return;
	list_remove(&conn->credit.busy);
	conn->engine->credit.busy_count--;
}

/*
 * The most that the guest lets itself have under way (Linux: both limits). One
 * that receives nothing may well send.
 */
static uint32_t window_of(const struct vsock_conn *conn)
{
	if (conn->peer_buf_alloc >= conn->buf_alloc)
		return conn->buf_alloc;
	return conn->peer_buf_alloc ? conn->peer_buf_alloc : 1;
}

uint32_t vsock_credit_left(const struct vsock_conn *conn)
{
	uint32_t under_way = conn->rx_cnt - conn->fwd_told;
	uint32_t window = window_of(conn);

	return under_way < window ? window - under_way : 0;
}

/* Rule 3. */
uint32_t vsock_credit_share(const struct vsock_conn *conn)
{
	const struct vsock_credit *credit = &conn->engine->credit;
	uint32_t window = window_of(conn), share = window;

	if (credit->busy_count > 1) {
		share = credit->budget / credit->busy_count;
		/* Odd numbers would cut each of the guest's packets in two. */
		share -= share % VSOCK_CREDIT_SHARE_MIN;
	}
	if (share < VSOCK_CREDIT_SHARE_MIN)
		share = VSOCK_CREDIT_SHARE_MIN;
	return share < window ? share : window;
}

/* Rule 2. */
void vsock_credit_used(struct vsock_conn *conn, uint32_t len)
{
	struct vsock_credit *credit = &conn->engine->credit;

	credit->clock += len;
	vsock_credit_remove(conn);
	conn->credit.last = credit->clock;
	list_append(&credit->busy, &conn->credit.busy);
	credit->busy_count++;
	for (;;) {
		struct vsock_conn *first = list_entry(credit->busy.next,
						      struct vsock_conn,
						      credit.busy);

		if (credit->clock - first->credit.last <= VSOCK_CREDIT_MEMORY)
			return;
		vsock_credit_remove(first);
	}
}

/* Rule 1: to the right, and no further than the host has taken. */
uint32_t vsock_credit_tell(struct vsock_conn *conn)
{
	uint32_t share = vsock_credit_share(conn);
	uint32_t under_way = conn->rx_cnt - conn->fwd_told;
	uint32_t most = window_of(conn) - share;
	uint32_t news = conn->fwd_cnt - conn->fwd_told;

	/* What the guest is to believe under way, for the rest to be a share. */
	if (under_way <= most)
		return conn->fwd_told;
	if (news > under_way - most)
		news = under_way - most;
	conn->fwd_told += news;
	return conn->fwd_told;
}

/* Rule 4. */
void vsock_conn_credit(struct vsock_conn *conn)
{
	if (conn->fwd_cnt != conn->fwd_told &&
	    vsock_credit_left(conn) <= vsock_credit_share(conn) / 2 &&
	    conn->state != VSOCK_CONN_LINGERING)
		vsock_conn_due(conn, VSOCK_DUE_CREDIT_UPDATE);
}
