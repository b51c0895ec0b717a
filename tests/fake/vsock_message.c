// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest sockets on top of the fake vsock driver: messages that wait in a
 * seqpacket socket. See vsock_sock.h. Part of vsock_sock.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/vsock_sock.h"

void fake_sock_put_message(struct fake_sock *sock, uint32_t len,
			   uint32_t flags)
{
	unsigned int last = (sock->message_head + sock->message_num - 1) %
			    FAKE_SOCK_MESSAGES;

	/* The last one is complete: this starts another. */
	if (!sock->message_num || sock->message[last].flags) {
		if (sock->message_num == FAKE_SOCK_MESSAGES)
			abort();
		last = (sock->message_head + sock->message_num) %
		       FAKE_SOCK_MESSAGES;
		sock->message[last] = (struct fake_message){ 0 };
		sock->message_num++;
	}
	sock->message[last].len += len;
	sock->message[last].packets++;
	sock->message[last].flags = flags;
}

void fake_sock_copy_out(struct fake_sock *sock, void *buf, uint32_t len)
{
	uint32_t part = sock->buf_alloc - sock->ring_head;

	if (part > len)
		part = len;
	memcpy(buf, sock->ring + sock->ring_head, part);
	memcpy((uint8_t *)buf + part, sock->ring, len - part);
}

void fake_sock_drop(struct fake_sock *sock, uint32_t len)
{
	sock->ring_head = (sock->ring_head + len) % sock->buf_alloc;
	sock->ring_used -= len;
}

/* virtio_transport_seqpacket_do_dequeue() */
ssize_t fake_sock_recv_message(struct fake_sock *sock, void *buf, size_t len,
			       uint32_t *flags)
{
	struct fake_message m = { 0 };

	if (sock->message_num)
		m = sock->message[sock->message_head];
	*flags = m.flags;
	if (!m.flags || (sock->state == FAKE_SOCK_CLOSED && sock->err))
		return fake_sock_end(sock);
	fake_sock_copy_out(sock, buf, m.len < len ? m.len : (uint32_t)len);
	fake_sock_drop(sock, m.len);
	sock->message_head = (sock->message_head + 1) % FAKE_SOCK_MESSAGES;
	sock->message_num--;
	sock->packets -= m.packets;
	sock->fwd_cnt += m.len;
	/* However little: the peer may wait for the message to be read. */
	if (sock->listed)
		fake_sock_control(sock, VSOCK_OP_CREDIT_UPDATE, 0);
	return m.len;
}
