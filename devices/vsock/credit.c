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
 *  5. Where the smallest shares together are more than twice the budget (one
 *     half with the guest, one on its way), connections wait for theirs in
 *     line: whoever sends makes room for the next. A share that is not used
 *     holds up nobody for long: it no longer counts when others have sent
 *     VSOCK_CREDIT_STALE since, or VSOCK_CREDIT_PATIENCE is over.
 *  6. While there is a line, the loop thread gives way after each budget of
 *     bytes to whoever else wants its CPU: host sockets hold far more than a
 *     cache does, and on one CPU device and guest, who wake each other, would
 *     fill them before the programs that read them get to run.
 *
 *  7. Whoever asks, by CREDIT_REQUEST, is told of all there is, and of each news
 *     until it sends again: there are drivers that send nothing until a whole
 *     packet fits, ask once, and would wait for ever for the rest of a share.
 *     Linux does not ask.
 *
 * A connection that was idle still has a whole window: it takes effect when
 * that is used. A message longer than a share takes several: what is held back
 * is of what the host has taken before, so the whole window can always be had.
 */
#include "devices/vsock/credit.h"

#include "devices/vsock/conn.h"
#include "devices/vsock/ready.h"

void vsock_credit_add(struct vsock_conn *conn)
{
	list_init(&conn->credit.busy);
	list_init(&conn->credit.given);
	list_init(&conn->credit.line);
}

static void not_busy(struct vsock_conn *conn)
{
	if (list_empty(&conn->credit.busy))
		return;
	list_remove(&conn->credit.busy);
	conn->engine->credit.busy_count--;
}

