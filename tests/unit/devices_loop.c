// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/loop.c: who is called, when, and who is not any more.
 */
#include "devices/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/runner.h"

#define PEERS_MAX 100
#define LONG_MS 10000

/* A source that is ready, and what its handler is to do. */
struct peer {
	struct loop_source source;
	unsigned int called;
	uint32_t events;
	void (*act)(struct peer *peer);
};

/* A timer that notes when its turn came. */
struct bell {
	struct loop_timer timer;
	unsigned int rung;
	unsigned int order;
	void (*act)(struct bell *bell);
};

static struct loop *loop;
static struct peer peer[PEERS_MAX];
static struct bell bell[PEERS_MAX];
static unsigned int order;

static void on_event(struct loop_source *source, uint32_t events)
{
	struct peer *p = loop_owner(source, struct peer, source);

	p->called++;
	p->events = events;
	if (p->act)
		p->act(p);
}

static void on_bell(struct loop_timer *timer)
{
	struct bell *b = loop_owner(timer, struct bell, timer);

	b->rung++;
	b->order = order++;
	if (b->act)
		b->act(b);
}

static void setup(void)
{
	struct fail why;

	memset(peer, 0, sizeof(peer));
	memset(bell, 0, sizeof(bell));
	order = 0;
	loop = loop_new(&why);
	ck_assert_ptr_nonnull(loop);
	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		peer[i].source.fn = on_event;
		peer[i].source.fd = -1;
		bell[i].timer.fn = on_bell;
	}
}

static void teardown(void)
{
	loop_free(loop);
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		if (peer[i].source.fd >= 0)
			close(peer[i].source.fd);
}

/* Readable (level) until closed. */
static void make_ready(struct peer *p)
{
	p->source.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(p->source.fd, 0);
	ck_assert_int_eq(loop_add(loop, &p->source, EPOLLIN), 0);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void remove_the_other(struct peer *p)
{
	loop_remove(loop, &peer[p == &peer[0] ? 1 : 0].source);
}

START_TEST(removed_source_gets_no_event_of_this_turn)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_ready(&peer[i]);
		peer[i].act = remove_the_other;
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
	ck_assert_uint_eq(peer[0].called + peer[1].called, 1);
}
END_TEST

static void close_the_other(struct peer *p)
{
	struct loop_source *other = &peer[p == &peer[0] ? 1 : 0].source;
	int fd = other->fd;

	loop_close(loop, other);
	ck_assert_int_eq(other->fd, -1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	/* The second time there is nothing to do. */
	loop_close(loop, other);
}

START_TEST(closed_source_gets_no_event_of_this_turn)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_ready(&peer[i]);
		peer[i].act = close_the_other;
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
	ck_assert_uint_eq(peer[0].called + peer[1].called, 1);
}
END_TEST

START_TEST(closed_source_can_be_used_again)
{
	make_ready(&peer[0]);
	loop_close(loop, &peer[0].source);
	ck_assert_uint_eq(peer[0].source.events, 0);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
	make_ready(&peer[0]);
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
}
END_TEST

static struct peer *heap_peer[2];

static void free_both(struct peer *p)
{
	(void)p;
	for (unsigned int i = 0; i < 2; i++) {
		loop_remove(loop, &heap_peer[i]->source);
		close(heap_peer[i]->source.fd);
		free(heap_peer[i]);
		heap_peer[i] = NULL;
	}
}

START_TEST(source_may_be_freed_within_any_handler)
{
	for (unsigned int i = 0; i < 2; i++) {
		heap_peer[i] = calloc(1, sizeof(struct peer));
		heap_peer[i]->source.fn = on_event;
		heap_peer[i]->act = free_both;
		make_ready(heap_peer[i]);
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
	ck_assert_ptr_null(heap_peer[0]);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
}
END_TEST

static void reuse_the_other(struct peer *p)
{
	struct peer *other = &peer[p == &peer[0] ? 1 : 0];

	p->act = NULL;
	other->act = NULL;
	loop_remove(loop, &other->source);
	close(other->source.fd);
	other->source.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(loop_add(loop, &other->source, EPOLLIN), 0);
}

START_TEST(source_used_again_hears_nothing_of_its_former_life)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_ready(&peer[i]);
		peer[i].act = reuse_the_other;
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
}
END_TEST

