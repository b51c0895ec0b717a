// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/connect.c: `wherry connect` once it is let in, or is not.
 */
#include "tests/unit/vmm_connect_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/machine.h"

#define BIG ((size_t)8 << 20)

START_TEST(data_flows_both_ways)
{
	connect_establish();
	connect_put(bed.in, "ping");
	connect_expect(bed.guest, "ping");
	connect_put(bed.guest, "pong");
	connect_expect(bed.out, "pong");
	connect_put(bed.in, "again");
	connect_expect(bed.guest, "again");
	connect_close(&bed.in);
	connect_expect_end(bed.guest);
	connect_put(bed.guest, "bye");
	connect_close(&bed.guest);
	connect_expect(bed.out, "bye");
	connect_expect_end(bed.out);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(bytes_behind_the_answer_are_data)
{
	connect_answer_call();
	connect_put(bed.guest, "OK 7\nhello\nOK 8\n");
	connect_expect(bed.out, "hello\nOK 8\n");
	connect_close(&bed.guest);
	connect_expect_end(bed.out);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(an_answer_in_pieces_is_an_answer)
{
	static const char text[] = "OK 4294967295\nx";

	connect_answer_call();
	for (const char *p = text; *p; p++) {
		ck_assert_int_eq(write(bed.guest, p, 1), 1);
		usleep(1000);
	}
	connect_expect(bed.out, "x");
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(input_waits_for_the_answer)
{
	char c;

	connect_put(bed.in, "early");
	connect_answer_call();
	usleep(20000);
	ck_assert_int_eq(recv(bed.guest, &c, 1, MSG_DONTWAIT), -1);
	connect_put(bed.guest, "OK 1\n");
	connect_expect(bed.guest, "early");
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(a_refusal_names_the_port)
{
	connect_answer_call();
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, "port 5000");
	ck_says(&bed.why, "refused");
}
END_TEST

/* _i: at once, or a byte at a time. */
START_TEST(a_refusal_with_a_reason_is_not_the_guests)
{
	static const char text[] = "ERROR no connection free\n";

	connect_answer_call();
	for (const char *p = text; _i && *p; p++) {
		ck_assert_int_eq(write(bed.guest, p, 1), 1);
		usleep(1000);
	}
	if (!_i)
		connect_put(bed.guest, text);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, "port 5000");
	ck_says(&bed.why, "refused: no connection free");
	ck_assert_ptr_null(strstr(bed.why.text, "nobody listens"));
}
END_TEST

static const char *const bad_answers[] = {
	"OK\n", "OK \n", "OK x\n", "NO 1\n", "OK 1x\n", "ok 1\n", "\n",
	"OK 1 \n", "OK 99999999999999\n", "nothing like an answer",
	"HTTP/1.1 400 Bad Request\r\n", "ERRORS 1\n",
	"ERROR a reason without an end, longer than any that is one, which "
	"goes on and on so that no program could keep it in a line of its own",
};

START_TEST(a_wrong_answer_is_an_error)
{
	connect_answer_call();
	connect_put(bed.guest, bad_answers[_i]);
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, "'OK NUMBER' expected");
}
END_TEST

START_TEST(no_answer_in_time_is_an_error)
{
	bed.options.timeout_ms = 50;
	connect_answer_call();
	/* Half an answer, unless it is too late already. */
	send(bed.guest, "OK ", 3, MSG_NOSIGNAL);
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_TIMEOUT);
	ck_says(&bed.why, "0.050 seconds");
}
END_TEST

START_TEST(the_timeout_ends_with_the_answer)
{
	bed.options.timeout_ms = 1000;
	connect_answer_call();
	connect_put(bed.guest, "OK 1\n");
	usleep(1100000);
	connect_put(bed.guest, "late");
	connect_expect(bed.out, "late");
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(a_missing_socket_is_named)
{
	unix_listener_close(&bed.listener);
	connect_start();
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, bed.path);
}
END_TEST

START_TEST(a_leftover_socket_is_told_apart)
{
	connect_close(&bed.listener.fd);
	connect_start();
	ck_assert_int_eq(connect_finish(), MACHINE_EXIT_ERROR);
	ck_says(&bed.why, "no process listens");
}
END_TEST

