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

#include "devices/vsock/backlog.h"

struct vsock_conn;

/*
 * Empty messages that wait for the host socket, of one connection. They cost no
 * credit: when there are so many, the TX ring waits as well.
 */
#define VSOCK_SEQ_EMPTY_MAX	4096u

/**
 * struct vsock_seq - what a seqpacket connection has besides
 * @open: bytes at the end of the backlog whose message is not complete
 * @marks: of each complete message in the backlog, its length and its end; see
 *     put_mark()
 * @waiting: complete messages in the backlog
 * @empty: of them, those without a byte
 * @clogs: counted in engine->clogged
 * @message: a message on its way to the guest, NULL: none
 * @message_len: its length, bytes
 * @message_done: bytes the guest has been given
 * @message_eor: it ended with MSG_EOR
 */
struct vsock_seq {
	uint32_t open;
	struct vsock_backlog marks;
	uint32_t waiting;
	uint32_t empty;
	bool clogs;
	uint8_t *message;
	uint32_t message_len;
	uint32_t message_done;
	bool message_eor;
};

/** vsock_seq_new() - Return: the state of a new connection, or NULL */
struct vsock_seq *vsock_seq_new(void);
void vsock_seq_free(struct vsock_seq *seq);
/**
 * vsock_seq_remove() - the guest sends no more on this connection, of whatever
 * type it is; no-op the second time
 */
void vsock_seq_remove(struct vsock_conn *conn);
/** vsock_seq_drop() - forget messages in the backlog, which is empty already */
void vsock_seq_drop(struct vsock_conn *conn);

/**
 * vsock_seq_take() - a part of a message came from the guest
 * @iov: its payload
 * @bytes: its length; within the credit given
 * @flags: VSOCK_SEQ_*
 *
 * However many messages wait, the next is taken, as long as the TX ring is not
 * to wait (vsock_engine_blocked()).
 *
 * Return: 0; -ENOMEM; -EMSGSIZE: the host socket cannot take so long a message.
 * After an error the connection is lost.
 */
int vsock_seq_take(struct vsock_conn *conn, const struct iovec *iov,
		   unsigned int count, uint32_t bytes, uint32_t flags);

/**
 * vsock_seq_flush() - hand waiting messages to the host socket, some at a time
 * Return: 0 all are out; 1 more wait, and it may well take them; -EAGAIN;
 * another error: it takes no more.
 */
int vsock_seq_flush(struct vsock_conn *conn);

/** vsock_seq_waiting() - complete messages wait for the host socket */
bool vsock_seq_waiting(const struct vsock_conn *conn);

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
