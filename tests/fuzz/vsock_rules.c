// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules that the vsock device is held to: packets and the gate.
 *
 * Packets are looked at in both directions as their chains change hands, with
 * a credit account of our own. The gate is modelled from nothing but loads,
 * resets, events published, and what is available in the event queue.
 */
#include "tests/fuzz/vsock_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HDR_SIZE	((uint32_t)sizeof(struct vsock_header))

/* The gate. */

static struct virtq *event_queue(void)
{
	return &world.dev->vdev.queue[VSOCK_QUEUE_EVENT];
}

/* The head and address of an available entry, as the driver wrote it. */
static bool is_the_event(uint16_t idx)
{
	const struct virtq *q = event_queue();
	uint16_t head = le16_get(q->avail->ring[idx & (q->size - 1)]);

	return head == world.oracle.ev_head ||
	       (head < q->size &&
		le64_get(q->desc[head].addr) == world.oracle.ev_gpa);
}

static void half_way(bool *sign)
{
	struct world_oracle *o = &world.oracle;

	if (!o->cid_read && !o->returned)
		o->half_at = world.loop.now;
	*sign = true;
	if (o->cid_read && o->returned)
		o->owed = false;
}

void rules_driver(void)
{
	struct world_oracle *o = &world.oracle;
	const struct vsock_device *dev = world.dev;
	uint16_t now;

	if (o->resets != dev->vdev.resets) {
		o->resets = dev->vdev.resets;
		o->owed = false;
		o->unsent = false;
		o->forced = false;
	}
	if (!virtio_device_live(&dev->vdev) || !event_queue()->ready)
		return;
	now = virtq_avail_idx(event_queue());
	if ((uint16_t)(now - o->ev_seen) > event_queue()->size)
		o->ev_seen = now;
	for (; o->ev_seen != now; o->ev_seen++)
		if (o->owed && !o->returned && is_the_event(o->ev_seen))
			half_way(&o->returned);
}

void rules_force(void)
{
	struct world_oracle *o = &world.oracle;
	const struct vsock_device *dev = world.dev;

	if (o->gate_forced == dev->gate_forced)
		return;
	o->gate_forced = dev->gate_forced;
	world_require(o->cid_read || o->returned);
	world_require(world.loop.now - o->half_at >= dev->patience_ms);
	o->forced = true;
}

static bool may_pass(void)
{
	struct world_oracle *o = &world.oracle;

	rules_driver();
	rules_force();
	return !o->unsent && (!o->owed || o->forced) &&
		virtio_device_live(&world.dev->vdev) &&
		world.dev->engine.running &&
		vsock_device_gate(world.dev) == VSOCK_GATE_OPEN;
}

void oracle_cid_read(void)
{
	struct world_oracle *o = &world.oracle;

	if (o->owed)
		half_way(&o->cid_read);
}

void rules_event(const struct world_chain *chain, uint32_t len)
{
	struct world_oracle *o = &world.oracle;
	uint8_t id[4] = { 0 };
	uint32_t at = 0;

	world_require(len == 4 && chain->in_len >= 4 && o->unsent);
	world_require(event_queue()->notified);
	for (unsigned int i = 0; i < chain->in_num; i++)
		for (size_t j = 0; j < chain->in[i].iov_len && at < 4; j++)
			id[at++] = *((uint8_t *)chain->in[i].iov_base + j);
	world_require(!(id[0] | id[1] | id[2] | id[3]) || o->tainted);
	o->unsent = false;
	o->owed = true;
	o->forced = false;
	o->cid_read = false;
	o->returned = false;
	o->ev_head = chain->head;
	o->ev_gpa = le64_get(event_queue()->desc[chain->head].addr);
	o->ev_seen = virtq_avail_idx(event_queue());
}

/* Packets. */

static struct world_conn *find_conn(uint32_t host_port, uint32_t guest_port)
{
	for (struct list_node *at = world.conns.next; at != &world.conns;
	     at = at->next) {
		struct world_conn *wc = list_entry(at, struct world_conn, link);

		if (wc->conn.state != VSOCK_CONN_LINGERING &&
		    wc->conn.host_port == host_port &&
		    wc->conn.guest_port == guest_port)
			return wc;
	}
	return NULL;
}

/* Copies out of segments, like recv() with MSG_PEEK. */
static size_t gather(const struct iovec *iov, unsigned int count, size_t skip,
		     void *buf, size_t len)
{
	uint8_t *to = buf;
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		size_t cut = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t part = iov[i].iov_len - cut;

		skip -= cut;
		if (part > len - done)
			part = len - done;
		if (part)
			memcpy(to + done, (uint8_t *)iov[i].iov_base + cut,
			       part);
		done += part;
	}
	return done;
}

/* The packet before has been dealt with: how? */
void rules_settle(void)
{
	struct world_oracle *o = &world.oracle;
	const struct vsock_stats *stats = &world.dev->engine.stats;
	unsigned int op = le16_get(o->packet.op);

	if (!op)
		return;
	if (op == VSOCK_OP_RST)
		world_require(stats->resets_sent == o->resets_sent);
	if (o->packet_in_credit)
		world_require(stats->credit_overruns == o->overruns);
	o->packet = (struct vsock_header){ 0 };
	o->packet_valid = false;
}

