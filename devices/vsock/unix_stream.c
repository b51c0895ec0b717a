// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AF_UNIX back-end, the connections: one host socket each.
 *
 * Loop thread.
 *
 * Sockets are watched edge-triggered for input, once and for good: a socket
 * with bytes that the guest has no room for costs nothing until the guest
 * makes room. Output is watched only while a backlog waits.
 *
 * A guest's connect goes to PATH_PORT. AF_UNIX has no connect in progress: a
 * full backlog says EAGAIN and never calls back, so it is tried again on a
 * timer, for as long as the engine says.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/monotonic.h"
#include "devices/vsock/unix.h"
#include "devices/vsock/unix_read.h"

#define WATCHED		(EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define RETRY_MS	10u

/**
 * struct stream - one connection
 * @conn: the engine's part
 * @unx: whose
 * @source: the host socket; fd -1 until connected
 * @unread: what was read of it and is still in it
 * @retry: next attempt of a guest's connect
 * @patience: for how much longer it may be tried, ms
 * @tried: when it was tried last, monotonic ms
 * @greeted: a part of its CONNECT is in the socket, and makes an event
 * @shut: VSOCK_SHUTDOWN_* done to the host socket
 * @grown: its send buffer was made to hold a whole window
 */
struct stream {
	struct vsock_conn conn;
	struct vsock_unix *unx;
	struct loop_source source;
	struct unread unread;
	struct loop_timer retry;
	uint64_t patience;
	uint64_t tried;
	bool greeted;
	unsigned int shut;
	bool grown;
};

bool vsock_unix_affords(const struct vsock_unix *unx)
{
	int fd;

	if (!unx->options->fds_max)
		return true;
	fd = fcntl(unx->door[0].listener.fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	close(fd);
	return (unsigned int)fd < unx->options->fds_max;
}

static struct stream *to_stream(struct vsock_conn *conn)
{
	return list_entry(conn, struct stream, conn);
}

static void on_stream(struct loop_source *source, uint32_t events)
{
	struct stream *stream = list_entry(source, struct stream, source);
	struct vsock_conn *conn = &stream->conn;
	bool greeted = stream->greeted;

	stream->greeted = false;
	/* It is a dear thing to find out by reading. */
	if (greeted && events == EPOLLIN &&
	    !unread_news(&stream->unread, stream->source.fd))
		return;
	if (events & (EPOLLHUP | EPOLLERR)) {
		/* Includes whatever else there is to be read or written. */
		vsock_conn_hangup(conn);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI)) {
		/* Reads stop short of the end, and of an out-of-band byte. */
		if (events & (EPOLLRDHUP | EPOLLPRI))
			conn->at_end = true;
		vsock_conn_readable(conn);
	}
	if (events & EPOLLOUT)
		vsock_conn_writable(conn);
}

static struct stream *new_stream(struct vsock_unix *unx, int fd)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->unx = unx;
	stream->source.fd = fd;
	stream->source.fn = on_stream;
	return stream;
}

/*
 * Has a host socket take a whole window at once, which is more than it does by
 * default. The kernel doubles the number, for its overhead.
 */
static void grow(struct vsock_unix *unx, int fd)
{
	int bytes = (int)unx->backend.engine->buf_alloc;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* Makes a seqpacket socket fit for messages. */
static void set_up_messages(struct vsock_unix *unx, int fd)
{
	int on = 1;

	/* A message goes out in one piece; too long a one is refused. */
	grow(unx, fd);
	/* An empty message has a time, the end has none: stream_message(). */
	(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
}

static int socket_type(uint16_t type)
{
	return type == VSOCK_TYPE_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
}

static const char *refusal_text(int err)
{
	switch (err) {
	case -ENOBUFS:
		return "no connection free";
	case -EPROTONOSUPPORT:
		return "the guest knows no such sockets";
	default:
		return "out of memory";
	}
}

/* A client that knows nothing of this line finds that it is not "OK". */
static void refuse(struct vsock_unix *unx, int fd, struct unread *unread,
		   int err)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "ERROR %s\n",
			   refusal_text(err));

	(void)send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	unread_clear(unread, fd);
	close(fd);
	unx->refused++;
}

