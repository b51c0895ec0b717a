// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs on ordinary sockets: bulk data. See app.h.
 *
 * Each runs in a process of its own. One connection is served with blocking
 * calls, several with epoll, as applications do.
 */
#include "tests/bench/app.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/pattern.h"

#define EVENTS_MAX 64

/* Aligned, lest the speed of copies depend on where the linker puts them. */
static uint8_t buffer[BENCH_CHUNK_MAX] __attribute__((aligned(4096)));

/* What was made last and perhaps not all taken. */
static struct {
	uint32_t seed;
	uint64_t offset;
	size_t len;
	uint8_t data[BENCH_CHUNK_MAX] __attribute__((aligned(4096)));
} outgoing;

void app_init(struct app *app, enum app_role role, unsigned int count,
	      uint32_t chunk)
{
	memset(app, 0, sizeof(*app));
	app->role = role;
	app->count = count;
	app->chunk = chunk;
	app->listener = -1;
	app->kick = -1;
	app->irq = -1;
	app->epoll_fd = -1;
	for (unsigned int i = 0; i < count; i++) {
		app->stream[i].fd = -1;
		app->stream[i].seed = pattern_seed(i);
	}
}

int app_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		bench_die("path '%s': longer than %zu bytes", path,
			  sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 1024))
		bench_die("listen at %s: %s", path, strerror(errno));
	return fd;
}

static void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (fcntl(fd, F_SETFL, flags))
		bench_die("fcntl: %s", strerror(errno));
}

/* The next @len bytes of a stream; made once, however often they are tried. */
static const uint8_t *next_bytes(const struct app_stream *s, size_t len)
{
	uint64_t skip = s->sent - outgoing.offset;

	if (outgoing.seed != s->seed || s->sent < outgoing.offset ||
	    skip >= outgoing.len || len > outgoing.len - skip) {
		outgoing.seed = s->seed;
		outgoing.offset = s->sent;
		outgoing.len = len;
		pattern_fill(outgoing.data, len, s->seed, s->sent);
		skip = 0;
	}
	return outgoing.data + skip;
}

/*
 * Writes the next chunk of a stream, or what the socket takes of it.
 * Return: false: it takes nothing now.
 */
static bool write_some(struct app *app, struct app_stream *s, uint64_t left)
{
	/* A chunk that was cut short is gone on with, as write() loops do. */
	size_t len = app->chunk - s->sent % app->chunk;
	ssize_t n;

	if (len > left)
		len = left;
	n = send(s->fd, next_bytes(s, len), len, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		bench_die("write: %s", n ? strerror(errno) : "nothing taken");
	s->sent += (uint64_t)n;
	return true;
}

/* Reads and verifies. Return: bytes; 0: nothing there now. */
static size_t read_some(struct app_stream *s)
{
	ssize_t n = recv(s->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		bench_die("read: %s", n ? strerror(errno) : "early end");
	if (!pattern_check(buffer, (size_t)n, s->seed, s->received))
		bench_die("wrong bytes near offset %ju",
			  (uintmax_t)s->received);
	s->received += (uint64_t)n;
	bench_progress((uint64_t)n);
	return (size_t)n;
}

/* One step of a stream. Return: bytes moved. */
static uint64_t step(struct app *app, struct app_stream *s)
{
	uint64_t before = s->sent;

	if (app->role == APP_SINK)
		return read_some(s);
	write_some(app, s, s->left);
	return s->sent - before;
}

/* All streams until each has moved @amount bytes, as they become ready. */
static void many_round(struct app *app, uint64_t amount)
{
	uint32_t events = app->role == APP_SINK ? EPOLLIN : EPOLLOUT;
	struct epoll_event event[EVENTS_MAX];
	unsigned int going = app->count;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned int i = 0; i < app->count; i++) {
		event[0] = (struct epoll_event){
			.events = events, .data.u32 = i,
		};
		app->stream[i].left = amount;
		nonblocking(app->stream[i].fd, true);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, app->stream[i].fd,
			      &event[0]))
			bench_die("epoll: %s", strerror(errno));
	}
	while (going) {
		int count = epoll_wait(epoll_fd, event, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			struct app_stream *s =
				&app->stream[event[i].data.u32];
			uint64_t moved = step(app, s);

			if (moved > s->left)
				bench_die("more bytes than were sent");
			s->left -= moved;
			if (s->left)
				continue;
			epoll_ctl(epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
			going--;
		}
	}
	close(epoll_fd);
}

static void one_round(struct app *app, uint64_t amount)
{
	struct app_stream *s = &app->stream[0];

	s->left = amount;
	while (s->left)
		s->left -= step(app, s);
}

static void echo_client_round(struct app *app, uint64_t amount)
{
	struct app_stream *s = &app->stream[0];
	uint64_t end = s->received + amount;
	struct pollfd ready = { .fd = s->fd };

	nonblocking(s->fd, true);
	while (s->received < end) {
		while (s->sent < end && write_some(app, s, end - s->sent))
			;
		if (read_some(s))
			continue;
		ready.events = s->sent < end ? POLLIN | POLLOUT : POLLIN;
		poll(&ready, 1, -1);
	}
	nonblocking(s->fd, false);
}

static void echo_server_round(struct app *app, uint64_t amount)
{
	int fd = app->stream[0].fd;

	while (amount) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
		ssize_t done = 0;

		if (n <= 0)
			bench_die("echo: early end");
		while (done < n) {
			ssize_t took = send(fd, buffer + done,
					    (size_t)(n - done), MSG_NOSIGNAL);

			if (took <= 0)
				bench_die("echo: %s", strerror(errno));
			done += took;
		}
		amount -= (uint64_t)n;
	}
}

static void run_round(struct app *app, uint64_t amount,
		      struct worker_answer *answer)
{
	switch (app->role) {
	case APP_SOURCE:
	case APP_SINK:
		if (app->count > 1)
			many_round(app, amount);
		else
			one_round(app, amount);
		return;
	case APP_ECHO_CLIENT:
		echo_client_round(app, amount);
		return;
	case APP_ECHO_SERVER:
		echo_server_round(app, amount);
		return;
	case APP_PING:
		app_ping_round(app, amount, answer);
		return;
	case APP_RELAY_HOST:
		app_relay_host_round(app, amount);
		return;
	case APP_RELAY_GUEST:
		app_relay_guest_round(app, amount);
		return;
	case APP_CONNECT:
		app_connect_round(app, amount);
		return;
	case APP_ACCEPT:
		app_accept_round(app, amount);
		return;
	}
}

/* Does this one's first step start the clock? */
static bool begins(const struct app *app)
{
	return app->role == APP_SOURCE || app->role == APP_ECHO_CLIENT ||
	       app->role == APP_PING || app->role == APP_CONNECT;
}

static void accept_all(struct app *app)
{
	for (unsigned int i = 0; i < app->count; i++) {
		app->stream[i].fd = accept4(app->listener, NULL, NULL,
					    SOCK_CLOEXEC);
		if (app->stream[i].fd < 0)
			bench_die("accept: %s", strerror(errno));
	}
}

void app_main(int ctl, void *arg)
{
	struct app *app = arg;
	struct worker_answer answer = { 0 };
	uint64_t amount;

	if (app->listener >= 0)
		accept_all(app);
	worker_answer(ctl, &answer);
	while (worker_next(ctl, &amount)) {
		answer = (struct worker_answer){ 0 };
		if (begins(app))
			answer.begin = bench_now();
		run_round(app, amount, &answer);
		answer.end = bench_now();
		worker_answer(ctl, &answer);
	}
}