/* Of the share it was given @bytes are used, or count no longer. */
static void take_back(struct vsock_conn *conn, uint32_t bytes)
{
	if (bytes > conn->credit.out)
		bytes = conn->credit.out;
	conn->credit.out -= bytes;
	conn->engine->credit.out -= bytes;
	if (!conn->credit.out)
		list_remove(&conn->credit.given);
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

/* What is to be told so that the guest may send a share. Rule 1. */
static uint32_t news_for(const struct vsock_conn *conn)
{
	uint32_t under_way = conn->rx_cnt - conn->fwd_told;
	uint32_t most = window_of(conn) - vsock_credit_share(conn);
	uint32_t news = conn->fwd_cnt - conn->fwd_told;

	if (conn->credit.asked)
		return news;
	/* What the guest is to believe under way, for the rest to be a share. */
	if (under_way <= most)
		return 0;
	return news < under_way - most ? news : under_way - most;
}

/* Is it the turn of this connection? Rule 5. */
static bool may_give(const struct vsock_conn *conn)
{
	const struct vsock_credit *credit = &conn->engine->credit;

	return credit->busy_count <= 1 || !credit->out ||
	       credit->out + news_for(conn) <= 2 * (uint64_t)credit->budget;
}

static void give(struct vsock_conn *conn)
{
	struct vsock_credit *credit = &conn->engine->credit;
	uint32_t news = news_for(conn);

	list_remove(&conn->credit.line);
	if (!news)
		return;
	conn->fwd_told += news;
	conn->credit.out += news;
	credit->out += news;
	conn->credit.since = credit->clock;
	list_remove(&conn->credit.given);
	list_append(&credit->given, &conn->credit.given);
}

static void serve_line(struct vsock_credit *credit)
{
	while (!list_empty(&credit->line)) {
		struct vsock_conn *first = list_entry(credit->line.next,
						      struct vsock_conn,
						      credit.line);

		if (!may_give(first))
			return;
		give(first);
		vsock_conn_due(first, VSOCK_DUE_CREDIT_UPDATE);
	}
}

/* Shares given up to @clock do not count any longer. */
static void forget_given(struct vsock_credit *credit, uint64_t clock)
{
	while (!list_empty(&credit->given)) {
		struct vsock_conn *first = list_entry(credit->given.next,
						      struct vsock_conn,
						      credit.given);

		if (first->credit.since > clock)
			return;
		take_back(first, UINT32_MAX);
	}
}

static void be_patient(struct vsock_engine *engine)
{
	struct vsock_credit *credit = &engine->credit;

	if (credit->patience.slot || list_empty(&credit->line))
		return;
	credit->patience_clock = credit->clock;
	/* Without memory for a timer nobody waits. */
	if (loop_timer_arm(engine->loop, &credit->patience,
			   VSOCK_CREDIT_PATIENCE)) {
		forget_given(credit, credit->clock);
		serve_line(credit);
	}
}

static void patience_is_over(struct loop_timer *timer)
{
	struct vsock_engine *engine = list_entry(timer, struct vsock_engine,
						 credit.patience);

	forget_given(&engine->credit, engine->credit.patience_clock);
	serve_line(&engine->credit);
	be_patient(engine);
}

void vsock_credit_init(struct vsock_credit *credit)
{
	credit->budget = VSOCK_CREDIT_BUDGET;
	credit->patience.fn = patience_is_over;
	list_init(&credit->busy);
	list_init(&credit->given);
	list_init(&credit->line);
}

void vsock_credit_destroy(struct vsock_engine *engine)
{
	loop_timer_cancel(engine->loop, &engine->credit.patience);
}

void vsock_credit_remove(struct vsock_conn *conn)
{
	struct vsock_credit *credit = &conn->engine->credit;

	not_busy(conn);
	list_remove(&conn->credit.line);
	take_back(conn, UINT32_MAX);
	serve_line(credit);
}

/* Rule 2. */
void vsock_credit_used(struct vsock_conn *conn, uint32_t len)
{
	struct vsock_credit *credit = &conn->engine->credit;

	credit->clock += len;
	if (len)
		conn->credit.asked = false;
	not_busy(conn);
	conn->credit.last = credit->clock;
	list_append(&credit->busy, &conn->credit.busy);
	credit->busy_count++;
	for (;;) {
		struct vsock_conn *first = list_entry(credit->busy.next,
						      struct vsock_conn,
						      credit.busy);

		if (credit->clock - first->credit.last <= VSOCK_CREDIT_MEMORY)
			break;
		not_busy(first);
	}
	take_back(conn, len);
	if (credit->clock > VSOCK_CREDIT_STALE)
		forget_given(credit, credit->clock - VSOCK_CREDIT_STALE);
	serve_line(credit);
}

/* Rule 6. */
bool vsock_credit_should_yield(struct vsock_credit *credit)
{
	if (list_empty(&credit->line) ||
	    credit->clock - credit->yielded < credit->budget)
		return false;
	credit->yielded = credit->clock;
	return true;
}

uint32_t vsock_credit_tell(struct vsock_conn *conn)
{
	/* Not ahead of those who wait, unless it stands still. */
	if (conn->credit.asked ||
	    (list_empty(&conn->engine->credit.line) && may_give(conn)))
		give(conn);
	return conn->fwd_told;
}

/* Rule 7. */
void vsock_credit_asked(struct vsock_conn *conn)
{
	conn->credit.asked = true;
	vsock_conn_due(conn, VSOCK_DUE_CREDIT_UPDATE);
}

/* Rules 4 and 7. */
void vsock_conn_credit(struct vsock_conn *conn)
{
	struct vsock_credit *credit = &conn->engine->credit;

	if (conn->credit.asked && conn->fwd_cnt != conn->fwd_told &&
	    conn->state != VSOCK_CONN_LINGERING) {
		vsock_conn_due(conn, VSOCK_DUE_CREDIT_UPDATE);
		return;
	}
	if (conn->fwd_cnt == conn->fwd_told ||
	    vsock_credit_left(conn) > vsock_credit_share(conn) / 2 ||
	    conn->state == VSOCK_CONN_LINGERING ||
	    !list_empty(&conn->credit.line))
		return;
	list_append(&credit->line, &conn->credit.line);
	serve_line(credit);
	be_patient(conn->engine);
}