void vsock_unix_adopt(struct vsock_unix *unx, int fd, uint32_t given,
		      uint32_t guest_port, uint16_t type)
{
	struct stream *stream = new_stream(unx, fd);
	struct unread unread;
	int err = -ENOMEM;

	if (type == VSOCK_TYPE_SEQPACKET)
		set_up_messages(unx, fd);
	unread_init(&unread, fd, type == VSOCK_TYPE_SEQPACKET, given);
	if (stream) {
		stream->unread = unread;
		stream->greeted = true;
	}
	if (stream)
		err = vsock_conn_request(unx->backend.engine, &stream->conn,
					 guest_port, type);
	if (err) {
		free(stream);
		refuse(unx, fd, &unread, err);
		return;
	}
	if (loop_add(unx->loop, &stream->source, WATCHED))
		vsock_conn_abort(&stream->conn);
}

/* Return: 1 connected, 0 to be tried again, negative errno: refused. */
static int try_connect(struct stream *stream, uint32_t host_port,
		       uint16_t type)
{
	char suffix[16];
	char *path;
	int fd;

	if (!vsock_unix_affords(stream->unx))
		return -EMFILE;
	snprintf(suffix, sizeof(suffix), "_%" PRIu32, host_port);
	path = malloc(strlen(stream->unx->options->path) + sizeof(suffix));
	if (!path)
		return -ENOMEM;
	strcpy(path, stream->unx->options->path);
	strcat(path, suffix);
	fd = unix_socket_connect(path, socket_type(type), true);
	free(path);
	if (fd == -EAGAIN && stream->patience)
		return 0;
	if (fd < 0)
		return fd;
	if (type == VSOCK_TYPE_SEQPACKET)
		set_up_messages(stream->unx, fd);
	unread_init(&stream->unread, fd, type == VSOCK_TYPE_SEQPACKET, 0);
	stream->source.fd = fd;
	return 1;
}

static void on_retry(struct loop_timer *timer)
{
	struct stream *stream = list_entry(timer, struct stream, retry);
	struct loop *loop = stream->unx->loop;
	uint64_t now = monotonic_ms(), waited = now - stream->tried;
	int ret = 0;

	stream->tried = now;
	/* The time a guest waits stands still while it is paused. */
	if (stream->conn.engine->running) {
		stream->patience -= waited < stream->patience ?
				    waited : stream->patience;
		ret = try_connect(stream, stream->conn.host_port,
				  stream->conn.type);
	}
	if (ret == 0)
		ret = loop_timer_arm(loop, &stream->retry, RETRY_MS);
	else if (ret > 0)
		ret = loop_add(loop, &stream->source, WATCHED);
	if (ret < 0)
		vsock_conn_abort(&stream->conn);
	else if (stream->source.fd >= 0)
		vsock_conn_accepted(&stream->conn);
}

void vsock_unix_inherit_streams(struct vsock_unix *unx, struct vsock_unix *old)
{
	const struct list_node *conns = &old->backend.engine->conns;

	for (struct list_node *at = conns->next; at != conns; at = at->next)
		to_stream(list_entry(at, struct vsock_conn, all))->unx = unx;
	vsock_engine_inherit(unx->backend.engine, old->backend.engine);
}

static bool may_connect(const struct vsock_unix_options *options,
			uint32_t port)
{
	for (unsigned int i = 0; i < options->port_count; i++)
		if (port >= options->ports[i].first &&
		    port <= options->ports[i].last)
			return true;
	return options->port_count == 0;
}

static struct vsock_conn *stream_request(struct vsock_backend *backend,
					 uint32_t host_port, uint16_t type,
					 uint32_t patience, bool *connected)
{
	struct vsock_unix *unx = list_entry(backend, struct vsock_unix,
					    backend);
	struct stream *stream;
	int ret;

	if (!may_connect(unx->options, host_port)) {
		unx->ports_refused++;
		return NULL;
	}
	stream = new_stream(unx, -1);
	if (!stream)
		return NULL;
	stream->retry.fn = on_retry;
	stream->patience = patience;
	stream->tried = monotonic_ms();
	ret = try_connect(stream, host_port, type);
	*connected = ret > 0;
	if (ret == 0)
		ret = loop_timer_arm(unx->loop, &stream->retry, RETRY_MS);
	else if (ret > 0)
		ret = loop_add(unx->loop, &stream->source, WATCHED);
	if (!ret)
		return &stream->conn;
	if (ret == -EMFILE || ret == -ENFILE)
		log_guest(LOG_LEVEL_WARN, "vsock: a connect of the guest is "
			  "refused: %s", strerror(-ret));
	if (stream->source.fd >= 0)
		close(stream->source.fd);
	free(stream);
	return NULL;
}