START_TEST(a_full_backlog_is_waited_for)
{
	int fd[3];

	ck_assert_int_eq(listen(bed.listener.fd, 0), 0);
	fd[0] = unix_socket_connect(bed.path, SOCK_STREAM, true);
	ck_assert_int_ge(fd[0], 0);
	bed.options.timeout_ms = 50;
	connect_start();
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_TIMEOUT);
	ck_says(&bed.why, "no answer within");

	bed.why.text[0] = '\0';
	bed.options.timeout_ms = -1;
	connect_start();
	usleep(50000);
	fd[1] = accept(bed.listener.fd, NULL, NULL);
	do {
		bed.guest = accept(bed.listener.fd, NULL, NULL);
	} while (bed.guest < 0);
	connect_expect(bed.guest, "CONNECT 5000\n");
	connect_put(bed.guest, "OK 1\n");
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_guests_half_close_ends_the_output_alone)
{
	connect_establish();
	connect_put(bed.guest, "last");
	shutdown(bed.guest, SHUT_WR);
	connect_expect(bed.out, "last");
	connect_expect_end(bed.out);
	connect_put(bed.in, "still");
	connect_expect(bed.guest, "still");
	connect_close(&bed.in);
	connect_expect_end(bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(a_guest_that_closes_ends_it_without_input)
{
	connect_establish();
	connect_put(bed.in, "x");
	connect_expect(bed.guest, "x");
	connect_close(&bed.guest);
	connect_expect_end(bed.out);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(a_guest_that_closes_after_its_half_close_ends_it)
{
	connect_establish();
	shutdown(bed.guest, SHUT_WR);
	connect_expect_end(bed.out);
	usleep(10000);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(a_reset_is_an_error)
{
	struct pollfd pfd;

	connect_establish();
	connect_put(bed.in, "unread");
	pfd = (struct pollfd){ .fd = bed.guest, .events = POLLIN };
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_RESET);
	ck_says(&bed.why, "is lost");
}
END_TEST

/* What the guest had sent before is written all the same. */
START_TEST(a_reset_behind_data_is_an_error)
{
	connect_establish();
	connect_put(bed.in, "unread");
	ck_assert_int_eq(recv(bed.guest, &(char){ 0 }, 1, MSG_PEEK), 1);
	connect_put(bed.guest, "last words");
	connect_close(&bed.guest);
	connect_expect(bed.out, "last words");
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_RESET);
}
END_TEST

/* The guest had ended its half, so that nothing is received any more. */
START_TEST(a_reset_behind_the_end_is_an_error)
{
	connect_establish();
	shutdown(bed.guest, SHUT_WR);
	connect_expect_end(bed.out);
	connect_put(bed.in, "unread");
	ck_assert_int_eq(recv(bed.guest, &(char){ 0 }, 1, MSG_PEEK), 1);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_RESET);
	ck_says(&bed.why, "is lost");
}
END_TEST

START_TEST(lost_input_is_an_error)
{
	connect_establish();
	shutdown(bed.guest, SHUT_RD);
	connect_put(bed.in, "nobody reads this");
	usleep(20000);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_RESET);
	ck_says(&bed.why, "stopped reading");
}
END_TEST

START_TEST(an_output_that_closes_ends_it_without_a_word)
{
	connect_establish();
	/* Also while nothing is to be written. */
	connect_close(&bed.out);
	ck_assert_int_eq(connect_finish(), 0);
	ck_assert_str_eq(bed.why.text, "");
	close(bed.options.out);
}
END_TEST

START_TEST(an_output_that_closes_too_early_has_a_status)
{
	char block[4096] = { 0 };
	struct pollfd pfd = { .fd = bed.options.in };

	connect_establish();
	/* More than a pipe holds: something waits when its reader goes. */
	for (int idle = 0; idle < 20; ) {
		if (send(bed.guest, block, sizeof(block), MSG_DONTWAIT) > 0)
			idle = 0;
		else
			idle += !poll(&pfd, 0, 5);
	}
	connect_close(&bed.out);
	ck_assert_int_eq(connect_finish(), CONNECT_EXIT_OUTPUT);
	ck_assert_str_eq(bed.why.text, "");
	close(bed.options.out);
}
END_TEST

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 12));
}

