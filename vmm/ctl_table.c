// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * JSON for people: tables.
 *
 * Owns nothing. Called by ctl.c and inspect.c. What is printed comes from
 * another process or a file, in any shape: what is deeper than a table has room
 * for stays JSON, on one line, and nothing gives the terminal orders.
 */
#include "vmm/ctl_table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_INDENT "  "

/**
 * struct column - one of a table
 * @key: its heading
 * @width: of the widest cell, characters
 * @right: all its cells are numbers
 */
struct column {
	const char *key;
	size_t width;
	bool right;
};

bool ctl_is_printable(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	for (; *p; p++) {
		/* C1 controls in UTF-8 are orders as well. */
		if (iscntrl(*p) || (*p == 0xc2 && p[1] < 0xa0))
			return false;
	}
	return true;
}

const char *ctl_bytes_text(uint64_t bytes, char text[CTL_BYTES_TEXT])
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
	};
	double value = (double)bytes;
	unsigned int unit = 0;

	while (value >= 1024) {
		value /= 1024;
		unit++;
	}
	snprintf(text, CTL_BYTES_TEXT, "%.*f %s",
		 value == (double)(uint64_t)value ? 0 : 1, value, units[unit]);
	return text;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && !strcmp(text + len - tail, end);
}

/* "memory-bytes"; "memory-written" of snapshot-save. */
static bool is_bytes(const char *key)
{
	return ends_with(key, "-bytes") || ends_with(key, "-written");
}

static char *time_text(json_int_t us)
{
	char *text = NULL;
	int rc;

	if (us < 1000)
		rc = asprintf(&text, "%" JSON_INTEGER_FORMAT " us", us);
	else if (us < 1000 * 1000)
		rc = asprintf(&text, "%.1f ms", (double)us / 1e3);
	else
		rc = asprintf(&text, "%.2f s", (double)us / 1e6);
	return rc < 0 ? NULL : text;
}

/* Return: @value of the member @key, for people; free() it; NULL: no memory. */
static char *cell_text(const char *key, const json_t *value)
{
	const char *string = json_string_value(value);
	json_int_t number = json_integer_value(value);
	char bytes[CTL_BYTES_TEXT];

	if (!value)
		return strdup("-");
	if (string && ctl_is_printable(string))
		return strdup(string);
	if (json_is_integer(value) && number >= 0 && is_bytes(key))
		return strdup(ctl_bytes_text((uint64_t)number, bytes));
	if (json_is_integer(value) && number >= 0 && ends_with(key, "-us"))
		return time_text(number);
	return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY |
			  JSON_ENSURE_ASCII);
}

/* In characters, of UTF-8. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void print_spaces(FILE *out, size_t count)
{
	fprintf(out, "%*s", (int)count, "");
}

static const char *key_text(const char *key)
{
	return ctl_is_printable(key) ? key : "?";
}

/* One line a member; what is within a member goes on that line. */
static void print_members(FILE *out, json_t *object, const char *indent)
{
	size_t width = 0, len;
	const char *key;
	json_t *value;
	char *text;

	json_object_foreach(object, key, value) {
		len = text_width(key_text(key));
		width = len > width ? len : width;
	}
	json_object_foreach(object, key, value) {
		text = cell_text(key, value);
		fprintf(out, "%s%s", indent, key_text(key));
		print_spaces(out, width - text_width(key_text(key)) + 2);
		fprintf(out, "%s\n", text ? text : "");
		free(text);
	}
}

/* Is @value an array of objects, and at least one? */
static bool is_rows(const json_t *value)
{
	size_t i;
	json_t *row;

	json_array_foreach(value, i, row) {
		if (!json_is_object(row))
			return false;
	}
	return json_array_size(value) > 0;
}

