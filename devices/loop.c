// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop: owns an epoll instance, one timerfd, one eventfd.
 *
 * Called by every device and by the control socket, on the loop thread only,
 * without a lock; loop_stop() alone may come from elsewhere.
 *
 * A turn is one epoll_wait() and nothing else on the fast path. Up to
 * BATCH_MAX events are taken at once into @batch, and @next points behind the
 * one being handled, so that loop_remove() can strike out those still to come.
 *
 * The timerfd and the eventfd are watched edge-triggered and therefore never
 * read: setting a timerfd and writing an eventfd both make a new edge.
 *
 * The timerfd is set for the earliest deadline before the loop sleeps, and
 * only if that is sooner than what it is set for. A timer that is cancelled or
 * put off thus costs no system call, and at most one wake-up that finds
 * nothing due.
 */
#include "devices/loop.h"
#include "devices/monotonic.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX 64
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC UINT64_C(1000000000)
/* loop->set_for when the timerfd is not set. */
#define NEVER UINT64_MAX

/**
 * enum stop_state - how far loop_stop() is
 * @STOP_NONE: not called
 * @STOP_CLAIMED: a thread is about to store @result
 * @STOP_SET: @result may be read
 */
enum stop_state { STOP_NONE, STOP_CLAIMED, STOP_SET };

/**
 * struct loop - see the theory above
 * @epoll_fd: the epoll instance
 * @timer: the timerfd
 * @waker: the eventfd that loop_stop() writes
 * @batch: events of this turn
 * @next: the first event not yet handled
 * @count: how many events
 * @tasks: deferred, in order
 * @tasks_end: where the next one is hung
 * @dispatching: a handler is running
 * @heap: timers by deadline, the earliest first
 * @armed: how many
 * @room: how many fit
 * @set_for: deadline that the timerfd is set for, or NEVER
 * @stop: enum stop_state
 * @result: for loop_run() to return
 */
struct loop {
	int epoll_fd;
	struct loop_source timer;
	struct loop_source waker;
	struct epoll_event batch[BATCH_MAX];
	int next;
	int count;
	struct loop_task *tasks;
	struct loop_task **tasks_end;
	bool dispatching;
	struct loop_timer **heap;
	unsigned int armed;
	unsigned int room;
	uint64_t set_for;
	atomic_int stop;
	int result;
};

struct loop *loop_new(struct fail *why)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop) {
		fail(why, -ENOMEM, "event loop: out of memory");
		return NULL;
	}
	loop->set_for = NEVER;
	loop->tasks_end = &loop->tasks;
	loop->timer.fd = -1;
	loop->waker.fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		goto failed;
	loop->timer.fd = timerfd_create(CLOCK_MONOTONIC,
					TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer.fd < 0)
		goto failed;
	loop->waker.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->waker.fd < 0)
		goto failed;
	err = loop_add(loop, &loop->timer, EPOLLIN | EPOLLET);
	if (!err)
		err = loop_add(loop, &loop->waker, EPOLLIN | EPOLLET);
	if (!err)
		return loop;
	errno = -err;
failed:
	err = errno;
	fail(why, -err, "event loop: %s", strerror(err));
	loop_free(loop);
	return NULL;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->dispatching);
	if (loop->waker.fd >= 0)
		close(loop->waker.fd);
	if (loop->timer.fd >= 0)
		close(loop->timer.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop->heap);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	assert(events && !source->events);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event))
		return -errno;
	source->events = events;
	return 0;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int ret;

	if (events == source->events)
		return 0;
	if (!source->events)
		return loop_add(loop, source, events);
	if (!events) {
		loop_remove(loop, source);
		return 0;
	}
	/* What is watched already can always be changed: nothing is made. */
	ret = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
	assert(!ret);
	(void)ret;
	source->events = events;
	return 0;
}

/* No more of it: drops the events of this turn that are still to come. */
static void strike_out(struct loop *loop, struct loop_source *source)
{
	source->events = 0;
	for (int i = loop->next; i < loop->count; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source->events)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	strike_out(loop, source);
}

void loop_close(struct loop *loop, struct loop_source *source)
{
	strike_out(loop, source);
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

/* The heap. Slots count from 1, so that the parent of slot n is n / 2. */

static void heap_put(struct loop *loop, struct loop_timer *timer,
		     unsigned int slot)
{
	loop->heap[slot - 1] = timer;
	timer->slot = slot;
}

static void heap_up(struct loop *loop, struct loop_timer *timer,
		    unsigned int slot)
{
	while (slot > 1) {
		struct loop_timer *parent = loop->heap[slot / 2 - 1];

		if (parent->deadline <= timer->deadline)
			break;
		heap_put(loop, parent, slot);
		slot /= 2;
	}
	heap_put(loop, timer, slot);
}

static void heap_down(struct loop *loop, struct loop_timer *timer,
		      unsigned int slot)
{
	struct loop_timer **heap = loop->heap;

	while (2 * slot <= loop->armed) {
		unsigned int child = 2 * slot;

		if (child < loop->armed &&
		    heap[child]->deadline < heap[child - 1]->deadline)
			child++;
		if (timer->deadline <= heap[child - 1]->deadline)
			break;
		heap_put(loop, heap[child - 1], slot);
		slot = child;
	}
	heap_put(loop, timer, slot);
}

static int heap_grow(struct loop *loop)
{
	unsigned int room = loop->room ? 2 * loop->room : 16;
	struct loop_timer **heap;

	if (loop->armed < loop->room)
		return 0;
	heap = reallocarray(loop->heap, room, sizeof(struct loop_timer *));
	if (!heap)
		return -ENOMEM;
	loop->heap = heap;
	loop->room = room;
	return 0;
}

int loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t ms)
{
	uint64_t delay;
	int err;

	loop_timer_cancel(loop, timer);
	err = heap_grow(loop);
	if (err)
		return err;
	/* A deadline beyond reach is one that never comes. */
	if (__builtin_mul_overflow(ms, NSEC_PER_MSEC, &delay) ||
	    __builtin_add_overflow(delay, monotonic_ns(), &timer->deadline) ||
	    timer->deadline > INT64_MAX)
		timer->deadline = INT64_MAX;
	loop->armed++;
	heap_up(loop, timer, loop->armed);
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	unsigned int slot = timer->slot;
	struct loop_timer *last;

	if (!slot)
		return;
	assert(slot <= loop->armed && loop->heap[slot - 1] == timer);
	timer->slot = 0;
	last = loop->heap[--loop->armed];
	if (last == timer)
		return;
	/* The last one takes the free slot, then moves where it belongs. */
	if (slot > 1 && last->deadline < loop->heap[slot / 2 - 1]->deadline)
		heap_up(loop, last, slot);
	else
		heap_down(loop, last, slot);
}

