// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: what a client says on the control socket.
 *
 * The first byte says into how small pieces the rest is cut. However it is
 * cut, the same messages must come out, and each answer must be JSON that the
 * other end can read: the two streams are compared.
 */
#include "tests/fuzz/target.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/control_message.h"
#include "vmm/json_stream.h"

const char fuzz_target[] = "control";

static void require(bool ok)
{
	if (!ok)
		abort();
}

static int echo(void *opaque, json_t *arguments, json_t **result,
		struct fail *why)
{
	(void)opaque;
	if (json_object_get(arguments, "number"))
		return fail(why, -EINVAL, "a number: %s",
			    json_string_value(json_object_get(arguments,
							      "path")));
	*result = json_incref(arguments);
	return 0;
}

static int later(void *opaque, json_t *arguments,
		 struct control_pending *pending, struct fail *why)
{
	(void)opaque;
	(void)pending;
	if (json_object_get(arguments, "flag"))
		return fail(why, -EBUSY, "not now");
	return 0;
}

static const struct control_argument echo_arguments[] = {
	{ "path", CONTROL_PATH, true },
	{ "number", CONTROL_INTEGER, false },
	{ "flag", CONTROL_BOOLEAN, false },
	{ "list", CONTROL_LIST, false },
	{ 0 }
};

static const struct control_command table[] = {
	{ "qmp_capabilities", NULL, NULL, NULL },
	{ "echo", echo_arguments, echo, NULL },
	{ "later", echo_arguments, NULL, later },
	{ 0 }
};

/**
 * struct talk - one run over an input
 * @in: from the client
 * @negotiated: as control.c keeps it
 * @pending: likewise
 * @said: all answers, one a line
 * @len: bytes in @said
 */
struct talk {
	struct json_stream in;
	bool negotiated;
	struct control_pending pending;
	char *said;
	size_t len;
};

/* Takes over @reply. */
static void note(struct talk *t, json_t *reply)
{
	char *text, *bigger;
	json_t *again;
	size_t len;

	require(json_is_object(reply));
	text = json_dumps(reply, JSON_COMPACT);
	require(text);
	again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	require(again && json_equal(again, reply));
	len = strlen(text);
	bigger = realloc(t->said, t->len + len + 1);
	require(bigger);
	memcpy(bigger + t->len, text, len);
	bigger[t->len + len] = '\n';
	t->said = bigger;
	t->len += len + 1;
	free(text);
	json_decref(again);
	json_decref(reply);
}

static void answered(struct control_pending *pending, json_t *reply)
{
	note((struct talk *)(void *)((char *)pending -
				     offsetof(struct talk, pending)), reply);
}

/* What takes its time succeeds if its path is long enough. */
static void take_request(struct talk *t, json_t *request)
{
	json_t *arguments = json_object_get(request, "arguments");
	struct fail why = { .text = "too short" };
	json_t *reply;

	reply = control_answer(table, NULL, &t->negotiated, request,
			       &t->pending);
	if (t->pending.waiting) {
		require(!reply);
		if (json_string_length(json_object_get(arguments, "path")) < 4)
			control_complete(&t->pending, -EINVAL, NULL, &why);
		else
			control_complete(&t->pending, 0,
					 json_incref(arguments), &why);
		require(!t->pending.waiting);
	} else {
		note(t, reply);
	}
	require(!t->pending.id);
}

/* Return: false: the stream is lost. */
static bool answer(struct talk *t)
{
	struct fail why;
	json_t *request;

	for (;;) {
		switch (json_stream_next(&t->in, &request, &why)) {
		case JSON_STREAM_MORE:
			return true;
		case JSON_STREAM_VALUE:
			take_request(t, request);
			json_decref(request);
			break;
		case JSON_STREAM_BAD:
			note(t, control_error(why.text));
			break;
		case JSON_STREAM_LOST:
			note(t, control_error(why.text));
			return false;
		}
	}
}

static void talk(struct talk *t, const uint8_t *data, size_t len, size_t step)
{
	bool lost = false;

	t->pending.answer = answered;
	while (len && !lost) {
		size_t piece = len < step ? len : step;

		require(!json_stream_push(&t->in, data, piece));
		lost = !answer(t);
		data += piece;
		len -= piece;
	}
	require(lost || json_stream_pending(&t->in) <= JSON_STREAM_MAX);
	json_stream_reset(&t->in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct talk whole = { 0 }, pieces = { 0 };

	if (!len)
		return 0;
	talk(&whole, data + 1, len - 1, len);
	talk(&pieces, data + 1, len - 1, (size_t)data[0] % 16 + 1);
	require(whole.negotiated == pieces.negotiated);
	require(whole.len == pieces.len);
	require(!whole.len || !memcmp(whole.said, pieces.said, whole.len));
	free(whole.said);
	free(pieces.said);
	return 0;
}
