// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, writing: libfdt's sequential-write functions over a buffer
 * that grows.
 *
 * Called by whoever saves, on the loop thread, with vCPUs parked; no locks.
 *
 * The first error sticks and carries its reason, so that components write
 * their state without looking at results; state_writer_finish() tells. Before
 * it hands out the tree it has state_check() look at it: a snapshot that could
 * not be loaded must fail while the guest still runs.
 *
 * libfdt does not clear the padding behind names and values. The buffer is
 * zeroed and only ever copied into a larger zeroed one, so that the same state
 * gives the same bytes, and no stale heap gets out.
 */
#include "virtio/state.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITER_SIZE_FIRST	(16 << 10)

static void writer_fail(struct state_writer *w, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void writer_fail(struct state_writer *w, int err, const char *fmt, ...)
{
	char text[FAIL_TEXT_MAX];
	va_list args;

	if (w->err)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	w->err = fail(&w->why, err, "saved state: %s", text);
}

static bool writer_grow(struct state_writer *w)
{
	int size = w->size * 2;
	void *fdt;
	int ret;

	if (size > (int)STATE_SIZE_MAX) {
		writer_fail(w, -EFBIG, "larger than %u bytes", STATE_SIZE_MAX);
		return false;
	}
	fdt = calloc(1, size);
	if (!fdt) {
		writer_fail(w, -ENOMEM, "no memory for %d bytes", size);
		return false;
	}
	ret = fdt_resize(w->fdt, fdt, size);
	if (ret) {
		writer_fail(w, -EINVAL, "growing it: %s", fdt_strerror(ret));
		free(fdt);
		return false;
	}
	free(w->fdt);
	w->fdt = fdt;
	w->size = size;
	return true;
}

/* Did the libfdt call fail only for lack of room, and is there more now? */
static bool writer_again(struct state_writer *w, int ret, const char *name)
{
	if (ret == -FDT_ERR_NOSPACE)
		return writer_grow(w);
	if (ret)
		writer_fail(w, -EINVAL, "\"%s\": %s", name, fdt_strerror(ret));
	return false;
}

int state_writer_init(struct state_writer *w)
{
	int ret;

	memset(w, 0, sizeof(*w));
	w->depth = 1;
	w->size = WRITER_SIZE_FIRST;
	w->fdt = calloc(1, w->size);
	if (!w->fdt) {
		writer_fail(w, -ENOMEM, "no memory for %d bytes", w->size);
		return w->err;
	}
	ret = fdt_create(w->fdt, w->size);
	if (!ret)
		ret = fdt_finish_reservemap(w->fdt);
	if (!ret)
		ret = fdt_begin_node(w->fdt, "");
	if (ret)
		writer_fail(w, -EINVAL, "%s", fdt_strerror(ret));
	return w->err;
}

void state_writer_free(struct state_writer *w)
{
	if (!w)
		return;
	free(w->fdt);
	w->fdt = NULL;
	w->size = 0;
}

void state_begin(struct state_writer *w, const char *fmt, ...)
{
	char name[STATE_NAME_MAX + 2];
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	/* Counted even after an error, so that state_end() can be checked. */
	w->depth++;
	if (w->err)
		return;
	if (ret < 0 || !state_name_valid(name, ret, true)) {
		writer_fail(w, -EINVAL, "\"%s\" is no name for a node", name);
		return;
	}
	if (w->depth > STATE_DEPTH_MAX) {
		writer_fail(w, -EINVAL, "node %s is at depth %u: at most %u",
			    name, w->depth, STATE_DEPTH_MAX);
		return;
	}
	do
		ret = fdt_begin_node(w->fdt, name);
	while (writer_again(w, ret, name));
}

void state_end(struct state_writer *w)
{
	int ret;

	/* The root is closed by state_writer_finish(). */
	assert(w->depth > 1);
	w->depth--;
	if (w->err)
		return;
	do
		ret = fdt_end_node(w->fdt);
	while (writer_again(w, ret, "end of node"));
}

void state_put_blob(struct state_writer *w, const char *name, const void *data,
		    size_t len)
{
	int ret;

	if (w->err)
		return;
	if (!state_name_valid(name, strlen(name), false)) {
		writer_fail(w, -EINVAL, "\"%s\" is no name for a property",
			    name);
		return;
	}
	if (len > STATE_SIZE_MAX) {
		writer_fail(w, -EFBIG, "property %s: %zu bytes, at most %u",
			    name, len, STATE_SIZE_MAX);
		return;
	}
	do
		ret = fdt_property(w->fdt, name, len ? data : "", (int)len);
	while (writer_again(w, ret, name));
}

void state_put_u32(struct state_writer *w, const char *name, uint32_t value)
{
	fdt32_t be = cpu_to_fdt32(value);

	state_put_blob(w, name, &be, sizeof(be));
}

void state_put_u64(struct state_writer *w, const char *name, uint64_t value)
{
	fdt64_t be = cpu_to_fdt64(value);

	state_put_blob(w, name, &be, sizeof(be));
}

void state_put_string(struct state_writer *w, const char *name,
		      const char *text)
{
	state_put_blob(w, name, text, strlen(text) + 1);
}

void state_put_version(struct state_writer *w, uint32_t version)
{
	assert(version);
	state_put_u32(w, STATE_VERSION_NAME, version);
}

static bool put_checked(struct state_writer *w,
			const struct state_field *field, uint64_t value)
{
	if (field->rule == STATE_MATCH ||
	    (value >= field->min && value <= field->max))
		return true;
	writer_fail(w, -ERANGE, "property %s: value %#" PRIx64
		    " is out of range, %#" PRIx64 " .. %#" PRIx64
		    " expected", field->name, value, field->min, field->max);
	return false;
}

static void put_uint(struct state_writer *w, const struct state_field *field,
		     const void *object)
{
	uint64_t value = state_field_value(field, object, 0);

	if (!put_checked(w, field, value))
		return;
	if (field->size == sizeof(uint64_t))
		state_put_u64(w, field->name, value);
	else
		state_put_u32(w, field->name, (uint32_t)value);
}

/* As put_uint() would store each, one behind the other. */
static void put_uints(struct state_writer *w, const struct state_field *field,
		      const void *object)
{
	size_t cell = state_cell_size(field);
	uint64_t count = state_field_count(field, object);
	uint8_t *cells;

	if (count > field->capacity) {
		writer_fail(w, -ERANGE, "property %s: %" PRIu64
			    " values, at most %zu expected", field->name,
			    count, field->capacity);
		return;
	}
	cells = malloc(count * cell + 1);
	if (!cells) {
		writer_fail(w, -ENOMEM, "property %s: no memory for %" PRIu64
			    " values", field->name, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t value = state_field_value(field, object, i);
		fdt64_t be = cpu_to_fdt64(value);

		if (!put_checked(w, field, value))
			goto free_cells;
		memcpy(cells + i * cell, (uint8_t *)(&be + 1) - cell, cell);
	}
	state_put_blob(w, field->name, cells, count * cell);
free_cells:
	free(cells);
}

static void put_field(struct state_writer *w, const struct state_field *field,
		      const void *object)
{
	switch (field->kind) {
	case STATE_UINT:
		put_uint(w, field, object);
		break;
	case STATE_UINTS:
		put_uints(w, field, object);
		break;
	case STATE_BLOB:
		state_put_blob(w, field->name,
			       (const uint8_t *)object + field->offset,
			       field->size);
		break;
	}
}

void state_put(struct state_writer *w, const struct state_table *table,
	       const void *object)
{
	state_put_version(w, table->version);
	for (unsigned int i = 0; i < table->count; i++) {
		const struct state_field *field = &table->fields[i];

		/* Who adds a field says so in the table's version. */
		assert(field->since <= table->version);
		if (state_field_there(field, table->version))
			put_field(w, field, object);
	}
}

/* Close the root and make the tree whole; state_check() has the last word. */
static void writer_close(struct state_writer *w)
{
	struct fail why = { "" };
	int ret;

	assert(w->err || w->depth == 1);
	if (w->err)
		return;
	do
		ret = fdt_end_node(w->fdt);
	while (writer_again(w, ret, "end of root"));
	if (w->err)
		return;
	do
		ret = fdt_finish(w->fdt);
	while (writer_again(w, ret, "end of tree"));
	if (w->err)
		return;
	ret = state_check(w->fdt, fdt_totalsize(w->fdt), &why);
	if (ret)
		writer_fail(w, ret, "what was written: %s", why.text);
}

int state_writer_finish(struct state_writer *w, const void **data, size_t *len,
			struct fail *why)
{
	*data = NULL;
	*len = 0;
	writer_close(w);
	if (w->err)
		return fail(why, w->err, "%s", w->why.text);
	*data = w->fdt;
	*len = fdt_totalsize(w->fdt);
	return 0;
}
