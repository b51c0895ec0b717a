// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/ctl.c: `wherry ctl` that waits: for events, with a deadline, with a bar
 * on a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "devices/unix_socket.h"
#include "tests/unit/runner.h"
#include "tests/unit/vmm_ctl_bed.h"
#include "vmm/machine.h"

/* The event's message is the last line of the output. */
static void expect_event(const char *first, const char *name)
{
	json_t *event;

	ck_assert_msg(!strncmp(ctl.output, first, strlen(first)), "%s",
		      ctl.output);
	event = json_loads(ctl.output + strlen(first), 0, NULL);
	ck_assert_msg(event != NULL, "%s", ctl.output);
	ck_assert_str_eq(json_string_value(json_object_get(event, "event")),
			 name);
	ck_assert_int_eq(ctl.output[strlen(ctl.output) - 1], '\n');
	json_decref(event);
	free(ctl.output);
}

START_TEST(an_event_before_the_answer_counts)
{
	ctl_start_server();
	ctl.o.wait = "STOP";
	ck_assert_int_eq(CTL_TRY("echo", "number=1"), 0);
	expect_event("{\"number\":1}\n", "STOP");
}
END_TEST

START_TEST(an_event_after_the_answer_is_waited_for)
{
	ctl_start_script(NEGOTIATED "{\"event\":\"RESUME\"}"
			 "{\"id\":2,\"return\":{\"ok\":true}}"
			 "{\"event\":\"STOP\",\"data\":{\"n\":1}}"
			 "{\"event\":\"STOP\",\"data\":{\"n\":2}}");
	ctl.o.wait = "STOP";
	ck_assert_int_eq(ctl_try("echo", NULL), 0);
	ctl_expect_output("{\"ok\":true}\n"
			  "{\"event\":\"STOP\",\"data\":{\"n\":1}}\n");
}
END_TEST

START_TEST(an_event_can_be_waited_for_alone)
{
	ctl_start_script(NEGOTIATED "{\"event\":\"SHUTDOWN\"}");
	ctl.o.wait = "SHUTDOWN";
	ck_assert_int_eq(ctl_try(NULL, NULL), 0);
	ctl_expect_output("{\"event\":\"SHUTDOWN\"}\n");
}
END_TEST

START_TEST(quit_can_wait_for_its_event)
{
	ctl_start_server();
	ctl.o.wait = "SHUTDOWN";
	ck_assert_int_eq(ctl_try("quit", NULL), 0);
	expect_event("{}\n", "SHUTDOWN");
	ck_assert_int_eq(access(ctl.path, F_OK), -1);
}
END_TEST

START_TEST(a_failed_command_waits_for_no_event)
{
	ctl_start_server();
	ctl.o.wait = "SHUTDOWN";
	ck_assert_int_eq(ctl_try("refuse", NULL), MACHINE_EXIT_ERROR);
	ck_assert_str_eq(ctl.why.text,
			 "refuse: GenericError: the disk is full");
	ctl_expect_output("");
}
END_TEST

START_TEST(an_unknown_event_is_a_wrong_command_line)
{
	/* No server: it does not come to that. */
	ctl.o.wait = "STOPP";
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_USAGE);
	ck_assert_str_eq(ctl.why.text, "--wait 'STOPP': an event expected: "
			 "STOP, SHUTDOWN, SNAPSHOT_PROGRESS");
	free(ctl.output);
}
END_TEST

START_TEST(a_machine_that_goes_before_the_event_is_an_error)
{
	ctl_start_script(NEGOTIATED "{\"id\":2,\"return\":{}}");
	ctl.o.wait = "SHUTDOWN";
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, "the machine has gone, and no event SHUTDOWN "
			  "came");
	/* The answer did come. */
	ctl_expect_output("{}\n");
}
END_TEST

static const struct {
	const char *said;
	const char *wait;
	const char *reason;
} silences[] = {
	{ "", NULL, "no greeting within 0.300 seconds: not a control socket" },
	{ GREETING, NULL, "no answer within 0.300 seconds" },
	{ NEGOTIATED, NULL, "no answer within 0.300 seconds" },
	{ NEGOTIATED "{\"id\":2,\"retu", NULL, "no answer within" },
	{ NEGOTIATED "{\"id\":2,\"return\":{}}", "STOP",
	  "no event STOP within 0.300 seconds" },
};

START_TEST(one_deadline_holds_for_everything)
{
	ctl.script_stays = true;
	ctl_start_script(silences[_i].said);
	ctl.o.wait = silences[_i].wait;
	ctl.o.timeout_ms = 300;
	ck_assert_int_eq(ctl_try("echo", NULL), CTL_EXIT_TIMEOUT);
	ck_says(&ctl.why, silences[_i].reason);
	free(ctl.output);
}
END_TEST

START_TEST(quit_that_does_not_end_meets_the_deadline)
{
	ctl.script_stays = true;
	ctl_start_script(NEGOTIATED "{\"id\":2,\"return\":{}}");
	ctl.o.timeout_ms = 300;
	ck_assert_int_eq(ctl_try("quit", NULL), CTL_EXIT_TIMEOUT);
	ck_says(&ctl.why, "no end of the process");
	free(ctl.output);
}
END_TEST

START_TEST(a_full_backlog_meets_the_deadline)
{
	int fd[64], count = 0;

	ck_assert_int_eq(unix_socket_listen(ctl.path, SOCK_STREAM, 0600,
					    &ctl.listener, &ctl.why), 0);
	ck_assert_int_eq(listen(ctl.listener.fd, 1), 0);
	do {
		fd[count] = unix_socket_connect(ctl.path, SOCK_STREAM, true);
	} while (fd[count] >= 0 && ++count < 64);
	ck_assert_int_eq(fd[count], -EAGAIN);
	ctl.o.timeout_ms = 300;
	ck_assert_int_eq(ctl_try("echo", NULL), CTL_EXIT_TIMEOUT);
	free(ctl.output);
	while (count)
		close(fd[--count]);
}
END_TEST

