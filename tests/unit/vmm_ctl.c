// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/ctl.c: `wherry ctl` against the real server, on a thread, and against
 * servers that misbehave.
 */
#include "vmm/ctl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/unix_socket.h"
#include "tests/unit/runner.h"
#include "vmm/control.h"
#include "vmm/machine.h"

static char dir[] = "/tmp/wherry-ctl-XXXXXX";
static char path[64];
static struct fail why;
static struct loop *loop;
static struct control *control;
static pthread_t thread;
static bool threaded;
static struct unix_listener listener;
static const char *script;

/* Gives back what it was given, after an event. */
static int echo(void *opaque, json_t *arguments, json_t **result,
		struct fail *reason)
{
	(void)opaque;
	(void)reason;
	control_event(control, "STOP", NULL);
	*result = json_incref(arguments);
	return 0;
}

static int refuse(void *opaque, json_t *arguments, json_t **result,
		  struct fail *reason)
{
	(void)opaque;
	(void)arguments;
	(void)result;
	return fail(reason, -ENOSPC, "the disk is full");
}

static int quit(void *opaque, json_t *arguments, json_t **result,
		struct fail *reason)
{
	(void)opaque;
	(void)arguments;
	(void)result;
	(void)reason;
	loop_stop(loop, 0);
	return 0;
}

static const struct control_argument echo_arguments[] = {
	{ "file", CONTROL_PATH, false },
	{ "text", CONTROL_STRING, false },
	{ "number", CONTROL_INTEGER, false },
	{ "flag", CONTROL_BOOLEAN, false },
	{ "list", CONTROL_LIST, false },
	{ 0 }
};

static const struct control_command table[] = {
	{ .name = "qmp_capabilities" },
	{ .name = "echo", .argument = echo_arguments, .run = echo },
	{ .name = "refuse", .run = refuse },
	{ .name = "quit", .run = quit },
	{ 0 }
};

static void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c", dir);
	why.text[0] = '\0';
	threaded = false;
	loop = NULL;
	listener = (struct unix_listener)UNIX_LISTENER_INIT;
}

static void *serve(void *unused)
{
	(void)unused;
	loop_run(loop);
	control_free(control);
	return NULL;
}

static void start_server(void)
{
	loop = loop_new(&why);
	control = control_new(loop, path, table, NULL, &why);
	ck_assert_ptr_nonnull(control);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	threaded = true;
}

/* Says @script to one client and closes, after a first read. */
static void *recite(void *unused)
{
	char bytes[4096];
	int fd;

	(void)unused;
	do {
		fd = accept(listener.fd, NULL, NULL);
	} while (fd < 0);
	ck_assert_int_eq(write(fd, script, strlen(script)),
			 (ssize_t)strlen(script));
	shutdown(fd, SHUT_WR);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
	return NULL;
}

static void start_script(const char *text)
{
	script = text;
	ck_assert_int_eq(unix_socket_listen(path, SOCK_STREAM, 0600, &listener,
					    &why), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, recite, NULL), 0);
	threaded = true;
}

static void teardown(void)
{
	if (loop)
		loop_stop(loop, 0);
	if (threaded)
		pthread_join(thread, NULL);
	loop_free(loop);
	unix_listener_close(&listener);
	rmdir(dir);
}

static char *output;

static int run(const char *execute, const char **words)
{
	struct ctl_options o = {
		.socket = path,
		.execute = execute,
		.argument = words,
		.table = table,
	};
	size_t size;
	int status;

	while (words && words[o.arguments])
		o.arguments++;
	o.out = open_memstream(&output, &size);
	status = ctl_run(&o, &why);
	fclose(o.out);
	ck_assert_msg(status || !why.text[0], "%s", why.text);
	ck_assert(!status || why.text[0]);
	return status;
}

#define RUN(execute, ...) run(execute, (const char *[]){ __VA_ARGS__, NULL })

static void expect_output(const char *text)
{
	ck_assert_str_eq(output, text);
	free(output);
}

START_TEST(result_is_one_line_of_json)
{
	start_server();
	ck_assert_int_eq(run("echo", NULL), 0);
	expect_output("{}\n");
	ck_assert_int_eq(RUN("echo", "number=-5", "flag=true"), 0);
	expect_output("{\"number\":-5,\"flag\":true}\n");
}
END_TEST

START_TEST(values_are_of_the_arguments_kind)
{
	start_server();
	ck_assert_int_eq(RUN("echo", "text=42", "file=/1", "list=[1,\"a\"]"),
			 0);
	expect_output("{\"text\":\"42\",\"file\":\"/1\",\"list\":[1,\"a\"]}\n");
	ck_assert_int_eq(RUN("echo", "text=", "file=/a=b"), 0);
	expect_output("{\"text\":\"\",\"file\":\"/a=b\"}\n");
	ck_assert_int_eq(RUN("echo", "number=x"), MACHINE_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(why.text, "expected: integer"));
	free(output);
}
END_TEST