static void narrow_the_other(struct peer *p)
{
	loop_modify(loop, &peer[p == &peer[0] ? 1 : 0].source, EPOLLPRI);
}

START_TEST(event_no_longer_asked_for_is_not_delivered)
{
	for (unsigned int i = 0; i < 2; i++) {
		make_ready(&peer[i]);
		peer[i].act = narrow_the_other;
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
}
END_TEST

START_TEST(modify_to_nothing_silences_even_a_hangup)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	peer[0].source.fd = pair[0];
	ck_assert_int_eq(loop_add(loop, &peer[0].source, EPOLLIN), 0);
	ck_assert_int_eq(loop_modify(loop, &peer[0].source, 0), 0);
	close(pair[1]);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
	ck_assert_int_eq(loop_modify(loop, &peer[0].source, EPOLLIN), 0);
	ck_assert_int_eq(loop_run_once(loop, 0), 1);
	ck_assert(peer[0].events & EPOLLHUP);
}
END_TEST

START_TEST(more_events_than_a_batch_all_come)
{
	int ran = 0;

	for (unsigned int i = 0; i < PEERS_MAX; i++)
		make_ready(&peer[i]);
	for (unsigned int i = 0; i < 2; i++)
		ran += loop_run_once(loop, 0);
	ck_assert_int_eq(ran, 128);
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		ck_assert_uint_ge(peer[i].called, 1);
}
END_TEST

START_TEST(regular_file_is_refused)
{
	peer[0].source.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(loop_add(loop, &peer[0].source, EPOLLIN), -EPERM);
	ck_assert_uint_eq(peer[0].source.events, 0);
	loop_remove(loop, &peer[0].source);
}
END_TEST

/* A shuffle of 1 .. PEERS_MAX, for @step shares no factor with it. */
static void arm_all(unsigned int step)
{
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		ck_assert_int_eq(loop_timer_arm(loop, &bell[i].timer,
						1 + i * step % PEERS_MAX), 0);
}

/*
 * By the deadlines as they were set, which are those asked for only if this
 * process was not kept waiting in between.
 */
static void rang_in_order(void)
{
	const struct bell *by_order[PEERS_MAX] = { NULL };

	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		ck_assert_uint_eq(bell[i].timer.slot, 0);
		ck_assert_uint_le(bell[i].rung, 1);
		if (bell[i].rung)
			by_order[bell[i].order] = &bell[i];
	}
	for (unsigned int i = 1; i < order; i++)
		ck_assert_uint_le(by_order[i - 1]->timer.deadline,
				  by_order[i]->timer.deadline);
}

START_TEST(timers_fire_in_order_of_deadline)
{
	arm_all(7);
	while (order < PEERS_MAX)
		loop_run_once(loop, LONG_MS);
	rang_in_order();
}
END_TEST

START_TEST(cancelled_timers_do_not_fire_and_leave_the_order)
{
	unsigned int left = PEERS_MAX;

	arm_all(37);
	for (unsigned int i = 0; i < PEERS_MAX; i += 3, left--) {
		loop_timer_cancel(loop, &bell[i].timer);
		loop_timer_cancel(loop, &bell[i].timer);
	}
	while (order < left)
		loop_run_once(loop, LONG_MS);
	ck_assert_int_eq(loop_run_once(loop, 20), 0);
	rang_in_order();
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		ck_assert_uint_eq(bell[i].rung, i % 3 ? 1 : 0);
}
END_TEST

START_TEST(timer_that_fills_a_gap_keeps_its_turn)
{
	/* As the heap stands: 11 goes, and 4, the last, has to pass 10. */
	static const uint64_t ms[] = { 1, 10, 2, 11, 12, 20, 4 };

	for (unsigned int i = 0; i < UNIT_COUNT(ms); i++)
		loop_timer_arm(loop, &bell[i].timer, ms[i]);
	loop_timer_cancel(loop, &bell[3].timer);
	usleep(25000);
	while (order < UNIT_COUNT(ms) - 1)
		loop_run_once(loop, LONG_MS);
	rang_in_order();
}
END_TEST

