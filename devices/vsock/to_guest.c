// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host to guest: what connections owe the guest goes into the RX ring. Part of
 * the engine: see engine.c.
 *
 * Loop thread, device locked.
 *
 * Bytes are read from the host socket straight into guest memory: RX chains
 * for as many bytes as are likely to come are popped, one system call fills
 * them all, headers are written in front of each part, and what was popped in
 * vain is given back. Nothing is read that the guest has no room for.
 */
#include <errno.h>
#include <string.h>

#include "devices/vsock/engine.h"
#include "devices/vsock/ready.h"

#define READ_MIN	4096u
#define READ_MAX	(256u << 10)
#define SENDS_MAX	128	/* a turn: then others get theirs */
/* RX chains given back for their form before a send, in vain as it may be. */
#define MISFITS_MAX	32
#define HDR_SIZE	sizeof(struct vsock_header)

/**
 * struct slot - one RX chain of a batch
 * @head: the chain
 * @hdr: where its segments start in engine->out; the header goes to the front
 * @first: where its payload starts, in engine->iov
 * @room: payload bytes it holds
 */
struct slot {
	uint16_t head;
	uint16_t hdr;
	uint16_t first;
	uint32_t room;
};

/**
 * struct batch - RX chains popped for one read
 * @count: how many
 * @popped: of their segments, in engine->out
 * @segments: of their payload parts, in engine->iov
 * @room: payload bytes in all
 */
struct batch {
	unsigned int count;
	unsigned int popped;
	unsigned int segments;
	uint32_t room;
	struct slot slot[VSOCK_BATCH_CHAINS];
};

/* Adds what lies behind the header to the payload parts. */
static void add_payload(struct vsock_engine *engine, struct batch *batch,
			const struct virtq_chain *chain)
{
	size_t skip = HDR_SIZE;

	for (unsigned int i = 0; i < chain->in_num; i++) {
		struct iovec part = chain->iov[i];
		size_t cut = skip < part.iov_len ? skip : part.iov_len;

		skip -= cut;
		part.iov_base = (uint8_t *)part.iov_base + cut;
		part.iov_len -= cut;
		if (part.iov_len)
			engine->iov[batch->segments++] = part;
	}
}

/* Shortens the last chain's segments by @excess bytes. */
static void trim(struct vsock_engine *engine, struct batch *batch,
		 uint32_t excess)
{
	batch->room -= excess;
	batch->slot[batch->count - 1].room -= excess;
	while (excess) {
		struct iovec *last = &engine->iov[batch->segments - 1];
		size_t part = last->iov_len < excess ? last->iov_len : excess;

		last->iov_len -= part;
		excess -= (uint32_t)part;
		if (!last->iov_len)
			batch->segments--;
	}
}

/*
 * Takes one chain into the batch, for a packet of at least @need bytes. One
 * that is too short, or readable, goes back unused; the guest may make it
 * available again as fast as that, so it is not looked for without end.
 * Return: 1, 0 none there or it does not fit, -EINVAL malformed ring.
 */
static int take_chain(struct vsock_engine *engine, struct batch *batch,
		      size_t need, struct fail *why)
{
	struct virtq_chain chain;
	struct slot *slot = &batch->slot[batch->count];
	unsigned int misfits = 0;
	int ret;

	for (;;) {
		if (misfits++ == MISFITS_MAX)
			return 0;
		ret = virtq_pop(engine->rx, engine->out + batch->popped,
				VSOCK_BATCH_IOV - batch->popped, &chain, why);
		if (ret == -ENOSPC)
			return 0;
		if (ret <= 0)
			return ret;
		if (!chain.out_num && chain.in_len >= need)
			break;
		if (batch->count) {
			/* Not between others: they may have to go back. */
			virtq_unpop(engine->rx, 1);
			return 0;
		}
		engine->stats.malformed++;
		virtq_push(engine->rx, chain.head, 0);
	}
	slot->head = chain.head;
	slot->hdr = (uint16_t)batch->popped;
	slot->first = (uint16_t)batch->segments;
	slot->room = chain.in_len - (uint32_t)HDR_SIZE;
	add_payload(engine, batch, &chain);
	batch->count++;
	batch->popped += chain.in_num;
	batch->room += slot->room;
	if (slot->room > VSOCK_PAYLOAD_MAX)
		trim(engine, batch, slot->room - VSOCK_PAYLOAD_MAX);
	return 1;
}

static void start_batch(struct batch *batch)
{
	batch->count = 0;
	batch->popped = 0;
	batch->segments = 0;
	batch->room = 0;
}

/*
 * Pops chains, @max of them at most, for up to @want bytes. Return: 0 or
 * -EINVAL.
 */
