// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, what writer, reader and check have in common: which names there
 * may be, and what a table says of its fields.
 *
 * Pure; any thread, no locks.
 */
#include "virtio/state.h"

#include <assert.h>
#include <string.h>

static bool name_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr(",._+*#?-", c));
}

bool state_name_valid(const char *name, size_t len, bool node)
{
	unsigned int units = 0;

	if (len < 1 || len > STATE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (node && name[i] == '@' && i > 0 && i < len - 1)
			units++;
		else if (!name_char(name[i]))
			return false;
	}
	return units <= 1;
}

static uint64_t load_uint(const uint8_t *member, size_t size)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case sizeof(uint8_t):
		return *member;
	case sizeof(u16):
		memcpy(&u16, member, sizeof(u16));
		return u16;
	case sizeof(u32):
		memcpy(&u32, member, sizeof(u32));
		return u32;
	default:
		assert(size == sizeof(u64));
		memcpy(&u64, member, sizeof(u64));
		return u64;
	}
}

uint64_t state_field_value(const struct state_field *field,
			   const void *object, size_t i)
{
	return load_uint((const uint8_t *)object + field->offset +
			 i * field->size, field->size);
}

uint64_t state_field_count(const struct state_field *field,
			   const void *object)
{
	return load_uint((const uint8_t *)object + field->count_offset,
			 field->count_size);
}

size_t state_cell_size(const struct state_field *field)
{
	return field->size == sizeof(uint64_t) ? sizeof(uint64_t) :
						 sizeof(uint32_t);
}

bool state_field_there(const struct state_field *field, uint32_t version)
{
	return version >= field->since &&
	       (!field->until || version <= field->until);
}

uint64_t state_field_max(const struct state_field *field)
{
	return UINT64_MAX >> (64 - 8 * field->size);
}
