// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs on ordinary sockets: single bytes and connections. See app.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/app.h"

#define HELLO_MAX 32

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void app_ping_round(struct app *app, uint64_t amount,
		    struct worker_answer *answer)
{
	int fd = app->stream[0].fd;
	uint64_t *took = calloc(amount, sizeof(*took));

	if (!took)
		bench_die("out of memory");
	for (uint64_t i = 0; i < amount; i++) {
		uint8_t byte = (uint8_t)(i * 7 + 1), back = 0;
		uint64_t begin = bench_now();

		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 ||
		    recv(fd, &back, 1, 0) != 1)
			bench_die("ping: %s", strerror(errno));
		took[i] = bench_now() - begin;
		if (back != byte)
			bench_die("ping: sent %u, got %u", byte, back);
		bench_progress(1);
	}
	qsort(took, amount, sizeof(*took), compare);
	answer->value = took[amount / 2];
	free(took);
}

static void ring(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		bench_die("eventfd: %s", strerror(errno));
}

static void watch(int epoll_fd, int fd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLET, .data.fd = fd,
	};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		bench_die("epoll: %s", strerror(errno));
}

/* The system calls that a device cannot do without, and no more. */
void app_relay_host_round(struct app *app, uint64_t amount)
{
	int fd = app->stream[0].fd;
	struct epoll_event event;
	uint8_t byte;

	/* Once: to a new epoll instance old events look like new ones. */
	if (app->epoll_fd < 0) {
		app->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		watch(app->epoll_fd, fd);
		watch(app->epoll_fd, app->irq);
	}
	while (amount) {
		if (epoll_wait(app->epoll_fd, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == fd) {
			if (recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
				continue;
			bench_shared->relay = byte;
			ring(app->kick);
		} else {
			byte = (uint8_t)bench_shared->relay;
			if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
				bench_die("relay: %s", strerror(errno));
			amount--;
		}
	}
}

void app_relay_guest_round(struct app *app, uint64_t amount)
{
	uint64_t count;

	for (; amount; amount--) {
		if (read(app->kick, &count, sizeof(count)) != sizeof(count))
			bench_die("relay: %s", strerror(errno));
		ring(app->irq);
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		bench_die("connect to %s: %s", path, strerror(errno));
	return fd;
}

void app_connect_round(struct app *app, uint64_t amount)
{
	char line[HELLO_MAX];
	int len;

	for (; amount; amount--) {
		int fd = connect_to(app->path);

		len = snprintf(line, sizeof(line), "CONNECT %u\n", BENCH_PORT);
		if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len ||
		    recv(fd, line, sizeof(line), 0) < 3 ||
		    strncmp(line, "OK", 2))
			bench_die("connect: no OK");
		close(fd);
		bench_progress(1);
	}
}

void app_accept_round(struct app *app, uint64_t amount)
{
	char line[HELLO_MAX];

	for (; amount; amount--) {
		int fd = accept4(app->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			bench_die("accept: %s", strerror(errno));
		if (app->hello && (recv(fd, line, sizeof(line), 0) <= 0 ||
				   send(fd, "OK 1\n", 5, MSG_NOSIGNAL) != 5))
			bench_die("accept: no hello");
		if (recv(fd, line, sizeof(line), 0) != 0)
			bench_die("accept: no end");
		close(fd);
		bench_progress(1);
	}
}
