// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vsock protocol engine: the table of connections and their lives.
 * to_host.c takes packets from the guest, to_guest.c makes them for it.
 *
 * Called by device.c (rings) and the back-end (host sockets), on the loop
 * thread.
 *
 * Theory of operation
 *
 *   host client ─▶ REQUESTED ──RESPONSE──▶ ESTABLISHED
 *   guest REQUEST ─▶ CONNECTING ──back-end──▶ ESTABLISHED
 *   ESTABLISHED ──host done both ways, SHUTDOWN(both)──▶ CLOSING
 *   CLOSING ──RST from the guest, or timer (we RST)──▶ gone
 *   ESTABLISHED ──SHUTDOWN(both) from the guest, we RST──▶ LINGERING
 *   LINGERING ──backlog is out──▶ gone
 *
 * Packets are never queued, but for RSTs that belong to no connection: a
 * connection only notes what is due (a few flags) and goes onto the ready
 * list; the packet is made when there is an RX buffer to put it in. Bytes from
 * the host stay in its socket until then, too. Bytes from the guest go straight
 * to the socket; what it refuses waits in the connection's backlog, which
 * cannot outgrow the credit given to the guest.
 *
 * A connection is an object of the back-end; the engine gives it back with
 * ops->release() exactly once.
 */
#include "devices/vsock/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "devices/log.h"
#include "devices/vsock/ready.h"

/* Ports given to host clients: out of the way of services on either side. */
#define HOST_PORT_FIRST	(UINT32_C(1) << 30)
#define HOST_PORT_COUNT	(UINT32_C(1) << 30)

#define READ_HINT_MIN	4096u

static const char *const state_names[] = {
	[VSOCK_CONN_REQUESTED] = "requested",
	[VSOCK_CONN_CONNECTING] = "connecting",
	[VSOCK_CONN_ESTABLISHED] = "established",
	[VSOCK_CONN_CLOSING] = "closing",
	[VSOCK_CONN_LINGERING] = "lingering",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) ==
	       VSOCK_CONN_STATES, "a name for each state");

const char *vsock_conn_state_name(enum vsock_conn_state state)
{
	return state_names[state];
}

int vsock_engine_init(struct vsock_engine *engine, struct loop *loop,
		      struct vsock_backend *backend, uint32_t conns_max,
		      uint32_t first_host_port)
{
	engine->loop = loop;
	engine->backend = backend;
	backend->engine = engine;
	engine->conns_max = conns_max;
	engine->buf_alloc = VSOCK_BUF_ALLOC;
	engine->connect_timeout = VSOCK_CONNECT_TIMEOUT;
	engine->close_timeout = VSOCK_CLOSE_TIMEOUT;
	engine->running = true;
	engine->next_host_port = first_host_port % HOST_PORT_COUNT;
	engine->replies_size = VSOCK_REPLIES_MAX + 2 * conns_max +
			       VIRTQ_SIZE_MAX;
	engine->replies = calloc(engine->replies_size,
				 sizeof(*engine->replies));
	if (!engine->replies)
		return -ENOMEM;
	list_init(&engine->conns);
	list_init(&engine->ready);
	vsock_credit_init(&engine->credit);
	vsock_unread_init(&engine->unread);
	return 0;
}

static struct vsock_conn **bucket(struct vsock_engine *engine,
				  uint32_t host_port, uint32_t guest_port)
{
	uint32_t hash = (host_port * UINT32_C(2654435761)) ^
			(guest_port * UINT32_C(2246822519));

	return &engine->hash[(hash ^ hash >> 16) % VSOCK_HASH_SIZE];
}

struct vsock_conn *vsock_engine_find(struct vsock_engine *engine,
				     uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *conn = *bucket(engine, host_port, guest_port);

	while (conn && (conn->host_port != host_port ||
			conn->guest_port != guest_port))
		conn = conn->next;
	return conn;
}

