/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that came from the guest and the host socket would not take yet: a
 * bounded ring, allocated only while there are any.
 */
#ifndef WHERRY_DEVICES_VSOCK_BACKLOG_H
#define WHERRY_DEVICES_VSOCK_BACKLOG_H

#include <stdint.h>
#include <sys/uio.h>

/**
 * struct vsock_backlog - a ring of bytes
 * @data: NULL while empty
 * @size: of @data, bytes
 * @head: offset of the first byte
 * @used: bytes held
 */
struct vsock_backlog {
	uint8_t *data;
	uint32_t size;
	uint32_t head;
	uint32_t used;
};

/**
 * vsock_backlog_append() - add bytes at the end
 * @size: bound, bytes; the same at every call
 * @iov: the bytes
 * @count: segments
 * @skip: leave out this many bytes at the front of @iov
 *
 * Return: 0; -ENOBUFS when they do not fit, -ENOMEM: nothing was added.
 */
int vsock_backlog_append(struct vsock_backlog *backlog, uint32_t size,
			 const struct iovec *iov, unsigned int count,
			 size_t skip);
/**
 * vsock_backlog_peek() - the bytes held, in order
 * @iov: two segments
 * Return: how many segments are in use.
 */
unsigned int vsock_backlog_peek(const struct vsock_backlog *backlog,
				struct iovec iov[2]);
/** vsock_backlog_consume() - @len bytes are done; frees the ring at the last */
void vsock_backlog_consume(struct vsock_backlog *backlog, uint32_t len);
void vsock_backlog_free(struct vsock_backlog *backlog);

#endif
