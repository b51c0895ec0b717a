// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/console.c and devices/sink.c: nothing is lost, nobody waits.
 */
#include "tests/unit/devices_console_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than pipe, socket and buffer hold together. */
#define MUCH (1u << 20)
#define LSR_IDLE (SERIAL_LSR_THRE | SERIAL_LSR_TEMT)

static char dir[] = "/tmp/wherry-console-XXXXXX";
static char path[64];
static char spec[80];

static void setup(void)
{
	console_bed_setup();
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	snprintf(spec, sizeof(spec), "file=%s", path);
}

static void teardown(void)
{
	console_bed_teardown();
	unlink(path);
	rmdir(dir);
}

static size_t read_file(char *text, size_t max)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = read(fd, text, max);
	close(fd);
	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

/* Bytes that wait in a pipe or socket. */
static int waiting(int fd)
{
	int n = -1;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

/* How often @needle was said on standard error, a pipe. */
static unsigned int said(const char *needle)
{
	char text[4096] = "";
	unsigned int count = 0;

	if (waiting(bed.far[2]))
		ck_assert_int_gt(read(bed.far[2], text, sizeof(text) - 1), 0);
	for (const char *p = text; (p = strstr(p, needle)); p++)
		count++;
	return count;
}

/* What is asked for */

START_TEST(unknown_place_is_refused_saying_what_was_expected)
{
	static const char *const bad[] = {
		"", "tty", "file", "file=", "stdio,x", "none ",
	};

	for (unsigned int i = 0; i < UNIT_COUNT(bad); i++) {
		ck_assert_ptr_null(console_new(bed.loop, &serial, bad[i],
					       NULL, NULL, &bed.why));
		ck_says(&bed.why, "file=PATH");
	}
}
END_TEST

START_TEST(file_that_cannot_be_made_is_refused_by_name)
{
	ck_assert_ptr_null(console_new(bed.loop, &serial,
				       "file=/nowhere/at/all", NULL, NULL,
				       &bed.why));
	ck_says(&bed.why, "/nowhere/at/all");
}
END_TEST

START_TEST(fifo_without_a_reader_is_refused_and_not_waited_for)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_ptr_null(console_new(bed.loop, &serial, spec, NULL, NULL,
				       &bed.why));
	ck_says(&bed.why, path);
}
END_TEST

START_TEST(none_loses_what_is_sent)
{
	console_bed_open("none");
	guest_print("hello");
	console_bed_run();
	ck_assert_uint_eq(guest_in(SERIAL_LSR), LSR_IDLE);
}
END_TEST