bool vsock_engine_knows(const struct vsock_engine *engine, uint16_t type)
{
	return (type == VSOCK_TYPE_STREAM && engine->stream) ||
	       (type == VSOCK_TYPE_SEQPACKET && engine->seqpacket);
}

bool vsock_engine_full(struct vsock_engine *engine, bool from_guest)
{
	if (engine->opened[from_guest] < engine->conns_max)
		return false;
	engine->stats.limit_hits++;
	return true;
}

int vsock_engine_insert(struct vsock_engine *engine, struct vsock_conn *conn)
{
	struct vsock_conn **at = bucket(engine, conn->host_port,
					conn->guest_port);

	if (conn->type == VSOCK_TYPE_SEQPACKET) {
		conn->seq = vsock_seq_new();
		if (!conn->seq)
			return -ENOMEM;
	}
	conn->engine = engine;
	conn->guest_cid = engine->guest_cid;
	conn->buf_alloc = engine->buf_alloc;
	conn->read_hint = READ_HINT_MIN;
	conn->held = VSOCK_HELD_NONE;
	list_init(&conn->ready);
	vsock_credit_add(conn);
	vsock_unread_add(conn);
	list_append(&engine->conns, &conn->all);
	conn->next = *at;
	*at = conn;
	engine->opened[conn->from_guest]++;
	engine->count++;
	return 0;
}

bool vsock_conn_pending(const struct vsock_conn *conn)
{
	return conn->seq ? vsock_seq_waiting(conn) : conn->backlog.used != 0;
}

void vsock_conn_give_back(struct vsock_conn *conn)
{
	if (conn->held != VSOCK_HELD_NONE)
		virtq_push_held(conn->engine->tx, (uint16_t)conn->held, 0);
	conn->held = VSOCK_HELD_NONE;
}

/* Takes it out of the table; the tuple is free again. */
static void forget(struct vsock_conn *conn)
{
	struct vsock_engine *engine = conn->engine;
	struct vsock_conn **at = bucket(engine, conn->host_port,
					conn->guest_port);

	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	engine->count--;
	vsock_conn_give_back(conn);
	list_remove(&conn->ready);
	vsock_credit_remove(conn);
	vsock_unread_remove(conn);
	vsock_seq_remove(conn);
	loop_timer_cancel(engine->loop, &conn->timer);
}

/*
 * Will the host never get all that the guest sent? What a host that has gone
 * did not read is nobody's loss; and a message that the guest did not finish
 * was not sent.
 */
static bool count_loss(struct vsock_conn *conn)
{
	struct vsock_stats *stats = &conn->engine->stats;
	uint32_t bytes = conn->lost + conn->backlog.used -
			 (conn->seq ? conn->seq->open : 0);

	if (conn->hangup || (!bytes && !vsock_conn_pending(conn)))
		return false;
	stats->losses++;
	stats->bytes_lost += bytes;
	log_guest(LOG_LEVEL_WARN, "vsock: a connection from the guest's port %"
		  PRIu32 " to the host's %" PRIu32 " ends with %" PRIu32
		  " bytes of the guest's not delivered", conn->guest_port,
		  conn->host_port, bytes);
	return true;
}

static void release(struct vsock_conn *conn)
{
	bool lost = count_loss(conn);

	conn->engine->opened[conn->from_guest]--;
	list_remove(&conn->all);
	vsock_backlog_free(&conn->backlog);
	vsock_seq_free(conn->seq);
	/* What the guest may still have wanted to say is no end, either. */
	conn->engine->backend->ops->release(conn, lost ||
					    (conn->cut && !conn->hangup));
}

void vsock_conn_discard(struct vsock_conn *conn)
{
	if (conn->state == VSOCK_CONN_LINGERING)
		conn->engine->lingering--;
	else
		forget(conn);
	release(conn);
}

