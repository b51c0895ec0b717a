// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Something stays unread, so that the end can be told from a loss.
 *
 * Called by the AF_UNIX back-end, on the loop thread. Owns nothing.
 *
 * Theory. AF_UNIX has one way to end a connection with an error: who closes a
 * socket while bytes of the peer are unread in it makes the peer see
 * ECONNRESET behind all that it was sent (unix_release_sock() in Linux); with
 * nothing unread it sees an orderly end. Only the peer can put bytes there. So
 * the last byte that it sent, or its last message, is handed out, but stays in
 * the socket until another has come behind it. Before an orderly end it is
 * taken out. Where a guest's data was lost it is left, and also when this
 * process dies in whatever way: no end that comes of that looks like a good
 * one.
 *
 * What stays takes room in the buffer of whoever sent it, a whole buffer of the
 * kernel's even for one byte, and a sender that waits is not woken before three
 * quarters of its room are free (unix_writable()). So nothing stays of what is
 * long, or the next would never come: a byte only where all that there is to
 * read, since the socket was empty, is SHORT, as requests are; a message only if
 * it is. That leaves room for a sender with any SO_SNDBUF from 2560 bytes up.
 * Nor could what is long be read twice for nothing. A peer of which nothing
 * stays, or that has never sent a byte, cannot be reset.
 *
 * Of a stream, what may be short is peeked, behind the byte that stayed, and
 * taken out but for its last byte. With more there than that, all is read as it
 * comes until the socket is empty.
 *
 * Of messages, SO_PEEK_OFF has MSG_PEEK look behind what was peeked before;
 * reads that take out move that place back.
 *
 * An out-of-band byte is a byte like others here: vsock has none.
 */
#include "devices/vsock/unix_read.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Bytes. */
#define SHORT	512u
/* What can have been given and not taken out of a stream: a byte, as a rule. */
#define GIVEN_MAX	64u

static ssize_t receive(int fd, struct msghdr *msg, int flags)
{
	ssize_t got;

	do {
		got = recvmsg(fd, msg, flags | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

void unread_init(struct unread *unread, int fd, bool seqpacket,
		 uint32_t given)
{
	int at = (int)given, on = 1;

	*unread = (struct unread){ .given = given, .message = seqpacket };
	if (seqpacket)
		(void)setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at));
	else
		/* Or a peek would count such a byte, and a read not. */
		(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

/* Takes out what was given of a stream, but for @keep bytes. */
static void take_out(struct unread *unread, int fd, uint32_t keep)
{
	char nowhere[GIVEN_MAX + SHORT];

	while (unread->given > keep) {
		struct iovec iov = { nowhere, unread->given - keep };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t got;

		if (iov.iov_len > sizeof(nowhere))
			iov.iov_len = sizeof(nowhere);
		got = receive(fd, &msg, 0);
		/* It stays, then, and is taken out with what comes next. */
		if (got <= 0)
			return;
		unread->given -= (uint32_t)got;
	}
}

bool unread_news(const struct unread *unread, int fd)
{
	int there = 0;

	/* Of an empty message the sum says nothing. */
	return unread->message ||
	       (!ioctl(fd, SIOCINQ, &there) &&
		(uint32_t)there > unread->given);
}

/*
 * Nothing was found behind what was given. Return: 0: nor will there be;
 * -EAGAIN, or what the peer's end was otherwise; 1: it lies behind a boundary
 * that no read crosses (descriptors, an out-of-band byte).
 */
static ssize_t nothing_new(const struct unread *unread, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };
	socklen_t len = sizeof(int);
	int err = 0;

	if (unread_news(unread, fd))
		return 1;
	if (poll(&pfd, 1, 0) <= 0)
		return -EAGAIN;
	if (pfd.revents & POLLERR)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

static size_t copy(struct iovec *iov, unsigned int count, const char *from,
		   size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		size_t part = iov[i].iov_len;

		if (part > len - done)
			part = len - done;
		memcpy(iov[i].iov_base, from + done, part);
		done += part;
	}
	return done;
}

/* As unread_recv(). Return also: -E2BIG: it is not to be read like this. */
static ssize_t read_short(struct unread *unread, int fd, struct iovec *iov,
			  unsigned int count, size_t room, bool *more)
{
	char bytes[GIVEN_MAX + SHORT + 1];
	struct iovec all = { bytes, unread->given + SHORT + 1 };
	struct msghdr msg = { .msg_iov = &all, .msg_iovlen = 1 };
	size_t fresh;
	ssize_t got;

	if (unread->given > GIVEN_MAX)
		return -E2BIG;
	got = receive(fd, &msg, MSG_PEEK);
	if (got < 0 || (got == 0 && !unread->given))
		return got;
	if ((size_t)got <= unread->given) {
		got = nothing_new(unread, fd);
		return got > 0 ? -E2BIG : got;
	}
	fresh = (size_t)got - unread->given;
	if (fresh > SHORT || fresh > room)
		return -E2BIG;
	/* Descriptors came along: a read ends there, and they are dropped. */
	*more |= msg.msg_flags & MSG_CTRUNC;
	copy(iov, count, bytes + unread->given, fresh);
	unread->given += (uint32_t)fresh;
	take_out(unread, fd, 1);
	return (ssize_t)fresh;
}

ssize_t unread_recv(struct unread *unread, int fd, struct iovec *iov,
		    unsigned int count, bool *more)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	size_t room = 0;
	ssize_t got;

	for (unsigned int i = 0; i < count; i++)
		room += iov[i].iov_len;
	if (!unread->is_long) {
		got = read_short(unread, fd, iov, count, room, more);
		if (got != -E2BIG)
			return got;
		take_out(unread, fd, 0);
		if (unread->given)
			return -EAGAIN;
	}
	got = receive(fd, &msg, 0);
	*more |= got > 0 && msg.msg_flags & MSG_CTRUNC;
	/* To the end of it: what comes then begins with an empty socket. */
	unread->is_long = got > 0 && ((size_t)got == room || *more);
	return got;
}

/* Takes out the message that was given. */
static void take_message(struct unread *unread, int fd)
{
	struct msghdr msg = { 0 };

	if (unread->given && receive(fd, &msg, 0) >= 0)
		unread->given = 0;
}

ssize_t unread_recv_message(struct unread *unread, int fd, struct iovec *iov,
			    unsigned int count, bool *eor)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	size_t len = 0;
	bool stays;
	ssize_t got;

	for (unsigned int i = 0; i < count; i++)
		len += iov[i].iov_len;
	/* An empty one is no place to look behind. */
	stays = len && len <= SHORT;
	if (!stays)
		take_message(unread, fd);
	got = receive(fd, &msg, stays ? MSG_PEEK : 0);
	*eor = msg.msg_flags & MSG_EOR;
	if (got <= 0 || !stays)
		return got;
	take_message(unread, fd);
	unread->given = (uint32_t)got;
	return got;
}

void unread_clear(struct unread *unread, int fd)
{
	if (unread->message)
		take_message(unread, fd);
	else
		take_out(unread, fd, 0);
}

bool unread_resets(int fd)
{
	int there = 0;

	return !ioctl(fd, SIOCINQ, &there) && there > 0;
}
