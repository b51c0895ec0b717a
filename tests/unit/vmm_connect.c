// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/connect.c: `wherry connect` on a thread, between pipes and a fake host
 * socket that the test plays.
 */
#include "vmm/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/unix_socket.h"
#include "tests/unit/runner.h"
#include "vmm/deadline.h"
#include "vmm/machine.h"

#define BIG ((size_t)8 << 20)

static char dir[] = "/tmp/wherry-connect-XXXXXX";
static char path[64];
static struct fail why;
static struct unix_listener listener;
static struct connect_options options;
static pthread_t thread;
static bool started;
/* The test's ends: input of, output of, and socket to what is tested. */
static int in, out, guest;

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void setup(void)
{
	int in_pipe[2], out_pipe[2];

	signal(SIGPIPE, SIG_IGN);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/u", dir);
	why.text[0] = '\0';
	started = false;
	guest = -1;
	ck_assert_int_eq(unix_socket_listen(path, SOCK_STREAM, 0600, &listener,
					    &why), 0);
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_pipe, O_CLOEXEC), 0);
	in = in_pipe[1];
	out = out_pipe[0];
	options = (struct connect_options){
		.uds = path,
		.port = 5000,
		.timeout_ms = -1,
		.in = in_pipe[0],
		.out = out_pipe[1],
	};
}

static void *run(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)connect_run(&options, &why);
}

static void start(void)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	started = true;
}

/* Wait for the end. Return: the exit status. */
static int finish(void)
{
	void *status;

	ck_assert_int_eq(pthread_join(thread, &status), 0);
	started = false;
	ck_assert_msg((!status || (intptr_t)status == CONNECT_EXIT_OUTPUT) ==
		      !why.text[0], "'%s'", why.text);
	return (int)(intptr_t)status;
}

static void teardown(void)
{
	ck_assert(!started);
	close_once(&in);
	close_once(&out);
	close_once(&guest);
	close(options.in);
	unix_listener_close(&listener);
	rmdir(dir);
}

static void read_exactly(int fd, char *data, size_t len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		ck_assert_int_gt(n, 0);
		data += n;
		len -= (size_t)n;
	}
}

static void expect_bytes(int fd, const char *text)
{
	char bytes[64];

	read_exactly(fd, bytes, strlen(text));
	ck_assert_mem_eq(bytes, text, strlen(text));
}

static void expect_end(int fd)
{
	char c;

	ck_assert_int_eq(read(fd, &c, 1), 0);
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)),
			 (ssize_t)strlen(text));
}

static void answer_call(void)
{
	struct pollfd pfd = { .fd = listener.fd, .events = POLLIN };

	start();
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	guest = accept(listener.fd, NULL, NULL);
	ck_assert_int_ge(guest, 0);
	expect_bytes(guest, "CONNECT 5000\n");
}

static void establish(void)
{
	answer_call();
	put(guest, "OK 1073741824\n");
}

START_TEST(data_flows_both_ways)
{
	establish();
	put(in, "ping");
	expect_bytes(guest, "ping");
	put(guest, "pong");
	expect_bytes(out, "pong");
	put(in, "again");
	expect_bytes(guest, "again");
	close_once(&in);
	expect_end(guest);
	put(guest, "bye");
	close_once(&guest);
	expect_bytes(out, "bye");
	expect_end(out);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(bytes_behind_the_answer_are_data)
{
	answer_call();
	put(guest, "OK 7\nhello\nOK 8\n");
	expect_bytes(out, "hello\nOK 8\n");
	close_once(&guest);
	expect_end(out);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(an_answer_in_pieces_is_an_answer)
{
	static const char text[] = "OK 4294967295\nx";

	answer_call();
	for (const char *p = text; *p; p++) {
		ck_assert_int_eq(write(guest, p, 1), 1);
		usleep(1000);
	}
	expect_bytes(out, "x");
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(input_waits_for_the_answer)
{
	char c;

	put(in, "early");
	answer_call();
	usleep(20000);
	ck_assert_int_eq(recv(guest, &c, 1, MSG_DONTWAIT), -1);
	put(guest, "OK 1\n");
	expect_bytes(guest, "early");
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(a_refusal_names_the_port)
{
	answer_call();
	close_once(&guest);
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, "port 5000");
	ck_says(&why, "refused");
}
END_TEST

/* _i: at once, or a byte at a time. */
START_TEST(a_refusal_with_a_reason_is_not_the_guests)
{
	static const char text[] = "ERROR no connection free\n";

	answer_call();
	for (const char *p = text; _i && *p; p++) {
		ck_assert_int_eq(write(guest, p, 1), 1);
		usleep(1000);
	}
	if (!_i)
		put(guest, text);
	close_once(&guest);
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, "port 5000");
	ck_says(&why, "refused: no connection free");
	ck_assert_ptr_null(strstr(why.text, "nobody listens"));
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
	answer_call();
	put(guest, bad_answers[_i]);
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, "'OK NUMBER' expected");
}
END_TEST

START_TEST(no_answer_in_time_is_an_error)
{
	options.timeout_ms = 50;
	answer_call();
	/* Half an answer, unless it is too late already. */
	send(guest, "OK ", 3, MSG_NOSIGNAL);
	ck_assert_int_eq(finish(), CONNECT_EXIT_TIMEOUT);
	ck_says(&why, "0.050 seconds");
}
END_TEST

START_TEST(the_timeout_ends_with_the_answer)
{
	options.timeout_ms = 1000;
	answer_call();
	put(guest, "OK 1\n");
	usleep(1100000);
	put(guest, "late");
	expect_bytes(out, "late");
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(a_missing_socket_is_named)
{
	unix_listener_close(&listener);
	start();
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, path);
}
END_TEST

START_TEST(a_leftover_socket_is_told_apart)
{
	close_once(&listener.fd);
	start();
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, "no process listens");
}
END_TEST

