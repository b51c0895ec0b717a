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
 * struct control_pending - an answer that is owed
 * @id: "id" of the request; NULL: it had none
 * @waiting: a command has begun and is not done
 * @answer: called with the reply, whose reference is taken over; NULL: out of
 *     memory
 *
 * Embedded in its connection. Zeroed but for @answer: nothing is owed.
 */
struct control_pending {
	json_t *id;
	bool waiting;
	void (*answer)(struct control_pending *pending, json_t *reply);
};

/**
 * struct control_command - a command
 * @name: NULL ends a table
 * @argument: its arguments, or NULL: none
 * @run: carry it out. @arguments is an object with what the table allows and
 *     nothing else, borrowed. Sets *@result to a new reference, or leaves it
 *     NULL for {}. Return: 0, or a negative errno with the reason.
 *     NULL, as @begin: this is the negotiation itself.
 * @begin: instead of @run, for what takes its time: start it. Return: 0:
 *     control_complete(@pending) is going to be called once, later, on this
 *     thread, not before this has returned; or a negative errno with the
 *     reason: @pending is nobody's business any more.
 */
struct control_command {
	const char *name;
	const struct control_argument *argument;
	int (*run)(void *opaque, json_t *arguments, json_t **result,
		   struct fail *why);
	int (*begin)(void *opaque, json_t *arguments,
		     struct control_pending *pending, struct fail *why);
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
 * @pending: nothing is owed. Afterwards pending->waiting tells whether the
 *     reply comes later, by pending->answer()
 *
 * Return: the reply, a new reference; NULL: it comes later, or out of memory.
 */
json_t *control_answer(const struct control_command *table, void *opaque,
		       bool *negotiated, json_t *request,
		       struct control_pending *pending);

/**
 * control_complete() - a command that begun is done
 * @pending: as its begin() got it
 * @rc: 0 or negative errno
 * @result: as of run(), the reference is taken over; NULL for {}
 * @why: the reason if @rc is negative
 *
 * Context: loop thread, not from within begin().
 */
void control_complete(struct control_pending *pending, int rc, json_t *result,
		      const struct fail *why);

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