static void *write_pattern(void *fd)
{
	char *data = malloc(BIG);
	size_t done = 0;

	for (size_t i = 0; i < BIG; i++)
		data[i] = (char)pattern(i);
	while (done < BIG) {
		ssize_t n = write((int)(intptr_t)fd, data + done, BIG - done);

		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
	free(data);
	return NULL;
}

static void read_pattern(int fd)
{
	char *data = malloc(BIG);
	size_t i = 0;

	connect_read(fd, data, BIG);
	/* An assertion for each byte would be a system call for each. */
	while (i < BIG && data[i] == (char)pattern(i))
		i++;
	ck_assert_uint_eq(i, BIG);
	free(data);
}

START_TEST(much_data_arrives_whole_both_ways)
{
	pthread_t up, down;

	connect_establish();
	pthread_create(&up, NULL, write_pattern, (void *)(intptr_t)bed.in);
	pthread_create(&down, NULL, write_pattern, (void *)(intptr_t)bed.guest);
	read_pattern(bed.guest);
	read_pattern(bed.out);
	pthread_join(up, NULL);
	pthread_join(down, NULL);
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

START_TEST(who_does_not_read_holds_up_one_direction)
{
	char block[4096] = { 0 };
	size_t stuck = 0;
	int idle = 0;

	connect_establish();
	/* Output is not read: what the guest sends soon has no place. */
	while (idle < 20) {
		ssize_t n = send(bed.guest, block, sizeof(block), MSG_DONTWAIT);

		if (n > 0) {
			stuck += (size_t)n;
			idle = 0;
		} else {
			usleep(5000);
			idle++;
		}
	}
	ck_assert_uint_lt(stuck, 4u << 20);
	/* The other way is open all the while. */
	connect_put(bed.in, "alive");
	connect_expect(bed.guest, "alive");
	while (stuck) {
		size_t len = stuck < sizeof(block) ? stuck : sizeof(block);

		connect_read(bed.out, block, len);
		stuck -= len;
	}
	connect_close(&bed.guest);
	ck_assert_int_eq(connect_finish(), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(data_flows_both_ways),
		UNIT_TEST(bytes_behind_the_answer_are_data),
		UNIT_TEST(an_answer_in_pieces_is_an_answer),
		UNIT_TEST(input_waits_for_the_answer),
		UNIT_TEST(a_refusal_names_the_port),
		UNIT_LOOP(a_refusal_with_a_reason_is_not_the_guests, 2),
		UNIT_LOOP(a_wrong_answer_is_an_error, UNIT_COUNT(bad_answers)),
		UNIT_TEST(no_answer_in_time_is_an_error),
		UNIT_TEST(the_timeout_ends_with_the_answer),
		UNIT_TEST(a_missing_socket_is_named),
		UNIT_TEST(a_leftover_socket_is_told_apart),
		UNIT_TEST(a_full_backlog_is_waited_for),
		UNIT_TEST(the_guests_half_close_ends_the_output_alone),
		UNIT_TEST(a_guest_that_closes_ends_it_without_input),
		UNIT_TEST(a_guest_that_closes_after_its_half_close_ends_it),
		UNIT_TEST(a_reset_is_an_error),
		UNIT_TEST(a_reset_behind_data_is_an_error),
		UNIT_TEST(a_reset_behind_the_end_is_an_error),
		UNIT_TEST(lost_input_is_an_error),
		UNIT_TEST(an_output_that_closes_ends_it_without_a_word),
		UNIT_TEST(an_output_that_closes_too_early_has_a_status),
		UNIT_TEST(much_data_arrives_whole_both_ways),
		UNIT_TEST(who_does_not_read_holds_up_one_direction),
	};

	return UNIT_RUN("vmm_connect", cases, connect_setup, connect_teardown);
}
