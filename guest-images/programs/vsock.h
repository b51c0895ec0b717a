/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest programs share: vsock addresses, complete writes, numbers
 * on the command line.  Errors end the program with one line that names the
 * thing.
 */
#ifndef GUEST_VSOCK_H
#define GUEST_VSOCK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define die(format, ...) do {						\
	fprintf(stderr, "%s: " format "\n",				\
		program_invocation_short_name, ##__VA_ARGS__);		\
	exit(1);							\
} while (0)

static inline double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static inline uint64_t parse_number(const char *name, const char *text,
				    uint64_t max)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	switch (*end) {
	case 'G':
		value <<= 10;
		/* fallthrough */
	case 'M':
		value <<= 10;
		/* fallthrough */
	case 'K':
		value <<= 10;
		end++;
	}
	if (errno || end == text || *end || *text == '-' || value > max)
		die("%s '%s': expected a number up to %" PRIu64, name, text,
		    max);
	return value;
}

static inline uint32_t parse_port(const char *text)
{
	return parse_number("port", text, UINT32_MAX - 1);
}

/* Returns 0, or -1 with errno set. */
static inline int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= n;
	}
	return 0;
}

/* Returns 0, or -1 with errno set; ENODATA: the end came first. */
static inline int read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n ? errno : ENODATA;
			return -1;
		}
		at += n;
		len -= n;
	}
	return 0;
}

/*
 * Name of what ended a connection, after a read or write failed with @error.
 * Once a socket's state is "closed" the calls say ENOTCONN, unless they were
 * waiting when it happened; why it was closed is left with the socket.
 */
static inline const char *socket_error_name(int fd, int error)
{
	int pending = 0;
	socklen_t len = sizeof(pending);

	if (error == ENOTCONN &&
	    !getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) && pending)
		error = pending;
	return strerrorname_np(error);
}

/* VMADDR_CID_ANY: whatever the guest's CID is, also after a restore. */
static inline int vsock_listen_at(uint32_t cid, uint32_t port)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("bind to vsock port %u: %s", port, strerror(errno));
	if (listen(fd, 1024))
		die("listen on vsock port %u: %s", port, strerror(errno));
	return fd;
}

static inline int vsock_listen(uint32_t port)
{
	return vsock_listen_at(VMADDR_CID_ANY, port);
}

static inline int vsock_connect(uint32_t cid, uint32_t port)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect to vsock %u:%u: %s (%s)", cid, port,
		    strerror(errno), strerrorname_np(errno));
	return fd;
}

/*
 * "--background": the program returns to init once it listens, so that init
 * knows, without asking, that it does.
 */
static inline void go_background(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		_exit(0);
	setsid();
}

static inline void raise_file_limit(void)
{
	struct rlimit files = { 8192, 8192 };

	setrlimit(RLIMIT_NOFILE, &files);
}

#endif
