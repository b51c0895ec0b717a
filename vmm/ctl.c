// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `wherry ctl`: a command to a control socket, an event from it.
 *
 * Owns its one connection. Called once by main(); one thread, poll(), with one
 * deadline over everything it waits for.
 *
 * Theory: events are looked at whatever is being waited for, from the
 * negotiation on. So the event that a command causes is not missed because it
 * comes before the command's answer.
 *
 *   connect ─▶ greeting ─▶ negotiation ─▶ [command ─▶ answer] ─▶ [event]
 */
#include "vmm/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "devices/unix_socket.h"
#include "vmm/ctl_progress.h"
#include "vmm/ctl_request.h"
#include "vmm/ctl_table.h"
#include "vmm/deadline.h"
#include "vmm/json_stream.h"
#include "vmm/machine.h"

#define READ_SIZE (16u << 10)

/* Of our two requests. */
#define ID_NEGOTIATE	1
#define ID_COMMAND	2

/* What the bar is drawn from, see wherry.1. */
#define PROGRESS_EVENT "SNAPSHOT_PROGRESS"

#define AWAITED_MAX 96

/* The backlog is full: its owner is busy. */
#define BACKLOG_PAUSE_NS (20 * 1000 * 1000)

/**
 * struct session - a connection to a control socket
 * @o: what is asked
 * @fd: non-blocking
 * @deadline: of what is being waited for
 * @limit_ms: how long that was when it began, for messages
 * @awaited: what is being waited for, for messages
 * @greeted: it is a control socket
 * @in: bytes to become replies and events
 * @path: argument of the command, which progress events are compared with
 * @bar: shows them
 * @event: the one that is waited for, once it has come
 */
struct session {
	const struct ctl_options *o;
	int fd;
	int64_t deadline;
	int limit_ms;
	char awaited[AWAITED_MAX];
	bool greeted;
	struct json_stream in;
	const char *path;
	struct ctl_progress bar;
	json_t *event;
};

static void await(struct session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void await(struct session *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->awaited, sizeof(s->awaited), fmt, args);
	va_end(args);
}

static int timed_out(const struct session *s, struct fail *why)
{
	fail(why, -ETIMEDOUT, "control socket '%s': no %s within %d.%03d "
	     "seconds%s", s->o->socket, s->awaited, s->limit_ms / 1000,
	     s->limit_ms % 1000, s->greeted ? "" :
	     ": not a control socket, or its process is busy");
	/* Nobody has set a time: an error like any other. */
	return s->o->timeout_ms < 0 ? -EPROTO : -ETIMEDOUT;
}

static int closed(const struct session *s, struct fail *why)
{
	return fail(why, -ECONNRESET, "control socket '%s': the connection "
		    "was closed before the %s came", s->o->socket, s->awaited);
}

static int open_socket(struct session *s, struct fail *why)
{
	static const struct timespec pause = { .tv_nsec = BACKLOG_PAUSE_NS };
	const char *path = s->o->socket;

	for (;;) {
		s->fd = unix_socket_connect(path, SOCK_STREAM, true);
		if (s->fd >= 0)
			return 0;
		if (s->fd == -ECONNREFUSED)
			return fail(why, s->fd, "control socket '%s': no "
				    "process listens there any more", path);
		if (s->fd != -EAGAIN)
			return fail(why, s->fd, "control socket '%s': %s",
				    path, strerror(-s->fd));
		if (!deadline_left(s->deadline))
			return timed_out(s, why);
		nanosleep(&pause, NULL);
	}
}