static void remember(struct world_conn *wc, const struct virtq_chain *chain,
		     uint32_t len)
{
	uint32_t need;

	if (!len)
		return;
	if (!wc->fifo_len)
		wc->fifo_head = 0;
	need = wc->fifo_head + wc->fifo_len + len;
	if (need > wc->fifo_size) {
		wc->fifo_size = need + need / 2;
		wc->fifo = realloc(wc->fifo, wc->fifo_size);
		world_require(wc->fifo);
	}
	gather(chain->iov, chain->out_num, HDR_SIZE,
	       wc->fifo + wc->fifo_head + wc->fifo_len, len);
	wc->fifo_len += len;
}

/* A part of a message. */
static void remember_part(struct world_conn *wc, uint32_t len, uint32_t flags)
{
	struct world_seq *seq = wc->seq;

	seq->open += len;
	if (!(flags & VSOCK_SEQ_EOM))
		return;
	world_messages_add(&seq->to_host, seq->open, flags & VSOCK_SEQ_EOR);
	seq->open = 0;
}

static void take_payload(struct world_conn *wc, const struct virtq_chain *chain,
			 uint32_t len)
{
	struct world_oracle *o = &world.oracle;
	const struct vsock_conn *conn = &wc->conn;

	if ((conn->state != VSOCK_CONN_ESTABLISHED &&
	     conn->state != VSOCK_CONN_CLOSING) ||
	    (conn->guest_shut & VSOCK_SHUTDOWN_SEND)) {
		wc->excused = true;
		return;
	}
	wc->rx += len;
	o->packet_in_credit = wc->rx - wc->fwd_told <= conn->buf_alloc;
	/* The device may be more generous than it has said. */
	if (!o->packet_in_credit)
		wc->excused = true;
	if (conn->host_shut & VSOCK_SHUTDOWN_RECEIVE)
		return;
	remember(wc, chain, len);
	if (wc->seq && wc->rx - conn->fwd_cnt <= conn->buf_alloc)
		remember_part(wc, len, le32_get(o->packet.flags));
}

void rules_to_host(const struct virtq_chain *chain)
{
	struct world_oracle *o = &world.oracle;
	const struct vsock_engine *engine = &world.dev->engine;
	struct vsock_header *hdr = &o->packet;
	struct world_conn *wc;
	uint32_t len;
	unsigned int op;

	world_require(may_pass());
	o->resets_sent = engine->stats.resets_sent;
	o->overruns = engine->stats.credit_overruns;
	o->packet_in_credit = false;
	if (chain->in_num ||
	    gather(chain->iov, chain->out_num, 0, hdr, HDR_SIZE) < HDR_SIZE) {
		*hdr = (struct vsock_header){ 0 };
		return;
	}
	op = le16_get(hdr->op);
	len = le32_get(hdr->len);
	o->packet_valid = le64_get(hdr->dst_cid) == VSOCK_CID_HOST &&
		le64_get(hdr->src_cid) == engine->guest_cid &&
		(le16_get(hdr->type) == VSOCK_TYPE_STREAM ||
		 le16_get(hdr->type) == VSOCK_TYPE_SEQPACKET);
	if (!o->packet_valid)
		return;
	wc = find_conn(le32_get(hdr->dst_port), le32_get(hdr->src_port));
	if (!wc)
		return;
	if (len > VSOCK_PAYLOAD_MAX || len > chain->out_len - HDR_SIZE ||
	    wc->conn.type != le16_get(hdr->type)) {
		wc->excused = true;
		return;
	}
	wc->buf_alloc = le32_get(hdr->buf_alloc);
	wc->fwd_cnt = le32_get(hdr->fwd_cnt);
	if (op == VSOCK_OP_RW)
		take_payload(wc, chain, len);
	else if (op < VSOCK_OP_RST || op > VSOCK_OP_CREDIT_REQUEST)
		wc->excused = true;
	else if (op == VSOCK_OP_RST &&
		 !(wc->conn.guest_shut & VSOCK_SHUTDOWN_SEND))
		wc->excused = true;
}

/* A part of a message for the guest: its end is that of the message. */
static void check_part(struct world_seq *seq, uint32_t len, uint32_t flags)
{
	struct world_messages *m = &seq->to_show;
	uint32_t due = 0;

	world_require(m->count);
	seq->shown += len;
	world_require(seq->shown <= m->len[m->head]);
	world_require(len || !m->len[m->head]);
	if (seq->shown == m->len[m->head]) {
		due = VSOCK_SEQ_EOM |
			(m->eor[m->head] ? VSOCK_SEQ_EOR : 0);
		seq->shown = 0;
		world_messages_drop(m);
	}
	world_require(flags == due);
}

