// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-client PORT: connects to a port of the host and relays standard
 * input and output, with half-close both ways.
 * vsock-client --hold PORT: connects, says "hold: connected at T", waits for
 * the connection to end, and says "hold: ended how=ECONNRESET bytes=B at T"
 * (the error's name, or EOF; B is what the host sent; T is CLOCK_MONOTONIC in
 * seconds).
 * vsock-client --cid: prints the guest's own CID, or "none".
 *
 * Run in the test guest by tests, through vsock-exec.
 */
#include "vsock.h"
#include <poll.h>
#include <sys/ioctl.h>

static int print_cid(void)
{
	unsigned int cid = VMADDR_CID_ANY;
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) ||
	    cid == VMADDR_CID_ANY || cid == VMADDR_CID_LOCAL)
		puts("none");
	else
		printf("%u\n", cid);
	return 0;
}

static int hold(uint32_t port)
{
	int fd = vsock_connect(VMADDR_CID_HOST, port);
	unsigned long long bytes = 0;
	char data[4096];
	ssize_t n;

	printf("hold: connected at %.6f\n", now_seconds());
	fflush(stdout);
	do {
		n = read(fd, data, sizeof(data));
		if (n > 0)
			bytes += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	printf("hold: ended how=%s bytes=%llu at %.6f\n",
	       n ? socket_error_name(fd, errno) : "EOF", bytes, now_seconds());
	return 0;
}

/* Moves one piece; returns false at the end of input. */
static bool move(int from, int to)
{
	char data[65536];
	ssize_t n = read(from, data, sizeof(data));

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0)
		die("read: %s", socket_error_name(from, errno));
	if (write_all(to, data, n))
		die("write: %s", socket_error_name(to, errno));
	return n > 0;
}

static int relay(uint32_t port)
{
	int fd = vsock_connect(VMADDR_CID_HOST, port);
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (fds[0].revents && !move(STDIN_FILENO, fd)) {
			shutdown(fd, SHUT_WR);
			fds[0].fd = -1;
		}
		if (fds[1].revents && !move(fd, STDOUT_FILENO))
			return 0;
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && !strcmp(argv[1], "--cid"))
		return print_cid();
	if (argc == 3 && !strcmp(argv[1], "--hold"))
		return hold(parse_port(argv[2]));
	if (argc == 2)
		return relay(parse_port(argv[1]));
	die("usage: vsock-client [--hold] PORT | --cid");
}
