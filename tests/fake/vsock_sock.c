// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest sockets on top of the fake vsock driver. See vsock_sock.h.
 *
 * Called by tests and benchmarks, on the one thread that plays the driver.
 * Named after each rule is the Linux function that has it.
 */
#include "tests/fake/vsock_sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fake_sockets_init(struct fake_sockets *set, struct fake_vsock *v)
{
	memset(set, 0, sizeof(*set));
	set->v = v;
	set->count = v->config.socks;
	set->sock = calloc(set->count, sizeof(*set->sock));
	if (!set->sock)
		abort();
	for (unsigned int i = set->count; i; i--) {
		set->sock[i - 1].set = set;
		set->sock[i - 1].next = set->free;
		set->free = &set->sock[i - 1];
	}
	set->next_port = 50000;
	v->sockets = set;
}

static void free_rings(struct fake_sock *sock)
{
	free(sock->ring);
	free(sock->message);
}

void fake_sockets_destroy(struct fake_sockets *set)
{
	for (unsigned int i = 0; i < set->count; i++)
		free_rings(&set->sock[i]);
	free(set->sock);
	if (set->v)
		set->v->sockets = NULL;
	memset(set, 0, sizeof(*set));
}

unsigned int fake_sockets_used(const struct fake_sockets *set)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < set->count; i++)
		count += set->sock[i].state != FAKE_SOCK_FREE;
	return count;
}

static struct fake_sock **bucket(struct fake_sockets *set, uint32_t host_port,
				 uint32_t guest_port)
{
	return &set->hash[(host_port ^ guest_port * 31u) % FAKE_SOCK_HASH];
}

struct fake_sock *fake_sock_find(struct fake_sockets *set, uint32_t host_port,
				 uint32_t guest_port)
{
	struct fake_sock *sock = *bucket(set, host_port, guest_port);

	while (sock && (sock->host_port != host_port ||
			sock->guest_port != guest_port))
		sock = sock->next;
	return sock;
}

static struct fake_sock *new_sock(struct fake_sockets *set, uint32_t host_port,
				  uint32_t guest_port, uint16_t type)
{
	struct fake_sock **at = bucket(set, host_port, guest_port);
	struct fake_sock *sock = set->free, old;

	if (!sock)
		return NULL;
	set->free = sock->next;
	old = *sock;
	*sock = (struct fake_sock){
		.set = set, .type = type, .listed = true,
		.ring = old.ring, .message = old.message,
		.host_port = host_port, .guest_port = guest_port,
		.buf_alloc = set->v->config.buf_alloc,
	};
	if (!sock->ring)
		sock->ring = malloc(sock->buf_alloc);
	if (!sock->message && type == VSOCK_TYPE_SEQPACKET)
		sock->message = calloc(FAKE_SOCK_MESSAGES,
				       sizeof(*sock->message));
	if (!sock->ring || (!sock->message && type == VSOCK_TYPE_SEQPACKET))
		abort();
	sock->next = *at;
	*at = sock;
	return sock;
}

/* vsock_remove_sock() */
static void unlist(struct fake_sock *sock)
{
	struct fake_sock **at = bucket(sock->set, sock->host_port,
				       sock->guest_port);

	if (!sock->listed)
		return;
	while (*at != sock)
		at = &(*at)->next;
	*at = sock->next;
	sock->listed = false;
	sock->next = NULL;
}

static void free_sock(struct fake_sock *sock)
{
	unlist(sock);
	sock->state = FAKE_SOCK_FREE;
	sock->next = sock->set->free;
	sock->set->free = sock;
}

void fake_sockets_put(struct fake_sockets *set)
{
	while (set->pending_num) {
		const struct vsock_header *hdr =
			&set->pending[set->pending_head];

		if (fake_vsock_add(set->v, hdr, NULL, 0))
			return;
		set->pending_head = (set->pending_head + 1) %
				    FAKE_SOCK_PENDING;
		set->pending_num--;
	}
}

void fake_sockets_flush(struct fake_sockets *set)
{
	fake_sockets_put(set);
	fake_vsock_kick(set->v);
}

static void kick(struct fake_sockets *set)
{
	if (!set->cork)
		fake_sockets_flush(set);
}

static void queue_header(struct fake_sockets *set,
			 const struct vsock_header *hdr)
{
	if (set->pending_num == FAKE_SOCK_PENDING) {
		fake_vsock_violate(set->v, "more packets to answer than fit");
		return;
	}
	set->pending[(set->pending_head + set->pending_num) %
		     FAKE_SOCK_PENDING] = *hdr;
	set->pending_num++;
	if (le16_get(hdr->op) == VSOCK_OP_RST)
		set->resets_sent++;
	kick(set);
}

