/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seqpacket sockets: messages with boundaries (virtio 1.2, section 5.10.6.6).
 * Part of the engine.
 */
#ifndef WHERRY_DEVICES_VSOCK_SEQPACKET_H
#define WHERRY_DEVICES_VSOCK_SEQPACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct vsock_conn;

/* Messages that wait for the host socket; empty ones cost no credit. */
#define VSOCK_SEQ_WAITING_MAX	1024u
/*
 * Messages the guest has not read yet. Linux 6.12 and later count 576 bytes
 * for each packet against its buffer and reset the connection above it: there
 * is one message for each VSOCK_SEQ_UNREAD_COST bytes of its buffer.
 */
#define VSOCK_SEQ_UNREAD_MAX	256u
#define VSOCK_SEQ_UNREAD_COST	1024u

/**
 * struct vsock_seq_message - a message in the backlog
 * @len: bytes
 * @eor: it ended with MSG_EOR
 */
struct vsock_seq_message {
	uint32_t len;
	bool eor;
};

/**
 * struct vsock_seq - what a seqpacket connection has besides
 * @open: bytes at the end of the backlog whose message is not complete
 * @waiting: complete messages in the backlog, a ring
 * @waiting_head: index of the first
 * @waiting_count: how many
 * @message: a message on its way to the guest, NULL: none
 * @message_len: its length, bytes
 * @message_done: bytes the guest has been given
 * @message_eor: it ended with MSG_EOR
 * @unread: tx_cnt at the end of each message the guest has not read, a ring
 * @unread_head: index of the first
 * @unread_count: how many
 */
struct vsock_seq {
	uint32_t open;
	struct vsock_seq_message waiting[VSOCK_SEQ_WAITING_MAX];
	uint32_t waiting_head;
	uint32_t waiting_count;
	uint8_t *message;
	uint32_t message_len;
	uint32_t message_done;
	bool message_eor;
	uint32_t unread[VSOCK_SEQ_UNREAD_MAX];
	uint32_t unread_head;
	uint32_t unread_count;
};

/** vsock_seq_new() - Return: the state of a new connection, or NULL */
struct vsock_seq *vsock_seq_new(void);
void vsock_seq_free(struct vsock_seq *seq);

/**
 * vsock_seq_take() - a part of a message came from the guest
 * @iov: its payload
 * @bytes: its length; within the credit given
 * @flags: VSOCK_SEQ_*
 *
 * Return: 0; -ENOBUFS: too many messages wait; -ENOMEM; -EMSGSIZE: the host
 * socket cannot take so long a message. After an error the connection is lost.
 */
int vsock_seq_take(struct vsock_conn *conn, const struct iovec *iov,
		   unsigned int count, uint32_t bytes, uint32_t flags);

/**
 * vsock_seq_flush() - hand waiting messages to the host socket
 * Return: 0 all are out; -EAGAIN; another error: it takes no more.
 */
int vsock_seq_flush(struct vsock_conn *conn);

/** vsock_seq_waiting() - complete messages wait for the host socket */
bool vsock_seq_waiting(const struct vsock_conn *conn);

/**
 * vsock_seq_room() - may the guest be sent more: the rest of a message, or one
 * that it has not too many unread before?
 */
bool vsock_seq_room(const struct vsock_conn *conn);

/**
 * vsock_seq_fetch() - have a message for the guest at hand
 *
 * Takes the next one from the host socket unless one is under way. A message
 * longer than the guest's whole buffer could never be received.
 *
 * Return: 1 there is one; 0 at the end; -EAGAIN none yet;
 * -EMSGSIZE: too long for the guest; other negative errno of the socket.
 */
int vsock_seq_fetch(struct vsock_conn *conn);

/**
 * vsock_seq_copy() - the next bytes of the message under way
 * @iov: where to
 * @room: bytes there, and in the guest's buffer
 * @flags: of the packet: VSOCK_SEQ_EOM and _EOR on the last one only
 *
 * Return: bytes copied. The message is done with when EOM was set.
 */
uint32_t vsock_seq_copy(struct vsock_conn *conn, const struct iovec *iov,
			uint32_t room, uint32_t *flags);

#endif