/* Return: 0: @events, or an error to be met; else negative errno. */
static int wait_for(struct session *s, short events, struct fail *why)
{
	struct pollfd pfd = { .fd = s->fd, .events = events };
	int rc;

	do {
		rc = poll(&pfd, 1, deadline_left(s->deadline));
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return fail(why, -errno, "poll: %s", strerror(errno));
	return rc ? 0 : timed_out(s, why);
}

static int send_text(struct session *s, const char *text, size_t len,
		     struct fail *why)
{
	ssize_t n;
	int rc;

	while (len) {
		n = send(s->fd, text, len, MSG_NOSIGNAL);
		if (n >= 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(why, -errno, "control socket '%s': %s",
				    s->o->socket, strerror(errno));
		rc = wait_for(s, POLLOUT, why);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int send_message(struct session *s, const json_t *message,
			struct fail *why)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len;
	int rc;

	if (!text)
		return fail(why, -ENOMEM, "ctl: out of memory");
	len = strlen(text);
	text[len] = '\n';
	rc = send_text(s, text, len + 1, why);
	free(text);
	return rc;
}

/* Return: 1 with more bytes, 0 when the server closed, or negative errno. */
static int receive_bytes(struct session *s, struct fail *why)
{
	char bytes[READ_SIZE];
	ssize_t n;
	int rc;

	for (;;) {
		n = recv(s->fd, bytes, sizeof(bytes), 0);
		if (n > 0)
			break;
		if (!n || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return fail(why, -errno, "control socket '%s': %s",
				    s->o->socket, strerror(errno));
		rc = wait_for(s, POLLIN, why);
		if (rc < 0)
			return rc;
	}
	if (json_stream_push(&s->in, bytes, (size_t)n) < 0)
		return fail(why, -ENOMEM, "ctl: out of memory");
	return 1;
}

static const char *text_member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void show_progress(struct session *s, const json_t *data)
{
	const json_t *done = json_object_get(data, "done");
	const json_t *total = json_object_get(data, "total");

	if (!s->path || strcmp(text_member(data, "path"), s->path))
		return;
	if (json_integer_value(done) < 0 || json_integer_value(total) < 0)
		return;
	ctl_progress_show(&s->bar, text_member(data, "phase"),
			  (uint64_t)json_integer_value(done),
			  (uint64_t)json_integer_value(total));
}

static void see_event(struct session *s, json_t *message)
{
	const char *name = text_member(message, "event");

	if (!strcmp(name, PROGRESS_EVENT))
		show_progress(s, json_object_get(message, "data"));
	if (s->o->wait && !s->event && !strcmp(name, s->o->wait))
		s->event = json_incref(message);
}

/* Return: 1 with a message, 0 when the server closed, or negative errno. */
static int receive_message(struct session *s, json_t **message,
			   struct fail *why)
{
	enum json_stream_result result;
	int rc = 1;

	while (rc > 0) {
		result = json_stream_next(&s->in, message, why);
		if (result == JSON_STREAM_VALUE) {
			see_event(s, *message);
			return 1;
		}
		if (result != JSON_STREAM_MORE)
			return fail_within(why, -EPROTO, "control socket '%s'",
					   s->o->socket);
		rc = receive_bytes(s, why);
	}
	return rc;
}

/* Is @message an error? Then @why has its class and its sentence. */
static bool take_error(const json_t *message, struct fail *why)
{
	const json_t *error = json_object_get(message, "error");
	const char *desc = text_member(error, "desc");
	const char *class = text_member(error, "class");

	if (!error)
		return false;
	fail(why, -EREMOTEIO, "%s: %s", *class ? class : "no class",
	     *desc ? desc : "an error without a description");
	return true;
}

static int greet(struct session *s, struct fail *why)
{
	json_t *greeting;
	int rc = receive_message(s, &greeting, why);

	if (rc <= 0)
		return rc < 0 ? rc : closed(s, why);
	rc = 0;
	if (take_error(greeting, why))
		rc = fail_within(why, -EBUSY, "control socket '%s'",
				 s->o->socket);
	else if (!json_object_get(greeting, "QMP"))
		rc = fail(why, -EPROTO, "'%s' is not a control socket: no "
			  "QMP greeting came", s->o->socket);
	json_decref(greeting);
	return rc;
}

/*
 * Wait for the reply to @id; events and the like are passed over.
 * Return: 1 with the result, 0 when the server closed, or negative errno: that
 * of the command is -EREMOTEIO.
 */
static int receive_reply(struct session *s, json_int_t id, json_t **result,
			 struct fail *why)
{
	json_t *message, *found;
	int rc;

	for (;;) {
		rc = receive_message(s, &message, why);
		if (rc <= 0)
			return rc;
		found = json_object_get(message, "id");
		if (found && json_integer_value(found) == id)
			break;
		/* An error without an id is about our last request. */
		if (!found && json_object_get(message, "error"))
			break;
		json_decref(message);
	}
	*result = json_incref(json_object_get(message, "return"));
	if (!*result) {
		rc = -EREMOTEIO;
		if (!take_error(message, why))
			fail(why, rc, "a reply without a result");
	}
	json_decref(message);
	return rc;
}

static int negotiate(struct session *s, struct fail *why)
{
	json_t *request, *result = NULL;
	int rc;

	rc = greet(s, why);
	if (rc < 0)
		return rc;
	s->greeted = true;
	if (s->o->timeout_ms < 0)
		s->deadline = DEADLINE_NEVER;
	await(s, "answer");
	request = json_pack("{s:s,s:i}", "execute", "qmp_capabilities", "id",
			    ID_NEGOTIATE);
	rc = send_message(s, request, why);
	json_decref(request);
	if (rc < 0)
		return rc;
	rc = receive_reply(s, ID_NEGOTIATE, &result, why);
	json_decref(result);
	if (rc == -EREMOTEIO)
		return fail_within(why, rc, "qmp_capabilities");
	return rc ? rc : closed(s, why);
}

/* Until the server closes: its sockets are gone then. */
static int wait_for_close(struct session *s, struct fail *why)
{
	json_t *message;
	int rc;

	await(s, "end of the process");
	for (;;) {
		rc = receive_message(s, &message, why);
		if (rc <= 0)
			return rc;
		json_decref(message);
	}
}

static int written(int rc, struct fail *why)
{
	return rc < 0 ? fail(why, rc, "standard output: %s", strerror(-rc)) :
			0;
}

static bool is_for_people(const struct ctl_options *o)
{
	return !o->json && isatty(fileno(o->out));
}

static int carry_out(struct session *s, const json_t *request,
		     struct fail *why)
{
	bool quits = !strcmp(s->o->execute, "quit");
	json_t *result = NULL;
	int rc;

	rc = send_message(s, request, why);
	if (rc < 0 && !(quits && rc == -EPIPE))
		return rc;
	rc = receive_reply(s, ID_COMMAND, &result, why);
	ctl_progress_clear(&s->bar);
	if (rc == -EREMOTEIO)
		return fail_within(why, rc, "%.64s", s->o->execute);
	if (rc < 0)
		return rc;
	if (!rc)
		return quits ? 0 : closed(s, why);
	rc = quits ? wait_for_close(s, why) : 0;
	if (!rc)
		rc = written(ctl_print(s->o->out, result, is_for_people(s->o)),
			     why);
	json_decref(result);
	return rc;
}

static int await_event(struct session *s, struct fail *why)
{
	json_t *message;
	int rc;

	await(s, "event %s", s->o->wait);
	while (!s->event) {
		rc = receive_message(s, &message, why);
		if (rc < 0)
			return rc;
		if (!rc)
			return fail(why, -ECONNRESET, "control socket '%s': "
				    "the machine has gone, and no event %s "
				    "came", s->o->socket, s->o->wait);
		json_decref(message);
	}
	return written(ctl_print(s->o->out, s->event, false), why);
}

static int converse(struct session *s, const json_t *request, struct fail *why)
{
	int rc = open_socket(s, why);

	if (rc < 0)
		return rc;
	rc = negotiate(s, why);
	if (rc >= 0 && request)
		rc = carry_out(s, request, why);
	if (rc >= 0 && s->o->wait)
		rc = await_event(s, why);
	ctl_progress_clear(&s->bar);
	close(s->fd);
	json_stream_reset(&s->in);
	json_decref(s->event);
	return rc;
}

/* An event that does not exist would be waited for until the deadline. */
static int check_event(const struct ctl_options *o, struct fail *why)
{
	char known[FAIL_TEXT_MAX] = "";
	size_t used = 0;
	unsigned int i;

	if (!o->wait)
		return 0;
	for (i = 0; o->events[i]; i++) {
		if (!strcmp(o->wait, o->events[i]))
			return 0;
		used += (size_t)snprintf(known + used, sizeof(known) - used,
					 "%s%s", i ? ", " : "", o->events[i]);
		if (used >= sizeof(known))
			break;
	}
	return fail(why, -EINVAL, "--wait '%.64s': an event expected: %s",
		    o->wait, known);
}

static int exit_status(int rc)
{
	if (rc == -ETIMEDOUT)
		return CTL_EXIT_TIMEOUT;
	return rc < 0 ? MACHINE_EXIT_ERROR : 0;
}

int ctl_run(const struct ctl_options *o, struct fail *why)
{
	struct session s = { .o = o };
	json_t *request = NULL;
	int rc;

	if (check_event(o, why) < 0)
		return MACHINE_EXIT_USAGE;
	if (o->execute) {
		request = ctl_make_request(o, ID_COMMAND, why);
		if (!request)
			return MACHINE_EXIT_USAGE;
	}
	s.path = json_string_value(json_object_get(
			json_object_get(request, "arguments"), "path"));
	await(&s, "greeting");
	s.limit_ms = o->timeout_ms < 0 ? o->greeting_ms : o->timeout_ms;
	s.deadline = deadline_in(s.limit_ms);
	ctl_progress_init(&s.bar, o->progress_fd, 0);
	rc = converse(&s, request, why);
	json_decref(request);
	return exit_status(rc);
}