/* virtio_transport_inc_tx_pkt(): every packet carries the news. */
struct vsock_header fake_sock_header(struct fake_sock *sock, enum vsock_op op)
{
	struct vsock_header hdr = fake_vsock_header(sock->set->v, op,
						    sock->guest_port,
						    sock->host_port);

	hdr.type = le16_make(sock->type);
	hdr.buf_alloc = le32_make(sock->buf_alloc);
	hdr.fwd_cnt = le32_make(sock->fwd_cnt);
	sock->fwd_told = sock->fwd_cnt;
	return hdr;
}

void fake_sock_control(struct fake_sock *sock, enum vsock_op op,
		       uint32_t flags)
{
	struct vsock_header hdr = fake_sock_header(sock, op);

	hdr.flags = le32_make(flags);
	queue_header(sock->set, &hdr);
}

/* virtio_transport_reset_no_sock() */
static void reset_no_sock(struct fake_sockets *set,
			  const struct vsock_header *to)
{
	struct vsock_header hdr = {
		.src_cid = to->dst_cid, .dst_cid = to->src_cid,
		.src_port = to->dst_port, .dst_port = to->src_port,
		.type = to->type, .op = le16_make(VSOCK_OP_RST),
	};

	if (le16_get(to->op) == VSOCK_OP_RST) {
		set->resets_unmatched++;
		return;
	}
	set->unmatched++;
	queue_header(set, &hdr);
}

/* virtio_transport_do_close() */
static void do_close(struct fake_sock *sock)
{
	sock->done = true;
	sock->peer_shut = VSOCK_SHUTDOWN_BOTH;
	if (!sock->ring_used)
		sock->state = FAKE_SOCK_CLOSED;
	unlist(sock);
	if (sock->released)
		free_sock(sock);
}

void fake_sockets_sweep(struct fake_sockets *set)
{
	for (unsigned int i = 0; i < set->count; i++) {
		struct fake_sock *sock = &set->sock[i];

		/* SYN_SENT is only in the bound table. */
		if (!sock->listed || sock->state != FAKE_SOCK_ESTABLISHED)
			continue;
		sock->state = FAKE_SOCK_CLOSED;
		sock->err = ECONNRESET;
		/* It stays in the table until the application closes it. */
		if (sock->released)
			free_sock(sock);
	}
}

/* virtio_transport_recv_listen() */
static void recv_listen(struct fake_sockets *set,
			const struct vsock_header *hdr)
{
	struct fake_sock *sock = NULL;

	if (le16_get(hdr->op) == VSOCK_OP_REQUEST)
		sock = new_sock(set, le32_get(hdr->src_port),
				le32_get(hdr->dst_port), le16_get(hdr->type));
	if (!sock) {
		reset_no_sock(set, hdr);
		return;
	}
	sock->state = FAKE_SOCK_ESTABLISHED;
	sock->peer_buf_alloc = le32_get(hdr->buf_alloc);
	sock->peer_fwd_cnt = le32_get(hdr->fwd_cnt);
	fake_sock_control(sock, VSOCK_OP_RESPONSE, 0);
	if (set->on_accept)
		set->on_accept(sock);
}

/* virtio_transport_recv_connecting() */
static void recv_connecting(struct fake_sock *sock,
			    const struct vsock_header *hdr)
{
	switch (le16_get(hdr->op)) {
	case VSOCK_OP_RESPONSE:
		sock->state = FAKE_SOCK_ESTABLISHED;
		sock->accepted = true;
		return;
	case VSOCK_OP_INVALID:
		return;
	case VSOCK_OP_RST:
		sock->err = ECONNRESET;
		break;
	default:
		sock->err = EPROTO;
		fake_sock_control(sock, VSOCK_OP_RST, 0);
		break;
	}
	sock->state = FAKE_SOCK_CLOSED;
	unlist(sock);
	if (sock->released)
		free_sock(sock);
}

static void copy_in(struct fake_sock *sock, const uint8_t *data, uint32_t len)
{
	uint32_t tail = (sock->ring_head + sock->ring_used) % sock->buf_alloc;
	uint32_t part = sock->buf_alloc - tail;

	if (part > len)
		part = len;
	memcpy(sock->ring + tail, data, part);
	memcpy(sock->ring, data + part, len - part);
	sock->ring_used += len;
}

/* The end for a peer that sends more than there is room for. */
static void overflow(struct fake_sock *sock)
{
	fake_vsock_violate(sock->set->v, "too many unread packets");
	fake_sock_control(sock, VSOCK_OP_RST, 0);
	sock->err = ENOBUFS;
	do_close(sock);
}