/* Set the timerfd, if the earliest deadline is sooner than it is set for. */
static void set_timerfd(struct loop *loop)
{
	struct itimerspec when = { 0 };
	uint64_t deadline;
	int ret;

	if (!loop->armed || loop->heap[0]->deadline >= loop->set_for)
		return;
	deadline = loop->heap[0]->deadline;
	when.it_value.tv_sec = (time_t)(deadline / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(deadline % NSEC_PER_SEC);
	ret = timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
	assert(!ret);
	(void)ret;
	loop->set_for = deadline;
}

/* Fire what is due. What a handler arms anew waits for the next turn. */
static int run_timers(struct loop *loop)
{
	uint64_t now = monotonic_ns();
	int ran = 0;

	loop->set_for = NEVER;
	while (loop->armed && loop->heap[0]->deadline <= now) {
		struct loop_timer *timer = loop->heap[0];

		loop_timer_cancel(loop, timer);
		timer->fn(timer);
		ran++;
	}
	return ran;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at = &loop->tasks;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (!*at)
		loop->tasks_end = at;
	task->queued = false;
}

/* Runs up to @max tasks, in order. */
static int run_tasks(struct loop *loop, int max)
{
	int ran = 0;

	while (loop->tasks && ran < max) {
		struct loop_task *task = loop->tasks;

		loop_undefer(loop, task);
		task->fn(task);
		ran++;
	}
	return ran;
}

void loop_run_deferred(struct loop *loop)
{
	while (loop->tasks)
		run_tasks(loop, INT_MAX);
}

/* How many there are now; those that they defer can wait. */
static int count_tasks(const struct loop *loop)
{
	int count = 0;

	for (const struct loop_task *t = loop->tasks; t; t = t->next)
		count++;
	return count;
}

static int dispatch(struct loop *loop, const struct epoll_event *event)
{
	struct loop_source *source = event->data.ptr;
	uint32_t events;

	if (!source || source == &loop->waker)
		return 0;
	if (source == &loop->timer)
		return run_timers(loop);
	events = event->events & (source->events | EPOLLERR | EPOLLHUP);
	if (!events)
		return 0;
	source->fn(source, events);
	return 1;
}

static int turn(struct loop *loop, int timeout_ms)
{
	int ran = 0;

	assert(!loop->dispatching);
	set_timerfd(loop);
	if (loop->tasks)
		timeout_ms = 0;
	loop->next = 0;
	loop->count = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX,
				 timeout_ms);
	loop->dispatching = true;
	while (loop->next < loop->count)
		ran += dispatch(loop, &loop->batch[loop->next++]);
	ran += run_tasks(loop, count_tasks(loop));
	loop->dispatching = false;
	return ran;
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	uint64_t end;
	int ran;

	if (timeout_ms <= 0)
		return turn(loop, timeout_ms);
	end = monotonic_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	for (;;) {
		uint64_t now;

		ran = turn(loop, timeout_ms);
		/* The timerfd set for a timer since gone ends no wait. */
		if (ran || loop->count != 1 ||
		    loop->batch[0].data.ptr != &loop->timer)
			return ran;
		now = monotonic_ns();
		if (now >= end)
			return 0;
		timeout_ms = (int)((end - now) / NSEC_PER_MSEC) + 1;
	}
}

int loop_run(struct loop *loop)
{
	int result;

	/* Pairs with the release in loop_stop(). */
	while (atomic_load_explicit(&loop->stop, memory_order_acquire) !=
	       STOP_SET)
		turn(loop, -1);
	result = loop->result;
	atomic_store_explicit(&loop->stop, STOP_NONE, memory_order_release);
	return result;
}

void loop_stop(struct loop *loop, int result)
{
	const uint64_t one = 1;
	int expected = STOP_NONE;
	int saved = errno;
	ssize_t n;

	if (!atomic_compare_exchange_strong(&loop->stop, &expected,
					    STOP_CLAIMED))
		return;
	loop->result = result;
	/* Pairs with the acquire in loop_run(). */
	atomic_store_explicit(&loop->stop, STOP_SET, memory_order_release);
	/* -EAGAIN cannot come: the counter is one a stop. */
	n = write(loop->waker.fd, &one, sizeof(one));
	(void)n;
	errno = saved;
}