/* Return: an object of all keys of all @rows, in order of appearance. */
static json_t *collect_keys(const json_t *rows)
{
	json_t *keys = json_object(), *row, *value;
	const char *key;
	size_t i;

	json_array_foreach(rows, i, row) {
		json_object_foreach(row, key, value) {
			if (!json_object_get(keys, key))
				json_object_set(keys, key, json_null());
		}
	}
	return keys;
}

static void measure_column(struct column *c, const json_t *rows)
{
	json_t *row, *value;
	size_t i, width;
	char *text;

	c->width = text_width(key_text(c->key));
	c->right = true;
	json_array_foreach(rows, i, row) {
		value = json_object_get(row, c->key);
		if (value && !json_is_number(value))
			c->right = false;
		text = cell_text(c->key, value);
		width = text ? text_width(text) : 0;
		c->width = width > c->width ? width : c->width;
		free(text);
	}
}

static void print_cell(FILE *out, const struct column *c, const char *text,
		       bool last)
{
	size_t spaces = c->width - text_width(text);

	if (c->right)
		print_spaces(out, spaces);
	fputs(text, out);
	if (last) {
		fputc('\n', out);
		return;
	}
	print_spaces(out, 2 + (c->right ? 0 : spaces));
}

static void print_row(FILE *out, const struct column *column, size_t columns,
		      const json_t *row, const char *indent)
{
	const char *key;
	char *text;
	size_t i;

	fputs(indent, out);
	for (i = 0; i < columns; i++) {
		key = column[i].key;
		text = cell_text(key, json_object_get(row, key));
		print_cell(out, &column[i], text ? text : "",
			   i + 1 == columns);
		free(text);
	}
}

/* One line a row under one of headings. */
static void print_rows(FILE *out, const json_t *rows, const char *indent)
{
	json_t *keys = collect_keys(rows), *value, *row;
	size_t columns = json_object_size(keys), i = 0;
	struct column *column = calloc(columns + 1, sizeof(*column));
	const char *key;

	if (!column || !columns)
		goto free_keys;
	json_object_foreach(keys, key, value) {
		column[i].key = key;
		measure_column(&column[i++], rows);
	}
	fputs(indent, out);
	for (i = 0; i < columns; i++)
		print_cell(out, &column[i], key_text(column[i].key),
			   i + 1 == columns);
	json_array_foreach(rows, i, row)
		print_row(out, column, columns, row, indent);
free_keys:
	free(column);
	json_decref(keys);
}

static void print_items(FILE *out, const json_t *items)
{
	json_t *item;
	char *text;
	size_t i;

	json_array_foreach(items, i, item) {
		text = cell_text("", item);
		fprintf(out, GROUP_INDENT "%s\n", text ? text : "");
		free(text);
	}
}

static bool is_nested(const json_t *value)
{
	return json_object_size(value) || json_array_size(value);
}

/* Scalars first, then each group under its name. */
static void print_object(FILE *out, json_t *object)
{
	json_t *scalars = json_object(), *value;
	const char *key;

	json_object_foreach(object, key, value) {
		if (!is_nested(value))
			json_object_set(scalars, key, value);
	}
	print_members(out, scalars, "");
	json_decref(scalars);
	json_object_foreach(object, key, value) {
		if (!is_nested(value))
			continue;
		fprintf(out, "%s\n", key_text(key));
		if (json_is_object(value))
			print_members(out, value, GROUP_INDENT);
		else if (is_rows(value))
			print_rows(out, value, GROUP_INDENT);
		else
			print_items(out, value);
	}
}

int ctl_print(FILE *out, json_t *result, bool pretty)
{
	if (pretty && json_is_object(result)) {
		print_object(out, result);
	} else if (pretty && is_rows(result)) {
		print_rows(out, result, "");
	} else {
		json_dumpf(result, out, JSON_ENCODE_ANY |
			   (pretty ? JSON_INDENT(2) | JSON_ENSURE_ASCII :
				     JSON_COMPACT));
		fputc('\n', out);
	}
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