START_TEST(timer_armed_again_fires_once_at_the_later_time)
{
	uint64_t start = now_ms();

	loop_timer_arm(loop, &bell[0].timer, 5);
	loop_run_once(loop, 0);
	loop_timer_arm(loop, &bell[0].timer, 60);
	while (!bell[0].rung)
		ck_assert_int_ge(loop_run_once(loop, LONG_MS), 1);
	ck_assert_uint_ge(now_ms() - start, 59);
	ck_assert_int_eq(loop_run_once(loop, 20), 0);
	ck_assert_uint_eq(bell[0].rung, 1);
}
END_TEST

START_TEST(timer_put_earlier_fires_at_the_earlier_time)
{
	uint64_t start = now_ms();

	loop_timer_arm(loop, &bell[0].timer, LONG_MS);
	loop_run_once(loop, 0);
	loop_timer_arm(loop, &bell[0].timer, 5);
	ck_assert_int_eq(loop_run_once(loop, LONG_MS), 1);
	ck_assert_uint_lt(now_ms() - start, LONG_MS);
}
END_TEST

START_TEST(timer_gone_ends_no_wait)
{
	uint64_t start = now_ms();

	loop_timer_arm(loop, &bell[0].timer, 5);
	loop_run_once(loop, 0);
	loop_timer_cancel(loop, &bell[0].timer);
	ck_assert_int_eq(loop_run_once(loop, 50), 0);
	ck_assert_uint_ge(now_ms() - start, 50);
}
END_TEST

static void arm_again(struct bell *b)
{
	loop_timer_arm(loop, &b->timer, 0);
}

START_TEST(timer_armed_by_its_handler_lets_others_run)
{
	bell[0].act = arm_again;
	loop_timer_arm(loop, &bell[0].timer, 0);
	ck_assert_int_eq(loop_run_once(loop, LONG_MS), 1);
	make_ready(&peer[0]);
	loop_run_once(loop, LONG_MS);
	loop_run_once(loop, LONG_MS);
	ck_assert_uint_ge(peer[0].called, 1);
	ck_assert_uint_ge(bell[0].rung, 2);
}
END_TEST

static void cancel_the_next(struct bell *b)
{
	loop_timer_cancel(loop, &b[1].timer);
}

START_TEST(timer_cancelled_by_one_due_at_once_does_not_fire)
{
	bell[0].act = cancel_the_next;
	loop_timer_arm(loop, &bell[0].timer, 1);
	loop_timer_arm(loop, &bell[1].timer, 2);
	usleep(5000);
	ck_assert_int_eq(loop_run_once(loop, LONG_MS), 1);
	ck_assert_uint_eq(bell[1].rung, 0);
}
END_TEST

START_TEST(timer_of_centuries_does_not_fire)
{
	loop_timer_arm(loop, &bell[0].timer, UINT64_MAX);
	loop_timer_arm(loop, &bell[1].timer, UINT64_MAX / 1000000);
	ck_assert_int_eq(loop_run_once(loop, 10), 0);
}
END_TEST

/* Deferred tasks */

static struct loop_task task[2];
static unsigned int task_ran[2];
static struct loop_task *defers;

static void on_task(struct loop_task *t)
{
	task_ran[t - task]++;
	if (defers)
		loop_defer(loop, defers);
	defers = NULL;
}

static void tasks_setup(void)
{
	setup();
	defers = NULL;
	for (unsigned int i = 0; i < 2; i++) {
		task[i] = (struct loop_task){ .fn = on_task };
		task_ran[i] = 0;
	}
}

static void defer_first(struct peer *p)
{
	(void)p;
	loop_defer(loop, &task[0]);
	ck_assert_uint_eq(task_ran[0], 0);
}

START_TEST(task_deferred_by_many_runs_once_at_the_turn_s_end)
{
	for (unsigned int i = 0; i < 3; i++) {
		make_ready(&peer[i]);
		peer[i].act = defer_first;
	}
	ck_assert_int_eq(loop_run_once(loop, 0), 4);
	ck_assert_uint_eq(task_ran[0], 1);
}
END_TEST

