// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The QMP dialect: requests checked against a table, answers, events.
 *
 * Owns the shape and the wording of messages (QEMU's qmp-spec and
 * qapi/qmp-dispatch.c, so that existing clients understand them); knows no
 * sockets. Called by control.c on the loop thread.
 */
#include "config.h"

#include "vmm/control_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const kind_names[] = {
	[CONTROL_STRING] = "string",
	[CONTROL_PATH] = "string",
	[CONTROL_INTEGER] = "integer",
	[CONTROL_BOOLEAN] = "boolean",
	[CONTROL_LIST] = "array",
};
_Static_assert(sizeof(kind_names) / sizeof(*kind_names) == CONTROL_KINDS,
	       "a name for each kind");

/**
 * enum error_class - what a program may tell errors apart by
 */
enum error_class { ERROR_GENERIC, ERROR_NOT_FOUND, ERROR_CLASSES };

static const char *const class_names[] = {
	[ERROR_GENERIC] = "GenericError",
	[ERROR_NOT_FOUND] = "CommandNotFound",
};
_Static_assert(sizeof(class_names) / sizeof(*class_names) == ERROR_CLASSES,
	       "a name for each class");

const struct control_command *
control_find_command(const struct control_command *table, const char *name)
{
	for (; table->name; table++) {
		if (!strcmp(table->name, name))
			return table;
	}
	return NULL;
}

/* A JSON string of any bytes: a message may quote what is not UTF-8. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char *copy, *p;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (p = copy; *p; p++) {
		if (*p & 0x80)
			*p = '?';
	}
	value = json_string(copy);
	free(copy);
	return value;
}

static json_t *error_reply(enum error_class error, const char *desc)
{
	return json_pack("{s:{s:s,s:o}}", "error", "class", class_names[error],
			 "desc", text_value(desc));
}

json_t *control_error(const char *desc)
{
	return error_reply(ERROR_GENERIC, desc);
}

json_t *control_version(void)
{
	int major = 0, minor = 0, micro = 0;

	if (sscanf(PACKAGE_VERSION, "%d.%d.%d", &major, &minor, &micro) < 1)
		return NULL;
	/* Clients look for the member "qemu" and compare what is in it. */
	return json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "major", major,
			 "minor", minor, "micro", micro, "package",
			 PACKAGE_NAME " " PACKAGE_VERSION);
}

json_t *control_greeting(void)
{
	return json_pack("{s:{s:o,s:[]}}", "QMP", "version", control_version(),
			 "capabilities");
}

json_t *control_event_message(const char *name, json_t *data)
{
	struct timespec now;
	json_t *event;

	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:s,s:{s:I,s:I}}", "event", name, "timestamp",
			  "seconds", (json_int_t)now.tv_sec,
			  "microseconds", (json_int_t)(now.tv_nsec / 1000));
	if (!event || !data) {
		json_decref(data);
		return event;
	}
	if (json_object_set_new(event, "data", data) < 0) {
		json_decref(event);
		return NULL;
	}
	return event;
}

static bool is_of_kind(const json_t *value, enum control_kind kind)
{
	switch (kind) {
	case CONTROL_STRING:
	case CONTROL_PATH:
		return json_is_string(value);
	case CONTROL_INTEGER:
		return json_is_integer(value);
	case CONTROL_BOOLEAN:
		return json_is_boolean(value);
	case CONTROL_LIST:
		return json_is_array(value);
	case CONTROL_KINDS:
		break;
	}
	return false;
}

static const struct control_argument *
find_argument(const struct control_command *command, const char *name)
{
	const struct control_argument *argument = command->argument;

	for (; argument && argument->name; argument++) {
		if (!strcmp(argument->name, name))
			return argument;
	}
	return NULL;
}

static int check_arguments(const struct control_command *command,
			   json_t *arguments, struct fail *why)
{
	const struct control_argument *argument;
	const char *name;
	json_t *value;

	json_object_foreach(arguments, name, value) {
		argument = find_argument(command, name);
		if (!argument)
			return fail(why, -EINVAL,
				    "Parameter '%.64s' is unexpected", name);
		if (!is_of_kind(value, argument->kind))
			return fail(why, -EINVAL, "Invalid parameter type for "
				    "'%s', expected: %s", name,
				    kind_names[argument->kind]);
	}
	for (argument = command->argument; argument && argument->name;
	     argument++) {
		if (argument->required &&
		    !json_object_get(arguments, argument->name))
			return fail(why, -EINVAL, "Parameter '%s' is missing",
				    argument->name);
	}
	return 0;
}

