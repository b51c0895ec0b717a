// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/console.c on a terminal: raw mode and back, the escape key.
 *
 * Each test runs in a session of its own, so that a pseudo-terminal can be its
 * controlling terminal; what fails there is seen by the exit status here.
 */
#include "tests/unit/devices_console_bed.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* The far end of the terminal; what it was like before. */
static int user;
static struct termios before;

/* Standard input and output become a terminal in the foreground. */
static void use_terminal(bool foreground)
{
	int terminal;

	ck_assert_int_eq(openpty(&user, &terminal, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(terminal, &before), 0);
	ck_assert_int_ge(setsid(), 0);
	if (foreground)
		ck_assert_int_eq(ioctl(terminal, TIOCSCTTY, 0), 0);
	dup2(terminal, 0);
	dup2(terminal, 1);
	close(terminal);
	console_bed_open("stdio");
}

static void type(const char *keys)
{
	size_t len = strlen(keys);

	ck_assert_int_eq(write(user, keys, len), (ssize_t)len);
	/* They take their time; and where nobody is to get them, never come. */
	for (int waited = 0, there = 0; waited < 50; waited++) {
		ioctl(0, FIONREAD, &there);
		if (there >= (int)len)
			break;
		usleep(1000);
	}
	console_bed_run();
}

static void guest_got(const char *expected)
{
	char text[64];
	size_t n = guest_read(text, sizeof(text));

	ck_assert_uint_eq(n, strlen(expected));
	ck_assert_mem_eq(text, expected, n);
}

static bool is_raw(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(0, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG));
}

static bool is_as_before(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(0, &now), 0);
	return now.c_lflag == before.c_lflag && now.c_iflag == before.c_iflag &&
		now.c_oflag == before.c_oflag && now.c_cflag == before.c_cflag;
}

static void keys_go_to_the_guest(void)
{
	/* Control characters too: Ctrl-C, Ctrl-Z, Ctrl-D, return. */
	type("a\003\032\004\r");
	guest_got("a\003\032\004\r");
	ck_assert_uint_eq(bed.quits, 0);
}

static void escape_x_quits(void)
{
	type("\001x");
	ck_assert_uint_eq(bed.quits, 1);
	guest_got("");
	type("x");
	ck_assert_uint_eq(bed.quits, 1);
	guest_got("x");
}

static void escape_twice_sends_one(void)
{
	type("\001\001x");
	ck_assert_uint_eq(bed.quits, 0);
	guest_got("\001x");
}

static void escape_and_another_key_sends_both(void)
{
	type("\001b");
	guest_got("\001b");
	type("\001");
	guest_got("");
	type("x");
	ck_assert_uint_eq(bed.quits, 1);
}

static void escape_works_while_the_guest_takes_nothing(void)
{
	for (unsigned int i = 0; i < 200; i++)
		type("0123456789abcdef0123456789abcdef");
	ck_assert_uint_eq(bed.quits, 0);
	type("\001x");
	ck_assert_uint_eq(bed.quits, 1);
}

static void terminal_is_raw_and_restored_by_free(void)
{
	struct termios now;

	ck_assert(is_raw());
	tcgetattr(0, &now);
	ck_assert_uint_eq(now.c_oflag, before.c_oflag);
	console_free(bed.console);
	bed.console = NULL;
	ck_assert(is_as_before());
}

static void terminal_is_restored_by_restore_once(void)
{
	console_restore(NULL);
	console_restore(bed.console);
	ck_assert(is_as_before());
	/* What somebody sets afterwards stays. */
	before.c_lflag ^= ECHO;
	tcsetattr(0, TCSANOW, &before);
	console_restore(bed.console);
	ck_assert(is_as_before());
}

static void output_reaches_the_terminal(void)
{
	char text[16];

	guest_print("hello");
	/* A terminal may hand over what was written in pieces. */
	for (size_t n = 0; n < 5; ) {
		ssize_t got = read(user, text + n, sizeof(text) - n);

		ck_assert_int_gt(got, 0);
		n += (size_t)got;
	}
	ck_assert_mem_eq(text, "hello", 5);
}

static void stopped_terminal_gives_back_pressure(void)
{
	unsigned int sent = 0, got = 0;
	char buf[4096];

	/* Nobody reads @user. */
	fcntl(user, F_SETFL, O_NONBLOCK);
	while (guest_ready() && sent < 1000000) {
		guest_out(SERIAL_THR, 'x');
		sent++;
	}
	ck_assert(!guest_ready());
	while (got < sent) {
		ssize_t n = read(user, buf, sizeof(buf));

		if (n > 0)
			got += (unsigned int)n;
		loop_run_once(bed.loop, 1);
	}
	ck_assert(guest_ready());
}

static void hangup_ends_input(void)
{
	close(user);
	console_bed_run();
	ck_assert_int_eq(loop_run_once(bed.loop, 20), 0);
}

static void (*const foreground[])(void) = {
	keys_go_to_the_guest,
	escape_x_quits,
	escape_twice_sends_one,
	escape_and_another_key_sends_both,
	escape_works_while_the_guest_takes_nothing,
	terminal_is_raw_and_restored_by_free,
	terminal_is_restored_by_restore_once,
	output_reaches_the_terminal,
	stopped_terminal_gives_back_pressure,
	hangup_ends_input,
};

static void background_terminal_is_left_alone(void)
{
	ck_assert(is_as_before());
	type("\001x");
	ck_assert_uint_eq(bed.quits, 0);
	guest_got("");
	guest_print("hello");
}

static void in_session(void (*fn)(void), bool is_foreground)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(30);
		signal(SIGHUP, SIG_IGN);
		use_terminal(is_foreground);
		fn();
		console_bed_teardown();
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS,
		      "the test in the session failed: status %#x", status);
}

START_TEST(terminal_in_the_foreground)
{
	in_session(foreground[_i], true);
}
END_TEST

START_TEST(terminal_in_the_background)
{
	in_session(background_terminal_is_left_alone, false);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(terminal_in_the_foreground, UNIT_COUNT(foreground)),
		UNIT_TEST(terminal_in_the_background),
	};

	return UNIT_RUN("devices_console_terminal", cases, console_bed_setup,
			console_bed_teardown);
}
