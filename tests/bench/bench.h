/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vsock benchmark: what its processes have in common. See main.c for the
 * theory.
 *
 * Test code: what cannot go on ends the process with a message (die()).
 */
#ifndef WHERRY_TESTS_BENCH_BENCH_H
#define WHERRY_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_CONNS_MAX	512u
#define BENCH_CHUNK_MAX	65536u
/* What a Linux driver gives: SKB_WITH_OVERHEAD(4096), header included. */
#define BENCH_RX_LINUX	3776u
#define BENCH_RX_LARGE	(44u + 65536u)
#define BENCH_PORT	1024u
#define BENCH_CID	3u
/* How long a device is looked on while nobody sends anything. */
#define BENCH_IDLE_MS	500u

/**
 * enum bench_kind - what is measured
 * @BENCH_TO_HOST: the guest writes, the host reads; MiB/s
 * @BENCH_TO_GUEST: the other way
 * @BENCH_ECHO: the host writes and reads at once, the guest echoes; MiB/s of
 *     one direction
 * @BENCH_PING: one byte to the guest and back; microseconds, median
 * @BENCH_CONNECT_HOST: the host connects and closes; per second
 * @BENCH_CONNECT_GUEST: the guest does
 * @BENCH_IDLE: nothing, with connections open; CPU microseconds of the device
 *     process per second of BENCH_IDLE_MS
 */
enum bench_kind {
	BENCH_TO_HOST,
	BENCH_TO_GUEST,
	BENCH_ECHO,
	BENCH_PING,
	BENCH_CONNECT_HOST,
	BENCH_CONNECT_GUEST,
	BENCH_IDLE,
};

/**
 * struct bench_measure - one line of the result
 * @name: "g2h-64k-1"
 * @kind: what is done
 * @conns: connections at once
 * @chunk: bytes of one write
 * @rx_size: bytes of an RX buffer, header included
 */
struct bench_measure {
	const char *name;
	enum bench_kind kind;
	unsigned int conns;
	uint32_t chunk;
	uint32_t rx_size;
};

/**
 * struct bench_options - the command line
 * @cpu: where everything runs
 * @rounds: timed rounds of each measure
 * @mib: MiB a round
 * @queue_size: of the virtqueues
 * @json: one object a measure, no table
 * @only: the measures wanted, by name; NULL: all
 * @peer: vhost-device-vsock's program, started for each measure; or NULL
 * @vhost_user: socket of a vhost-user device that runs already; or NULL
 * @uds: where the host side of that device is
 * @dir: scratch directory for sockets
 * @verbose: print each round
 */
struct bench_options {
	int cpu;
	unsigned int rounds;
	unsigned int mib;
	unsigned int queue_size;
	bool json;
	const char *only;
	const char *peer;
	const char *vhost_user;
	const char *uds;
	const char *dir;
	bool verbose;
};

/**
 * struct bench_shared - memory that all processes see
 * @progress: bytes or connections done; the watchdog looks at it
 * @relay: the byte that the idle relay chain hands on
 */
struct bench_shared {
	uint64_t progress;
	uint64_t relay;
};

/* Made before the first fork. */
extern struct bench_shared *bench_shared;

/** bench_progress() - something got done */
static inline void bench_progress(uint64_t amount)
{
	__atomic_fetch_add(&bench_shared->progress, amount, __ATOMIC_RELAXED);
}

/** bench_now() - Return: CLOCK_MONOTONIC, ns */
uint64_t bench_now(void);

/** bench_die() - message to standard error, exit status 1 */
void bench_die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

#endif
