// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest sockets on top of the fake vsock driver: what waits in a socket is
 * counted by bytes and by packets, and when the peer hears that it was read.
 * See vsock_sock.h. Part of vsock_sock.c.
 */
#include "tests/fake/vsock_sock.h"

static bool counts(const struct fake_sock *sock)
{
	/* A kernel that counts takes nothing into a smaller buffer. */
	return sock->set->v->config.kernel == FAKE_LINUX_6_12 &&
	       sock->buf_alloc >= FAKE_SOCK_SKB;
}

/* virtio_transport_inc_rx_pkt() */
bool fake_sock_enqueue(struct fake_sock *sock, uint32_t len)
{
	if (counts(sock) &&
	    (sock->packets == FAKE_SOCK_SKBS ||
	     (sock->packets + 1) * FAKE_SOCK_SKB > sock->buf_alloc))
		return false;
	if (counts(sock) && !sock->message)
		sock->skb[(sock->skb_head + sock->packets) %
			  FAKE_SOCK_SKBS] = len;
	sock->packets++;
	return true;
}

/* virtio_transport_dec_rx_pkt() and the update after it */
void fake_sock_consumed(struct fake_sock *sock, uint32_t len)
{
	bool low = sock->set->v->config.kernel == FAKE_LINUX_6_12 &&
		   !sock->on_data && !sock->ring_used;
	uint32_t delta;

	sock->fwd_cnt += len;
	delta = sock->fwd_cnt - sock->fwd_told;
	if (delta && sock->listed &&
	    (low || sock->buf_alloc - delta < VSOCK_PAYLOAD_MAX))
		fake_sock_control(sock, VSOCK_OP_CREDIT_UPDATE, 0);
}

/* virtio_transport_stream_do_dequeue(): a packet goes when all of it is read */
void fake_sock_dequeue(struct fake_sock *sock, uint32_t len)
{
	uint32_t whole = 0;

	if (!counts(sock)) {
		fake_sock_consumed(sock, len);
		return;
	}
	sock->skb_read += len;
	while (sock->packets && sock->skb_read >= sock->skb[sock->skb_head]) {
		whole += sock->skb[sock->skb_head];
		sock->skb_read -= sock->skb[sock->skb_head];
		sock->skb_head = (sock->skb_head + 1) % FAKE_SOCK_SKBS;
		sock->packets--;
	}
	fake_sock_consumed(sock, whole);
}
