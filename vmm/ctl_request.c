// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The words of `wherry ctl` as a request: which kind of JSON a value becomes.
 *
 * Owns nothing. Called by ctl.c, before it connects.
 */
#include "vmm/ctl_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

json_t *ctl_make_request(const struct ctl_options *o, int id, struct fail *why)
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
			    "arguments", arguments, "id", id);
	if (!request)
		fail(why, -EINVAL, "ctl: command '%.64s': text in UTF-8 "
		     "expected", o->execute);
	return request;
}
