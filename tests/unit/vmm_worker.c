// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/worker.c: a thread beside the loop's. Also run with the thread sanitizer.
 */
#include "vmm/worker.h"

#include <errno.h>
#include <signal.h>
#include <semaphore.h>
#include <string.h>

#include "tests/unit/runner.h"

static struct loop *loop;
static struct worker worker;
static struct fail why;
static sem_t go;
static unsigned int told, done;
static uint64_t last;
static int shared;

static void setup(void)
{
	loop = loop_new(&why);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(sem_init(&go, 0, 0), 0);
	told = done = 0;
	last = 0;
	shared = 0;
}

static void teardown(void)
{
	loop_free(loop);
	sem_destroy(&go);
}

static void on_tell(struct worker *w, const struct worker_progress *progress)
{
	ck_assert_ptr_eq(w, &worker);
	ck_assert_uint_eq(done, 0);
	ck_assert_uint_eq(progress->total, 1000);
	ck_assert_uint_ge(progress->done, last);
	last = progress->done;
	told++;
}

static void on_done(struct worker *w)
{
	ck_assert_ptr_eq(w, &worker);
	done++;
}

static void start(int (*work)(struct worker *), unsigned int interval_ms)
{
	worker = (struct worker){
		.work = work, .tell = on_tell, .done = on_done,
		.interval_ms = interval_ms,
	};
	ck_assert_int_eq(worker_start(&worker, loop, &why), 0);
}

static void await_done(void)
{
	while (!done)
		loop_run_once(loop, -1);
	ck_assert_uint_eq(done, 1);
}

static int fail_at_once(struct worker *w)
{
	(void)w;
	return -EIO;
}

START_TEST(the_end_is_heard_once_by_the_loop)
{
	start(fail_at_once, 0);
	await_done();
	ck_assert_int_eq(worker.result, -EIO);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
	ck_assert_uint_eq(done, 1);
}
END_TEST

static int count_blocked(struct worker *w)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	sigset_t mask;
	int blocked = 0;

	(void)w;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (unsigned int i = 0; i < UNIT_COUNT(faults); i++)
		blocked += sigismember(&mask, faults[i]);
	return blocked + 10 * (sigismember(&mask, SIGTERM) +
			       sigismember(&mask, SIGCHLD));
}

/* A fault that is blocked is the end of the process. */
START_TEST(signals_are_for_others_but_faults_are_its_own)
{
	start(count_blocked, 0);
	await_done();
	ck_assert_int_eq(worker.result, 20);
}
END_TEST

START_TEST(waiting_for_a_release_ends_with_the_work_too)
{
	start(fail_at_once, 0);
	worker_wait_release(&worker);
	/* Whoever waits is not told of the end: the loop is. */
	ck_assert_uint_eq(done, 0);
	await_done();
	ck_assert_int_eq(worker.result, -EIO);
}
END_TEST

static int release_then_wait(struct worker *w)
{
	shared = 1;
	worker_release(w);
	sem_wait(&go);
	return 0;
}

START_TEST(what_was_done_before_the_release_is_seen_after_it)
{
	start(release_then_wait, 0);
	worker_wait_release(&worker);
	/* With a thread sanitizer: no data race. */
	ck_assert_int_eq(shared, 1);
	ck_assert_uint_eq(done, 0);
	sem_post(&go);
	await_done();
	ck_assert_int_eq(worker.result, 0);
}
END_TEST

static int step(struct worker *w)
{
	int rc = 0;

	for (unsigned int i = 1; i <= 1000 && !rc; i++)
		rc = worker_progress(w, 0, i, 1000);
	return rc;
}

START_TEST(progress_is_told_in_order_and_before_the_end)
{
	start(step, 0);
	await_done();
	ck_assert_uint_ge(told, 1);
	ck_assert_uint_eq(last, 1000);
}
END_TEST

START_TEST(progress_is_told_while_one_waits_for_the_release)
{
	start(step, 0);
	worker_wait_release(&worker);
	ck_assert_uint_eq(last, 1000);
	await_done();
}
END_TEST

START_TEST(what_is_done_at_once_tells_no_progress)
{
	start(step, 3600 * 1000);
	await_done();
	ck_assert_uint_eq(told, 0);
}
END_TEST

static int step_for_ever(struct worker *w)
{
	int rc;

	do {
		rc = worker_progress(w, 0, 1, 1000);
	} while (!rc);
	return rc;
}

START_TEST(one_who_is_cancelled_gives_up)
{
	start(step_for_ever, 1);
	worker_cancel(&worker);
	await_done();
	ck_assert_int_eq(worker.result, -ECANCELED);
}
END_TEST

START_TEST(finishing_waits_for_the_end)
{
	start(release_then_wait, 0);
	worker_wait_release(&worker);
	sem_post(&go);
	worker_finish(&worker);
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(the_end_is_heard_once_by_the_loop),
		UNIT_TEST(signals_are_for_others_but_faults_are_its_own),
		UNIT_TEST(waiting_for_a_release_ends_with_the_work_too),
		UNIT_TEST(what_was_done_before_the_release_is_seen_after_it),
		UNIT_TEST(progress_is_told_in_order_and_before_the_end),
		UNIT_TEST(progress_is_told_while_one_waits_for_the_release),
		UNIT_TEST(what_is_done_at_once_tells_no_progress),
		UNIT_TEST(one_who_is_cancelled_gives_up),
		UNIT_TEST(finishing_waits_for_the_end),
	};

	return UNIT_RUN("vmm_worker", cases, setup, teardown);
}
