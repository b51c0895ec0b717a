/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One slow piece of work on a thread of its own, for the loop's thread, which
 * hears of its progress and of its end.
 */
#ifndef WHERRY_VMM_WORKER_H
#define WHERRY_VMM_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/loop.h"
#include "virtio/fail.h"

/**
 * struct worker_progress - how far it is
 * @phase: what is being done, in the worker's own numbers
 * @done: of @total
 * @total: in any unit
 */
struct worker_progress {
	unsigned int phase;
	uint64_t done;
	uint64_t total;
};

/**
 * struct worker - embedded in its owner; the caller sets the first four
 * @work: does it, on the thread of its own
 * @tell: there is progress; loop thread. NULL: nobody wants to know
 * @done: @work has returned @result, and its thread is gone; the worker may be
 *     freed here. Loop thread
 * @interval_ms: @tell comes at most so often, and not before the first has
 *     passed: nothing is told of what is done at once
 * @loop: the loop
 * @wake: eventfd, written by the thread
 * @thread: the thread
 * @lock: guards what follows
 * @progress: news, if @told is false
 * @told: by the loop
 * @next_ns: not before, CLOCK_MONOTONIC
 * @released: see worker_release()
 * @cancelled: see worker_cancel()
 * @ended: @work has returned
 * @result: what
 */
struct worker {
	int (*work)(struct worker *worker);
	void (*tell)(struct worker *worker,
		     const struct worker_progress *progress);
	void (*done)(struct worker *worker);
	unsigned int interval_ms;
	struct loop *loop;
	struct loop_source wake;
	pthread_t thread;
	pthread_mutex_t lock;
	struct worker_progress progress;
	bool told;
	uint64_t next_ns;
	bool released;
	bool cancelled;
	bool ended;
	int result;
};

/* For the loop thread. */

/**
 * worker_start() - start the thread
 *
 * Return: 0: @done will be called once, from the loop or from worker_finish();
 * or negative errno with the reason: it will not.
 */
int worker_start(struct worker *worker, struct loop *loop, struct fail *why);

/**
 * worker_wait_release() - block until worker_release(), or the end of @work
 *
 * @tell is called meanwhile, @done is not: that is left to the loop.
 */
void worker_wait_release(struct worker *worker);

/** worker_cancel() - worker_progress() says -ECANCELED from now on */
void worker_cancel(struct worker *worker);

/** worker_finish() - block until it has ended; calls @tell and @done */
void worker_finish(struct worker *worker);

/* For the thread. */

/** worker_release() - the loop thread need not wait any more */
void worker_release(struct worker *worker);

/**
 * worker_progress() - how far it is; as often as one likes
 * Return: 0 or -ECANCELED: give up.
 */
int worker_progress(struct worker *worker, unsigned int phase, uint64_t done,
		    uint64_t total);

#endif
