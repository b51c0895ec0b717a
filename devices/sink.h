/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing to a descriptor that came from outside without ever waiting for it,
 * and without setting O_NONBLOCK on a description that others share.
 */
#ifndef WHERRY_DEVICES_SINK_H
#define WHERRY_DEVICES_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * enum sink_kind - how a write is kept from blocking
 * @SINK_PLAIN: regular files and the like never wait for anybody
 * @SINK_NONBLOCK: the description is ours alone, and O_NONBLOCK
 * @SINK_SOCKET: MSG_DONTWAIT
 * @SINK_POLLED: poll() first, then write what surely fits
 */
enum sink_kind { SINK_PLAIN, SINK_NONBLOCK, SINK_SOCKET, SINK_POLLED };

/**
 * struct sink - where bytes go
 * @fd: the descriptor; may be watched for EPOLLOUT unless SINK_PLAIN
 * @owned: sink_close() closes it
 * @kind: see there
 * @step: SINK_POLLED: bytes that fit when poll() says POLLOUT
 */
struct sink {
	int fd;
	bool owned;
	enum sink_kind kind;
	size_t step;
};

/**
 * sink_adopt() - write to a descriptor that stays its owner's
 * Return: 0 or negative errno (-EBADF: not open).
 */
int sink_adopt(struct sink *sink, int fd);
/**
 * sink_open() - write to a file by name
 *
 * Created with mode 0600; emptied if it exists and is a regular file. A FIFO
 * has to have a reader already (-ENXIO).
 *
 * Return: 0 or negative errno.
 */
int sink_open(struct sink *sink, const char *path);
void sink_close(struct sink *sink);

/**
 * sink_write() - as many bytes as go without waiting
 *
 * The process ignores SIGPIPE.
 *
 * Return: how many, at least 1; -EAGAIN: wait for EPOLLOUT; or negative errno.
 */
ssize_t sink_write(const struct sink *sink, const void *data, size_t len);

/**
 * sink_reopen() - a description of our own for what @fd refers to
 * @flags: O_RDONLY or O_WRONLY; O_NONBLOCK is added
 *
 * For terminals and pipes.
 *
 * Return: a descriptor or negative errno.
 */
int sink_reopen(int fd, int flags);

#endif