void vsock_conn_linger(struct vsock_conn *conn)
{
	if (!vsock_conn_pending(conn)) {
		vsock_conn_discard(conn);
		return;
	}
	forget(conn);
	conn->state = VSOCK_CONN_LINGERING;
	conn->engine->lingering++;
}

void vsock_engine_reset(struct vsock_engine *engine)
{
	struct list_node *at = engine->conns.next;

	while (at != &engine->conns) {
		struct vsock_conn *conn = list_entry(at, struct vsock_conn,
						     all);

		/* What the guest sent is ours to deliver, guest or none. */
		at = at->next;
		/* (Of messages a reset would hide those that have come.) */
		if (conn->state == VSOCK_CONN_ESTABLISHED && !conn->seq)
			conn->cut = !(conn->guest_shut & VSOCK_SHUTDOWN_SEND);
		if (conn->state != VSOCK_CONN_LINGERING)
			vsock_conn_linger(conn);
	}
	engine->replies_head = 0;
	engine->replies_count = 0;
	vsock_unread_reset(&engine->unread);
}

void vsock_engine_hand_over(struct vsock_engine *engine)
{
	struct list_node *at = engine->conns.next;

	while (at != &engine->conns) {
		struct vsock_conn *conn = list_entry(at, struct vsock_conn,
						     all);

		at = at->next;
		engine->backend->ops->enlarge(conn);
		vsock_conn_writable(conn);
	}
}

void vsock_engine_inherit(struct vsock_engine *engine,
			  struct vsock_engine *old)
{
	while (!list_empty(&old->conns)) {
		struct vsock_conn *conn = list_entry(old->conns.next,
						     struct vsock_conn, all);

		conn->engine = engine;
		old->opened[conn->from_guest]--;
		engine->opened[conn->from_guest]++;
		list_remove(&conn->all);
		list_append(&engine->conns, &conn->all);
	}
	engine->lingering += old->lingering;
	old->lingering = 0;
}

void vsock_engine_destroy(struct vsock_engine *engine)
{
	while (!list_empty(&engine->conns)) {
		struct vsock_conn *conn = list_entry(engine->conns.next,
						     struct vsock_conn, all);

		/* The guest's memory is not ours to write any more. */
		conn->held = VSOCK_HELD_NONE;
		vsock_conn_discard(conn);
	}
	vsock_credit_destroy(engine);
	vsock_unread_destroy(engine);
	free(engine->replies);
	engine->replies = NULL;
}

static void timer_fired(struct loop_timer *timer)
{
	struct vsock_conn *conn = list_entry(timer, struct vsock_conn, timer);

	/* The guest could not answer while it was paused. */
	if (!conn->engine->running) {
		vsock_conn_timer(conn, conn->timer_ms);
		return;
	}
	conn->engine->stats.timeouts++;
	vsock_conn_abort(conn);
}

void vsock_conn_timer(struct vsock_conn *conn, uint64_t ms)
{
	conn->timer.fn = timer_fired;
	conn->timer_ms = ms;
	/* Without memory for a timer the guest's answer alone ends it. */
	(void)loop_timer_arm(conn->engine->loop, &conn->timer, ms);
}

void vsock_conn_shut(struct vsock_conn *conn, unsigned int directions)
{
	conn->host_shut |= directions;
	/* Nothing more can come from either side: that is a close. */
	if ((conn->host_shut & VSOCK_SHUTDOWN_SEND) &&
	    (conn->guest_shut & VSOCK_SHUTDOWN_SEND))
		conn->host_shut = VSOCK_SHUTDOWN_BOTH;
	if (conn->host_shut == conn->host_shut_sent)
		return;
	if (conn->host_shut == VSOCK_SHUTDOWN_BOTH &&
	    conn->state == VSOCK_CONN_ESTABLISHED) {
		conn->state = VSOCK_CONN_CLOSING;
		vsock_conn_timer(conn, conn->engine->close_timeout);
	}
	vsock_conn_due(conn, VSOCK_DUE_SHUTDOWN);
}

