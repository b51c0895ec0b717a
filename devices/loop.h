/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: file descriptors and timers, one thread.
 *
 * All functions but loop_stop() are for the loop's own thread (or any one
 * thread before it runs). Another thread that wants something done has an
 * eventfd watched and writes to it.
 */
#ifndef WHERRY_DEVICES_LOOP_H
#define WHERRY_DEVICES_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"

struct loop;
struct loop_source;
struct loop_timer;

typedef void loop_source_fn(struct loop_source *source, uint32_t events);
typedef void loop_timer_fn(struct loop_timer *timer);

/**
 * struct loop_source - a watched file descriptor, embedded in its owner
 * @fd: the descriptor, the owner's
 * @events: EPOLL* bits being watched; 0 when not added
 * @fn: called with the bits that came
 */
struct loop_source {
	int fd;
	uint32_t events;
	loop_source_fn *fn;
};

/**
 * struct loop_timer - a one-shot timer, embedded in its owner
 * @deadline: CLOCK_MONOTONIC, nanoseconds
 * @slot: position in the heap + 1; 0 when not armed
 * @fn: called once, the timer no longer armed
 */
struct loop_timer {
	uint64_t deadline;
	unsigned int slot;
	loop_timer_fn *fn;
};

/**
 * struct loop_task - work put off to the end of a turn, embedded in its owner
 * @next: in the loop's list while @queued
 * @queued: loop_defer() was called and @fn was not yet
 * @fn: called once, the task no longer queued
 */
struct loop_task {
	struct loop_task *next;
	bool queued;
	void (*fn)(struct loop_task *task);
};

/** loop_owner() - the struct that embeds a source or timer as @member */
#define loop_owner(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/**
 * loop_new() - Return: a loop, or NULL with the reason.
 */
struct loop *loop_new(struct fail *why);
/** loop_free() - sources and timers still added are forgotten, not touched */
void loop_free(struct loop *loop);

/**
 * loop_add() - watch source->fd for @events (EPOLLIN, EPOLLOUT, EPOLLET, ...)
 * @events: not 0; EPOLLERR and EPOLLHUP come unasked
 *
 * Return: 0 or negative errno (-EPERM: a regular file).
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
/**
 * loop_modify() - watch for other @events from now on; cheap if the same
 * @events: 0: watch nothing, not even EPOLLHUP, as after loop_remove()
 *
 * A source that is not watched is added. Bits no longer asked for are not
 * delivered any more, even those that came in this turn already.
 *
 * Return: 0; negative errno only when the source was not watched before.
 */
int loop_modify(struct loop *loop, struct loop_source *source,
		uint32_t events);
/**
 * loop_remove() - stop watching; before closing the descriptor
 *
 * The source may be freed at once, even from within a handler: events of this
 * turn that were still to come for it are dropped. No-op when not added.
 */
void loop_remove(struct loop *loop, struct loop_source *source);
/**
 * loop_close() - as loop_remove(), and close the descriptor; it is -1 then
 *
 * One system call: the kernel stops watching what nobody has open. So the
 * descriptor is to be the only one of its file. No-op for a descriptor of -1.
 */
void loop_close(struct loop *loop, struct loop_source *source);

/**
 * loop_timer_arm() - (re)arm to fire in @ms milliseconds (timerfd, monotonic)
 * Return: 0 or -ENOMEM.
 */
int loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t ms);
/** loop_timer_cancel() - no-op when not armed */
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/**
 * loop_defer() - call task->fn at the end of this turn
 *
 * Once, however often it is asked for: so that much that came in one turn is
 * dealt with at one go. A task deferred by a task runs in the next turn, after
 * the events that have come meanwhile; the loop does not sleep before it.
 */
void loop_defer(struct loop *loop, struct loop_task *task);
/** loop_run_deferred() - call all deferred tasks now, until none is left */
void loop_run_deferred(struct loop *loop);
/** loop_undefer() - the owner is going away; no-op when not queued */
void loop_undefer(struct loop *loop, struct loop_task *task);

/**
 * loop_run() - handle events until loop_stop()
 *
 * The turn in which the stop comes is finished. May be called again.
 *
 * Return: the value given to loop_stop().
 */
int loop_run(struct loop *loop);

/**
 * loop_run_once() - one turn: wait up to @timeout_ms, handle what came
 * @timeout_ms: milliseconds; negative: no limit
 *
 * Return: how many handlers ran (tests drive the loop with it); 0 after a
 * timeout, a signal or loop_stop(). Context: never from within a handler.
 */
int loop_run_once(struct loop *loop, int timeout_ms);

/**
 * loop_stop() - have loop_run() return @result
 *
 * Of several calls before loop_run() returns, the first counts.
 * Context: any thread; async-signal-safe.
 */
void loop_stop(struct loop *loop, int result);

#endif
