/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes of the benchmark, and how the first one tells them what to do:
 * an order and an answer for each round, over a socket pair.
 */
#ifndef WHERRY_TESTS_BENCH_WORKER_H
#define WHERRY_TESTS_BENCH_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct worker - a child process
 * @pid: 0: none
 * @ctl: our end of its control socket, or -1
 * @name: for messages
 */
struct worker {
	pid_t pid;
	int ctl;
	const char *name;
};

#define WORKER_NONE { .ctl = -1 }

/**
 * struct worker_answer - the outcome of a round
 * @begin: when it began, ns; 0: the other side knows
 * @end: when it was over, ns
 * @value: the median latency, ns, where one was measured
 */
struct worker_answer {
	uint64_t begin;
	uint64_t end;
	uint64_t value;
};

/** worker_fn - what a worker does; @ctl: its end of the control socket */
typedef void worker_fn(int ctl, void *arg);

/**
 * worker_start() - fork; the child calls @fn and exits
 *
 * The child dies with its parent.
 */
void worker_start(struct worker *w, const char *name, worker_fn *fn,
		  void *arg);
/** worker_stop() - SIGTERM, then SIGKILL; waits; no-op on WORKER_NONE */
void worker_stop(struct worker *w);

/* For the first process. */

/** worker_order() - start a round; @amount: bytes, or how often */
void worker_order(const struct worker *w, uint64_t amount);
/**
 * worker_wait() - the answer to an order, or the "ready" of a new worker
 * Return: 0; -ETIMEDOUT: no progress for ten seconds; -EPIPE: it ended.
 */
int worker_wait(const struct worker *w, struct worker_answer *answer);
/** worker_cpu_ns() - Return: CPU time of a process, all threads, ns */
uint64_t worker_cpu_ns(pid_t pid);

/* For the worker. */

/** worker_answer() - say so */
void worker_answer(int ctl, const struct worker_answer *answer);
/** worker_next() - the next order. Return: false: the end */
bool worker_next(int ctl, uint64_t *amount);

#endif
