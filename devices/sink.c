// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing without waiting: owns the descriptors that it opened itself.
 *
 * Called by the console, on any thread, under its lock.
 *
 * O_NONBLOCK belongs to the open file description. Standard output shares its
 * description with the shell and with whatever else runs on the terminal, and
 * those break when it is set behind their backs. Terminals and pipes are
 * therefore opened once more through /proc; sockets cannot be, but take a flag
 * with each write; for the rest poll() is asked how things are.
 */
#include "devices/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A terminal that polls writable has room for this much (n_tty.c wakes its
 * writers below 256 bytes queued). */
#define TERMINAL_STEP 64

int sink_reopen(int fd, int flags)
{
	char path[32];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}

int sink_adopt(struct sink *sink, int fd)
{
	struct stat st;
	int copy;

	*sink = (struct sink){ .fd = fd, .kind = SINK_PLAIN };
	if (fstat(fd, &st))
		return -errno;
	if (S_ISSOCK(st.st_mode)) {
		sink->kind = SINK_SOCKET;
		return 0;
	}
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return 0;
	copy = sink_reopen(fd, O_WRONLY);
	if (copy < 0) {
		sink->kind = SINK_POLLED;
		/* pipe(7): POLLOUT means that PIPE_BUF bytes fit. */
		sink->step = S_ISFIFO(st.st_mode) ? PIPE_BUF : TERMINAL_STEP;
		return 0;
	}
	sink->fd = copy;
	sink->owned = true;
	sink->kind = SINK_NONBLOCK;
	return 0;
}

int sink_open(struct sink *sink, const char *path)
{
	struct stat st;
	int err;

	/* Without O_NONBLOCK a FIFO would have us wait for a reader. */
	sink->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND |
			O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (sink->fd < 0)
		return -errno;
	sink->owned = true;
	sink->step = 0;
	if (fstat(sink->fd, &st)) {
		err = -errno;
		sink_close(sink);
		return err;
	}
	sink->kind = S_ISREG(st.st_mode) ? SINK_PLAIN : SINK_NONBLOCK;
	return 0;
}

void sink_close(struct sink *sink)
{
	if (sink->owned)
		close(sink->fd);
	sink->owned = false;
	sink->fd = -1;
}

static ssize_t write_once(const struct sink *sink, const void *data,
			  size_t len)
{
	struct pollfd pfd = { .fd = sink->fd, .events = POLLOUT };

	switch (sink->kind) {
	case SINK_PLAIN:
	case SINK_NONBLOCK:
		return write(sink->fd, data, len);
	case SINK_SOCKET:
		return send(sink->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_POLLED:
		if (poll(&pfd, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(sink->fd, data,
			     len < sink->step ? len : sink->step);
	}
	errno = EINVAL;
	return -1;
}

ssize_t sink_write(const struct sink *sink, const void *data, size_t len)
{
	ssize_t n;

	do {
		n = write_once(sink, data, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n == 0)
		return -EIO;
	/* EWOULDBLOCK is the same number on Linux. */
	return -errno;
}
