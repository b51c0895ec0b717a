// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-echo [--background] PORT [CID]: sends back whatever arrives on a vsock
 * port, on up to MAX_CLIENTS connections at once.  After a client's
 * half-close, what is left is sent back, and then this side closes too.  With
 * CID it is bound to that one, not to any.
 *
 * Run in the test guest by guest-images/init, on port 1234.
 */
#include "vsock.h"
#include <poll.h>

#define MAX_CLIENTS	1200
#define BUFFER		16384

struct client {
	size_t start;		/* of the bytes to be sent back */
	size_t len;
	bool ended;		/* the client sends no more */
	char buffer[BUFFER];
};

static struct client clients[MAX_CLIENTS];
static struct pollfd fds[MAX_CLIENTS + 1];	/* the last: listener */
static unsigned int count;

static void drop(unsigned int i)
{
	close(fds[i].fd);
	count--;
	if (i == count)
		return;
	/* Only what is in use is worth copying. */
	fds[i] = fds[count];
	clients[i].start = 0;
	clients[i].len = clients[count].len;
	clients[i].ended = clients[count].ended;
	memcpy(clients[i].buffer,
	       clients[count].buffer + clients[count].start,
	       clients[count].len);
}

/* Returns false when the connection is over. */
static bool serve(struct client *c, int fd, short events)
{
	ssize_t n;

	if (!c->len && !c->ended && events & (POLLIN | POLLHUP | POLLERR)) {
		n = read(fd, c->buffer, sizeof(c->buffer));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (!n)
			c->ended = true;
		c->start = 0;
		c->len = n;
	}
	if (c->len) {
		n = send(fd, c->buffer + c->start, c->len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->start += n;
		c->len -= n;
	}
	if (c->ended && !c->len) {
		shutdown(fd, SHUT_WR);
		return false;
	}
	return true;
}

static void take_clients(int listener)
{
	while (count < MAX_CLIENTS) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		fds[count].fd = fd;
		fds[count].revents = 0;
		clients[count].start = 0;
		clients[count].len = 0;
		clients[count].ended = false;
		count++;
	}
}

int main(int argc, char **argv)
{
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	uint32_t cid = VMADDR_CID_ANY;
	int listener;

	argv += background;
	argc -= background;
	if (argc != 2 && argc != 3)
		die("usage: vsock-echo [--background] PORT [CID]");
	if (argc == 3)
		cid = parse_number("cid", argv[2], UINT32_MAX);
	raise_file_limit();
	listener = vsock_listen_at(cid, parse_port(argv[1]));
	fcntl(listener, F_SETFL, O_NONBLOCK);
	if (background)
		go_background();

	for (;;) {
		for (unsigned int i = 0; i < count; i++)
			fds[i].events = clients[i].len ? POLLOUT : POLLIN;
		fds[count].fd = count < MAX_CLIENTS ? listener : -1;
		fds[count].events = POLLIN;
		if (poll(fds, count + 1, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));

		bool more = fds[count].revents;

		/* Backwards: drop() puts the last one in the gap. */
		for (unsigned int i = count; i-- > 0;) {
			if (fds[i].revents &&
			    !serve(&clients[i], fds[i].fd, fds[i].revents))
				drop(i);
		}
		if (more)
			take_clients(listener);
	}
}