START_TEST(a_full_backlog_is_waited_for)
{
	int fd[3];

	ck_assert_int_eq(listen(listener.fd, 0), 0);
	fd[0] = unix_socket_connect(path, SOCK_STREAM, true);
	ck_assert_int_ge(fd[0], 0);
	options.timeout_ms = 50;
	start();
	ck_assert_int_eq(finish(), CONNECT_EXIT_TIMEOUT);
	ck_says(&why, "no answer within");

	why.text[0] = '\0';
	options.timeout_ms = -1;
	start();
	usleep(50000);
	fd[1] = accept(listener.fd, NULL, NULL);
	do {
		guest = accept(listener.fd, NULL, NULL);
	} while (guest < 0);
	expect_bytes(guest, "CONNECT 5000\n");
	put(guest, "OK 1\n");
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(the_guests_half_close_ends_the_output_alone)
{
	establish();
	put(guest, "last");
	shutdown(guest, SHUT_WR);
	expect_bytes(out, "last");
	expect_end(out);
	put(in, "still");
	expect_bytes(guest, "still");
	close_once(&in);
	expect_end(guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(a_guest_that_closes_ends_it_without_input)
{
	establish();
	put(in, "x");
	expect_bytes(guest, "x");
	close_once(&guest);
	expect_end(out);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(a_guest_that_closes_after_its_half_close_ends_it)
{
	establish();
	shutdown(guest, SHUT_WR);
	expect_end(out);
	usleep(10000);
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(a_reset_is_an_error)
{
	struct pollfd pfd;

	establish();
	put(in, "unread");
	pfd = (struct pollfd){ .fd = guest, .events = POLLIN };
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	close_once(&guest);
	ck_assert_int_eq(finish(), CONNECT_EXIT_RESET);
	ck_says(&why, "is lost");
}
END_TEST

/* What the guest had sent before is written all the same. */
START_TEST(a_reset_behind_data_is_an_error)
{
	establish();
	put(in, "unread");
	ck_assert_int_eq(recv(guest, &(char){ 0 }, 1, MSG_PEEK), 1);
	put(guest, "last words");
	close_once(&guest);
	expect_bytes(out, "last words");
	ck_assert_int_eq(finish(), CONNECT_EXIT_RESET);
}
END_TEST

/* The guest had ended its half, so that nothing is received any more. */
START_TEST(a_reset_behind_the_end_is_an_error)
{
	establish();
	shutdown(guest, SHUT_WR);
	expect_end(out);
	put(in, "unread");
	ck_assert_int_eq(recv(guest, &(char){ 0 }, 1, MSG_PEEK), 1);
	close_once(&guest);
	ck_assert_int_eq(finish(), CONNECT_EXIT_RESET);
	ck_says(&why, "is lost");
}
END_TEST

START_TEST(lost_input_is_an_error)
{
	establish();
	shutdown(guest, SHUT_RD);
	put(in, "nobody reads this");
	usleep(20000);
	close_once(&guest);
	ck_assert_int_eq(finish(), CONNECT_EXIT_RESET);
	ck_says(&why, "stopped reading");
}
END_TEST

START_TEST(an_output_that_closes_ends_it_without_a_word)
{
	establish();
	/* Also while nothing is to be written. */
	close_once(&out);
	ck_assert_int_eq(finish(), 0);
	ck_assert_str_eq(why.text, "");
	close(options.out);
}
END_TEST

START_TEST(an_output_that_closes_too_early_has_a_status)
{
	char block[4096] = { 0 };
	struct pollfd pfd = { .fd = options.in };

	establish();
	/* More than a pipe holds: something waits when its reader goes. */
	for (int idle = 0; idle < 20; ) {
		if (send(guest, block, sizeof(block), MSG_DONTWAIT) > 0)
			idle = 0;
		else
			idle += !poll(&pfd, 0, 5);
	}
	close_once(&out);
	ck_assert_int_eq(finish(), CONNECT_EXIT_OUTPUT);
	ck_assert_str_eq(why.text, "");
	close(options.out);
}
END_TEST

/* --wait. */

static int64_t began;

static void start_waiting(int wait_ms)
{
	options.wait_ms = wait_ms;
	began = deadline_now();
	start();
}

static void expect_over_at(int ms)
{
	int64_t took;

	ck_assert_int_eq(finish(), CONNECT_EXIT_TIMEOUT);
	took = deadline_now() - began;
	ck_assert_int_ge(took, ms - 1);
	/* The machine may be busy; a whole pause more is another matter. */
	ck_assert_int_lt(took, ms + 2000);
}

static void listen_again(void)
{
	ck_assert_int_eq(unix_socket_listen(path, SOCK_STREAM, 0600, &listener,
					    &why), 0);
}

static void take_call(void)
{
	struct pollfd pfd = { .fd = listener.fd, .events = POLLIN };

	close_once(&guest);
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	guest = accept(listener.fd, NULL, NULL);
	ck_assert_int_ge(guest, 0);
	expect_bytes(guest, "CONNECT 5000\n");
}

static void expect_served(void)
{
	put(guest, "OK 1\n");
	put(guest, "here");
	expect_bytes(out, "here");
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
	ck_assert_str_eq(why.text, "");
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
	unix_listener_close(&listener);
	start_waiting(60000);
	usleep(20000);
	listen_again();
	take_call();
	expect_served();
}
END_TEST

START_TEST(waits_for_the_next_process_at_a_leftover_socket)
{
	int fd = listener.fd;

	listener.fd = -1;
	close(fd);
	start_waiting(60000);
	usleep(20000);
	unlink(path);
	listen_again();
	take_call();
	expect_served();
}
END_TEST

START_TEST(a_wait_in_vain_ends_in_time)
{
	unix_listener_close(&listener);
	start_waiting(30 + _i);
	expect_over_at(30 + _i);
	ck_says(&why, path);
}
END_TEST

START_TEST(a_wait_for_an_answer_ends_in_time)
{
	start_waiting(70);
	take_call();
	expect_over_at(70);
	ck_says(&why, "0.070 seconds");
}
END_TEST

START_TEST(the_timeout_bounds_the_wait)
{
	unix_listener_close(&listener);
	options.timeout_ms = 40;
	start_waiting(60000);
	expect_over_at(40);
}
END_TEST

START_TEST(what_time_does_not_change_is_not_waited_for)
{
	start_waiting(60000);
	take_call();
	put(guest, "nonsense\n");
	ck_assert_int_eq(finish(), MACHINE_EXIT_ERROR);
	ck_says(&why, "'OK NUMBER' expected");
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

	read_exactly(fd, data, BIG);
	/* An assertion for each byte would be a system call for each. */
	while (i < BIG && data[i] == (char)pattern(i))
		i++;
	ck_assert_uint_eq(i, BIG);
	free(data);
}

START_TEST(much_data_arrives_whole_both_ways)
{
	pthread_t up, down;

	establish();
	pthread_create(&up, NULL, write_pattern, (void *)(intptr_t)in);
	pthread_create(&down, NULL, write_pattern, (void *)(intptr_t)guest);
	read_pattern(guest);
	read_pattern(out);
	pthread_join(up, NULL);
	pthread_join(down, NULL);
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
}
END_TEST

START_TEST(who_does_not_read_holds_up_one_direction)
{
	char block[4096] = { 0 };
	size_t stuck = 0;
	int idle = 0;

	establish();
	/* Output is not read: what the guest sends soon has no place. */
	while (idle < 20) {
		ssize_t n = send(guest, block, sizeof(block), MSG_DONTWAIT);

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
	put(in, "alive");
	expect_bytes(guest, "alive");
	while (stuck) {
		size_t len = stuck < sizeof(block) ? stuck : sizeof(block);

		read_exactly(out, block, len);
		stuck -= len;
	}
	close_once(&guest);
	ck_assert_int_eq(finish(), 0);
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
		UNIT_TEST(waits_until_the_guest_listens),
		UNIT_TEST(waits_for_a_socket_that_is_not_there_yet),
		UNIT_TEST(waits_for_the_next_process_at_a_leftover_socket),
		UNIT_LOOP(a_wait_in_vain_ends_in_time, 30),
		UNIT_TEST(a_wait_for_an_answer_ends_in_time),
		UNIT_TEST(the_timeout_bounds_the_wait),
		UNIT_TEST(what_time_does_not_change_is_not_waited_for),
		UNIT_TEST(much_data_arrives_whole_both_ways),
		UNIT_TEST(who_does_not_read_holds_up_one_direction),
	};

	return UNIT_RUN("vmm_connect", cases, setup, teardown);
}
