// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A byte stream cut into JSON objects, for both ends of the control socket.
 *
 * Owns the bytes between a push and the value they become. Called by
 * control.c on the loop thread, by ctl.c on the main thread. Pure.
 *
 * Theory: existing QMP clients end a message with a newline, or do not, or
 * spread one over several lines. So a scanner follows brackets and quotes;
 * when the outermost bracket closes, the text goes to jansson, which decides
 * whether it is JSON. The scanner also bounds length and nesting, so that
 * jansson's recursion is bounded before it starts.
 *
 *   between values ──bracket──▶ in a value ──last bracket──▶ between values
 *   any state ──what cannot be JSON──▶ skipping ──newline──▶ between values
 */
#include "vmm/json_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 4096u

_Static_assert(JSON_STREAM_DEPTH_MAX <= 32, "a bit each in `braces`");

int json_stream_push(struct json_stream *s, const void *data, size_t len)
{
	size_t used = s->end - s->start;

	if (s->start) {
		memmove(s->data, s->data + s->start, used);
		s->scanned -= s->start;
		s->start = 0;
		s->end = used;
	}
	if (len > s->size - used) {
		size_t size = 2 * (used + len);
		char *bigger;

		if (size < ROOM_MIN)
			size = ROOM_MIN;
		bigger = realloc(s->data, size);
		if (!bigger)
			return -ENOMEM;
		s->data = bigger;
		s->size = size;
	}
	if (len)
		memcpy(s->data + used, data, len);
	s->end = used + len;
	return 0;
}

size_t json_stream_pending(const struct json_stream *s)
{
	return s->end - s->start;
}

void json_stream_reset(struct json_stream *s)
{
	free(s->data);
	*s = (struct json_stream){ 0 };
}

/* Forget what was scanned so far; the next byte begins something new. */
static void begin_anew(struct json_stream *s)
{
	s->start = s->scanned;
	s->depth = 0;
	s->in_string = false;
	s->escaped = false;
}

static enum json_stream_result skip_line(struct json_stream *s, int err,
					 struct fail *why, const char *what)
{
	fail(why, err, "JSON parse error: %s", what);
	/* A newline that was the error itself also ends the line. */
	s->skipping = !s->scanned || s->data[s->scanned - 1] != '\n';
	begin_anew(s);
	return JSON_STREAM_BAD;
}

static enum json_stream_result lose(struct fail *why, const char *what,
				    unsigned int max)
{
	fail(why, -EMSGSIZE, "JSON parse error: %s %u expected at most, "
	     "closing the connection", what, max);
	return JSON_STREAM_LOST;
}

/* Return: JSON_STREAM_MORE while skipping goes on. */
static enum json_stream_result skip(struct json_stream *s, struct fail *why)
{
	const char *from = s->data + s->scanned;
	const char *newline = memchr(from, '\n', s->end - s->scanned);

	if (!newline) {
		s->scanned = s->end;
		if (s->scanned - s->start > JSON_STREAM_MAX)
			return lose(why, "garbage without a newline: bytes",
				    JSON_STREAM_MAX);
		return JSON_STREAM_MORE;
	}
	s->scanned = (size_t)(newline - s->data) + 1;
	begin_anew(s);
	s->skipping = false;
	return JSON_STREAM_VALUE;
}

static enum json_stream_result parse(struct json_stream *s, json_t **value,
				     struct fail *why)
{
	size_t len = s->scanned - s->start;
	json_error_t error;

	*value = json_loadb(s->data + s->start, len, JSON_REJECT_DUPLICATES,
			    &error);
	begin_anew(s);
	if (*value)
		return JSON_STREAM_VALUE;
	/* The brackets matched: the next value begins right here. */
	fail(why, -EINVAL, "JSON parse error: %s", error.text);
	return JSON_STREAM_BAD;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum json_stream_result open_bracket(struct json_stream *s, char c,
					    struct fail *why)
{
	if (s->depth == JSON_STREAM_DEPTH_MAX)
		return lose(why, "too deep: levels", JSON_STREAM_DEPTH_MAX);
	if (c == '{')
		s->braces |= UINT32_C(1) << s->depth;
	else
		s->braces &= ~(UINT32_C(1) << s->depth);
	s->depth++;
	return JSON_STREAM_MORE;
}

/* Return: JSON_STREAM_VALUE when the outermost bracket closed. */
static enum json_stream_result close_bracket(struct json_stream *s, char c,
					     struct fail *why)
{
	bool brace;

	if (!s->depth)
		return skip_line(s, -EINVAL, why, "'{' expected");
	brace = s->braces >> (s->depth - 1) & 1;
	if (brace != (c == '}'))
		return skip_line(s, -EINVAL, why, "brackets do not match");
	s->depth--;
	return s->depth ? JSON_STREAM_MORE : JSON_STREAM_VALUE;
}

static enum json_stream_result scan_string(struct json_stream *s, char c,
					   struct fail *why)
{
	if (c == '\n')
		return skip_line(s, -EINVAL, why, "line break in a string");
	if (s->escaped)
		s->escaped = false;
	else if (c == '\\')
		s->escaped = true;
	else if (c == '"')
		s->in_string = false;
	return JSON_STREAM_MORE;
}

/* One byte. Return: JSON_STREAM_VALUE after the last one of a value. */
static enum json_stream_result scan(struct json_stream *s, struct fail *why)
{
	char c = s->data[s->scanned++];

	if (s->in_string)
		return scan_string(s, c, why);
	switch (c) {
	case '{': case '[':
		return open_bracket(s, c, why);
	case '}': case ']':
		return close_bracket(s, c, why);
	default:
		break;
	}
	if (s->depth) {
		s->in_string = c == '"';
		return JSON_STREAM_MORE;
	}
	if (!is_space(c))
		return skip_line(s, -EINVAL, why, "'{' expected");
	begin_anew(s);
	return JSON_STREAM_MORE;
}

enum json_stream_result json_stream_next(struct json_stream *s,
					 json_t **value, struct fail *why)
{
	enum json_stream_result result;

	*value = NULL;
	while (s->scanned < s->end) {
		if (s->skipping) {
			result = skip(s, why);
			if (result != JSON_STREAM_VALUE)
				return result;
			continue;
		}
		result = scan(s, why);
		if (result == JSON_STREAM_VALUE)
			return parse(s, value, why);
		if (result != JSON_STREAM_MORE)
			return result;
		if (s->scanned - s->start > JSON_STREAM_MAX)
			return lose(why, "too long: bytes", JSON_STREAM_MAX);
	}
	return JSON_STREAM_MORE;
}
