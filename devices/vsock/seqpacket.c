// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Seqpacket sockets: messages are put together from packets for the host, and
 * cut into packets for the guest. Called by to_host.c, to_guest.c and engine.c,
 * loop thread.
 *
 * To the host. One system call is one message on an AF_UNIX seqpacket socket,
 * so a message that comes in several packets is gathered in the backlog until
 * its EOM. The bytes count against the guest's credit all the while: it cannot
 * make us hold more than a connection's buffer. A message in one packet goes
 * straight from guest memory to a socket that takes it. Messages of one byte
 * may wait by the hundred thousand: what is noted of each is never more than
 * the message itself, but for empty ones, and those are counted.
 *
 * To the guest. A message is taken from the socket as a whole, or the rest of
 * it would be lost, and then given to the guest as RX buffers and credit allow.
 * The guest frees credit only for messages it has read, so one that is longer
 * than its buffer would never end: it is refused. There is at most one message
 * under way a connection.
 */
#include "devices/vsock/seqpacket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/vsock/backend.h"
#include "devices/vsock/conn.h"

/* System calls in one go: then others get their turn. */
#define FLUSH_MAX	1024u
/* Bytes of a mark: 33 bits, seven in each. */
#define MARK_MAX	5u

struct vsock_seq *vsock_seq_new(void)
{
	return calloc(1, sizeof(struct vsock_seq));
}

void vsock_seq_free(struct vsock_seq *seq)
{
	if (!seq)
		return;
	vsock_backlog_free(&seq->marks);
	free(seq->message);
	free(seq);
}

bool vsock_seq_waiting(const struct vsock_conn *conn)
{
	return conn->seq && conn->seq->waiting;
}

/* The TX ring waits for a connection, or not any longer. */
static void set_clogs(struct vsock_conn *conn, bool clogs)
{
	struct vsock_engine *engine = conn->engine;

	if (conn->seq->clogs == clogs)
		return;
	conn->seq->clogs = clogs;
	if (clogs) {
		engine->clogged++;
		return;
	}
	engine->clogged--;
	engine->wake(engine);
}

void vsock_seq_remove(struct vsock_conn *conn)
{
	if (conn->seq)
		set_clogs(conn, false);
}

void vsock_seq_drop(struct vsock_conn *conn)
{
	vsock_backlog_free(&conn->seq->marks);
	conn->seq->waiting = 0;
	conn->seq->empty = 0;
	conn->seq->open = 0;
	set_clogs(conn, false);
}

/*
 * A mark is twice a message's length, plus one if it ended with MSG_EOR, seven
 * bits a byte, the low ones first, and in all but the last one the eighth. So
 * a message of 1 to 63 bytes has a mark of one byte, and none has a mark longer
 * than itself: marks fit into a buffer as large as the backlog's, with one byte
 * more for each empty message.
 */
static int put_mark(struct vsock_conn *conn, uint32_t len, bool eor)
{
	uint64_t mark = (uint64_t)len * 2 + eor;
	uint8_t byte[MARK_MAX];
	struct iovec iov = { byte, 0 };
	int err;

	for (; mark >= 0x80; mark >>= 7)
		byte[iov.iov_len++] = (uint8_t)(mark | 0x80);
	byte[iov.iov_len++] = (uint8_t)mark;
	err = vsock_backlog_append(&conn->seq->marks,
				   conn->buf_alloc + VSOCK_SEQ_EMPTY_MAX, &iov,
				   1, 0);
	if (err)
		return err;
	conn->seq->waiting++;
	if (!len && ++conn->seq->empty == VSOCK_SEQ_EMPTY_MAX)
		set_clogs(conn, true);
	return 0;
}

/* Reads the first mark. Return: bytes of it. */
static uint32_t get_mark(const struct vsock_backlog *marks, uint32_t *len,
			 bool *eor)
{
	uint64_t mark = 0;
	uint32_t n = 0;
	uint8_t byte;

	do {
		byte = marks->data[(marks->head + n) % marks->size];
		mark |= (uint64_t)(byte & 0x7f) << (7 * n++);
	} while (byte & 0x80);
	*len = (uint32_t)(mark / 2);
	*eor = mark & 1;
	return n;
}

static ssize_t send_message(struct vsock_conn *conn, const struct iovec *iov,
			    unsigned int count, bool eor)
{
	return conn->engine->backend->ops->send(conn, iov, count,
						eor ? VSOCK_SEND_EOR : 0);
}

