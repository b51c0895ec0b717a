// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bounded ring behind a host socket that does not keep up. Called by the
 * engine, on the loop thread.
 */
#include "devices/vsock/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void append_bytes(struct vsock_backlog *backlog, const uint8_t *data,
			 uint32_t len)
{
	uint32_t tail = (backlog->head + backlog->used) % backlog->size;
	uint32_t part = backlog->size - tail;

	if (part > len)
		part = len;
	memcpy(backlog->data + tail, data, part);
	memcpy(backlog->data, data + part, len - part);
	backlog->used += len;
}

int vsock_backlog_append(struct vsock_backlog *backlog, uint32_t size,
			 const struct iovec *iov, unsigned int count,
			 size_t skip)
{
	size_t total = 0;

	for (unsigned int i = 0; i < count; i++)
		total += iov[i].iov_len;
	total -= skip;
	if (total > size - backlog->used)
		return -ENOBUFS;
	if (!backlog->data) {
		backlog->data = malloc(size);
		if (!backlog->data)
			return -ENOMEM;
		backlog->size = size;
		backlog->head = 0;
	}
	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *data = iov[i].iov_base;
		size_t len = iov[i].iov_len;
		size_t cut = skip < len ? skip : len;

		skip -= cut;
		append_bytes(backlog, data + cut, (uint32_t)(len - cut));
	}
	return 0;
}

unsigned int vsock_backlog_peek(const struct vsock_backlog *backlog,
				struct iovec iov[2])
{
	uint32_t part = backlog->size - backlog->head;

	if (!backlog->used)
		return 0;
	if (part > backlog->used)
		part = backlog->used;
	iov[0].iov_base = backlog->data + backlog->head;
	iov[0].iov_len = part;
	iov[1].iov_base = backlog->data;
	iov[1].iov_len = backlog->used - part;
	return iov[1].iov_len ? 2 : 1;
}

void vsock_backlog_consume(struct vsock_backlog *backlog, uint32_t len)
{
	backlog->used -= len;
	if (!backlog->used)
		vsock_backlog_free(backlog);
	else
		backlog->head = (backlog->head + len) % backlog->size;
}

void vsock_backlog_free(struct vsock_backlog *backlog)
{
	free(backlog->data);
	*backlog = (struct vsock_backlog){ 0 };
}