START_TEST(nobody_waits_for_a_greeting_for_ever)
{
	ctl.script_stays = true;
	ctl_start_script("");
	ctl.o.greeting_ms = 50;
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, "no greeting within 0.050 seconds: not a control "
			  "socket, or its process is busy");
	free(ctl.output);
}
END_TEST

/* Enough on a busy machine, too. */
#define GREETING_MS 400

/* Says its greeting, and the rest much later than a greeting may take. */
static void talk_late(int fd)
{
	const char *rest = "{\"return\":{},\"id\":1}{\"return\":{},\"id\":2}";
	char bytes[4096];

	ck_assert_int_gt(write(fd, GREETING, strlen(GREETING)), 0);
	/* The negotiation has begun. */
	ck_assert_int_gt(read(fd, bytes, sizeof(bytes)), 0);
	usleep(2 * GREETING_MS * 1000);
	ck_assert_int_gt(write(fd, rest, strlen(rest)), 0);
}

START_TEST(answers_are_waited_for_without_a_timeout)
{
	ctl_start_talk(talk_late);
	ctl.o.greeting_ms = GREETING_MS;
	ck_assert_int_eq(ctl_try("echo", NULL), 0);
	ctl_expect_output("{}\n");
}
END_TEST

static int open_terminal(int *user)
{
	struct termios raw;
	int terminal;

	ck_assert_int_eq(openpty(user, &terminal, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(terminal, &raw), 0);
	cfmakeraw(&raw);
	ck_assert_int_eq(tcsetattr(terminal, TCSANOW, &raw), 0);
	ck_assert_int_eq(fcntl(*user, F_SETFL, O_NONBLOCK), 0);
	return terminal;
}

/*
 * What a terminal has been sent up to now. A read may come when the kernel has
 * passed on but a part; only the one that finds nothing waits for it to end.
 */
static const char *seen(int user)
{
	static char bytes[4096];
	size_t len = 0;
	ssize_t n;

	do {
		n = read(user, bytes + len, sizeof(bytes) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	bytes[len] = '\0';
	return bytes;
}

#define PROGRESS(file, n) \
	"{\"event\":\"SNAPSHOT_PROGRESS\",\"data\":{\"path\":\"" file "\"," \
	"\"phase\":\"syncing\",\"done\":" n ",\"total\":4096}}"

START_TEST(a_terminal_sees_progress_of_its_own_command)
{
	int user;

	ctl_start_script(NEGOTIATED PROGRESS("/other", "1024")
			 PROGRESS("/mine", "2048") "{\"id\":2,\"return\":{}}");
	ctl.o.progress_fd = open_terminal(&user);
	ck_assert_int_eq(CTL_TRY("snapshot-save", "path=/mine"), 0);
	ctl_expect_output("{}\n");
	ck_assert_str_eq(seen(user), "\rsyncing [####################--------"
			 "------------]  50%  2 KiB of 4 KiB\033[K"
			 "\r\033[K");
	close(ctl.o.progress_fd);
	close(user);
}
END_TEST

START_TEST(progress_is_for_terminals_only)
{
	int fd[2];
	char byte;

	ctl_start_script(NEGOTIATED PROGRESS("/mine", "2048")
			 "{\"id\":2,\"return\":{}}");
	ck_assert_int_eq(pipe(fd), 0);
	ctl.o.progress_fd = fd[1];
	ck_assert_int_eq(CTL_TRY("snapshot-save", "path=/mine"), 0);
	ctl_expect_output("{}\n");
	close(fd[1]);
	ck_assert_int_eq(read(fd[0], &byte, 1), 0);
	close(fd[0]);
}
END_TEST

START_TEST(people_get_tables_unless_they_want_json)
{
	static const char *words[] = { "number=1" };
	int user;

	ctl_start_server();
	ctl.o.execute = "echo";
	ctl.o.argument = words;
	ctl.o.arguments = 1;
	ctl.o.out = fdopen(open_terminal(&user), "w");
	ck_assert_int_eq(ctl_run(&ctl.o, &ctl.why), 0);
	ck_assert_str_eq(seen(user), "number  1\n");
	ctl.o.json = true;
	ck_assert_int_eq(ctl_run(&ctl.o, &ctl.why), 0);
	ck_assert_str_eq(seen(user), "{\"number\":1}\n");
	fclose(ctl.o.out);
	close(user);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(an_event_before_the_answer_counts),
		UNIT_TEST(an_event_after_the_answer_is_waited_for),
		UNIT_TEST(an_event_can_be_waited_for_alone),
		UNIT_TEST(quit_can_wait_for_its_event),
		UNIT_TEST(a_failed_command_waits_for_no_event),
		UNIT_TEST(an_unknown_event_is_a_wrong_command_line),
		UNIT_TEST(a_machine_that_goes_before_the_event_is_an_error),
		UNIT_LOOP(one_deadline_holds_for_everything,
			  UNIT_COUNT(silences)),
		UNIT_TEST(quit_that_does_not_end_meets_the_deadline),
		UNIT_TEST(a_full_backlog_meets_the_deadline),
		UNIT_TEST(nobody_waits_for_a_greeting_for_ever),
		UNIT_TEST(answers_are_waited_for_without_a_timeout),
		UNIT_TEST(a_terminal_sees_progress_of_its_own_command),
		UNIT_TEST(progress_is_for_terminals_only),
		UNIT_TEST(people_get_tables_unless_they_want_json),
	};

	return UNIT_RUN("vmm_ctl_wait", cases, ctl_setup, ctl_teardown);
}