void vsock_conn_header(struct vsock_conn *conn, enum vsock_op op,
		       uint32_t len, uint32_t flags, struct vsock_header *hdr)
{
	*hdr = (struct vsock_header){
		.src_cid = le64_make(VSOCK_CID_HOST),
		.dst_cid = le64_make(conn->guest_cid),
		.src_port = le32_make(conn->host_port),
		.dst_port = le32_make(conn->guest_port),
		.len = le32_make(len),
		.type = le16_make(conn->type),
		.op = le16_make((uint16_t)op),
		.flags = le32_make(flags),
		.buf_alloc = le32_make(conn->buf_alloc),
		.fwd_cnt = le32_make(vsock_credit_tell(conn)),
	};
}

static void reply(struct vsock_engine *engine, const struct vsock_header *hdr,
		  int32_t held)
{
	unsigned int at = (engine->replies_head + engine->replies_count) %
			  engine->replies_size;

	engine->replies[at] = (struct vsock_reply){ *hdr, held };
	engine->replies_count++;
	engine->stats.resets_sent++;
	engine->wake(engine);
}

void vsock_engine_reply_rst(struct vsock_engine *engine,
			    const struct vsock_header *to, int32_t held)
{
	reply(engine, &(struct vsock_header){
		.src_cid = to->dst_cid,
		.dst_cid = to->src_cid,
		.src_port = to->dst_port,
		.dst_port = to->src_port,
		.type = to->type,
		.op = le16_make(VSOCK_OP_RST),
	}, held);
}

void vsock_engine_take_back(struct vsock_engine *engine,
			    const struct vsock_header *hdr)
{
	reply(engine, &(struct vsock_header){
		.src_cid = hdr->src_cid,
		.dst_cid = hdr->dst_cid,
		.src_port = hdr->src_port,
		.dst_port = hdr->dst_port,
		.type = hdr->type,
		.op = le16_make(VSOCK_OP_RST),
	}, VSOCK_HELD_NONE);
}

void vsock_conn_say_rst(struct vsock_conn *conn)
{
	struct vsock_header hdr;

	vsock_conn_header(conn, VSOCK_OP_RST, 0, 0, &hdr);
	/* An unanswered REQUEST is answered by this. */
	reply(conn->engine, &hdr, conn->held);
	conn->held = VSOCK_HELD_NONE;
}

void vsock_conn_reset(struct vsock_conn *conn)
{
	vsock_conn_say_rst(conn);
	vsock_conn_discard(conn);
}

void vsock_conn_abort(struct vsock_conn *conn)
{
	bool unheard = conn->state == VSOCK_CONN_LINGERING ||
		       (conn->due & VSOCK_DUE_REQUEST);

	if (conn->state == VSOCK_CONN_REQUESTED ||
	    conn->state == VSOCK_CONN_CONNECTING)
		conn->engine->stats.refused++;
	if (!unheard)
		vsock_conn_say_rst(conn);
	if (conn->state == VSOCK_CONN_CLOSING)
		vsock_conn_linger(conn);
	else
		vsock_conn_discard(conn);
}

static uint32_t free_host_port(struct vsock_engine *engine,
			       uint32_t guest_port)
{
	uint32_t port;

	do {
		port = HOST_PORT_FIRST + engine->next_host_port;
		engine->next_host_port = (engine->next_host_port + 1) %
					 HOST_PORT_COUNT;
	} while (vsock_engine_find(engine, port, guest_port));
	return port;
}