int vsock_seq_take(struct vsock_conn *conn, const struct iovec *iov,
		   unsigned int count, uint32_t bytes, uint32_t flags)
{
	struct vsock_seq *seq = conn->seq;
	bool eom = flags & VSOCK_SEQ_EOM, eor = flags & VSOCK_SEQ_EOR;
	ssize_t sent;
	int err;

	if (eom && !seq->open && !seq->waiting) {
		sent = send_message(conn, iov, count, eor);
		if (sent >= 0) {
			conn->fwd_cnt += bytes;
			return 0;
		}
		if (sent != -EAGAIN) {
			conn->fwd_cnt += bytes;
			return (int)sent;
		}
	}
	err = vsock_backlog_append(&conn->backlog, conn->buf_alloc, iov, count,
				   0);
	if (err)
		return err;
	seq->open += bytes;
	if (!eom)
		return 0;
	err = put_mark(conn, seq->open, eor);
	if (err)
		return err;
	seq->open = 0;
	/* Those before it wait until the socket says that it takes more. */
	if (seq->waiting > 1)
		return 0;
	err = vsock_seq_flush(conn);
	if (err == -EAGAIN) {
		conn->engine->backend->ops->want_send(conn, true);
		return 0;
	}
	return err;
}

/* Cuts segments down to @len bytes. Return: how many are left. */
static unsigned int cut(struct iovec *iov, unsigned int count, uint32_t len)
{
	unsigned int used = 0;

	while (used < count && len) {
		if (iov[used].iov_len > len)
			iov[used].iov_len = len;
		len -= (uint32_t)iov[used].iov_len;
		used++;
	}
	return used;
}

int vsock_seq_flush(struct vsock_conn *conn)
{
	struct vsock_seq *seq = conn->seq;

	for (unsigned int i = 0; seq->waiting && i < FLUSH_MAX; i++) {
		struct iovec iov[2];
		unsigned int count = vsock_backlog_peek(&conn->backlog, iov);
		uint32_t len, mark;
		ssize_t sent;
		bool eor;

		mark = get_mark(&seq->marks, &len, &eor);
		sent = send_message(conn, iov, cut(iov, count, len), eor);
		if (sent < 0)
			return (int)sent;
		conn->fwd_cnt += len;
		if (len)
			vsock_backlog_consume(&conn->backlog, len);
		else if (--seq->empty < VSOCK_SEQ_EMPTY_MAX)
			set_clogs(conn, false);
		vsock_backlog_consume(&seq->marks, mark);
		seq->waiting--;
	}
	return seq->waiting ? 1 : 0;
}

int vsock_seq_fetch(struct vsock_conn *conn)
{
	const struct vsock_backend_ops *ops = conn->engine->backend->ops;
	struct vsock_seq *seq = conn->seq;
	struct iovec iov;
	ssize_t len;

	if (seq->message)
		return 1;
	len = ops->message(conn);
	if (len < 0)
		return len == -ENODATA ? 0 : (int)len;
	if (len > conn->peer_buf_alloc)
		return -EMSGSIZE;
	seq->message = malloc(len ? (size_t)len : 1);
	if (!seq->message)
		return -ENOMEM;
	iov = (struct iovec){ seq->message, (size_t)len };
	len = ops->recv(conn, &iov, 1, &seq->message_eor);
	if (len < 0) {
		free(seq->message);
		seq->message = NULL;
		return (int)len;
	}
	seq->message_len = (uint32_t)len;
	seq->message_done = 0;
	return 1;
}

uint32_t vsock_seq_copy(struct vsock_conn *conn, const struct iovec *iov,
			uint32_t room, uint32_t *flags)
{
	struct vsock_seq *seq = conn->seq;
	uint32_t left = seq->message_len - seq->message_done, done = 0;

	if (room > left)
		room = left;
	for (unsigned int i = 0; done < room; i++) {
		uint32_t part = room - done;

		if (part > iov[i].iov_len)
			part = (uint32_t)iov[i].iov_len;
		memcpy(iov[i].iov_base, seq->message + seq->message_done,
		       part);
		seq->message_done += part;
		done += part;
	}
	*flags = 0;
	if (seq->message_done < seq->message_len)
		return done;
	*flags = VSOCK_SEQ_EOM | (seq->message_eor ? VSOCK_SEQ_EOR : 0);
	free(seq->message);
	seq->message = NULL;
	return done;
}