START_TEST(relative_paths_are_the_callers)
{
	char text[128];

	start_server();
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(RUN("echo", "file=snap/1"), 0);
	snprintf(text, sizeof(text), "{\"file\":\"%s/snap/1\"}\n", dir);
	expect_output(text);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(an_error_names_the_command)
{
	start_server();
	ck_assert_int_eq(run("refuse", NULL), MACHINE_EXIT_ERROR);
	ck_assert_str_eq(why.text, "refuse: the disk is full");
	free(output);
}
END_TEST

START_TEST(an_unknown_command_is_the_servers_to_refuse)
{
	start_server();
	ck_assert_int_eq(RUN("frob", "path=x", "n=1"), MACHINE_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(why.text, "frob has not been found"));
	free(output);
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
		ck_assert_int_eq(RUN("echo", wrong[i].word),
				 MACHINE_EXIT_USAGE);
		ck_assert_ptr_nonnull(strstr(why.text, wrong[i].said));
		free(output);
	}
	ck_assert_int_eq(RUN("echo", "text=a", "text=b"), MACHINE_EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(why.text, "'text' is given twice"));
	free(output);
	ck_assert_int_eq(run("\xff", NULL), MACHINE_EXIT_USAGE);
	free(output);
}
END_TEST

START_TEST(quit_waits_for_the_end)
{
	start_server();
	ck_assert_int_eq(run("quit", NULL), 0);
	expect_output("{}\n");
	/* The socket has gone by now. */
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\n"
#define NEGOTIATED GREETING "{\"return\":{},\"id\":1}\n"

START_TEST(quit_is_done_when_the_connection_closes)
{
	start_script(NEGOTIATED);
	ck_assert_int_eq(run("quit", NULL), 0);
	expect_output("");
}
END_TEST

START_TEST(other_commands_are_not_done_when_the_connection_closes)
{
	start_script(NEGOTIATED);
	ck_assert_int_eq(run("echo", NULL), MACHINE_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(why.text, "closed before the answer"));
	free(output);
}
END_TEST

START_TEST(what_does_not_concern_us_is_passed_over)
{
	start_script("\n" GREETING "{\"event\":\"STOP\"}"
		     "{\"return\":{\"of\":7},\"id\":7}{\"return\":{},\"id\":1}"
		     "{\"event\":\"RESUME\",\"data\":{\"id\":2}}\n"
		     "{\"id\":2,\"return\":{\"ok\":true}}");
	ck_assert_int_eq(run("echo", NULL), 0);
	expect_output("{\"ok\":true}\n");
}
END_TEST

static const struct {
	const char *said;
	const char *reason;
} servers[] = {
	{ "", "closed before the answer" },
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
	start_script(servers[_i].said);
	ck_assert_int_eq(run("echo", NULL), MACHINE_EXIT_ERROR);
	ck_assert_msg(strstr(why.text, servers[_i].reason), "%s", why.text);
	free(output);
}
END_TEST

START_TEST(no_server_is_an_error)
{
	ck_assert_int_eq(run("echo", NULL), MACHINE_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(why.text, path));
	free(output);
	ck_assert_int_eq(unix_socket_listen(path, SOCK_STREAM, 0600, &listener,
					    &why), 0);
	close(listener.fd);
	listener.fd = -1;
	ck_assert_int_eq(run("echo", NULL), MACHINE_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(why.text, "no process listens"));
	free(output);
}
END_TEST

static char *printed(const char *json, bool pretty)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctl_print(out, value, pretty), 0);
	fclose(out);
	json_decref(value);
	return text;
}

START_TEST(people_get_a_table)
{
	char *text = printed("{\"list\":[1,{\"b\":2}],"
			     "\"status\":\"running\",\"on\":true,"
			     "\"empty\":{},\"sum\":{\"a\":1,\"bcd\":[2]}}",
			     true);

	ck_assert_str_eq(text, "status  running\n"
			       "on      true\n"
			       "empty   {}\n"
			       "list\n"
			       "  1\n"
			       "  {\"b\":2}\n"
			       "sum\n"
			       "  a    1\n"
			       "  bcd  [2]\n");
	free(text);
	text = printed("{}", true);
	ck_assert_str_eq(text, "");
	free(text);
	text = printed("[1]", true);
	ck_assert_str_eq(text, "[\n  1\n]\n");
	free(text);
}
END_TEST

START_TEST(a_terminal_gets_no_orders)
{
	char *text = printed("{\"a\":\"\\u001b[2J\"}", true);

	ck_assert_str_eq(text, "a  \"\\u001B[2J\"\n");
	free(text);
}
END_TEST

START_TEST(a_full_disk_is_noticed)
{
	FILE *out = fopen("/dev/full", "w");
	json_t *value = json_object();

	ck_assert_int_eq(ctl_print(out, value, false), -ENOSPC);
	fclose(out);
	json_decref(value);
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
		UNIT_TEST(people_get_a_table),
		UNIT_TEST(a_terminal_gets_no_orders),
		UNIT_TEST(a_full_disk_is_noticed),
	};

	return UNIT_RUN("vmm_ctl", cases, setup, teardown);
}
