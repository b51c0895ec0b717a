// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The servers that the tests of vmm/ctl.c talk to.
 */
#include "tests/unit/vmm_ctl_bed.h"
#include "tests/unit/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ctl_bed ctl;

static struct loop *loop;
static struct control *control;
static const char *script;
/* Of ctl_start_talk(). */
static void (*talk)(int fd);

/* Gives back what it was given, after an event. */
static int echo(void *opaque, json_t *arguments, json_t **result,
		struct fail *reason)
{
	(void)opaque;
	(void)reason;
	control_event(control, "STOP", json_pack("{s:i}", "n", 1));
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
	control_event(control, "SHUTDOWN", NULL);
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

static const char *const events[] = {
	"STOP", "SHUTDOWN", "SNAPSHOT_PROGRESS", NULL
};

void ctl_setup(void)
{
	ctl = (struct ctl_bed){
		.dir = "/tmp/wherry-ctl-XXXXXX",
		.o = {
			.table = table,
			.events = events,
			.timeout_ms = -1,
			.greeting_ms = CTL_GREETING_MS,
			.progress_fd = -1,
		},
		.listener = UNIX_LISTENER_INIT,
	};
	ck_assert_ptr_nonnull(mkdtemp(ctl.dir));
	snprintf(ctl.path, sizeof(ctl.path), "%s/c", ctl.dir);
	ctl.o.socket = ctl.path;
	loop = NULL;
}

static void *serve(void *unused)
{
	(void)unused;
	loop_run(loop);
	control_free(control);
	return NULL;
}

void ctl_start_server(void)
{
	loop = loop_new(&ctl.why);
	control = control_new(loop, ctl.path, table, NULL, &ctl.why);
	ck_assert_ptr_nonnull(control);
	ck_assert_int_eq(pthread_create(&ctl.thread, NULL, serve, NULL), 0);
	ctl.threaded = true;
}

static void *serve_one(void *unused)
{
	char bytes[4096];
	int fd;

	(void)unused;
	do {
		fd = accept(ctl.listener.fd, NULL, NULL);
	} while (fd < 0);
	talk(fd);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
	return NULL;
}

void ctl_start_talk(void (*to_client)(int fd))
{
	talk = to_client;
	ck_assert_int_eq(unix_socket_listen(ctl.path, SOCK_STREAM, 0600,
					    &ctl.listener, &ctl.why), 0);
	ck_assert_int_eq(pthread_create(&ctl.thread, NULL, serve_one, NULL), 0);
	ctl.threaded = true;
}

static void recite(int fd)
{
	ck_assert_int_eq(write(fd, script, strlen(script)),
			 (ssize_t)strlen(script));
	if (!ctl.script_stays)
		shutdown(fd, SHUT_WR);
}

void ctl_start_script(const char *text)
{
	script = text;
	ctl_start_talk(recite);
}

void ctl_teardown(void)
{
	if (loop)
		loop_stop(loop, 0);
	if (ctl.threaded)
		pthread_join(ctl.thread, NULL);
	loop_free(loop);
	unix_listener_close(&ctl.listener);
	rmdir(ctl.dir);
}

int ctl_try(const char *execute, const char **words)
{
	struct ctl_options o = ctl.o;
	size_t size;
	int status;

	o.execute = execute;
	o.argument = words;
	while (words && words[o.arguments])
		o.arguments++;
	o.out = open_memstream(&ctl.output, &size);
	ctl.why.text[0] = '\0';
	status = ctl_run(&o, &ctl.why);
	fclose(o.out);
	ck_assert_msg(!status == !ctl.why.text[0], "%d: %s", status,
		      ctl.why.text);
	return status;
}

void ctl_expect_output(const char *text)
{
	ck_assert_str_eq(ctl.output, text);
	free(ctl.output);
}
