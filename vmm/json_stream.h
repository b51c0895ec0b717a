/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A byte stream cut into JSON objects.
 */
#ifndef WHERRY_VMM_JSON_STREAM_H
#define WHERRY_VMM_JSON_STREAM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"

/* Longest text of one value, bytes. */
#define JSON_STREAM_MAX		(1u << 20)
/* Deepest nesting of one value. */
#define JSON_STREAM_DEPTH_MAX	32u

/**
 * enum json_stream_result - what json_stream_next() found
 * @JSON_STREAM_MORE: nothing yet: push more
 * @JSON_STREAM_VALUE: a value
 * @JSON_STREAM_BAD: something else, thrown away up to the end of its line;
 *     go on calling
 * @JSON_STREAM_LOST: too long or too deep: where the next value begins
 *     cannot be told; the stream is of no more use
 */
enum json_stream_result {
	JSON_STREAM_MORE,
	JSON_STREAM_VALUE,
	JSON_STREAM_BAD,
	JSON_STREAM_LOST
};

/**
 * struct json_stream - bytes not yet cut
 * @data: the buffer; bytes [start, end) are in use
 * @start: first byte of the value being scanned
 * @scanned: bytes before it are accounted for in the members below
 * @end: end of what was pushed
 * @size: allocated
 * @depth: brackets open
 * @braces: bit n: bracket n is a brace
 * @in_string: within quotes
 * @escaped: after a backslash
 * @skipping: throwing away up to the end of the line
 *
 * Zeroed: an empty stream.
 */
struct json_stream {
	char *data;
	size_t start;
	size_t scanned;
	size_t end;
	size_t size;
	unsigned int depth;
	uint32_t braces;
	bool in_string;
	bool escaped;
	bool skipping;
};

/**
 * json_stream_push() - append bytes
 *
 * The caller calls json_stream_next() until JSON_STREAM_MORE before pushing
 * again, or watches json_stream_pending(): nothing limits the buffer here.
 *
 * Return: 0 or -ENOMEM.
 */
int json_stream_push(struct json_stream *s, const void *data, size_t len);

/** json_stream_pending() - Return: bytes pushed and not yet taken */
size_t json_stream_pending(const struct json_stream *s);

/**
 * json_stream_next() - take the next object (or array) from the stream
 * @value: JSON_STREAM_VALUE: a new reference; else NULL
 * @why: JSON_STREAM_BAD, JSON_STREAM_LOST: the reason
 *
 * Values need no newline between or after them. A line break inside quotes is
 * the end of a sentence that was left: no JSON text holds one. Each byte is
 * looked at once, however small the pieces it comes in.
 */
enum json_stream_result json_stream_next(struct json_stream *s,
					 json_t **value, struct fail *why);

/** json_stream_reset() - free the buffer; the stream is empty again */
void json_stream_reset(struct json_stream *s);

#endif
