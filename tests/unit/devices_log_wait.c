// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/log.c: a standard error that nobody reads, and a guest that has much
 * to be said of. A test that blocks is killed by its runner.
 */
#include "devices/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tests/unit/runner.h"

#define INTERVAL	60u
#define LONG_TIME	3600000u
#define THREADS		4u
#define EACH		400u

static int saved, far, timer;
static char text[1u << 20];
/* What makes a line long. */
static char fill[129];

/* Standard error is @fd from now on, and the test's end of it @end. */
static void redirect(int fd, int end)
{
	memset(fill, '.', sizeof(fill) - 1);
	saved = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	far = end;
	fcntl(far, F_SETFL, O_NONBLOCK);
}

static void setup(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
	redirect(ends[1], ends[0]);
	timer = log_open(INTERVAL);
	ck_assert_int_ge(timer, 0);
}

/* A terminal takes a line in parts. */
static void setup_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct termios raw;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(slave, 0);
	ck_assert_int_eq(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &raw), 0);
	redirect(slave, master);
	timer = log_open(LONG_TIME);
	ck_assert_int_ge(timer, 0);
}

static void teardown(void)
{
	log_close(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(far);
	log_set_level(LOG_LEVEL_WARN);
}

/* Reads what is there and appends it to @text. */
static size_t hear(void)
{
	size_t len = strlen(text);
	ssize_t n;

	while ((n = read(far, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return len;
}

/* Reads and serves until nothing more comes. */
static void hear_all(void)
{
	size_t before;

	do {
		before = hear();
		log_service();
	} while (hear() != before);
}

static bool timer_fires_within(int ms)
{
	struct pollfd pfd = { .fd = timer, .events = POLLIN };
	uint64_t times;

	return poll(&pfd, 1, ms) == 1 &&
	       read(timer, &times, sizeof(times)) == sizeof(times);
}

/* Lines "wherry: line N" in order. Return: how many; @lost: as told. */
static unsigned int check_lines(unsigned int *lost)
{
	unsigned int next = 0, n, here;
	char *save = NULL;

	*lost = 0;
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "wherry: warning: %u messages lost: nobody",
			   &here) == 1) {
			*lost += here;
			next += here;
			continue;
		}
		ck_assert_msg(sscanf(line, "wherry: line %u", &n) == 1,
			      "'%s'", line);
		ck_assert_uint_eq(n, next);
		next++;
	}
	return next;
}

START_TEST(nobody_waits_for_a_reader_and_what_was_lost_is_said)
{
	unsigned int lost;

	for (unsigned int i = 0; i < 2000; i++)
		log_error("line %u %s", i, fill);
	ck_assert(timer_fires_within(2000));
	hear_all();
	log_error("line 2000");
	hear_all();
	ck_assert_uint_eq(check_lines(&lost), 2001);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, 1990);
}
END_TEST

