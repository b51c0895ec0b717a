/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs on ordinary sockets: the host side of each measure, and both sides
 * of the AF_UNIX references, which are the same code.
 */
#ifndef WHERRY_TESTS_BENCH_APP_H
#define WHERRY_TESTS_BENCH_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/bench.h"
#include "tests/bench/worker.h"

/**
 * enum app_role - what one does in each round
 * @APP_SOURCE: writes a pattern into each of its sockets
 * @APP_SINK: reads and verifies it
 * @APP_ECHO_CLIENT: both at once, on one socket
 * @APP_ECHO_SERVER: reads, writes the same bytes
 * @APP_PING: writes a byte, reads one, notes how long it took
 * @APP_RELAY_HOST: hands each byte of the socket on by memory and an eventfd,
 *     and back
 * @APP_RELAY_GUEST: answers the eventfd by another
 * @APP_CONNECT: connects, says "CONNECT 1024", waits for "OK ...", closes
 * @APP_ACCEPT: accepts, answers a hello where there is one, waits for the end
 */
enum app_role {
	APP_SOURCE,
	APP_SINK,
	APP_ECHO_CLIENT,
	APP_ECHO_SERVER,
	APP_PING,
	APP_RELAY_HOST,
	APP_RELAY_GUEST,
	APP_CONNECT,
	APP_ACCEPT,
};

/**
 * struct app_stream - one connection
 * @fd: its socket
 * @seed: of its pattern
 * @sent: stream offset of the next byte to write
 * @received: stream offset of the next byte to read
 * @left: bytes to go in this round, in the direction that ends it
 */
struct app_stream {
	int fd;
	uint32_t seed;
	uint64_t sent;
	uint64_t received;
	uint64_t left;
};

/**
 * struct app - one such program
 * @role: what it does
 * @count: sockets
 * @chunk: bytes of one write
 * @listener: accepts the connections from there before the first round; -1:
 *     they are there
 * @path: APP_CONNECT: where to connect
 * @hello: APP_ACCEPT: a hello will come
 * @kick: APP_RELAY_*: eventfd to the "guest"
 * @irq: APP_RELAY_*: eventfd from it
 * @epoll_fd: APP_RELAY_HOST: watches both; -1: not yet made
 * @stream: the connections
 */
struct app {
	enum app_role role;
	unsigned int count;
	uint32_t chunk;
	int listener;
	const char *path;
	bool hello;
	int kick;
	int irq;
	int epoll_fd;
	struct app_stream stream[BENCH_CONNS_MAX];
};

/** app_init() - no sockets yet */
void app_init(struct app *app, enum app_role role, unsigned int count,
	      uint32_t chunk);
/** app_listen() - Return: a listening socket at @path */
int app_listen(const char *path);
/** app_main() - a worker_fn; @arg: struct app */
void app_main(int ctl, void *arg);

/* Between app.c and app_small.c: rounds of the small measures. */

void app_ping_round(struct app *app, uint64_t amount,
		    struct worker_answer *answer);
void app_relay_host_round(struct app *app, uint64_t amount);
void app_relay_guest_round(struct app *app, uint64_t amount);
void app_connect_round(struct app *app, uint64_t amount);
void app_accept_round(struct app *app, uint64_t amount);

#endif