START_TEST(task_deferred_by_a_task_runs_in_the_next_turn)
{
	defers = &task[1];
	loop_defer(loop, &task[0]);
	ck_assert_int_eq(loop_run_once(loop, LONG_MS), 1);
	ck_assert_uint_eq(task_ran[1], 0);
	ck_assert_int_eq(loop_run_once(loop, LONG_MS), 1);
	ck_assert_uint_eq(task_ran[1], 1);
}
END_TEST

START_TEST(undeferred_task_does_not_run)
{
	loop_defer(loop, &task[0]);
	loop_defer(loop, &task[1]);
	loop_undefer(loop, &task[1]);
	loop_undefer(loop, &task[1]);
	loop_run_deferred(loop);
	ck_assert_uint_eq(task_ran[0], 1);
	ck_assert_uint_eq(task_ran[1], 0);
	loop_defer(loop, &task[1]);
	loop_run_deferred(loop);
	ck_assert_uint_eq(task_ran[1], 1);
}
END_TEST

/* Stop */

static void *stop_soon(void *arg)
{
	usleep(20000);
	loop_stop(arg, 7);
	return NULL;
}

START_TEST(stop_from_another_thread_ends_the_run)
{
	pthread_t thread;

	for (unsigned int i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, stop_soon, loop);
		ck_assert_int_eq(loop_run(loop), 7);
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(first_of_several_stops_counts)
{
	loop_stop(loop, 3);
	loop_stop(loop, 4);
	ck_assert_int_eq(loop_run(loop), 3);
	loop_stop(loop, 5);
	ck_assert_int_eq(loop_run(loop), 5);
}
END_TEST

static void stop_in_handler(struct peer *p)
{
	(void)p;
	loop_stop(loop, 9);
}

START_TEST(stop_finishes_the_turn)
{
	for (unsigned int i = 0; i < 3; i++) {
		make_ready(&peer[i]);
		peer[i].act = stop_in_handler;
	}
	ck_assert_int_eq(loop_run(loop), 9);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(peer[i].called, 1);
}
END_TEST

int main(void)
{
	const struct unit_case source_cases[] = {
		UNIT_TEST(removed_source_gets_no_event_of_this_turn),
		UNIT_TEST(closed_source_gets_no_event_of_this_turn),
		UNIT_TEST(closed_source_can_be_used_again),
		UNIT_TEST(source_may_be_freed_within_any_handler),
		UNIT_TEST(source_used_again_hears_nothing_of_its_former_life),
		UNIT_TEST(event_no_longer_asked_for_is_not_delivered),
		UNIT_TEST(modify_to_nothing_silences_even_a_hangup),
		UNIT_TEST(more_events_than_a_batch_all_come),
		UNIT_TEST(regular_file_is_refused),
	};
	const struct unit_case timer_cases[] = {
		UNIT_TEST(timers_fire_in_order_of_deadline),
		UNIT_TEST(cancelled_timers_do_not_fire_and_leave_the_order),
		UNIT_TEST(timer_that_fills_a_gap_keeps_its_turn),
		UNIT_TEST(timer_armed_again_fires_once_at_the_later_time),
		UNIT_TEST(timer_put_earlier_fires_at_the_earlier_time),
		UNIT_TEST(timer_gone_ends_no_wait),
		UNIT_TEST(timer_armed_by_its_handler_lets_others_run),
		UNIT_TEST(timer_cancelled_by_one_due_at_once_does_not_fire),
		UNIT_TEST(timer_of_centuries_does_not_fire),
	};
	const struct unit_case task_cases[] = {
		UNIT_TEST(task_deferred_by_many_runs_once_at_the_turn_s_end),
		UNIT_TEST(task_deferred_by_a_task_runs_in_the_next_turn),
		UNIT_TEST(undeferred_task_does_not_run),
	};
	const struct unit_case stop_cases[] = {
		UNIT_TEST(stop_from_another_thread_ends_the_run),
		UNIT_TEST(first_of_several_stops_counts),
		UNIT_TEST(stop_finishes_the_turn),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("source", source_cases, setup, teardown),
		UNIT_GROUP("timer", timer_cases, setup, teardown),
		UNIT_GROUP("task", task_cases, tasks_setup, teardown),
		UNIT_GROUP("stop", stop_cases, setup, teardown),
	};

	return unit_run("devices_loop", groups, UNIT_COUNT(groups));
}
