// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest to host: packets from the TX ring, and what each does to its
 * connection (virtio 1.2, section 5.10.6). Part of the engine: see engine.c.
 *
 * Loop thread, device locked.
 *
 * Chains are popped a batch at a time. Each header is copied once, the copy is
 * checked and used. Payloads of neighbouring packets of one connection are
 * gathered and leave in one system call, straight from guest memory; the used
 * ring is published once a batch, after the bytes have left.
 */
#include <errno.h>
#include <string.h>

#include "devices/vsock/engine.h"
#include "devices/vsock/ready.h"

#define BATCHES_MAX	4	/* a turn: then others get theirs */

/**
 * struct run - payload of neighbouring packets of one connection
 * @conn: NULL: nothing gathered
 * @count: segments in engine->out
 * @bytes: their sum
 */
struct run {
	struct vsock_conn *conn;
	unsigned int count;
	uint32_t bytes;
};

/* Puts the run's bytes into the backlog, but for @took at its front. */
static int keep(struct vsock_conn *conn, const struct run *run, uint32_t took)
{
	struct vsock_engine *engine = conn->engine;
	int ret;

	ret = vsock_backlog_append(&conn->backlog, conn->buf_alloc,
				   engine->out, run->count, took);
	if (ret)
		return ret;
	engine->backend->ops->want_send(conn, true);
	return 0;
}

/* Hands a run to the host socket. The connection may be gone afterwards. */
static void flush(struct vsock_engine *engine, struct run *run)
{
	struct vsock_conn *conn = run->conn;
	ssize_t took = 0;

	run->conn = NULL;
	if (!conn)
		return;
	if (!conn->backlog.used)
		took = engine->backend->ops->send(conn, engine->out,
						  run->count, 0);
	if (took == -EAGAIN)
		took = 0;
	if (took < 0) {
		/* Nobody reads any more; the guest may still be sent to. */
		vsock_conn_shut(conn, VSOCK_SHUTDOWN_RECEIVE);
		took = run->bytes;
	}
	conn->fwd_cnt += (uint32_t)took;
	if (took < run->bytes && keep(conn, run, (uint32_t)took)) {
		conn->lost += run->bytes - (uint32_t)took;
		vsock_conn_reset(conn);
		return;
	}
	vsock_conn_credit(conn);
}