START_TEST(what_waits_goes_out_without_another_line)
{
	unsigned int lost;

	for (unsigned int i = 0; i < 300; i++)
		log_error("line %u", i);
	hear();
	ck_assert(timer_fires_within(2000));
	hear_all();
	ck_assert_uint_eq(check_lines(&lost), 300);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

START_TEST(nothing_waits_nothing_wakes)
{
	log_error("line 0");
	ck_assert(!timer_fires_within(700));
}
END_TEST

START_TEST(others_on_standard_error_do_not_notice)
{
	for (unsigned int i = 0; i < 2000; i++)
		log_error("line %u", i);
	ck_assert(!(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK));
}
END_TEST

START_TEST(last_words_wait_for_a_reader_but_not_for_ever)
{
	unsigned int lost;

	for (unsigned int i = 0; i < 2000; i++)
		log_error("line %u", i);
	log_close(50);
	hear();
	/* What did not fit into the pipe is gone, in whole lines. */
	ck_assert_uint_gt(check_lines(&lost), 100);
	log_error("line 0");
	text[0] = '\0';
	hear();
	ck_assert_uint_eq(check_lines(&lost), 1);
}
END_TEST

/* A pipe that is read by a program that stops in the middle of a line. */
START_TEST(line_half_written_is_finished_before_another_begins)
{
	unsigned int lost, i;

	for (i = 0; i < 200; i++)
		log_error("line %u %s", i, fill);
	for (; i < 1000; i++) {
		size_t len = strlen(text);
		ssize_t n = read(far, text + len, 50);

		if (n > 0)
			text[len + (size_t)n] = '\0';
		log_error("line %u %s", i, fill);
	}
	hear_all();
	ck_assert_uint_eq(check_lines(&lost), 1000);
	ck_assert_uint_gt(lost, 0);
}
END_TEST

static unsigned int count(const char *needle)
{
	unsigned int found = 0;

	for (const char *at = text; (at = strstr(at, needle)); at++)
		found++;
	return found;
}

START_TEST(guest_lines_are_limited_in_rate_and_counted)
{
	for (unsigned int i = 0; i < 1000; i++) {
		log_guest(LOG_LEVEL_WARN, "the guest again");
		hear();
	}
	/* One interval, or two if this took its time. */
	ck_assert_uint_ge(count("again\n"), LOG_GUEST_BURST);
	ck_assert_uint_lt(count("again\n"), 300);
}
END_TEST

/* The sum of the numbers in front of @tail. */
static unsigned int sum_before(const char *tail)
{
	unsigned int sum = 0;

	for (const char *at = text; (at = strstr(at, tail)); at++) {
		const char *from = at;

		while (from > text && from[-1] >= '0' && from[-1] <= '9')
			from--;
		sum += (unsigned int)strtoul(from, NULL, 10);
	}
	return sum;
}

static unsigned int left_out(void)
{
	return sum_before(" more messages of what the guest does");
}

static unsigned int told_lost(void)
{
	return sum_before(" messages lost: nobody read them\n");
}

START_TEST(what_was_left_out_is_said_without_another_line)
{
	for (unsigned int i = 0; i < LOG_GUEST_BURST + 5; i++)
		log_guest(LOG_LEVEL_WARN, "the guest again");
	ck_assert(timer_fires_within(2000));
	hear_all();
	ck_assert_uint_eq(count("again\n"), LOG_GUEST_BURST);
	ck_assert_uint_eq(left_out(), 5);
	ck_assert(!timer_fires_within(2 * INTERVAL));
}
END_TEST

START_TEST(guest_does_not_crowd_out_other_lines)
{
	log_set_level(LOG_LEVEL_DEBUG);
	for (unsigned int i = 0; i < 50; i++)
		log_guest(LOG_LEVEL_DEBUG, "noise");
	for (unsigned int i = 0; i < 50; i++)
		log_warn("host");
	log_guest(LOG_LEVEL_WARN, "worth knowing");
	hear_all();
	ck_assert_uint_eq(count("host\n"), 50);
	ck_assert_uint_eq(count("worth knowing\n"), 1);
}
END_TEST

START_TEST(guest_lines_above_the_level_count_for_nothing)
{
	for (unsigned int i = 0; i < 50; i++)
		log_guest(LOG_LEVEL_DEBUG, "noise");
	ck_assert(!timer_fires_within(2 * INTERVAL));
	log_close(0);
	ck_assert_uint_eq(hear(), 0);
}
END_TEST

START_TEST(end_says_what_was_left_out)
{
	for (unsigned int i = 0; i < LOG_GUEST_BURST + 5; i++)
		log_guest(LOG_LEVEL_WARN, "the guest again");
	log_close(1000);
	hear();
	ck_assert_uint_eq(left_out() + count("again\n"), LOG_GUEST_BURST + 5);
}
END_TEST

static void *talk(void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < EACH; i++) {
		log_guest(LOG_LEVEL_WARN, "the guest again");
		log_error("some thread's line, not short, of a known form");
	}
	return NULL;
}

/* Every line comes out, or is in one of the two counts; none is torn. */
START_TEST(threads_account_for_every_line)
{
	pthread_t thread[THREADS];
	unsigned int got;

	for (unsigned int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, talk, NULL),
				 0);
	for (unsigned int i = 0; i < 100; i++) {
		hear();
		log_service();
		usleep(500);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	do {
		hear_all();
	} while (timer_fires_within(1000));
	got = count("wherry: warning: the guest again\n") +
	      count("wherry: some thread's line, not short, of a known form\n");
	ck_assert_uint_eq(got + told_lost() + left_out(), 2 * THREADS * EACH);
	ck_assert_uint_eq(count("\n"), got + count(" left out\n") +
			  count(" nobody read them\n"));
}
END_TEST

int main(void)
{
	const struct unit_case pipe_cases[] = {
		UNIT_TEST(nobody_waits_for_a_reader_and_what_was_lost_is_said),
		UNIT_TEST(what_waits_goes_out_without_another_line),
		UNIT_TEST(nothing_waits_nothing_wakes),
		UNIT_TEST(others_on_standard_error_do_not_notice),
		UNIT_TEST(last_words_wait_for_a_reader_but_not_for_ever),
		UNIT_TEST(guest_lines_are_limited_in_rate_and_counted),
		UNIT_TEST(what_was_left_out_is_said_without_another_line),
		UNIT_TEST(guest_does_not_crowd_out_other_lines),
		UNIT_TEST(guest_lines_above_the_level_count_for_nothing),
		UNIT_TEST(end_says_what_was_left_out),
		UNIT_TEST(threads_account_for_every_line),
	};
	const struct unit_case terminal_cases[] = {
		UNIT_TEST(nobody_waits_for_a_reader_and_what_was_lost_is_said),
		UNIT_TEST(line_half_written_is_finished_before_another_begins),
		UNIT_TEST(others_on_standard_error_do_not_notice),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("pipe", pipe_cases, setup, teardown),
		UNIT_GROUP("terminal", terminal_cases, setup_terminal,
			   teardown),
	};

	return unit_run("devices_log_wait", groups, UNIT_COUNT(groups));
}
