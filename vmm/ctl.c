// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `wherry ctl`: one command to a control socket, for people and scripts.
 *
 * Owns its one connection. Called once by main(); one thread, blocking.
 */
#include "vmm/ctl.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/unix_socket.h"
#include "vmm/json_stream.h"
#include "vmm/machine.h"

#define READ_SIZE (16u << 10)

/* Of our two requests. */
#define ID_NEGOTIATE	1
#define ID_COMMAND	2

/**
 * struct session - a connection to a control socket
 * @socket: its path, for messages
 * @fd: blocking
 * @in: bytes to become replies and events
 */
struct session {
	const char *socket;
	int fd;
	struct json_stream in;
};

/* Relative paths are the caller's, who is somewhere else than the server. */
static json_t *path_value(const char *text)
{
	char *cwd, *path = NULL;
	json_t *value;

	if (*text == '/' || !*text)
		return json_string(text);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	if (asprintf(&path, "%s/%s", cwd, text) < 0)
		path = NULL;
	free(cwd);
	value = path ? json_string(path) : NULL;
	free(path);
	return value;
}

/* A number, true, false, or (for @kind) a list; else a string. */
static json_t *guess_value(const char *text, enum control_kind kind)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	if (json_is_number(value) || json_is_boolean(value) ||
	    (kind == CONTROL_LIST && json_is_array(value)))
		return value;
	json_decref(value);
	return json_string(text);
}

static json_t *argument_value(const struct control_command *command,
			      const char *key, const char *text)
{
	const struct control_argument *row = command ? command->argument : NULL;

	while (row && row->name && strcmp(row->name, key))
		row++;
	if (!row || !row->name)
		return strcmp(key, "path") ?
		       guess_value(text, CONTROL_INTEGER) : path_value(text);
	switch (row->kind) {
	case CONTROL_PATH:
		return path_value(text);
	case CONTROL_STRING:
		return json_string(text);
	case CONTROL_INTEGER:
	case CONTROL_BOOLEAN:
	case CONTROL_LIST:
	case CONTROL_KINDS:
		break;
	}
	return guess_value(text, row->kind);
}

static int add_argument(json_t *arguments,
			const struct control_command *command,
			const char *word, struct fail *why)
{
	const char *equals = strchr(word, '=');
	json_t *value;
	char *key;
	int rc = 0;

	if (!equals || equals == word)
		return fail(why, -EINVAL, "ctl: argument '%.64s': key=value "
			    "expected", word);
	key = strndup(word, (size_t)(equals - word));
	if (!key)
		return fail(why, -EINVAL, "ctl: out of memory");
	if (json_object_get(arguments, key)) {
		rc = fail(why, -EINVAL, "ctl: argument '%.64s' is given twice",
			  key);
		goto free_key;
	}
	value = argument_value(command, key, equals + 1);
	/* Also refuses a key that is not UTF-8. */
	if (json_object_set_new(arguments, key, value) < 0)
		rc = fail(why, -EINVAL, "ctl: argument '%.64s': text in UTF-8 "
			  "expected", word);
free_key:
	free(key);
	return rc;
}

/* Return: what to send, new; NULL with the reason: the words are wrong. */
static json_t *make_request(const struct ctl_options *o, struct fail *why)
{
	const struct control_command *command;
	json_t *arguments = json_object();
	json_t *request;
	unsigned int i;

	command = control_find_command(o->table, o->execute);
	for (i = 0; i < o->arguments; i++) {
		if (add_argument(arguments, command, o->argument[i], why) < 0) {
			json_decref(arguments);
			return NULL;
		}
	}
	request = json_pack("{s:s,s:o,s:i}", "execute", o->execute,
			    "arguments", arguments, "id", ID_COMMAND);
	if (!request)
		fail(why, -EINVAL, "ctl: command '%.64s': text in UTF-8 "
		     "expected", o->execute);
	return request;
}

