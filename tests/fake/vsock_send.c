// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest sockets on top of the fake vsock driver: sending within the credit
 * there is. See vsock_sock.h. Part of vsock_sock.c.
 */
#include <errno.h>

#include "tests/fake/vsock_sock.h"

/* virtio_transport_tx_buf_size() */
static uint32_t window_of(const struct fake_sock *sock)
{
	return sock->peer_buf_alloc < sock->buf_alloc ? sock->peer_buf_alloc :
							sock->buf_alloc;
}

uint32_t fake_sock_room(const struct fake_sock *sock)
{
	uint32_t flight = sock->tx_cnt - sock->peer_fwd_cnt;
	uint32_t window = window_of(sock);

	return flight < window ? window - flight : 0;
}

static int send_error(const struct fake_sock *sock)
{
	if (sock->state == FAKE_SOCK_CLOSED && sock->err)
		return -sock->err;
	if (sock->state != FAKE_SOCK_ESTABLISHED || sock->done ||
	    (sock->shut & VSOCK_SHUTDOWN_SEND) ||
	    (sock->peer_shut & VSOCK_SHUTDOWN_RECEIVE))
		return -EPIPE;
	return 0;
}

/* @flags: of the last packet. As fake_sock_send(). */
static ssize_t send_packets(struct fake_sock *sock, const void *data,
			    size_t len, uint32_t flags)
{
	struct fake_sockets *set = sock->set;
	uint32_t max = set->v->config.tx_payload;
	const uint8_t *from = data;
	size_t sent = 0;
	int err = send_error(sock);

	if (err)
		return err;
	fake_sockets_put(set);
	while ((sent < len || flags) && !set->pending_num) {
		struct vsock_header hdr;
		uint32_t part = fake_sock_room(sock);

		if (part > len - sent)
			part = (uint32_t)(len - sent);
		if (part > max)
			part = max;
		/* An empty message is a packet, too. */
		if (!part && len)
			break;
		hdr = fake_sock_header(sock, VSOCK_OP_RW);
		hdr.len = le32_make(part);
		if (part == len - sent)
			hdr.flags = le32_make(flags);
		if (fake_vsock_add(set->v, &hdr, from + sent, part))
			break;
		sock->tx_cnt += part;
		sent += part;
		if (sent == len)
			break;
	}
	sock->sent += sent;
	if (!set->cork)
		fake_sockets_flush(set);
	return sent || !len ? (ssize_t)sent : -EAGAIN;
}

ssize_t fake_sock_send(struct fake_sock *sock, const void *data, size_t len)
{
	return send_packets(sock, data, len, 0);
}

ssize_t fake_sock_send_message(struct fake_sock *sock, const void *data,
			       size_t len, uint32_t flags)
{
	/* virtio_transport_seqpacket_enqueue() */
	if (len > window_of(sock))
		return -EMSGSIZE;
	return send_packets(sock, data, len, flags);
}