static int take_chains(struct vsock_engine *engine, struct batch *batch,
		       uint32_t want, uint32_t max, struct fail *why)
{
	int ret = 1;

	start_batch(batch);
	if (max > VSOCK_BATCH_CHAINS)
		max = VSOCK_BATCH_CHAINS;
	while (batch->room < want && batch->count < max) {
		ret = take_chain(engine, batch, HDR_SIZE + 1, why);
		if (ret <= 0)
			break;
	}
	if (ret < 0)
		return ret;
	if (batch->room > want)
		trim(engine, batch, batch->room - want);
	return 0;
}

/* The header may lie across segments (virtio 1.2, 2.7.4.1). */
static void put_header(struct vsock_engine *engine, const struct slot *slot,
		       const struct vsock_header *hdr)
{
	const struct iovec *to = &engine->out[slot->hdr];
	const uint8_t *from = (const uint8_t *)hdr;

	for (size_t left = HDR_SIZE; left; to++) {
		size_t part = to->iov_len < left ? to->iov_len : left;

		memcpy(to->iov_base, from, part);
		from += part;
		left -= part;
	}
	virtq_push(engine->rx, slot->head,
		   (uint32_t)HDR_SIZE + le32_get(hdr->len));
	engine->stats.packets_to_guest++;
	if (engine->capture)
		vsock_capture_packet(engine->capture, hdr,
				     engine->iov + slot->first,
				     le32_get(hdr->len));
}

/* Writes headers for @bytes of payload; what was not needed goes back. */
static void put_data(struct vsock_conn *conn, const struct batch *batch,
		     uint32_t bytes)
{
	struct vsock_engine *engine = conn->engine;
	struct vsock_header hdr;
	unsigned int i;

	conn->bytes_to_guest += bytes;
	engine->stats.bytes_to_guest += bytes;
	vsock_conn_header(conn, VSOCK_OP_RW, 0, 0, &hdr);
	for (i = 0; bytes; i++) {
		uint32_t part = batch->slot[i].room;

		if (part > bytes)
			part = bytes;
		hdr.len = le32_make(part);
		put_header(engine, &batch->slot[i], &hdr);
		vsock_unread_sent(conn, part);
		bytes -= part;
	}
	virtq_unpop(engine->rx, (uint16_t)(batch->count - i));
}

/* Asks for more next time when all asked for came, for less when little did. */
static void adapt_hint(struct vsock_conn *conn, uint32_t asked, uint32_t got)
{
	if (got == asked)
		conn->read_hint = asked * 4 > READ_MAX ? READ_MAX : asked * 4;
	else if (got < conn->read_hint / 4)
		conn->read_hint /= 2;
	if (conn->read_hint < READ_MIN)
		conn->read_hint = READ_MIN;
}

static void host_ended(struct vsock_conn *conn, ssize_t got)
{
	conn->readable = false;
	if (got == -EAGAIN)
		return;
	vsock_conn_shut(conn, got < 0 || conn->hangup ? VSOCK_SHUTDOWN_BOTH :
						      VSOCK_SHUTDOWN_SEND);
}

/*
 * Moves bytes from the host socket to the guest. Return: 1, 0 no RX buffer,
 * -EINVAL malformed ring.
 */
static int send_data(struct vsock_conn *conn, struct fail *why)
{
	struct vsock_engine *engine = conn->engine;
	uint32_t want = vsock_conn_room(conn);
	struct batch batch;
	ssize_t got;
	int ret;

	if (want > conn->read_hint)
		want = conn->read_hint;
	ret = take_chains(engine, &batch, want, vsock_unread_room(conn), why);
	if (ret < 0 || !batch.room)
		return ret;
	got = engine->backend->ops->recv(conn, engine->iov, batch.segments,
					  NULL);
	if (got <= 0) {
		virtq_unpop(engine->rx, (uint16_t)batch.count);
		host_ended(conn, got);
		return 1;
	}
	put_data(conn, &batch, (uint32_t)got);
	adapt_hint(conn, batch.room, (uint32_t)got);
	/*
	 * Less than asked for: the socket is empty, its next byte makes an
	 * event. But the event of its end may have been seen already.
	 */
	if ((uint32_t)got < batch.room && !conn->at_end)
		conn->readable = false;
	return 1;
}

/* Takes one chain, for at least @payload bytes. As take_chain(). */
static int take_one(struct vsock_engine *engine, struct batch *batch,
		    size_t payload, struct fail *why)
{
	start_batch(batch);
	return take_chain(engine, batch, HDR_SIZE + payload, why);
}