static int send_message(struct session *s, const json_t *message,
			struct fail *why)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len, done = 0;
	ssize_t n;

	if (!text)
		return fail(why, -ENOMEM, "ctl: out of memory");
	len = strlen(text);
	text[len] = '\n';
	while (done < len + 1) {
		n = send(s->fd, text + done, len + 1 - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	free(text);
	if (done < len + 1)
		return fail(why, -errno, "control socket '%s': %s", s->socket,
			    strerror(errno));
	return 0;
}

/* Return: 1 with a message, 0 when the server closed, or negative errno. */
static int receive_message(struct session *s, json_t **message,
			   struct fail *why)
{
	enum json_stream_result result;
	char bytes[READ_SIZE];
	ssize_t n;

	for (;;) {
		result = json_stream_next(&s->in, message, why);
		if (result == JSON_STREAM_VALUE)
			return 1;
		if (result != JSON_STREAM_MORE)
			return fail_within(why, -EPROTO, "control socket '%s'",
					   s->socket);
		n = recv(s->fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (!n || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n < 0)
			return fail(why, -errno, "control socket '%s': %s",
				    s->socket, strerror(errno));
		if (json_stream_push(&s->in, bytes, (size_t)n) < 0)
			return fail(why, -ENOMEM, "ctl: out of memory");
	}
}

static int closed(const struct session *s, struct fail *why)
{
	return fail(why, -ECONNRESET, "control socket '%s': the connection "
		    "was closed before the answer came", s->socket);
}

/* The text of an error reply; NULL: @message is none. */
static const char *error_text(const json_t *message)
{
	const json_t *error = json_object_get(message, "error");
	const char *desc = json_string_value(json_object_get(error, "desc"));

	if (!error)
		return NULL;
	return desc ? desc : "an error without a description";
}

static int greet(struct session *s, struct fail *why)
{
	json_t *greeting;
	int rc = receive_message(s, &greeting, why);

	if (rc < 0)
		return rc;
	if (!rc)
		return closed(s, why);
	rc = 0;
	if (error_text(greeting))
		rc = fail(why, -EBUSY, "control socket '%s': %s", s->socket,
			  error_text(greeting));
	else if (!json_object_get(greeting, "QMP"))
		rc = fail(why, -EPROTO, "'%s' is not a control socket: no "
			  "QMP greeting came", s->socket);
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
		if (!found && error_text(message))
			break;
		json_decref(message);
	}
	*result = json_incref(json_object_get(message, "return"));
	if (!*result)
		rc = fail(why, -EREMOTEIO, "%s", error_text(message) ?
			  error_text(message) : "a reply without a result");
	json_decref(message);
	return rc;
}

static int negotiate(struct session *s, struct fail *why)
{
	json_t *request, *result = NULL;
	int rc = greet(s, why);

	if (rc < 0)
		return rc;
	request = json_pack("{s:s,s:i}", "execute", "qmp_capabilities", "id",
			    ID_NEGOTIATE);
	rc = send_message(s, request, why);
	json_decref(request);
	if (rc < 0)
		return rc;
	rc = receive_reply(s, ID_NEGOTIATE, &result, why);
	json_decref(result);
	return rc ? rc : closed(s, why);
}

/* Until the server closes: its sockets are gone then. */
static void wait_for_close(struct session *s)
{
	struct fail ignored;
	json_t *message;

	while (receive_message(s, &message, &ignored) > 0)
		json_decref(message);
}

static int converse(struct session *s, const char *execute,
		    const json_t *request, json_t **result, struct fail *why)
{
	bool quits = !strcmp(execute, "quit");
	int rc = negotiate(s, why);

	if (rc < 0)
		return rc;
	rc = send_message(s, request, why);
	if (rc < 0)
		return quits && rc == -EPIPE ? 0 : rc;
	rc = receive_reply(s, ID_COMMAND, result, why);
	if (rc == -EREMOTEIO)
		return fail_within(why, rc, "%.64s", execute);
	if (!rc && !quits)
		return closed(s, why);
	if (rc > 0 && quits)
		wait_for_close(s);
	return rc;
}

static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			return false;
	}
	return true;
}

static void print_value(FILE *out, const json_t *value)
{
	const char *text = json_string_value(value);

	/* The terminal must not be given orders. */
	if (text && is_printable(text))
		fputs(text, out);
	else
		json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* One line a member; what is within a member goes on that line. */
static void print_members(FILE *out, json_t *object, const char *indent)
{
	const char *key;
	json_t *value;
	size_t width = 0;

	json_object_foreach(object, key, value)
		width = strlen(key) > width ? strlen(key) : width;
	json_object_foreach(object, key, value) {
		fprintf(out, "%s%-*s  ", indent, (int)width, key);
		print_value(out, value);
		fputc('\n', out);
	}
}

static bool is_nested(const json_t *value)
{
	return json_object_size(value) || json_array_size(value);
}

/* Scalars first, then each group under its name. */
static void print_table(FILE *out, json_t *object)
{
	json_t *scalars = json_object(), *value, *item;
	const char *key;
	size_t i;

	json_object_foreach(object, key, value) {
		if (!is_nested(value))
			json_object_set(scalars, key, value);
	}
	print_members(out, scalars, "");
	json_decref(scalars);
	json_object_foreach(object, key, value) {
		if (!is_nested(value))
			continue;
		fprintf(out, "%s\n", key);
		if (json_is_object(value))
			print_members(out, value, "  ");
		json_array_foreach(value, i, item) {
			fputs("  ", out);
			print_value(out, item);
			fputc('\n', out);
		}
	}
}

int ctl_print(FILE *out, json_t *result, bool pretty)
{
	if (pretty && json_is_object(result)) {
		print_table(out, result);
	} else {
		json_dumpf(result, out, JSON_ENCODE_ANY |
			   (pretty ? JSON_INDENT(2) : JSON_COMPACT));
		fputc('\n', out);
	}
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

static int run(const struct ctl_options *o, const json_t *request,
	       struct fail *why)
{
	struct session s = { .socket = o->socket };
	json_t *result = NULL;
	int rc;

	s.fd = unix_socket_connect(o->socket, SOCK_STREAM, false);
	if (s.fd == -ECONNREFUSED)
		return fail(why, s.fd, "control socket '%s': no process "
			    "listens there any more", o->socket);
	if (s.fd < 0)
		return fail(why, s.fd, "control socket '%s': %s", o->socket,
			    strerror(-s.fd));
	rc = converse(&s, o->execute, request, &result, why);
	close(s.fd);
	json_stream_reset(&s.in);
	if (rc < 0 || !result)
		return rc;
	rc = ctl_print(o->out, result, isatty(fileno(o->out)));
	json_decref(result);
	if (rc < 0)
		return fail(why, rc, "standard output: %s", strerror(-rc));
	return 0;
}

int ctl_run(const struct ctl_options *o, struct fail *why)
{
	json_t *request = make_request(o, why);
	int rc;

	if (!request)
		return MACHINE_EXIT_USAGE;
	rc = run(o, request, why);
	json_decref(request);
	return rc < 0 ? MACHINE_EXIT_ERROR : 0;
}
