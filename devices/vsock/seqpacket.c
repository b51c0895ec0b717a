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
 * straight from guest memory to a socket that takes it.
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

#include "devices/vsock/engine.h"

struct vsock_seq *vsock_seq_new(void)
{
	return calloc(1, sizeof(struct vsock_seq));
}

void vsock_seq_free(struct vsock_seq *seq)
{
	if (!seq)
		return;
	free(seq->message);
	free(seq);
}

bool vsock_seq_waiting(const struct vsock_conn *conn)
{
	return conn->seq && conn->seq->waiting_count;
}

static void add_waiting(struct vsock_seq *seq, uint32_t len, bool eor)
{
	uint32_t at = (seq->waiting_head + seq->waiting_count) %
		      VSOCK_SEQ_WAITING_MAX;

	seq->waiting[at] = (struct vsock_seq_message){ len, eor };
	seq->waiting_count++;
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

	if (eom && !seq->open && !seq->waiting_count) {
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
	if (seq->waiting_count == VSOCK_SEQ_WAITING_MAX)
		return -ENOBUFS;
	err = vsock_backlog_append(&conn->backlog, conn->buf_alloc, iov, count,
				   0);
	if (err)
		return err;
	seq->open += bytes;
	if (!eom)
		return 0;
	add_waiting(seq, seq->open, eor);
	seq->open = 0;
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

	while (seq->waiting_count) {
		const struct vsock_seq_message *m =
			&seq->waiting[seq->waiting_head];
		struct iovec iov[2];
		unsigned int count = vsock_backlog_peek(&conn->backlog, iov);
		ssize_t sent = send_message(conn, iov, cut(iov, count, m->len),
					    m->eor);

		if (sent < 0)
			return (int)sent;
		conn->fwd_cnt += m->len;
		if (m->len)
			vsock_backlog_consume(&conn->backlog, m->len);
		seq->waiting_head = (seq->waiting_head + 1) %
				    VSOCK_SEQ_WAITING_MAX;
		seq->waiting_count--;
	}
	return 0;
}

bool vsock_seq_room(const struct vsock_conn *conn)
{
	uint32_t max = conn->peer_buf_alloc / VSOCK_SEQ_UNREAD_COST;
	struct vsock_seq *seq = conn->seq;

	if (seq->message)
		return true;
	if (max > VSOCK_SEQ_UNREAD_MAX)
		max = VSOCK_SEQ_UNREAD_MAX;
	/* Forget those that it has read. */
	while (seq->unread_count &&
	       (int32_t)(conn->peer_fwd_cnt -
			 seq->unread[seq->unread_head]) >= 0) {
		seq->unread_head = (seq->unread_head + 1) %
				   VSOCK_SEQ_UNREAD_MAX;
		seq->unread_count--;
	}
	return !seq->unread_count || seq->unread_count < max;
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

static void finish_message(struct vsock_conn *conn, uint32_t end)
{
	struct vsock_seq *seq = conn->seq;
	uint32_t at = (seq->unread_head + seq->unread_count) %
		      VSOCK_SEQ_UNREAD_MAX;

	seq->unread[at] = end;
	seq->unread_count++;
	free(seq->message);
	seq->message = NULL;
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
	finish_message(conn, conn->tx_cnt + done);
	return done;
}
