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
 * one. A peer that has never sent a byte cannot be reset.
 *
 * SO_PEEK_OFF has MSG_PEEK look behind what was peeked before; reads that take
 * bytes out move that place back. So the place is always the number of bytes
 * handed out and not taken out: unread->given. What MSG_PEEK says there - bytes,
 * the end, nothing yet, an error - is what a read would.
 *
 * What stays takes room in the buffer of whoever sent it. That is little, of a
 * stream; but a long message could leave no room for the next one, which would
 * never come. So a message stays only if it is short.
 *
 * An out-of-band byte is a byte like others here: vsock has none.
 *
 * Few bytes are peeked, and then taken out but for the last: a second system
 * call, with a copy that is in the cache. Of many, all but the last are taken
 * out at once.
 */
#include "devices/vsock/unix_read.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Up to this many bytes are copied twice. */
#define FEW	4096u
/* A message of up to so many bytes leaves room for another, even with the
 * smallest buffer that a program can have (SOCK_MIN_SNDBUF, 4608). */
#define SHORT	1024u

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

	*unread = (struct unread){ given, seqpacket };
	(void)setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at));
	/* Or a peek would count an out-of-band byte, and a read not. */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

/* Takes out what was given of a stream, but for @keep bytes. */
static void take_out(struct unread *unread, int fd, uint32_t keep)
{
	char nowhere[FEW];

	while (unread->given > keep) {
		uint32_t len = unread->given - keep;
		struct iovec iov = { nowhere, len < FEW ? len : FEW };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t got = receive(fd, &msg, 0);

		/* It stays, then, and is taken out with what comes next. */
		if (got <= 0)
			return;
		unread->given -= (uint32_t)got;
	}
}

/* Hands out what there is, and leaves the last byte. */
static ssize_t peek(struct unread *unread, int fd, struct iovec *iov,
		    unsigned int count, bool *more)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t got = receive(fd, &msg, MSG_PEEK);

	if (got <= 0)
		return got;
	/* Descriptors came along: a read ends there, and they are dropped. */
	*more |= msg.msg_flags & MSG_CTRUNC;
	unread->given += (uint32_t)got;
	take_out(unread, fd, 1);
	return got;
}

/* Finds byte @at. Return: its segment, @at is its place therein. */
static unsigned int find(const struct iovec *iov, size_t *at)
{
	unsigned int i = 0;

	while (*at >= iov[i].iov_len)
		*at -= iov[i++].iov_len;
	return i;
}

/* Takes out and hands out up to @len bytes, which are there. */
static ssize_t take(int fd, struct iovec *iov, unsigned int count, size_t len,
		    size_t room, bool *more)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	struct iovec whole = { 0 };
	unsigned int last = 0;
	ssize_t got;

	if (len < room) {
		size_t at = len - 1;

		last = find(iov, &at);
		whole = iov[last];
		iov[last].iov_len = at + 1;
		msg.msg_iovlen = last + 1;
	}
	got = receive(fd, &msg, 0);
	if (len < room)
		iov[last] = whole;
	if (got > 0 && (size_t)got < len)
		*more = true;
	return got;
}

ssize_t unread_recv(struct unread *unread, int fd, struct iovec *iov,
		    unsigned int count, bool *more)
{
	size_t room = 0, fresh, at;
	unsigned int first;
	int there = 0;
	ssize_t got, rest;
	struct iovec whole;

	for (unsigned int i = 0; i < count; i++)
		room += iov[i].iov_len;
	if (room > FEW)
		(void)ioctl(fd, SIOCINQ, &there);
	if (there < 0 || (uint32_t)there <= unread->given + FEW)
		return peek(unread, fd, iov, count, more);
	fresh = (uint32_t)there - unread->given - 1;
	take_out(unread, fd, 0);
	if (unread->given)
		return peek(unread, fd, iov, count, more);
	if (fresh > room)
		fresh = room;
	got = take(fd, iov, count, fresh, room, more);
	if (got <= 0 || *more || (size_t)got == room)
		return got;
	at = (size_t)got;
	first = find(iov, &at);
	whole = iov[first];
	iov[first].iov_base = (char *)whole.iov_base + at;
	iov[first].iov_len -= at;
	rest = peek(unread, fd, iov + first, count - first, more);
	iov[first] = whole;
	return rest > 0 ? got + rest : got;
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