/* Moves a message, or as much as goes, to the guest. As send_data(). */
static int send_message(struct vsock_conn *conn, struct fail *why)
{
	struct vsock_engine *engine = conn->engine;
	int ret = vsock_seq_fetch(conn);
	unsigned int packets = 0;

	if (ret <= 0) {
		host_ended(conn, ret);
		return 1;
	}
	do {
		uint32_t room = vsock_conn_room(conn), flags, bytes;
		struct vsock_header hdr;
		struct batch batch;

		/* Only an empty message has a packet without payload. */
		ret = take_one(engine, &batch, conn->seq->message_len ? 1 : 0,
			       why);
		if (ret <= 0)
			return ret;
		if (room > batch.room)
			room = batch.room;
		bytes = vsock_seq_copy(conn, engine->iov, room, &flags);
		vsock_unread_sent(conn, bytes);
		conn->bytes_to_guest += bytes;
		engine->stats.bytes_to_guest += bytes;
		vsock_conn_header(conn, VSOCK_OP_RW, bytes, flags, &hdr);
		put_header(engine, &batch.slot[0], &hdr);
	} while (conn->seq->message && vsock_conn_room(conn) &&
		 ++packets < VSOCK_BATCH_CHAINS);
	return 1;
}

static int send_reply(struct vsock_engine *engine, struct fail *why)
{
	const struct vsock_reply *reply =
		&engine->replies[engine->replies_head];
	struct batch batch;
	int ret = take_one(engine, &batch, 0, why);

	if (ret <= 0)
		return ret;
	put_header(engine, &batch.slot[0], &reply->hdr);
	if (reply->held != VSOCK_HELD_NONE)
		virtq_push_held(engine->tx, (uint16_t)reply->held, 0);
	engine->replies_head = (engine->replies_head + 1) %
			       engine->replies_size;
	engine->replies_count--;
	return 1;
}

/* The control packets, in the order in which they are to be sent. */
static const struct { unsigned int due; enum vsock_op op; } controls[] = {
	{ VSOCK_DUE_REQUEST, VSOCK_OP_REQUEST },
	{ VSOCK_DUE_RESPONSE, VSOCK_OP_RESPONSE },
	{ VSOCK_DUE_CREDIT_UPDATE, VSOCK_OP_CREDIT_UPDATE },
	{ VSOCK_DUE_CREDIT_REQUEST, VSOCK_OP_CREDIT_REQUEST },
	{ VSOCK_DUE_SHUTDOWN, VSOCK_OP_SHUTDOWN },
};

static int send_control(struct vsock_conn *conn, struct fail *why)
{
	struct vsock_engine *engine = conn->engine;
	struct vsock_header hdr;
	struct batch batch;
	uint32_t flags = 0;
	unsigned int i = 0;
	int ret;

	while (!(conn->due & controls[i].due))
		i++;
	ret = take_one(engine, &batch, 0, why);
	if (ret <= 0)
		return ret;
	conn->due &= ~controls[i].due;
	if (controls[i].due == VSOCK_DUE_SHUTDOWN) {
		flags = conn->host_shut;
		conn->host_shut_sent = conn->host_shut;
	}
	vsock_conn_header(conn, controls[i].op, 0, flags, &hdr);
	put_header(engine, &batch.slot[0], &hdr);
	if (controls[i].due == VSOCK_DUE_RESPONSE)
		vsock_conn_give_back(conn);
	if (controls[i].due == VSOCK_DUE_CREDIT_REQUEST)
		vsock_unread_asked(conn);
	return 1;
}

/* One packet, or one batch of data. Return: 1, 0 no RX buffer, -EINVAL. */
static int send_next(struct vsock_engine *engine, struct fail *why)
{
	struct vsock_conn *conn;
	int ret = 1;

	if (engine->replies_count)
		return send_reply(engine, why);
	conn = list_entry(engine->ready.next, struct vsock_conn, ready);
	if (conn->due)
		ret = send_control(conn, why);
	else if (vsock_conn_can_send(conn))
		ret = conn->seq ? send_message(conn, why) :
				  send_data(conn, why);
	/* Else the guest took its credit back, or will receive no more. */
	if (ret > 0) {
		/* To the end of the line, if there still is something. */
		list_remove(&conn->ready);
		vsock_conn_schedule(conn);
	}
	return ret;
}

int vsock_engine_to_guest(struct vsock_engine *engine, bool *interrupt,
			  struct fail *why)
{
	unsigned int sends = 0;
	int ret = 1;

	while (ret > 0 && sends++ < SENDS_MAX &&
	       (engine->replies_count || !list_empty(&engine->ready))) {
		ret = send_next(engine, why);
		/* No buffer: ask for the doorbell, then look once more. */
		if (ret == 0 && virtq_arm(engine->rx))
			ret = 1;
	}
	if (virtq_flush(engine->rx))
		*interrupt = true;
	/* The answers are out: so are the REQUESTs' chains, in the same turn. */
	if (virtq_flush(engine->tx))
		engine->unheard = true;
	return ret < 0 ? -EINVAL : sends > SENDS_MAX;
}