START_TEST(file_is_private_and_gets_every_byte_at_once)
{
	struct stat st;
	char text[16];

	console_bed_open(spec);
	guest_print("hello");
	ck_assert_uint_eq(read_file(text, sizeof(text)), 5);
	ck_assert_mem_eq(text, "hello", 5);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(file_that_exists_is_emptied)
{
	char text[64];

	for (unsigned int i = 0; i < 2; i++) {
		console_bed_open(spec);
		guest_print(i ? "new" : "older and longer");
		console_free(bed.console);
		bed.console = NULL;
	}
	ck_assert_uint_eq(read_file(text, sizeof(text)), 3);
	ck_assert_mem_eq(text, "new", 3);
}
END_TEST

/* Output that has to wait */

static void output_pipe(void)
{
	console_bed_pipe(1);
}

static void output_socket(void)
{
	console_bed_socket(1);
}

static void (*const output_kind[])(void) = { output_pipe, output_socket };

START_TEST(byte_is_out_when_the_instruction_is_done)
{
	char text[8];

	output_kind[_i]();
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	guest_print("x");
	ck_assert_int_eq(read(bed.far[1], text, sizeof(text)), 1);
}
END_TEST

START_TEST(shared_description_stays_blocking)
{
	output_kind[_i]();
	console_bed_pipe(0);
	console_bed_open("stdio");
	guest_print("x");
	ck_assert_int_eq(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

/* A driver that looks before it sends SERIAL_FIFO bytes. */
static void *send_much(void *arg)
{
	unsigned int sent = 0;

	(void)arg;
	while (sent < MUCH) {
		if (!guest_ready()) {
			usleep(50);
			continue;
		}
		for (unsigned int i = 0; i < SERIAL_FIFO; i++)
			guest_out(SERIAL_THR, sent++ * 31 >> 3);
	}
	return NULL;
}

static void *read_much(void *arg)
{
	unsigned int got = 0;
	uint8_t buf[8192];

	(void)arg;
	/* Late enough that everything has filled up. */
	usleep(100000);
	while (got < MUCH) {
		ssize_t n = read(bed.far[1], buf, sizeof(buf));

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++, got++)
			if (buf[i] != (uint8_t)(got * 31 >> 3))
				break;
	}
	loop_stop(bed.loop, got == MUCH);
	return NULL;
}

START_TEST(slow_reader_gets_back_pressure_not_loss)
{
	pthread_t guest, reader;

	output_kind[_i]();
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	pthread_create(&guest, NULL, send_much, NULL);
	pthread_create(&reader, NULL, read_much, NULL);
	ck_assert_int_eq(loop_run(bed.loop), 1);
	pthread_join(guest, NULL);
	pthread_join(reader, NULL);
}
END_TEST

/* Send until THRE stays clear. Return: how much it took. */
static unsigned int fill(void)
{
	unsigned int sent = 0;

	do {
		while (guest_ready()) {
			guest_out(SERIAL_THR, 'x');
			sent++;
		}
		console_bed_run();
	} while (guest_ready());
	return sent;
}

/* Read all there is. */
static unsigned int empty(void)
{
	static char buf[65536];
	unsigned int got = 0;

	while (waiting(bed.far[1])) {
		ssize_t n = read(bed.far[1], buf, sizeof(buf));

		ck_assert_int_gt(n, 0);
		got += (unsigned int)n;
		console_bed_run();
	}
	return got;
}

START_TEST(room_again_sends_an_interrupt)
{
	output_kind[_i]();
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	fill();
	guest_in(SERIAL_IIR);
	ck_assert_uint_gt(guest_edges(), 0);
	ck_assert_uint_eq(guest_edges(), 0);
	empty();
	ck_assert_uint_gt(guest_edges(), 0);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert(guest_ready());
}
END_TEST

START_TEST(driver_out_of_patience_loses_nothing_for_long)
{
	unsigned int sent;

	/* As Linux' console, which sends after 10 ms regardless. */
	output_kind[_i]();
	console_bed_pipe(2);
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	sent = fill();
	for (unsigned int i = 0; i < 30000; i++)
		guest_out(SERIAL_THR, 'y');
	ck_assert_uint_eq(empty(), sent + 30000);
	ck_assert_uint_eq(said("lost"), 0);
}
END_TEST

START_TEST(overrun_is_reported_once)
{
	output_kind[_i]();
	console_bed_pipe(2);
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	fill();
	for (unsigned int i = 0; i < 40000; i++)
		guest_out(SERIAL_THR, 'y');
	ck_assert_uint_eq(said("lost"), 1);
}
END_TEST

START_TEST(reader_that_leaves_ends_the_wait_with_one_warning)
{
	output_kind[_i]();
	console_bed_pipe(2);
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	fill();
	close(bed.far[1]);
	bed.far[1] = -1;
	console_bed_run();
	ck_assert(guest_ready());
	for (unsigned int i = 0; i < MUCH; i++)
		guest_out(SERIAL_THR, 'x');
	ck_assert(guest_ready());
	ck_assert_uint_eq(said("standard output"), 1);
	/* And nothing is left that would keep the loop awake. */
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
}
END_TEST

START_TEST(full_disk_is_reported_once)
{
	console_bed_pipe(2);
	console_bed_open("file=/dev/full");
	for (unsigned int i = 0; i < 1000; i++)
		guest_out(SERIAL_THR, 'x');
	ck_assert(guest_ready());
	ck_assert_uint_eq(said("No space left"), 1);
}
END_TEST

static void *empty_late(void *arg)
{
	static char buf[65536];
	unsigned int *got = arg;
	ssize_t n;

	usleep(50000);
	while ((n = read(bed.far[1], buf, sizeof(buf))) > 0)
		*got += (unsigned int)n;
	return NULL;
}

START_TEST(free_waits_for_a_reader_of_what_is_buffered)
{
	unsigned int sent, got = 0;
	pthread_t reader;

	output_kind[_i]();
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_open("stdio");
	sent = fill();
	pthread_create(&reader, NULL, empty_late, &got);
	console_free(bed.console);
	bed.console = NULL;
	close(1);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(got, sent);
}
END_TEST

/* Input */

static void input_pipe(void)
{
	console_bed_pipe(0);
}

static void input_socket(void)
{
	console_bed_socket(0);
}

static void (*const input_kind[])(void) = { input_pipe, input_socket };

START_TEST(input_reaches_the_guest)
{
	char text[32];

	input_kind[_i]();
	console_bed_pipe(1);
	console_bed_open("stdio");
	/* No escape key but on a terminal. */
	ck_assert_int_eq(write(bed.far[0], "a\001x\001\001", 5), 5);
	console_bed_run();
	ck_assert_uint_eq(guest_read(text, sizeof(text)), 5);
	ck_assert_mem_eq(text, "a\001x\001\001", 5);
	ck_assert_uint_eq(bed.quits, 0);
}
END_TEST

START_TEST(input_stays_where_it_is_until_the_guest_takes_it)
{
	char data[4096], text[4096];
	size_t got = 0;

	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 >> 2);
	input_kind[_i]();
	console_bed_pipe(1);
	console_bed_open("stdio");
	ck_assert_int_eq(write(bed.far[0], data, sizeof(data)), sizeof(data));
	console_bed_run();
	/* One piece is read ahead, and then the loop sleeps. */
	ck_assert_int_gt(waiting(0), 3000);
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
	while (got < sizeof(data)) {
		size_t n = guest_read(text + got, sizeof(text) - got);

		ck_assert_uint_gt(n, 0);
		got += n;
		console_bed_run();
	}
	ck_assert_mem_eq(text, data, sizeof(data));
}
END_TEST

START_TEST(end_of_input_ends_watching_and_not_output)
{
	char text[8];

	input_kind[_i]();
	console_bed_pipe(1);
	console_bed_open("stdio");
	ck_assert_int_eq(write(bed.far[0], "ab", 2), 2);
	close(bed.far[0]);
	bed.far[0] = -1;
	console_bed_run();
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
	ck_assert_uint_eq(guest_read(text, sizeof(text)), 2);
	guest_print("x");
	ck_assert_int_eq(read(bed.far[1], text, sizeof(text)), 1);
	ck_assert_uint_eq(bed.quits, 0);
}
END_TEST

START_TEST(regular_file_as_input_is_read_to_its_end)
{
	char text[3000];
	size_t got = 0;
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	memset(text, 'q', sizeof(text));
	ck_assert_int_eq(write(fd, text, sizeof(text)), sizeof(text));
	close(fd);
	console_bed_file(0, path, O_RDONLY);
	console_bed_pipe(1);
	console_bed_open("stdio");
	while (got < sizeof(text)) {
		size_t n;

		console_bed_run();
		n = guest_read(text, sizeof(text));
		ck_assert_uint_gt(n, 0);
		got += n;
	}
	console_bed_run();
	ck_assert_uint_eq(got, sizeof(text));
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
}
END_TEST

START_TEST(null_device_as_input_is_no_input)
{
	console_bed_file(0, "/dev/null", O_RDONLY);
	console_bed_pipe(1);
	console_bed_open("stdio");
	console_bed_run();
	guest_print("x");
	ck_assert_int_eq(waiting(bed.far[1]), 1);
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
}
END_TEST

int main(void)
{
	const struct unit_case place_cases[] = {
		UNIT_TEST(unknown_place_is_refused_saying_what_was_expected),
		UNIT_TEST(file_that_cannot_be_made_is_refused_by_name),
		UNIT_TEST(fifo_without_a_reader_is_refused_and_not_waited_for),
		UNIT_TEST(none_loses_what_is_sent),
		UNIT_TEST(file_is_private_and_gets_every_byte_at_once),
		UNIT_TEST(file_that_exists_is_emptied),
		UNIT_TEST(full_disk_is_reported_once),
	};
	const struct unit_case output_cases[] = {
		UNIT_LOOP(byte_is_out_when_the_instruction_is_done, 2),
		UNIT_LOOP(shared_description_stays_blocking, 2),
		UNIT_LOOP(slow_reader_gets_back_pressure_not_loss, 2),
		UNIT_LOOP(room_again_sends_an_interrupt, 2),
		UNIT_LOOP(driver_out_of_patience_loses_nothing_for_long, 2),
		UNIT_LOOP(overrun_is_reported_once, 2),
		UNIT_LOOP(reader_that_leaves_ends_the_wait_with_one_warning, 2),
		UNIT_LOOP(free_waits_for_a_reader_of_what_is_buffered, 2),
	};
	const struct unit_case input_cases[] = {
		UNIT_LOOP(input_reaches_the_guest, 2),
		UNIT_LOOP(input_stays_where_it_is_until_the_guest_takes_it, 2),
		UNIT_LOOP(end_of_input_ends_watching_and_not_output, 2),
		UNIT_TEST(regular_file_as_input_is_read_to_its_end),
		UNIT_TEST(null_device_as_input_is_no_input),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("place", place_cases, setup, teardown),
		UNIT_GROUP("output", output_cases, setup, teardown),
		UNIT_GROUP("input", input_cases, setup, teardown),
	};

	return unit_run("devices_console", groups, UNIT_COUNT(groups));
}