/* Payload for the guest: within its credit, and what the host wrote. */
static void check_payload(struct world_conn *wc,
			  const struct world_chain *chain, uint32_t len)
{
	uint8_t bytes[VSOCK_PAYLOAD_MAX];
	uint32_t at = wc->shown;

	world_require(len <= VSOCK_PAYLOAD_MAX && wc->established);
	world_require(len || wc->seq);
	world_require(!(wc->shut_told & VSOCK_SHUTDOWN_SEND));
	wc->shown += len;
	world_require(wc->shown - wc->fwd_cnt <= wc->buf_alloc);
	world_require(wc->shown <= wc->in_at);
	if (chain->overlaps || world.oracle.tainted)
		return;
	world_require(gather(chain->in, chain->in_num, HDR_SIZE, bytes, len) ==
		      len);
	for (uint32_t i = 0; i < len; i++)
		world_require(bytes[i] == oracle_pattern(wc, at + i));
}

static void check_op(struct world_conn *wc, const struct vsock_header *hdr)
{
	unsigned int flags = le32_get(hdr->flags);

	switch ((enum vsock_op)le16_get(hdr->op)) {
	case VSOCK_OP_REQUEST:
		world_require(wc->by_host && !wc->said && !flags);
		wc->said = true;
		break;
	case VSOCK_OP_RESPONSE:
		world_require(!wc->by_host && !wc->said && wc->established);
		world_require(!flags);
		wc->said = true;
		break;
	case VSOCK_OP_SHUTDOWN:
		world_require(flags && !(flags & ~VSOCK_SHUTDOWN_BOTH));
		world_require((flags & wc->shut_told) == wc->shut_told &&
			      flags != wc->shut_told);
		wc->shut_told = flags;
		break;
	case VSOCK_OP_RW:
		world_require(wc->established && (!flags || wc->seq));
		break;
	case VSOCK_OP_CREDIT_UPDATE:
	case VSOCK_OP_CREDIT_REQUEST:
		world_require(wc->established && !flags);
		break;
	case VSOCK_OP_RST:
	case VSOCK_OP_INVALID:
		world_violated(__FILE__, __LINE__, "no such op");
	}
	world_require(wc->said);
}

void rules_to_guest(const struct world_chain *chain, uint32_t len)
{
	const struct vsock_engine *engine = &world.dev->engine;
	struct vsock_header hdr;
	struct world_conn *wc;
	uint32_t news, taken;

	world_require(may_pass());
	/* What was no good for a packet came back empty. */
	if (!len)
		return;
	world_require(len >= HDR_SIZE);
	gather(chain->in, chain->in_num, 0, &hdr, HDR_SIZE);
	/* A header that was written over itself: we have lost the thread. */
	if (chain->overlaps_itself)
		world.oracle.blind = true;
	if (world.oracle.blind)
		return;
	world_require(le32_get(hdr.len) == len - HDR_SIZE);
	world_require(le64_get(hdr.src_cid) == VSOCK_CID_HOST ||
		      le16_get(hdr.op) == VSOCK_OP_RST);
	if (le16_get(hdr.op) == VSOCK_OP_RST) {
		world_require(len == HDR_SIZE && !le32_get(hdr.flags));
		return;
	}
	wc = find_conn(le32_get(hdr.src_port), le32_get(hdr.dst_port));
	world_require(wc && le16_get(hdr.type) == wc->conn.type);
	world_require(le64_get(hdr.dst_cid) == engine->guest_cid);
	world_require(le32_get(hdr.buf_alloc) == wc->conn.buf_alloc);
	world_require(wc->life == world.dev->vdev.resets);
	news = le32_get(hdr.fwd_cnt);
	/* Never back, never beyond what the host has taken. */
	taken = wc->out_over ? wc->rx : wc->rx - wc->fifo_len;
	world_require(news - wc->fwd_told <= taken - wc->fwd_told);
	wc->fwd_told = news;
	check_op(wc, &hdr);
	if (le16_get(hdr.op) != VSOCK_OP_RW) {
		world_require(len == HDR_SIZE);
		return;
	}
	check_payload(wc, chain, len - HDR_SIZE);
	if (wc->seq)
		check_part(wc->seq, len - HDR_SIZE, le32_get(hdr.flags));
}

static bool in_left(const struct world_conn *wc)
{
	return wc->seq ? wc->seq->to_read.count || wc->seq->to_show.count :
			 wc->in_left;
}

void rules_at_rest(void)
{
	for (struct list_node *at = world.conns.next; at != &world.conns;
	     at = at->next) {
		struct world_conn *wc = list_entry(at, struct world_conn,
						   link);
		struct vsock_conn *conn = &wc->conn;

		/* What the host has taken is the guest's to use again. */
		if (!wc->out_over && !wc->excused)
			world_require(conn->fwd_cnt == wc->rx - wc->fifo_len);
		if (conn->state != VSOCK_CONN_ESTABLISHED ||
		    (conn->host_shut & VSOCK_SHUTDOWN_SEND) ||
		    (conn->guest_shut & VSOCK_SHUTDOWN_RECEIVE) ||
		    (!(wc->seq && conn->seq->message) &&
		     !vsock_unread_room(conn)) ||
		    (!in_left(wc) && wc->in_error == -EAGAIN) ||
		    wc->shown - wc->fwd_cnt >= wc->buf_alloc)
			continue;
		world_require(!list_empty(&conn->ready));
	}
}