/* virtio_transport_recv_enqueue() */
static void recv_rw(struct fake_sock *sock,
		    const struct fake_vsock_packet *packet)
{
	if (sock->peer_shut & VSOCK_SHUTDOWN_SEND)
		fake_vsock_violate(sock->set->v, "RW after SHUTDOWN of send");
	if (sock->rx_cnt - sock->fwd_cnt + packet->len > sock->buf_alloc) {
		fake_vsock_violate(sock->set->v, "credit exceeded");
		return;
	}
	sock->rx_cnt += packet->len;
	sock->received += packet->len;
	if (sock->on_data) {
		sock->on_data(sock, packet->data, packet->len);
		fake_sock_consumed(sock, packet->len);
	} else if (!fake_sock_enqueue(sock, packet->len)) {
		overflow(sock);
	} else {
		copy_in(sock, packet->data, packet->len);
		if (sock->message)
			fake_sock_put_message(sock, packet->len,
					      le32_get(packet->hdr.flags));
	}
}

/* virtio_transport_recv_connected() */
static void recv_connected(struct fake_sock *sock,
			   const struct fake_vsock_packet *packet)
{
	switch (le16_get(packet->hdr.op)) {
	case VSOCK_OP_RW:
		recv_rw(sock, packet);
		return;
	case VSOCK_OP_CREDIT_REQUEST:
		sock->set->credit_requests++;
		if (sock->set->v->config.kernel == FAKE_LINUX_5_10)
			return;
		fake_sock_control(sock, VSOCK_OP_CREDIT_UPDATE, 0);
		return;
	case VSOCK_OP_CREDIT_UPDATE:
		sock->set->credit_updates++;
		return;
	case VSOCK_OP_SHUTDOWN:
		sock->peer_shut |= le32_get(packet->hdr.flags);
		if (sock->peer_shut != VSOCK_SHUTDOWN_BOTH)
			return;
		if (!sock->ring_used && !sock->done) {
			fake_sock_control(sock, VSOCK_OP_RST, 0);
			do_close(sock);
		} else {
			unlist(sock);
			/* Linux: not before its timer of 8 s fires. */
			if (sock->released)
				free_sock(sock);
		}
		return;
	case VSOCK_OP_RST:
		do_close(sock);
		return;
	default:
		fake_vsock_violate(sock->set->v,
				   "op does not fit a connected socket");
		return;
	}
}

static bool is_listened(const struct fake_sockets *set, uint32_t port,
			uint16_t type)
{
	for (unsigned int i = 0; i < FAKE_SOCK_LISTENERS; i++)
		if (port && set->listen[i] == port &&
		    set->listen_type[i] == type)
			return true;
	return false;
}

/* Section 5.10.6.3: what may be sent, and was, is not taken back. */
static void take_credit(struct fake_sock *sock, const struct vsock_header *hdr)
{
	uint32_t edge = sock->peer_fwd_cnt + sock->peer_buf_alloc;
	const char **violation = &sock->set->v->violation;

	sock->peer_buf_alloc = le32_get(hdr->buf_alloc);
	sock->peer_fwd_cnt = le32_get(hdr->fwd_cnt);
	if (*violation || le16_get(hdr->op) == VSOCK_OP_RST)
		return;
	if ((int32_t)(sock->peer_fwd_cnt + sock->peer_buf_alloc - edge) < 0)
		*violation = "the right edge of the credit moved left";
	if ((int32_t)(sock->tx_cnt - sock->peer_fwd_cnt) < 0)
		*violation = "credit for bytes that were never sent";
}

/* virtio_transport_recv_pkt() */
void fake_sockets_take(struct fake_sockets *set,
		       const struct fake_vsock_packet *packet)
{
	const struct vsock_header *hdr = &packet->hdr;
	struct fake_sock *sock;

	if (packet->used < FAKE_VSOCK_HDR)
		return;
	if (le16_get(hdr->op) == VSOCK_OP_RST)
		set->resets_received++;
	sock = fake_sock_find(set, le32_get(hdr->src_port),
			      le32_get(hdr->dst_port));
	if (!sock) {
		if (is_listened(set, le32_get(hdr->dst_port),
				le16_get(hdr->type)))
			recv_listen(set, hdr);
		else
			reset_no_sock(set, hdr);
		return;
	}
	/* virtio_transport_get_type() */
	if (sock->type != le16_get(hdr->type)) {
		reset_no_sock(set, hdr);
		return;
	}
	if (sock->state == FAKE_SOCK_CLOSED) {
		set->to_corpse++;
		reset_no_sock(set, hdr);
		return;
	}
	take_credit(sock, hdr);
	if (sock->state == FAKE_SOCK_SYN_SENT)
		recv_connecting(sock, hdr);
	else
		recv_connected(sock, packet);
}

