// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, reading: strict, so that what was forgotten shows.
 *
 * Called by whoever loads, on a tree that passed state_check(), before any
 * vCPU runs; no locks. Nodes are the caller's, usually on its stack.
 *
 * libfdt looks nodes up with the unit address optional ("serial" finds
 * "serial@evil"), and takes the first of several; so lookups here go over all
 * siblings and compare full names. Each node remembers which properties and
 * subnodes were read, and state_leave() refuses the rest: state that the node's
 * version does not know, or of a device that this machine does not have, is not
 * dropped silently. state_check() has bounded how many there are.
 *
 * Values are 4-byte aligned at best: they are copied, never cast.
 */
#include "virtio/state.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "/" and a name for each node but the root. */
#define PATH_SIZE	(STATE_DEPTH_MAX * (STATE_NAME_MAX + 1) + 1)

static void mark(uint64_t *bits, unsigned int i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool marked(const uint64_t *bits, unsigned int i)
{
	return bits[i / 64] & UINT64_C(1) << i % 64;
}

/* @path: PATH_SIZE bytes. Return: @path. */
static const char *node_path(const struct state_node *node, char *path)
{
	const char *names[STATE_DEPTH_MAX];
	unsigned int count = 0;
	size_t used = 0;

	for (; node->parent; node = node->parent) {
		assert(count < STATE_DEPTH_MAX);
		names[count++] = node->name;
	}
	snprintf(path, PATH_SIZE, "/");
	while (count && used < PATH_SIZE)
		used += snprintf(path + used, PATH_SIZE - used, "/%s",
				 names[--count]);
	return path;
}

static int node_fail(const struct state_node *node, struct fail *why, int err,
		     const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int node_fail(const struct state_node *node, struct fail *why, int err,
		     const char *fmt, ...)
{
	char text[FAIL_TEXT_MAX];
	char path[PATH_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return fail(why, err, "saved state: node %s: %s",
		    node_path(node, path), text);
}

void state_root(struct state_node *root, const void *fdt)
{
	memset(root, 0, sizeof(*root));
	root->fdt = fdt;
	root->name = "";
}

static bool find_node(const struct state_node *parent, const char *name,
		      int *offset, unsigned int *index)
{
	unsigned int i = 0;
	int at;

	fdt_for_each_subnode(at, parent->fdt, parent->offset) {
		const char *found = fdt_get_name(parent->fdt, at, NULL);

		if (found && !strcmp(found, name)) {
			*offset = at;
			*index = i;
			return true;
		}
		i++;
	}
	return false;
}

static int enter(struct state_node *parent, struct state_node *node,
		 const char *name, struct fail *why)
{
	unsigned int index;
	int offset;

	if (!find_node(parent, name, &offset, &index))
		return node_fail(parent, why, -ENOENT,
				 "subnode %s is missing", name);
	memset(node, 0, sizeof(*node));
	node->fdt = parent->fdt;
	node->offset = offset;
	node->parent = parent;
	node->index = index;
	node->name = fdt_get_name(node->fdt, offset, NULL);
	return 0;
}

int state_enter(struct state_node *parent, struct state_node *node,
		struct fail *why, const char *fmt, ...)
{
	char name[STATE_NAME_MAX + 2];
	va_list args;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	return enter(parent, node, name, why);
}

int state_enter_since(struct state_node *parent, struct state_node *node,
		      uint32_t since, struct fail *why, const char *fmt, ...)
{
	char name[STATE_NAME_MAX + 2];
	va_list args;

	assert(parent->version);
	if (parent->version < since)
		return 1;
	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	return enter(parent, node, name, why);
}

bool state_has_node(const struct state_node *node, const char *fmt, ...)
{
	char name[STATE_NAME_MAX + 2];
	unsigned int index;
	va_list args;
	int offset;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	return find_node(node, name, &offset, &index);
}

const char *state_subnode_name(const struct state_node *node,
			       unsigned int index)
{
	int at;

	fdt_for_each_subnode(at, node->fdt, node->offset) {
		if (!index--)
			return fdt_get_name(node->fdt, at, NULL);
	}
	return NULL;
}

static int unknown_property(const struct state_node *node, const char *name,
			    struct fail *why)
{
	if (!node->version)
		return node_fail(node, why, -EINVAL,
				 "property %s is not known here", name);
	return node_fail(node, why, -EINVAL,
			 "property %s is not known at version %" PRIu32, name,
			 node->version);
}

int state_leave(struct state_node *node, struct fail *why)
{
	unsigned int i = 0;
	const char *name;
	int at;

	fdt_for_each_property_offset(at, node->fdt, node->offset) {
		if (!fdt_getprop_by_offset(node->fdt, at, &name, NULL))
			return node_fail(node, why, -EINVAL,
					 "property %u cannot be read", i);
		if (!marked(node->properties, i))
			return unknown_property(node, name, why);
		i++;
	}
	i = 0;
	fdt_for_each_subnode(at, node->fdt, node->offset) {
		if (!marked(node->children, i))
			return node_fail(node, why, -EINVAL,
					 "subnode %s is not known here",
					 fdt_get_name(node->fdt, at, NULL));
		i++;
	}
	if (node->parent)
		mark(node->parent->children, node->index);
	return 0;
}

static const void *find_property(const struct state_node *node,
				 const char *name, int *len,
				 unsigned int *index)
{
	const char *found;
	const void *data;
	unsigned int i = 0;
	int at;

	fdt_for_each_property_offset(at, node->fdt, node->offset) {
		data = fdt_getprop_by_offset(node->fdt, at, &found, len);
		if (data && *len >= 0 && !strcmp(found, name)) {
			*index = i;
			return data;
		}
		i++;
	}
	return NULL;
}

bool state_has(const struct state_node *node, const char *name)
{
	unsigned int index;
	int len;

	return find_property(node, name, &len, &index);
}

int state_get_blob(struct state_node *node, const char *name,
		   const void **data, size_t *len, struct fail *why)
{
	unsigned int index;
	int found;

	*data = find_property(node, name, &found, &index);
	if (!*data)
		return node_fail(node, why, -ENOENT, "property %s is missing",
				 name);
	*len = found;
	mark(node->properties, index);
	return 0;
}

int state_get_exact(struct state_node *node, const char *name, void *buf,
		    size_t len, struct fail *why)
{
	const void *data;
	size_t found = 0;
	int ret;

	ret = state_get_blob(node, name, &data, &found, why);
	if (ret)
		return ret;
	if (found != len)
		return node_fail(node, why, -EINVAL,
				 "property %s: %zu bytes long, %zu expected",
				 name, found, len);
	memcpy(buf, data, len);
	return 0;
}

int state_get_u32(struct state_node *node, const char *name, uint32_t *value,
		  struct fail *why)
{
	fdt32_t be = 0;
	int ret;

	ret = state_get_exact(node, name, &be, sizeof(be), why);
	if (!ret)
		*value = fdt32_to_cpu(be);
	return ret;
}

int state_get_u64(struct state_node *node, const char *name, uint64_t *value,
		  struct fail *why)
{
	fdt64_t be = 0;
	int ret;

	ret = state_get_exact(node, name, &be, sizeof(be), why);
	if (!ret)
		*value = fdt64_to_cpu(be);
	return ret;
}

int state_get_string(struct state_node *node, const char *name,
		     const char **text, struct fail *why)
{
	const void *data;
	size_t len;
	int ret;

	ret = state_get_blob(node, name, &data, &len, why);
	if (ret)
		return ret;
	if (!len || memchr(data, '\0', len) != (const char *)data + len - 1)
		return node_fail(node, why, -EINVAL,
				 "property %s: a string with one NUL, at its "
				 "end, expected", name);
	*text = data;
	return 0;
}

int state_get_version(struct state_node *node, uint32_t oldest,
		      uint32_t newest, struct fail *why)
{
	uint32_t version = 1;
	int ret = 0;

	if (state_has(node, STATE_VERSION_NAME))
		ret = state_get_u32(node, STATE_VERSION_NAME, &version, why);
	if (ret)
		return ret;
	if (!version)
		return node_fail(node, why, -EINVAL,
				 "version 0, at least 1 expected");
	if (version > newest)
		return node_fail(node, why, -ENOTSUP, "version %" PRIu32
				 ", at most %" PRIu32 " expected: saved by a "
				 "newer wherry", version, newest);
	if (version < oldest)
		return node_fail(node, why, -ENOTSUP, "version %" PRIu32
				 ", at least %" PRIu32 " expected: saved by a "
				 "wherry that is too old", version, oldest);
	node->version = version;
	return 0;
}

static void store_uint(uint8_t *member, size_t size, uint64_t value)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (size) {
	case sizeof(u8):
		*member = u8;
		break;
	case sizeof(u16):
		memcpy(member, &u16, sizeof(u16));
		break;
	case sizeof(u32):
		memcpy(member, &u32, sizeof(u32));
		break;
	default:
		assert(size == sizeof(value));
		memcpy(member, &value, sizeof(value));
		break;
	}
}

/* Puts a value in its place, the @i-th, unless it breaks rule or range. */
static int take_uint(const struct state_node *node,
		     const struct state_field *field, void *object, size_t i,
		     uint64_t value, struct fail *why)
{
	uint64_t max = state_field_max(field);
	uint64_t own;

	if (field->rule == STATE_MATCH) {
		own = state_field_value(field, object, i);
		if (value != own)
			return node_fail(node, why, -EINVAL,
					 "property %s: value %#" PRIx64
					 ", but %#" PRIx64 " in this machine",
					 field->name, value, own);
		return 0;
	}
	if (field->max < max)
		max = field->max;
	if (value < field->min || value > max)
		return node_fail(node, why, -ERANGE,
				 "property %s: value %#" PRIx64
				 " is out of range, %#" PRIx64 " .. %#" PRIx64
				 " expected", field->name, value, field->min,
				 max);
	store_uint((uint8_t *)object + field->offset + i * field->size,
		   field->size, value);
	return 0;
}

static int get_uint(struct state_node *node, const struct state_field *field,
		    void *object, struct fail *why)
{
	uint64_t value;
	uint32_t small = 0;
	int ret;

	if (field->size == sizeof(value)) {
		ret = state_get_u64(node, field->name, &value, why);
	} else {
		ret = state_get_u32(node, field->name, &small, why);
		value = small;
	}
	return ret ? ret : take_uint(node, field, object, 0, value, why);
}

static void store_count(const struct state_field *field, void *object,
			uint64_t count)
{
	store_uint((uint8_t *)object + field->count_offset, field->count_size,
		   count);
}

static int get_uints(struct state_node *node, const struct state_field *field,
		     void *object, struct fail *why)
{
	size_t cell = state_cell_size(field);
	const uint8_t *cells;
	const void *data;
	size_t len;
	int ret;

	ret = state_get_blob(node, field->name, &data, &len, why);
	if (ret)
		return ret;
	if (len % cell || len / cell > field->capacity)
		return node_fail(node, why, -EINVAL,
				 "property %s: %zu bytes long, up to %zu "
				 "values of %zu expected", field->name, len,
				 field->capacity, cell);
	cells = data;
	for (size_t i = 0; i < len / cell; i++) {
		fdt64_t be = 0;

		memcpy((uint8_t *)(&be + 1) - cell, cells + i * cell, cell);
		ret = take_uint(node, field, object, i, fdt64_to_cpu(be), why);
		if (ret)
			return ret;
	}
	store_count(field, object, len / cell);
	return 0;
}

static int get_bytes(struct state_node *node, const struct state_field *field,
		     void *object, struct fail *why)
{
	uint8_t *member = (uint8_t *)object + field->offset;
	const void *data;
	size_t len;
	int ret;

	if (field->rule == STATE_SET)
		return state_get_exact(node, field->name, member, field->size,
				       why);
	ret = state_get_blob(node, field->name, &data, &len, why);
	if (ret)
		return ret;
	if (len != field->size || memcmp(data, member, len))
		return node_fail(node, why, -EINVAL,
				 "property %s: %zu bytes, not the same as the "
				 "%zu in this machine", field->name, len,
				 field->size);
	return 0;
}

static int get_field(struct state_node *node, const struct state_field *field,
		     void *object, struct fail *why)
{
	int ret = 0;

	switch (field->kind) {
	case STATE_UINT:
		ret = get_uint(node, field, object, why);
		break;
	case STATE_UINTS:
		ret = get_uints(node, field, object, why);
		break;
	case STATE_BLOB:
		ret = get_bytes(node, field, object, why);
		break;
	}
	return ret;
}

/* The node was written when there was no such field yet, or no more. */
static int get_default(const struct state_node *node,
		       const struct state_field *field, void *object,
		       struct fail *why)
{
	int ret = 0;

	switch (field->kind) {
	case STATE_UINT:
		ret = take_uint(node, field, object, 0, field->fallback, why);
		break;
	case STATE_UINTS:
		store_count(field, object, 0);
		break;
	case STATE_BLOB:
		assert(field->rule == STATE_SET);
		memset((uint8_t *)object + field->offset, 0, field->size);
		break;
	}
	return ret;
}

int state_get(struct state_node *node, const struct state_table *table,
	      void *object, struct fail *why)
{
	int ret = state_get_version(node, table->oldest, table->version, why);

	for (unsigned int i = 0; !ret && i < table->count; i++) {
		const struct state_field *field = &table->fields[i];

		ret = state_field_there(field, node->version) ?
			get_field(node, field, object, why) :
			get_default(node, field, object, why);
	}
	return ret;
}
