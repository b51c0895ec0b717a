// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/connect.c: `wherry connect --wait`, and how long it waits.
 */
#include "tests/unit/vmm_connect_bed.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/deadline.h"
#include "vmm/machine.h"

static int64_t began;

static void start_waiting(int wait_ms)
{
	bed.options.wait_ms = wait_ms;
	began = deadline_now();
	connect_start();
}

static void expect_over_at(int ms)
{
	int64_t took;

	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_TIMEOUT);
	took = deadline_now() - began;
	ck_assert_int_ge(took, ms - 1);
	/* The machine may be busy; a whole pause more is another matter. */
	ck_assert_int_lt(took, ms + 2000);
}

static void listen_again(void)
{
	ck_assert_int_eq(unix_socket_listen(bed.path, SOCK_STREAM, 0600, &bed.listener,
					    &bed.why), 0);
}

static void take_call(void)
{
	struct pollfd pfd = { .fd = bed.listener.fd, .events = POLLIN };

	connect_close(&bed.guest);
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	bed.guest = accept(bed.listener.fd, NULL, NULL);
	ck_assert_int_ge(bed.guest, 0);
	connect_expect(bed.guest, "CONNECT 5000\n");
}

static void expect_served(void)
{
	connect_put(bed.guest, "OK 1\n");
	connect_put(bed.guest, "here");
	connect_expect(bed.out, "here");
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
	ck_assert_str_eq(bed.why.text, "");
}

START_TEST(waits_until_the_guest_listens)
{
	start_waiting(60000);
	for (int i = 0; i < 5; i++)
		take_call();
	take_call();
	expect_served();
}
END_TEST

START_TEST(waits_for_a_socket_that_is_not_there_yet)
{
	unix_listener_close(&bed.listener);
	start_waiting(60000);
	usleep(20000);
	listen_again();
	take_call();
	expect_served();
}
END_TEST

START_TEST(waits_for_the_next_process_at_a_leftover_socket)
{
	int fd = bed.listener.fd;

	bed.listener.fd = -1;
	close(fd);
	start_waiting(60000);
	usleep(20000);
	unlink(bed.path);
	listen_again();
	take_call();
	expect_served();
}
END_TEST

START_TEST(a_wait_in_vain_ends_in_time)
{
	unix_listener_close(&bed.listener);
	start_waiting(30 + _i);
	expect_over_at(30 + _i);
	ck_says(&bed.why, bed.path);
}
END_TEST

START_TEST(a_wait_for_an_answer_ends_in_time)
{
	start_waiting(70);
	take_call();
	expect_over_at(70);
	ck_says(&bed.why, "0.070 seconds");
}
END_TEST

START_TEST(the_timeout_bounds_the_wait)
{
	unix_listener_close(&bed.listener);
	bed.options.timeout_ms = 40;
	start_waiting(60000);
	expect_over_at(40);
}
END_TEST

START_TEST(what_time_does_not_change_is_not_waited_for)
{
	start_waiting(60000);
	take_call();
	connect_put(bed.guest, "nonsense\n");
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, "'OK NUMBER' expected");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(waits_until_the_guest_listens),
		UNIT_TEST(waits_for_a_socket_that_is_not_there_yet),
		UNIT_TEST(waits_for_the_next_process_at_a_leftover_socket),
		UNIT_LOOP(a_wait_in_vain_ends_in_time, 30),
		UNIT_TEST(a_wait_for_an_answer_ends_in_time),
		UNIT_TEST(the_timeout_bounds_the_wait),
		UNIT_TEST(what_time_does_not_change_is_not_waited_for),
	};

	return UNIT_RUN("vmm_connect_wait", cases, connect_setup,
			connect_teardown);
}