static void stream_established(struct vsock_conn *conn)
{
	char line[32];
	int len;

	len = snprintf(line, sizeof(line), "OK %" PRIu32 "\n",
		       conn->host_port);
	/* A client that has left is noticed by its hangup. */
	(void)send(to_stream(conn)->source.fd, line, (size_t)len,
		   MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t stream_send(struct vsock_conn *conn, const struct iovec *iov,
			   unsigned int count, unsigned int flags)
{
	int how = MSG_NOSIGNAL | MSG_DONTWAIT |
		  (flags & VSOCK_SEND_EOR ? MSG_EOR : 0);
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = count,
	};
	ssize_t sent;

	do {
		sent = sendmsg(to_stream(conn)->source.fd, &msg, how);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static ssize_t stream_recv(struct vsock_conn *conn, const struct iovec *iov,
			   unsigned int count, bool *eor)
{
	struct stream *stream = to_stream(conn);
	struct iovec *to = (struct iovec *)(uintptr_t)iov;
	bool more = false;
	ssize_t got;

	if (conn->seq)
		return unread_recv_message(&stream->unread, stream->source.fd,
					   to, count, eor);
	/* Nobody is left to be reset. */
	if (conn->hangup)
		unread_clear(&stream->unread, stream->source.fd);
	got = unread_recv(&stream->unread, stream->source.fd, to, count, &more);
	conn->at_end |= more;
	return got;
}

static ssize_t stream_message(struct vsock_conn *conn)
{
	struct msghdr msg = { 0 };
	ssize_t got;

	/*
	 * ECONNRESET is told once, and before what the peer had sent: it has
	 * closed without reading all that it got. What it sent counts.
	 */
	do {
		got = recvmsg(to_stream(conn)->source.fd, &msg,
			      MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	} while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0)
		return -errno;
	/* Each message comes with its time, for which there is no room. */
	return got || (msg.msg_flags & MSG_CTRUNC) ? got : -ENODATA;
}

static void stream_want_send(struct vsock_conn *conn, bool want)
{
	struct stream *stream = to_stream(conn);

	/* Only for those that need it: what does not fit is copied. */
	if (want && !stream->grown) {
		stream->grown = true;
		grow(stream->unx, stream->source.fd);
	}
	(void)loop_modify(stream->unx->loop, &stream->source,
			  want ? WATCHED | EPOLLOUT : WATCHED);
}

static void stream_shut(struct vsock_conn *conn, unsigned int directions)
{
	struct stream *stream = to_stream(conn);
	int fd = stream->source.fd;

	/* Once: each shutdown() makes an event, which would bring us here. */
	directions &= ~stream->shut;
	stream->shut |= directions;
	/* Fails only if the other end is gone, which its hangup tells. */
	if (directions & VSOCK_SHUTDOWN_SEND)
		(void)shutdown(fd, SHUT_WR);
	if (directions & VSOCK_SHUTDOWN_RECEIVE)
		(void)shutdown(fd, SHUT_RD);
}

static void stream_enlarge(struct vsock_conn *conn)
{
	int fd = to_stream(conn)->source.fd;
	int bytes = INT_MAX / 2;

	/* Above the limit of the system, with CAP_NET_ADMIN; else up to it. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes,
				 sizeof(bytes));
}

static void stream_release(struct vsock_conn *conn, bool lost)
{
	struct stream *stream = to_stream(conn);
	int fd = stream->source.fd;

	if (!lost && fd >= 0)
		unread_clear(&stream->unread, fd);
	if (lost && !unread_resets(fd))
		stream->unx->untold++;
	loop_close(stream->unx->loop, &stream->source);
	loop_timer_cancel(stream->unx->loop, &stream->retry);
	free(stream);
}

const struct vsock_backend_ops vsock_unix_ops = {
	.request = stream_request,
	.established = stream_established,
	.send = stream_send,
	.recv = stream_recv,
	.message = stream_message,
	.want_send = stream_want_send,
	.shut = stream_shut,
	.enlarge = stream_enlarge,
	.release = stream_release,
};
