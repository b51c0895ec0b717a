// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-hold [--background] PORT: accepts connections, keeps them, sends
 * nothing, and prints how each ends:
 *
 *	accepted N cid=C port=P at T
 *	ended N cid=C port=P how=EOF|ECONNRESET|... bytes=B at T
 *
 * N counts connections; C and P are the peer's; B is what it sent; T is
 * CLOCK_MONOTONIC in seconds.
 *
 * Run in the test guest by guest-images/init, on port 1300; its output is in
 * /run/vsock-hold.log.
 */
#include "vsock.h"
#include <poll.h>

#define MAX_CLIENTS	1200

struct client {
	unsigned long number;
	struct sockaddr_vm peer;
	unsigned long long bytes;
};

static struct client clients[MAX_CLIENTS];
static struct pollfd fds[MAX_CLIENTS + 1];
static unsigned int count;
static unsigned long total;

static void take_client(int listener)
{
	struct client *c = &clients[count];
	socklen_t len = sizeof(c->peer);
	int fd = accept4(listener, (struct sockaddr *)&c->peer, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	c->number = ++total;
	c->bytes = 0;
	fds[count].fd = fd;
	fds[count].revents = 0;
	count++;
	printf("accepted %lu cid=%u port=%u at %.6f\n", c->number,
	       c->peer.svm_cid, c->peer.svm_port, now_seconds());
}

/* Returns the name of what ended it, NULL while it lives. */
static const char *look(struct client *c, int fd)
{
	char data[16384];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) > 0)
		c->bytes += n;
	if (!n)
		return "EOF";
	if (errno == EAGAIN || errno == EINTR)
		return NULL;
	return socket_error_name(fd, errno);
}

int main(int argc, char **argv)
{
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	int listener;

	if (argc != 2 + background)
		die("usage: vsock-hold [--background] PORT");
	raise_file_limit();
	listener = vsock_listen(parse_port(argv[1 + background]));
	fcntl(listener, F_SETFL, O_NONBLOCK);
	if (background)
		go_background();
	setvbuf(stdout, NULL, _IOLBF, 0);

	for (;;) {
		for (unsigned int i = 0; i < count; i++)
			fds[i].events = POLLIN;
		fds[count].fd = count < MAX_CLIENTS ? listener : -1;
		fds[count].events = POLLIN;
		if (poll(fds, count + 1, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));

		bool more = fds[count].revents;

		for (unsigned int i = count; i-- > 0;) {
			struct client *c = &clients[i];
			const char *how;

			if (!fds[i].revents)
				continue;
			how = look(c, fds[i].fd);
			if (!how)
				continue;
			printf("ended %lu cid=%u port=%u how=%s bytes=%llu at %.6f\n",
			       c->number, c->peer.svm_cid, c->peer.svm_port,
			       how, c->bytes, now_seconds());
			close(fds[i].fd);
			count--;
			fds[i] = fds[count];
			clients[i] = clients[count];
		}
		if (more)
			take_client(listener);
	}
}