/* Appends the payload of a chain, which lies behind the header. */
static void gather(struct vsock_engine *engine, struct run *run,
		   const struct virtq_chain *chain, uint32_t len)
{
	size_t skip = sizeof(struct vsock_header);

	run->bytes += len;
	for (unsigned int i = 0; len; i++) {
		uint8_t *base = chain->iov[i].iov_base;
		size_t part = chain->iov[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		if (part > len)
			part = len;
		engine->out[run->count++] = (struct iovec){
			.iov_base = base + skip,
			.iov_len = part,
		};
		len -= (uint32_t)part;
		skip = 0;
	}
}

/* A part of a message. The connection may be gone afterwards. */
static void take_part(struct vsock_conn *conn, const struct run *run,
		      uint32_t flags)
{
	int err = vsock_seq_take(conn, conn->engine->out, run->count,
				 run->bytes, flags);

	if (err == -ENOBUFS || err == -ENOMEM || err == -EMSGSIZE) {
		conn->lost += run->bytes;
		vsock_conn_reset(conn);
		return;
	}
	if (err)
		vsock_conn_deaf(conn);
	vsock_conn_credit(conn);
}

static void take_data(struct vsock_conn *conn, const struct virtq_chain *chain,
		      const struct vsock_header *hdr, struct run *run)
{
	uint32_t len = le32_get(hdr->len);
	struct vsock_engine *engine = conn->engine;

	conn->rx_cnt += len;
	conn->bytes_to_host += len;
	engine->stats.bytes_to_host += len;
	vsock_credit_used(conn, len);
	if (conn->rx_cnt - conn->fwd_cnt > conn->buf_alloc) {
		conn->lost += len + (run->conn ? run->bytes : 0);
		run->conn = NULL;
		engine->stats.credit_overruns++;
		vsock_conn_reset(conn);
		return;
	}
	if (conn->host_shut & VSOCK_SHUTDOWN_RECEIVE) {
		conn->fwd_cnt += len;
		vsock_conn_credit(conn);
		return;
	}
	if (conn->seq) {
		struct run part = { 0 };

		gather(engine, &part, chain, len);
		take_part(conn, &part, le32_get(hdr->flags));
		return;
	}
	/* Nothing at all is nothing to wake the host's program for. */
	if (!len)
		return;
	if (!run->conn)
		*run = (struct run){ .conn = conn };
	gather(engine, run, chain, len);
}

static void take_shutdown(struct vsock_conn *conn, uint32_t flags)
{
	const struct vsock_backend_ops *ops = conn->engine->backend->ops;
	unsigned int news = flags & VSOCK_SHUTDOWN_BOTH & ~conn->guest_shut;

	conn->guest_shut |= news;
	if (conn->guest_shut == VSOCK_SHUTDOWN_BOTH) {
		/* All it sent is in our hands: confirm, then deliver. */
		vsock_conn_say_rst(conn);
		vsock_conn_linger(conn);
		return;
	}
	if ((news & VSOCK_SHUTDOWN_SEND) && !vsock_conn_pending(conn))
		ops->shut(conn, VSOCK_SHUTDOWN_SEND);
	if (news & VSOCK_SHUTDOWN_RECEIVE) {
		ops->shut(conn, VSOCK_SHUTDOWN_RECEIVE);
		if (conn->hangup)
			vsock_conn_shut(conn, VSOCK_SHUTDOWN_BOTH);
	}
	/* Where the host has ended too, this completes a close. */
	vsock_conn_shut(conn, 0);
}

static void take_rst(struct vsock_conn *conn)
{
	if (conn->state == VSOCK_CONN_REQUESTED ||
	    conn->state == VSOCK_CONN_CONNECTING)
		conn->engine->stats.refused++;
	/* After its SHUTDOWN of sending, what it sent counts. */
	if (conn->guest_shut & VSOCK_SHUTDOWN_SEND)
		vsock_conn_linger(conn);
	else
		vsock_conn_discard(conn);
}

static void take_response(struct vsock_conn *conn)
{
	struct vsock_engine *engine = conn->engine;

	if (conn->state != VSOCK_CONN_REQUESTED ||
	    (conn->due & VSOCK_DUE_REQUEST)) {
		vsock_conn_reset(conn);
		return;
	}
	loop_timer_cancel(engine->loop, &conn->timer);
	conn->state = VSOCK_CONN_ESTABLISHED;
	engine->stats.established++;
	engine->backend->ops->established(conn);
	vsock_conn_schedule(conn);
}

/* Is the connection far enough for data and the like? */
static bool is_open(const struct vsock_conn *conn)
{
	return conn->state == VSOCK_CONN_ESTABLISHED ||
	       conn->state == VSOCK_CONN_CLOSING;
}

static void take_for_conn(struct vsock_conn *conn,
			  const struct vsock_header *hdr,
			  const struct virtq_chain *chain, struct run *run)
{
	uint16_t op = le16_get(hdr->op);

	if (vsock_unread_news(conn, hdr))
		vsock_conn_schedule(conn);
	if (op == VSOCK_OP_RST) {
		take_rst(conn);
	} else if (op == VSOCK_OP_RESPONSE) {
		take_response(conn);
	} else if (op == VSOCK_OP_SHUTDOWN && is_open(conn)) {
		take_shutdown(conn, le32_get(hdr->flags));
	} else if (op == VSOCK_OP_RW && is_open(conn) &&
		   !(conn->guest_shut & VSOCK_SHUTDOWN_SEND)) {
		take_data(conn, chain, hdr, run);
	} else if (op == VSOCK_OP_CREDIT_REQUEST && is_open(conn)) {
		vsock_credit_asked(conn);
	} else if (op != VSOCK_OP_CREDIT_UPDATE ||
		   conn->state == VSOCK_CONN_REQUESTED) {
		vsock_conn_reset(conn);
	}
}

/*
 * Asks the back-end. No more than half of the ring may wait for the host, or
 * others could send nothing: who comes then is refused.
 */
static struct vsock_conn *ask_host(struct vsock_engine *engine,
				   const struct vsock_header *hdr,
				   bool *connected)
{
	if (vsock_engine_full(engine, true))
		return NULL;
	if (engine->tx->held_count > engine->tx->size / 2) {
		engine->stats.limit_hits++;
		return NULL;
	}
	return engine->backend->ops->request(engine->backend,
					     le32_get(hdr->dst_port),
					     le16_get(hdr->type),
					     engine->hurry ?
					     VSOCK_ACCEPT_HURRY :
					     VSOCK_ACCEPT_PATIENCE,
					     connected);
}

static void take_request(struct vsock_engine *engine,
			 const struct vsock_header *hdr, int32_t held)
{
	struct vsock_conn *conn;
	bool connected = false;

	engine->stats.connects_guest++;
	conn = ask_host(engine, hdr, &connected);
	if (!conn) {
		engine->stats.refused++;
		vsock_engine_reply_rst(engine, hdr, held);
		return;
	}
	conn->host_port = le32_get(hdr->dst_port);
	conn->guest_port = le32_get(hdr->src_port);
	conn->type = le16_get(hdr->type);
	conn->from_guest = true;
	conn->peer_buf_alloc = le32_get(hdr->buf_alloc);
	conn->peer_fwd_cnt = le32_get(hdr->fwd_cnt);
	conn->state = VSOCK_CONN_CONNECTING;
	if (vsock_engine_insert(engine, conn)) {
		engine->backend->ops->release(conn, false);
		engine->stats.refused++;
		vsock_engine_reply_rst(engine, hdr, held);
		return;
	}
	conn->held = held;
	if (connected)
		vsock_conn_accepted(conn);
}

static void capture(struct vsock_engine *engine,
		    const struct virtq_chain *chain,
		    const struct vsock_header *hdr, const struct run *run)
{
	uint32_t len = chain->out_len - (uint32_t)sizeof(*hdr);
	struct run payload = { .count = run->count };

	if (len > le32_get(hdr->len))
		len = le32_get(hdr->len);
	if (len > VSOCK_PAYLOAD_MAX)
		len = VSOCK_PAYLOAD_MAX;
	gather(engine, &payload, chain, len);
	vsock_capture_packet(engine->capture, hdr, engine->out + run->count,
			     len);
}

bool vsock_header_copy(struct vsock_header *hdr, const struct iovec *iov,
		       unsigned int count)
{
	uint8_t *to = (uint8_t *)hdr;
	size_t left = sizeof(*hdr);

	for (unsigned int i = 0; i < count && left; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		memcpy(to, iov[i].iov_base, part);
		to += part;
		left -= part;
	}
	return !left;
}

static bool is_misaddressed(const struct vsock_engine *engine,
			    const struct vsock_header *hdr)
{
	return le64_get(hdr->dst_cid) != VSOCK_CID_HOST ||
	       le64_get(hdr->src_cid) != engine->guest_cid ||
	       !vsock_engine_knows(engine, le16_get(hdr->type));
}

/* Only more data of the same connection may join a run. */
static bool joins(const struct run *run, const struct vsock_header *hdr)
{
	return run->conn && le16_get(hdr->op) == VSOCK_OP_RW &&
	       run->conn->host_port == le32_get(hdr->dst_port) &&
	       run->conn->guest_port == le32_get(hdr->src_port);
}

/*
 * The chain of a REQUEST stays with the device until its answer is in the RX
 * ring: after a load it is popped again, and the connect is made anew. Return:
 * the chain, or VSOCK_HELD_NONE if it is to go back at once.
 */
static int32_t hold_request(struct vsock_engine *engine,
			    const struct vsock_header *hdr, uint16_t head)
{
	if (le16_get(hdr->op) != VSOCK_OP_REQUEST ||
	    !virtq_hold(engine->tx, head))
		return VSOCK_HELD_NONE;
	return head;
}

/* Return: whether the chain is held. */
static bool reject(struct vsock_engine *engine, const struct vsock_header *hdr,
		   uint16_t head)
{
	int32_t held;

	/* An RST is never answered, least of all by an RST. */
	if (le16_get(hdr->op) == VSOCK_OP_RST)
		return false;
	held = hold_request(engine, hdr, head);
	vsock_engine_reply_rst(engine, hdr, held);
	return held != VSOCK_HELD_NONE;
}

/*
 * What a packet of good form does. Return: whether its chain is held; one whose
 * connect has been answered by now is not.
 */
static bool take_good_packet(struct vsock_engine *engine,
			     const struct vsock_header *hdr,
			     const struct virtq_chain *chain, struct run *run)
{
	struct vsock_conn *conn = run->conn;
	int32_t held;

	if (!conn)
		conn = vsock_engine_find(engine, le32_get(hdr->dst_port),
					 le32_get(hdr->src_port));
	if (conn && conn->type == le16_get(hdr->type)) {
		take_for_conn(conn, hdr, chain, run);
		return false;
	}
	if (conn || le16_get(hdr->op) != VSOCK_OP_REQUEST)
		return reject(engine, hdr, chain->head);
	/* Its server would see a client that is gone at once. */
	if (engine->ending)
		return false;
	held = hold_request(engine, hdr, chain->head);
	take_request(engine, hdr, held);
	return held != VSOCK_HELD_NONE;
}

/* Return: whether the chain is held. */
static bool take_packet(struct vsock_engine *engine,
			const struct virtq_chain *chain, struct run *run)
{
	struct vsock_header hdr;
	struct vsock_conn *conn;
	bool overlong;

	engine->stats.packets_to_host++;
	if (chain->in_num ||
	    !vsock_header_copy(&hdr, chain->iov, chain->out_num)) {
		engine->stats.malformed++;
		return false;
	}
	if (engine->capture)
		capture(engine, chain, &hdr, run);
	if (le16_get(hdr.op) == VSOCK_OP_RST)
		engine->stats.resets_received++;
	if (is_misaddressed(engine, &hdr))
		return reject(engine, &hdr, chain->head);
	overlong = le32_get(hdr.len) > VSOCK_PAYLOAD_MAX ||
		   le32_get(hdr.len) > chain->out_len - sizeof(hdr);
	if (overlong || !joins(run, &hdr))
		flush(engine, run);
	if (!overlong)
		return take_good_packet(engine, &hdr, chain, run);
	engine->stats.malformed++;
	conn = vsock_engine_find(engine, le32_get(hdr.dst_port),
				 le32_get(hdr.src_port));
	if (conn)
		vsock_conn_discard(conn);
	return reject(engine, &hdr, chain->head);
}

/* Return: 1 there may be more, 0 the ring is empty, -EINVAL malformed. */
static int take_batch(struct vsock_engine *engine, bool *interrupt,
		      struct fail *why)
{
	uint16_t head[VSOCK_BATCH_CHAINS];
	unsigned int chains = 0, segments = 0;
	struct run run = { 0 };
	bool data = false;
	int ret = 1;

	while (chains < VSOCK_BATCH_CHAINS && !vsock_engine_blocked(engine)) {
		struct virtq_chain chain;

		ret = virtq_pop(engine->tx, engine->iov + segments,
				VSOCK_BATCH_IOV - segments, &chain, why);
		if (ret <= 0)
			break;
		segments += chain.out_num + chain.in_num;
		data |= chain.out_len > sizeof(struct vsock_header);
		if (!take_packet(engine, &chain, &run))
			head[chains++] = chain.head;
	}
	flush(engine, &run);
	for (unsigned int i = 0; i < chains; i++)
		virtq_push(engine->tx, head[i], 0);
	if (virtq_flush(engine->tx))
		engine->unheard = true;
	/* Asked for once: what was not heard of then is to be heard of now. */
	if (data && engine->unheard)
		*interrupt = true;
	return ret == -ENOSPC ? 1 : ret;
}

int vsock_engine_to_host(struct vsock_engine *engine, bool *interrupt,
			 struct fail *why)
{
	int ret;

	virtq_disarm(engine->tx);
	for (unsigned int i = 0; i < BATCHES_MAX; i++) {
		ret = take_batch(engine, interrupt, why);
		if (ret < 0)
			return ret;
		if (vsock_engine_blocked(engine))
			return 0;
		if (ret == 0 && !virtq_arm(engine->tx)) {
			engine->hurry = false;
			return 0;
		}
	}
	return 1;
}

void vsock_engine_finish(struct vsock_engine *engine, bool ring)
{
	bool interrupt = false;
	struct fail why;
	int ret = ring;

	engine->ending = true;
	/* At most what the ring holds, for nobody adds to it. */
	while (ret > 0) {
		/* Nobody is there to be answered. */
		engine->replies_head = 0;
		engine->replies_count = 0;
		ret = take_batch(engine, &interrupt, &why);
	}
	vsock_engine_reset(engine);
}