static unsigned int rx_work(struct fake_sockets *set)
{
	struct fake_vsock_packet packet;
	unsigned int count = 0;

	do {
		fake_interrupts_off(set->v->rx);
		while (fake_vsock_recv(set->v, &packet)) {
			fake_sockets_take(set, &packet);
			fake_vsock_release(set->v, &packet);
			count++;
		}
	} while (fake_interrupts_on(set->v->rx));
	return count;
}

unsigned int fake_sockets_work(struct fake_sockets *set)
{
	bool cork = set->cork;
	unsigned int count;

	set->cork = true;
	count = fake_vsock_event_work(set->v);
	count += rx_work(set);
	do {
		fake_interrupts_off(set->v->tx);
		count += fake_vsock_reap(set->v);
	} while (fake_interrupts_on(set->v->tx));
	set->cork = cork;
	if (count || set->pending_num)
		fake_sockets_flush(set);
	return count;
}

unsigned int fake_sockets_interrupt(struct fake_sockets *set)
{
	if (fake_isr(&set->v->driver) & VIRTIO_INT_USED)
		return fake_sockets_work(set);
	return 0;
}

void fake_sockets_listen_type(struct fake_sockets *set, uint32_t port,
			      uint16_t type)
{
	unsigned int i = 0;

	while (set->listen[i])
		i++;
	set->listen[i] = port;
	set->listen_type[i] = type;
}

void fake_sockets_listen(struct fake_sockets *set, uint32_t port)
{
	fake_sockets_listen_type(set, port, VSOCK_TYPE_STREAM);
}

struct fake_sock *fake_sock_accept(struct fake_sockets *set, uint32_t port)
{
	for (unsigned int i = 0; i < set->count; i++) {
		struct fake_sock *sock = &set->sock[i];

		if (sock->state != FAKE_SOCK_FREE && !sock->accepted &&
		    sock->state != FAKE_SOCK_SYN_SENT &&
		    sock->guest_port == port) {
			sock->accepted = true;
			return sock;
		}
	}
	return NULL;
}

struct fake_sock *fake_sock_connect_type(struct fake_sockets *set,
					 uint32_t host_port, uint16_t type)
{
	struct fake_sock *sock = new_sock(set, host_port, set->next_port++,
					  type);

	if (!sock)
		return NULL;
	sock->state = FAKE_SOCK_SYN_SENT;
	fake_sock_control(sock, VSOCK_OP_REQUEST, 0);
	return sock;
}

struct fake_sock *fake_sock_connect(struct fake_sockets *set,
				    uint32_t host_port)
{
	return fake_sock_connect_type(set, host_port, VSOCK_TYPE_STREAM);
}

ssize_t fake_sock_end(const struct fake_sock *sock)
{
	if (sock->state == FAKE_SOCK_CLOSED && sock->err)
		return -sock->err;
	return sock->done || (sock->peer_shut & VSOCK_SHUTDOWN_SEND) ||
	       (sock->shut & VSOCK_SHUTDOWN_RECEIVE) ? 0 : -EAGAIN;
}

ssize_t fake_sock_recv(struct fake_sock *sock, void *buf, size_t len)
{
	uint32_t part = sock->ring_used;

	if (!part || (sock->state == FAKE_SOCK_CLOSED && sock->err))
		return fake_sock_end(sock);
	if (part > len)
		part = (uint32_t)len;
	fake_sock_copy_out(sock, buf, part);
	fake_sock_drop(sock, part);
	fake_sock_dequeue(sock, part);
	return (ssize_t)part;
}

void fake_sock_shutdown(struct fake_sock *sock, unsigned int how)
{
	if (sock->state != FAKE_SOCK_ESTABLISHED || sock->done)
		return;
	sock->shut |= how;
	fake_sock_control(sock, VSOCK_OP_SHUTDOWN, sock->shut);
}

/* virtio_transport_close() */
void fake_sock_close(struct fake_sock *sock)
{
	sock->released = true;
	if (sock->state != FAKE_SOCK_ESTABLISHED || sock->done) {
		free_sock(sock);
		return;
	}
	if (sock->peer_shut == VSOCK_SHUTDOWN_BOTH) {
		fake_sock_control(sock, VSOCK_OP_RST, 0);
		free_sock(sock);
		return;
	}
	if (sock->shut != VSOCK_SHUTDOWN_BOTH)
		fake_sock_shutdown(sock, VSOCK_SHUTDOWN_BOTH);
}

void fake_sock_abort(struct fake_sock *sock)
{
	if (sock->state == FAKE_SOCK_ESTABLISHED && !sock->done)
		fake_sock_control(sock, VSOCK_OP_RST, 0);
	free_sock(sock);
}
