/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QMP dialect: requests checked against a table, answers, events.
 */
#ifndef WHERRY_VMM_CONTROL_MESSAGE_H
#define WHERRY_VMM_CONTROL_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>

#include "virtio/fail.h"

/**
 * enum control_kind - what JSON an argument must be
 * @CONTROL_STRING: a string
 * @CONTROL_PATH: a string naming a file; `wherry ctl` makes it absolute
 * @CONTROL_INTEGER: a whole number
 * @CONTROL_BOOLEAN: true or false
 * @CONTROL_LIST: an array
 * @CONTROL_KINDS: how many
 */
enum control_kind {
	CONTROL_STRING,
	CONTROL_PATH,
	CONTROL_INTEGER,
	CONTROL_BOOLEAN,
	CONTROL_LIST,
	CONTROL_KINDS
};

/**
 * struct control_argument - an argument of a command
 * @name: NULL ends a table
 * @kind: what is accepted
 * @required: an error when missing
 */
struct control_argument {
	const char *name;
	enum control_kind kind;
	bool required;
};

/**
 * struct control_command - a command
 * @name: NULL ends a table
 * @argument: its arguments, or NULL: none
 * @run: carry it out. @arguments is an object with what the table allows and
 *     nothing else, borrowed. Sets *@result to a new reference, or leaves it
 *     NULL for {}. Return: 0, or a negative errno with the reason.
 *     NULL: this is the negotiation itself.
 */
struct control_command {
	const char *name;
	const struct control_argument *argument;
	int (*run)(void *opaque, json_t *arguments, json_t **result,
		   struct fail *why);
};

/** control_find_command() - Return: the row, or NULL */
const struct control_command *
control_find_command(const struct control_command *table, const char *name);

/** control_version() - Return: new object: what QMP calls VersionInfo */
json_t *control_version(void);

/** control_greeting() - Return: the first line of a connection, new */
json_t *control_greeting(void);

/**
 * control_answer() - check a request, carry it out
 * @table: the commands
 * @opaque: for their run()
 * @negotiated: of this connection: whether `qmp_capabilities` came; updated
 * @request: any JSON, borrowed
 *
 * Return: the reply, a new reference; NULL: out of memory.
 */
json_t *control_answer(const struct control_command *table, void *opaque,
		       bool *negotiated, json_t *request);

/**
 * control_error() - an error that no request belongs to
 * @desc: any text
 *
 * Return: the reply, of class GenericError, a new reference; NULL: out of
 * memory.
 */
json_t *control_error(const char *desc);

/**
 * control_event_message() - an event, stamped with the time
 * @data: reference is taken over; may be NULL
 *
 * Return: a new reference; NULL: out of memory.
 */
json_t *control_event_message(const char *name, json_t *data);

#endif