int vsock_conn_request(struct vsock_engine *engine, struct vsock_conn *conn,
		       uint32_t guest_port, uint16_t type)
{
	if (vsock_engine_full(engine, false)) {
		engine->stats.refused++;
		return -ENOBUFS;
	}
	/* By its features: it could not even answer with an RST of that type. */
	if (!vsock_engine_knows(engine, type)) {
		engine->stats.refused++;
		return -EPROTONOSUPPORT;
	}
	conn->guest_port = guest_port;
	conn->host_port = free_host_port(engine, guest_port);
	conn->type = type;
	conn->state = VSOCK_CONN_REQUESTED;
	if (vsock_engine_insert(engine, conn))
		return -ENOMEM;
	engine->stats.connects_host++;
	vsock_conn_timer(conn, engine->connect_timeout);
	vsock_conn_due(conn, VSOCK_DUE_REQUEST);
	return 0;
}

void vsock_conn_accepted(struct vsock_conn *conn)
{
	conn->state = VSOCK_CONN_ESTABLISHED;
	conn->engine->stats.established++;
	vsock_conn_due(conn, VSOCK_DUE_RESPONSE);
}

void vsock_conn_readable(struct vsock_conn *conn)
{
	conn->readable = true;
	if (conn->state == VSOCK_CONN_ESTABLISHED)
		vsock_conn_schedule(conn);
}

void vsock_conn_hangup(struct vsock_conn *conn)
{
	conn->hangup = true;
	conn->at_end = true;
	switch (conn->state) {
	case VSOCK_CONN_REQUESTED:
	case VSOCK_CONN_CONNECTING:
	case VSOCK_CONN_LINGERING:
		vsock_conn_abort(conn);
		return;
	case VSOCK_CONN_ESTABLISHED:
		/* What it did not read by now it never will. */
		vsock_conn_writable(conn);
		/* If bytes are still to be read, their end says it all. */
		if ((conn->host_shut & VSOCK_SHUTDOWN_SEND) ||
		    (conn->guest_shut & VSOCK_SHUTDOWN_RECEIVE))
			vsock_conn_shut(conn, VSOCK_SHUTDOWN_BOTH);
		else
			vsock_conn_readable(conn);
		return;
	case VSOCK_CONN_CLOSING:
		vsock_conn_writable(conn);
		return;
	case VSOCK_CONN_STATES:
		return;
	}
}

void vsock_conn_deaf(struct vsock_conn *conn)
{
	conn->fwd_cnt += conn->backlog.used;
	vsock_backlog_free(&conn->backlog);
	if (conn->seq)
		vsock_seq_drop(conn);
	if (conn->state == VSOCK_CONN_ESTABLISHED)
		vsock_conn_shut(conn, VSOCK_SHUTDOWN_RECEIVE);
}

/* Hands the backlog of a stream to the host socket. As vsock_seq_flush(). */
static int flush_stream(struct vsock_conn *conn)
{
	const struct vsock_backend_ops *ops = conn->engine->backend->ops;
	struct iovec iov[2];
	unsigned int count;

	while ((count = vsock_backlog_peek(&conn->backlog, iov))) {
		ssize_t took = ops->send(conn, iov, count, 0);

		if (took < 0)
			return (int)took;
		conn->fwd_cnt += (uint32_t)took;
		vsock_backlog_consume(&conn->backlog, (uint32_t)took);
	}
	return 0;
}

void vsock_conn_writable(struct vsock_conn *conn)
{
	const struct vsock_backend_ops *ops = conn->engine->backend->ops;
	int err = conn->seq ? vsock_seq_flush(conn) : flush_stream(conn);

	if (err == -EAGAIN)
		return;
	if (err > 0) {
		/* It need not say so again, unless it is asked anew. */
		ops->want_send(conn, false);
		ops->want_send(conn, true);
		vsock_conn_credit(conn);
		return;
	}
	if (err)
		vsock_conn_deaf(conn);
	ops->want_send(conn, false);
	if (conn->state == VSOCK_CONN_LINGERING) {
		vsock_conn_discard(conn);
		return;
	}
	if (conn->guest_shut & VSOCK_SHUTDOWN_SEND)
		ops->shut(conn, VSOCK_SHUTDOWN_SEND);
	vsock_conn_credit(conn);
}
