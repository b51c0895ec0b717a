// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/ctl.c: `wherry ctl` against the real server, on a thread, and against
 * servers that misbehave. Events and deadlines: vmm_ctl_wait.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "tests/unit/vmm_ctl_bed.h"
#include "vmm/machine.h"

START_TEST(result_is_one_line_of_json)
{
	ctl_start_server();
	ck_assert_int_eq(ctl_try("echo", NULL), 0);
	ctl_expect_output("{}\n");
	ck_assert_int_eq(CTL_TRY("echo", "number=-5", "flag=true"), 0);
	ctl_expect_output("{\"number\":-5,\"flag\":true}\n");
}
END_TEST

START_TEST(values_are_of_the_arguments_kind)
{
	ctl_start_server();
	ck_assert_int_eq(CTL_TRY("echo", "text=42", "file=/1",
				 "list=[1,\"a\"]"), 0);
	ctl_expect_output("{\"text\":\"42\",\"file\":\"/1\","
			  "\"list\":[1,\"a\"]}\n");
	ck_assert_int_eq(CTL_TRY("echo", "text=", "file=/a=b"), 0);
	ctl_expect_output("{\"text\":\"\",\"file\":\"/a=b\"}\n");
	ck_assert_int_eq(CTL_TRY("echo", "number=x"), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, "expected: integer");
	free(ctl.output);
}
END_TEST

START_TEST(relative_paths_are_the_callers)
{
	char text[128];

	ctl_start_server();
	ck_assert_int_eq(chdir(ctl.dir), 0);
	ck_assert_int_eq(CTL_TRY("echo", "file=snap/1"), 0);
	snprintf(text, sizeof(text), "{\"file\":\"%s/snap/1\"}\n", ctl.dir);
	ctl_expect_output(text);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(an_error_names_the_command)
{
	ctl_start_server();
	ck_assert_int_eq(ctl_try("refuse", NULL), MACHINE_EXIT_ERROR);
	ck_assert_str_eq(ctl.why.text,
			 "refuse: GenericError: the disk is full");
	free(ctl.output);
}
END_TEST

START_TEST(an_unknown_command_is_the_servers_to_refuse)
{
	ctl_start_server();
	ck_assert_int_eq(CTL_TRY("frob", "path=x", "n=1"), MACHINE_EXIT_ERROR);
	ck_assert_str_eq(ctl.why.text, "frob: CommandNotFound: The command "
			 "frob has not been found");
	free(ctl.output);
}
END_TEST

START_TEST(wrong_words_are_a_wrong_command_line)
{
	static const struct { const char *word, *said; } wrong[] = {
		{ "text", "'text': key=value" }, { "=x", "'=x': key=value" },
		{ "", "'': key=value" }, { "text=\xff", "UTF-8" },
		{ "\xff=x", "UTF-8" },
	};

	/* No server: it does not come to that. */
	for (size_t i = 0; i < UNIT_COUNT(wrong); i++) {
		ck_assert_int_eq(CTL_TRY("echo", wrong[i].word),
				 MACHINE_EXIT_USAGE);
		ck_says(&ctl.why, wrong[i].said);
		free(ctl.output);
	}
	ck_assert_int_eq(CTL_TRY("echo", "text=a", "text=b"),
			 MACHINE_EXIT_USAGE);
	ck_says(&ctl.why, "'text' is given twice");
	free(ctl.output);
	ck_assert_int_eq(ctl_try("\xff", NULL), MACHINE_EXIT_USAGE);
	free(ctl.output);
}
END_TEST

START_TEST(quit_waits_for_the_end)
{
	ctl_start_server();
	ck_assert_int_eq(ctl_try("quit", NULL), 0);
	ctl_expect_output("{}\n");
	/* The socket has gone by now. */
	ck_assert_int_eq(access(ctl.path, F_OK), -1);
}
END_TEST

START_TEST(quit_is_done_when_the_connection_closes)
{
	ctl_start_script(NEGOTIATED);
	ck_assert_int_eq(ctl_try("quit", NULL), 0);
	ctl_expect_output("");
}
END_TEST

START_TEST(other_commands_are_not_done_when_the_connection_closes)
{
	ctl_start_script(NEGOTIATED);
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, "closed before the answer");
	free(ctl.output);
}
END_TEST

START_TEST(what_does_not_concern_us_is_passed_over)
{
	ctl_start_script("\n" GREETING "{\"event\":\"STOP\"}"
		     "{\"return\":{\"of\":7},\"id\":7}{\"return\":{},\"id\":1}"
		     "{\"event\":\"RESUME\",\"data\":{\"id\":2}}\n"
		     "{\"id\":2,\"return\":{\"ok\":true}}");
	ck_assert_int_eq(ctl_try("echo", NULL), 0);
	ctl_expect_output("{\"ok\":true}\n");
}
END_TEST

static const struct {
	const char *said;
	const char *reason;
} servers[] = {
	{ "", "closed before the greeting" },
	{ "hello\n", "JSON parse error" },
	{ "{\"hello\":1}\n", "is not a control socket" },
	{ "{\"error\":{\"class\":\"GenericError\",\"desc\":\"full\"}}\n",
	  "full" },
	{ GREETING "{\"error\":{\"desc\":\"no\"},\"id\":1}", "no" },
	{ NEGOTIATED "{\"error\":{},\"id\":2}", "without a description" },
	{ NEGOTIATED "{\"id\":2}", "without a result" },
	{ NEGOTIATED "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "too deep" },
};

START_TEST(a_strange_server_is_an_error)
{
	ctl_start_script(servers[_i].said);
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, servers[_i].reason);
	free(ctl.output);
}
END_TEST

START_TEST(no_server_is_an_error)
{
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, ctl.path);
	free(ctl.output);
	ck_assert_int_eq(unix_socket_listen(ctl.path, SOCK_STREAM, 0600,
					    &ctl.listener, &ctl.why), 0);
	close(ctl.listener.fd);
	ctl.listener.fd = -1;
	ck_assert_int_eq(ctl_try("echo", NULL), MACHINE_EXIT_ERROR);
	ck_says(&ctl.why, "no process listens");
	free(ctl.output);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(result_is_one_line_of_json),
		UNIT_TEST(values_are_of_the_arguments_kind),
		UNIT_TEST(relative_paths_are_the_callers),
		UNIT_TEST(an_error_names_the_command),
		UNIT_TEST(an_unknown_command_is_the_servers_to_refuse),
		UNIT_TEST(wrong_words_are_a_wrong_command_line),
		UNIT_TEST(quit_waits_for_the_end),
		UNIT_TEST(quit_is_done_when_the_connection_closes),
		UNIT_TEST(other_commands_are_not_done_when_the_connection_closes),
		UNIT_TEST(what_does_not_concern_us_is_passed_over),
		UNIT_LOOP(a_strange_server_is_an_error, UNIT_COUNT(servers)),
		UNIT_TEST(no_server_is_an_error),
	};

	return UNIT_RUN("vmm_ctl", cases, ctl_setup, ctl_teardown);
}