/* qmp_capabilities: none is offered, so none can be enabled. */
static int negotiate(json_t *arguments, struct fail *why)
{
	json_t *enable = json_object_get(arguments, "enable");
	const char *name;

	if (!json_array_size(enable))
		return 0;
	name = json_string_value(json_array_get(enable, 0));
	return fail(why, -EINVAL, "Capability '%.64s' is not available",
		    name ? name : "?");
}

static bool is_negotiation(const struct control_command *command)
{
	return !command->run && !command->begin;
}

/* How a command went; takes over @result. */
static json_t *outcome(int rc, json_t *result, const struct fail *why)
{
	if (rc < 0) {
		json_decref(result);
		return error_reply(ERROR_GENERIC, *why->text ? why->text :
				   strerror(-rc));
	}
	return json_pack("{s:o}", "return", result ? result : json_object());
}

/* Carry out what was found to be in order. */
static json_t *run_command(const struct control_command *command, void *opaque,
			   bool *negotiated, json_t *arguments,
			   struct control_pending *pending)
{
	struct fail why = { .text = "" };
	json_t *result = NULL;
	int rc;

	rc = check_arguments(command, arguments, &why);
	if (rc < 0)
		return error_reply(ERROR_GENERIC, why.text);
	if (command->begin) {
		rc = command->begin(opaque, arguments, pending, &why);
		pending->waiting = rc >= 0;
		return rc < 0 ? outcome(rc, NULL, &why) : NULL;
	}
	if (command->run)
		rc = command->run(opaque, arguments, &result, &why);
	else
		rc = negotiate(arguments, &why);
	if (rc >= 0 && is_negotiation(command))
		*negotiated = true;
	return outcome(rc, result, &why);
}

/* The members of a request, none of them unknown. */
static int check_request(json_t *request, struct fail *why)
{
	const char *name;
	json_t *value;

	if (!json_is_object(request))
		return fail(why, -EINVAL, "QMP input must be a JSON object");
	json_object_foreach(request, name, value) {
		if (!strcmp(name, "execute")) {
			if (!json_is_string(value))
				return fail(why, -EINVAL, "QMP input member "
					    "'execute' must be a string");
		} else if (!strcmp(name, "arguments")) {
			if (!json_is_object(value))
				return fail(why, -EINVAL, "QMP input member "
					    "'arguments' must be an object");
		} else if (strcmp(name, "id")) {
			return fail(why, -EINVAL, "QMP input member '%.64s' "
				    "is unexpected", name);
		}
	}
	if (!json_object_get(request, "execute"))
		return fail(why, -EINVAL,
			    "QMP input lacks member 'execute'");
	return 0;
}

static json_t *answer(const struct control_command *table, void *opaque,
		      bool *negotiated, json_t *request,
		      struct control_pending *pending)
{
	const struct control_command *command;
	struct fail why = { .text = "" };
	json_t *arguments, *reply;
	const char *name;

	if (check_request(request, &why) < 0)
		return error_reply(ERROR_GENERIC, why.text);
	name = json_string_value(json_object_get(request, "execute"));
	command = control_find_command(table, name);
	if (!*negotiated && (!command || !is_negotiation(command)))
		return error_reply(ERROR_NOT_FOUND, "Expecting capabilities "
				   "negotiation with 'qmp_capabilities'");
	if (!command) {
		fail(&why, -ENOENT, "The command %.64s has not been found",
		     name);
		return error_reply(ERROR_NOT_FOUND, why.text);
	}
	if (*negotiated && is_negotiation(command))
		return error_reply(ERROR_NOT_FOUND, "Capabilities negotiation "
				   "is already complete, command ignored");

	arguments = json_object_get(request, "arguments");
	arguments = arguments ? json_incref(arguments) : json_object();
	if (!arguments)
		return NULL;
	reply = run_command(command, opaque, negotiated, arguments, pending);
	json_decref(arguments);
	return reply;
}

/* Return: @reply, or NULL. */
static json_t *with_id(json_t *reply, json_t *id)
{
	if (reply && id && json_object_set(reply, "id", id) < 0) {
		json_decref(reply);
		return NULL;
	}
	return reply;
}

json_t *control_answer(const struct control_command *table, void *opaque,
		       bool *negotiated, json_t *request,
		       struct control_pending *pending)
{
	json_t *id = json_object_get(request, "id");
	json_t *reply = answer(table, opaque, negotiated, request, pending);

	if (!pending->waiting)
		return with_id(reply, id);
	pending->id = json_incref(id);
	return NULL;
}

void control_complete(struct control_pending *pending, int rc, json_t *result,
		      const struct fail *why)
{
	json_t *reply = with_id(outcome(rc, result, why), pending->id);

	json_decref(pending->id);
	pending->id = NULL;
	pending->waiting = false;
	pending->answer(pending, reply);
}
