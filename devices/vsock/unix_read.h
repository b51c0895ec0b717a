/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads an AF_UNIX socket such that something of what the peer sent stays in
 * it. See unix_read.c for the theory.
 */
#ifndef WHERRY_DEVICES_VSOCK_UNIX_READ_H
#define WHERRY_DEVICES_VSOCK_UNIX_READ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * struct unread - what was read of a socket and is still in it
 * @given: bytes at the front of its queue that the reader has had
 * @message: that is one message, not bytes of a stream
 * @is_long: there was more to read than what may stay, and not all was read
 */
struct unread {
	uint32_t given;
	bool message;
	bool is_long;
};

/**
 * unread_init() - from now on reads leave something
 * @fd: the socket; nobody else reads it
 * @seqpacket: SOCK_SEQPACKET
 * @given: bytes at the front that are not to be read again; seqpacket: the
 *     length of the message there
 */
void unread_init(struct unread *unread, int fd, bool seqpacket,
		 uint32_t given);
/**
 * unread_recv() - recvmsg(2) on a stream, never waiting
 * @iov: where to; as it was afterwards
 * @more: set when the bytes got are not all there are, although there was room
 *
 * Return: bytes; 0 at the end; -EAGAIN; other negative errno of the socket.
 */
ssize_t unread_recv(struct unread *unread, int fd, struct iovec *iov,
		    unsigned int count, bool *more);
/**
 * unread_recv_message() - the same on seqpacket: one message, of just the
 * length that there is room for in @iov
 * @eor: it ended with MSG_EOR
 */
ssize_t unread_recv_message(struct unread *unread, int fd, struct iovec *iov,
			    unsigned int count, bool *eor);
/** unread_news() - may there be more to read than what was given? */
bool unread_news(const struct unread *unread, int fd);
/** unread_clear() - before a close that is to be an orderly end */
void unread_clear(struct unread *unread, int fd);
/**
 * unread_resets() - would closing the socket reset the peer?
 */
bool unread_resets(int fd);

#endif
