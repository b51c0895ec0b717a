// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/state_*.c: versions of components. What an older wherry wrote is
 * read, with a default for each field that it did not know; what a newer one
 * wrote is refused by name. And lists, the kind of field that can be empty.
 */
#include "tests/unit/virtio_state_bed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROOM 4

struct thing {
	uint32_t old;
	uint16_t later;
	uint8_t blob[3];
	uint16_t count;
	uint16_t held[ROOM];
	uint8_t gone;
};

/* A component as its table grew. */
static const struct state_field first_fields[] = {
	STATE_VALUE(struct thing, old, "old", 0, UINT32_MAX),
	STATE_VALUE(struct thing, gone, "gone", 0, 9),
};
static const struct state_table first = STATE_TABLE(first_fields, 1);

#define SECOND_FIELDS \
	STATE_VALUE(struct thing, old, "old", 0, UINT32_MAX), \
	STATE_VALUE(struct thing, later, "later", 10, 20, STATE_SINCE(2, 12)), \
	STATE_BYTES(struct thing, blob, "blob", .since = 2), \
	STATE_LIST(struct thing, held, count, "held", 5, 500, .since = 2)

static const struct state_field second_fields[] = {
	SECOND_FIELDS,
	STATE_VALUE(struct thing, gone, "gone", 0, 9),
};
static const struct state_table second = STATE_TABLE(second_fields, 2);

static const struct state_field third_fields[] = {
	SECOND_FIELDS,
	STATE_VALUE(struct thing, gone, "gone", 0, 9, .until = 2,
		    .fallback = 7),
};
static const struct state_table third = STATE_TABLE(third_fields, 3);

static const struct thing some_thing = {
	.old = 1, .later = 20, .blob = { 1, 2, 3 }, .count = 2,
	.held = { 5, 500 }, .gone = 3,
};

/* What a load must overwrite. */
static const struct thing other_thing = {
	.old = 99, .later = 99, .blob = { 9, 9, 9 }, .count = 3,
	.held = { 99, 99, 99 }, .gone = 99,
};

static struct state_node node;

static int load(const struct state_table *table, struct thing *thing)
{
	int err;

	*thing = other_thing;
	enter_well(&node, "device@0");
	err = state_get(&node, table, thing, &why);
	return err ? err : state_leave(&node, &why);
}

static int save_and_load(const struct state_table *from,
			 const struct state_table *to, struct thing *thing)
{
	state_begin(&writer, "device@0");
	state_put(&writer, from, &some_thing);
	state_end(&writer);
	return load(to, thing);
}

static void load_well(const struct state_table *from,
		      const struct state_table *to, struct thing *thing)
{
	int err = save_and_load(from, to, thing);

	ck_assert_msg(!err, "%s", why.text);
}

START_TEST(node_says_the_version_of_its_table)
{
	struct thing thing;
	uint32_t version;

	load_well(&second, &second, &thing);
	ck_assert_uint_eq(node.version, 2);
	ck_assert(!state_get_u32(&node, "version", &version, &why));
	ck_assert_uint_eq(version, 2);
	ck_assert_uint_eq(thing.later, 20);
	ck_assert_mem_eq(thing.blob, some_thing.blob, sizeof(thing.blob));
	ck_assert_uint_eq(thing.count, 2);
	ck_assert_uint_eq(thing.held[0], 5);
	ck_assert_uint_eq(thing.held[1], 500);
}
END_TEST

START_TEST(fields_that_an_older_node_lacks_have_their_defaults)
{
	const uint8_t zeros[3] = { 0 };
	struct thing thing;

	load_well(&first, &second, &thing);
	ck_assert_uint_eq(node.version, 1);
	ck_assert_uint_eq(thing.old, 1);
	ck_assert_uint_eq(thing.later, 12);
	ck_assert_mem_eq(thing.blob, zeros, sizeof(zeros));
	ck_assert_uint_eq(thing.count, 0);
	ck_assert_uint_eq(thing.gone, 3);
}
END_TEST

START_TEST(node_without_a_version_is_of_version_1)
{
	struct thing thing;
	int err;

	state_begin(&writer, "device@0");
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "gone", 5);
	state_end(&writer);
	err = load(&second, &thing);
	ck_assert_msg(!err, "%s", why.text);
	ck_assert_uint_eq(node.version, 1);
	ck_assert_uint_eq(thing.old, 4);
	ck_assert_uint_eq(thing.later, 12);
}
END_TEST

START_TEST(newer_node_is_refused_by_name)
{
	struct thing thing;

	ck_assert_int_eq(save_and_load(&third, &second, &thing), -ENOTSUP);
	ck_says(&why, "node /device@0: version 3, at most 2 expected: "
		"saved by a newer wherry");
}
END_TEST

START_TEST(node_that_is_too_old_is_refused_by_name)
{
	static const struct state_table strict =
		STATE_TABLE(third_fields, 3, .oldest = 2);
	struct thing thing;

	ck_assert_int_eq(save_and_load(&first, &strict, &thing), -ENOTSUP);
	ck_says(&why, "node /device@0: version 1, at least 2 expected: "
		"saved by a wherry that is too old");
}
END_TEST

START_TEST(oldest_that_is_read_is_read)
{
	static const struct state_table strict =
		STATE_TABLE(third_fields, 3, .oldest = 2);
	struct thing thing;

	load_well(&second, &strict, &thing);
	ck_assert_uint_eq(thing.gone, 3);
}
END_TEST

START_TEST(version_0_is_refused)
{
	struct thing thing;

	state_begin(&writer, "device@0");
	state_put_u32(&writer, "version", 0);
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "gone", 5);
	state_end(&writer);
	ck_assert_int_eq(load(&second, &thing), -EINVAL);
	ck_says(&why, "node /device@0: version 0, at least 1 expected");
}
END_TEST

START_TEST(version_that_is_no_u32_is_refused)
{
	struct thing thing;

	state_begin(&writer, "device@0");
	state_put_u64(&writer, "version", 1);
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "gone", 5);
	state_end(&writer);
	ck_assert_int_eq(load(&second, &thing), -EINVAL);
	ck_says(&why, "property version: 8 bytes long, 4 expected");
}
END_TEST

START_TEST(field_of_a_later_version_in_an_older_node_is_refused)
{
	struct thing thing;

	state_begin(&writer, "device@0");
	state_put_u32(&writer, "version", 1);
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "gone", 5);
	state_put_u32(&writer, "later", 12);
	state_end(&writer);
	ck_assert_int_eq(load(&second, &thing), -EINVAL);
	ck_says(&why, "node /device@0: property later is not known at "
		"version 1");
}
END_TEST

START_TEST(field_that_its_version_has_must_be_there)
{
	struct thing thing;

	state_begin(&writer, "device@0");
	state_put_u32(&writer, "version", 2);
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "gone", 5);
	state_end(&writer);
	ck_assert_int_eq(load(&second, &thing), -ENOENT);
	ck_says(&why, "property later is missing");
}
END_TEST

START_TEST(field_that_has_gone_is_not_written)
{
	struct thing thing;

	load_well(&third, &third, &thing);
	ck_assert(!state_has(&node, "gone"));
	ck_assert_uint_eq(thing.gone, 7);
}
END_TEST

START_TEST(field_that_has_gone_is_read_where_it_is)
{
	struct thing thing;

	load_well(_i ? &second : &first, &third, &thing);
	ck_assert_uint_eq(thing.gone, 3);
}
END_TEST

START_TEST(field_that_has_gone_is_refused_in_a_newer_node)
{
	struct thing thing;

	state_begin(&writer, "device@0");
	state_put(&writer, &third, &some_thing);
	state_put_u32(&writer, "gone", 3);
	state_end(&writer);
	ck_assert_int_eq(load(&third, &thing), -EINVAL);
	ck_says(&why, "property gone is not known at version 3");
}
END_TEST

START_TEST(default_must_match_as_well)
{
	static const struct state_field fields[] = {
		STATE_VALUE(struct thing, old, "old", 0, UINT32_MAX),
		STATE_VALUE(struct thing, gone, "gone", 0, 9),
		STATE_SAME(struct thing, later, "size", STATE_SINCE(2, 98)),
	};
	static const struct state_table table = STATE_TABLE(fields, 2);
	struct thing thing;

	ck_assert_int_eq(save_and_load(&first, &table, &thing), -EINVAL);
	ck_says(&why, "property size: value 0x62, but 0x63 in this machine");
}
END_TEST

START_TEST(node_without_a_table_has_a_version_too)
{
	state_begin(&writer, "device@0");
	state_put_version(&writer, 5);
	state_end(&writer);
	enter_well(&node, "device@0");
	ck_assert_int_eq(state_get_version(&node, 0, 4, &why), -ENOTSUP);
	ck_assert_uint_eq(node.version, 0);
	ck_assert_int_eq(state_get_version(&node, 5, 5, &why), 0);
	ck_assert_uint_eq(node.version, 5);
	ck_assert_int_eq(state_leave(&node, &why), 0);
}
END_TEST

/* A machine of @version, with the device or without. */
static void save_machine(uint32_t version, bool device)
{
	state_put_version(&writer, version);
	if (device) {
		state_begin(&writer, "device@0");
		state_end(&writer);
	}
	finish_well();
	ck_assert(!state_get_version(&root, 0, 4, &why));
}

START_TEST(node_that_came_later_is_not_looked_for_in_an_older_parent)
{
	save_machine(2, false);
	ck_assert_int_eq(state_enter_since(&root, &node, 3, &why, "device@%x",
					   0), 1);
	ck_assert_int_eq(state_leave(&root, &why), 0);
}
END_TEST

START_TEST(node_that_came_later_is_refused_in_an_older_parent)
{
	save_machine(2, true);
	ck_assert_int_eq(state_enter_since(&root, &node, 3, &why, "device@%x",
					   0), 1);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
	ck_says(&why, "subnode device@0 is not known here");
}
END_TEST

START_TEST(node_that_its_parents_version_has_must_be_there)
{
	save_machine(3, _i);
	ck_assert_int_eq(state_enter_since(&root, &node, 3, &why, "device@%x",
					   0), _i ? 0 : -ENOENT);
	if (_i)
		ck_assert_int_eq(state_leave(&node, &why), 0);
	else
		ck_says(&why, "subnode device@0 is missing");
	ck_assert_int_eq(state_leave(&root, &why), 0);
}
END_TEST

struct lists {
	uint8_t n8;
	uint32_t n16;
	uint16_t n32;
	uint64_t n64;
	uint8_t u8[ROOM];
	uint16_t u16[ROOM];
	uint32_t u32[ROOM];
	uint64_t u64[ROOM];
};

static const struct state_field list_fields[] = {
	STATE_LIST(struct lists, u8, n8, "u8", 0, UINT8_MAX),
	STATE_LIST(struct lists, u16, n16, "u16", 0, UINT64_MAX),
	STATE_LIST(struct lists, u32, n32, "u32", 0, UINT32_MAX),
	STATE_LIST(struct lists, u64, n64, "u64", 0, UINT64_MAX),
};
static const struct state_table list_table = STATE_TABLE(list_fields, 1);

START_TEST(list_comes_back)
{
	static const struct lists lists = {
		.n8 = 4, .n16 = 3, .n32 = 0, .n64 = 2,
		.u8 = { 1, 255, 0, 3 },
		.u16 = { 65535, 2, 3 },
		.u64 = { UINT64_MAX, 1 },
	};
	struct lists back;
	const void *data;
	size_t len;

	memset(&back, 0, sizeof(back));
	back.n32 = 3;
	state_put(&writer, &list_table, &lists);
	finish_well();
	ck_assert_msg(!state_get(&root, &list_table, &back, &why), "%s",
		      why.text);
	ck_assert_int_eq(state_leave(&root, &why), 0);
	ck_assert_mem_eq(&back, &lists, sizeof(lists));
	/* As fdtget shows numbers. */
	ck_assert(!state_get_blob(&root, "u16", &data, &len, &why));
	ck_assert_uint_eq(len, 12);
	ck_assert_mem_eq(data, "\0\0\xff\xff\0\0\0\2\0\0\0\3", 12);
}
END_TEST

/* A node with a list of @len bytes. */
static int load_list(const void *data, size_t len, struct thing *thing)
{
	state_begin(&writer, "device@0");
	state_put_u32(&writer, "version", 2);
	state_put_u32(&writer, "old", 4);
	state_put_u32(&writer, "later", 12);
	state_put_blob(&writer, "blob", "abc", 3);
	state_put_blob(&writer, "held", data, len);
	state_put_u32(&writer, "gone", 5);
	state_end(&writer);
	return load(&second, thing);
}

START_TEST(list_is_read_up_to_its_capacity)
{
	const uint8_t cells[] = "\0\0\0\5\0\0\0\6\0\0\0\7\0\0\0\10";
	struct thing thing;

	ck_assert_msg(!load_list(cells, 4 * (size_t)_i, &thing), "%s",
		      why.text);
	ck_assert_uint_eq(thing.count, _i);
	for (int i = 0; i < _i; i++)
		ck_assert_uint_eq(thing.held[i], 5 + i);
}
END_TEST

START_TEST(list_of_wrong_length_is_refused_by_name)
{
	static const size_t bad[] = { 1, 15, 17, 20 };
	const uint8_t cells[20] = { 0, 0, 0, 5 };
	struct thing thing;
	char text[64];

	ck_assert_int_eq(load_list(cells, bad[_i], &thing), -EINVAL);
	snprintf(text, sizeof(text), "property held: %zu bytes long, up to 4 "
		 "values of 4 expected", bad[_i]);
	ck_says(&why, text);
}
END_TEST

START_TEST(value_of_a_list_out_of_range_is_refused_by_name)
{
	static const char *const bad[] = {
		"\0\0\0\5\0\0\0\4", "\0\0\0\5\0\0\1\xf5", "\0\0\0\5\0\1\0\5",
	};
	struct thing thing;

	ck_assert_int_eq(load_list(bad[_i], 8, &thing), -ERANGE);
	ck_says(&why, "property held: value ");
	ck_says(&why, "is out of range, 0x5 .. 0x1f4 expected");
}
END_TEST

START_TEST(list_that_could_not_be_loaded_is_not_saved)
{
	struct thing thing = some_thing;

	if (_i)
		thing.held[1] = 501;
	else
		thing.count = ROOM + 1;
	state_begin(&writer, "device@0");
	state_put(&writer, &second, &thing);
	state_end(&writer);
	ck_assert_int_eq(finish(), -ERANGE);
	ck_says(&why, _i ? "property held: value 0x1f5 is out of range" :
		"property held: 5 values, at most 4 expected");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(node_says_the_version_of_its_table),
		UNIT_TEST(fields_that_an_older_node_lacks_have_their_defaults),
		UNIT_TEST(node_without_a_version_is_of_version_1),
		UNIT_TEST(newer_node_is_refused_by_name),
		UNIT_TEST(node_that_is_too_old_is_refused_by_name),
		UNIT_TEST(oldest_that_is_read_is_read),
		UNIT_TEST(version_0_is_refused),
		UNIT_TEST(version_that_is_no_u32_is_refused),
		UNIT_TEST(field_of_a_later_version_in_an_older_node_is_refused),
		UNIT_TEST(field_that_its_version_has_must_be_there),
		UNIT_TEST(field_that_has_gone_is_not_written),
		UNIT_LOOP(field_that_has_gone_is_read_where_it_is, 2),
		UNIT_TEST(field_that_has_gone_is_refused_in_a_newer_node),
		UNIT_TEST(default_must_match_as_well),
		UNIT_TEST(node_without_a_table_has_a_version_too),
		UNIT_TEST(node_that_came_later_is_not_looked_for_in_an_older_parent),
		UNIT_TEST(node_that_came_later_is_refused_in_an_older_parent),
		UNIT_LOOP(node_that_its_parents_version_has_must_be_there, 2),
		UNIT_TEST(list_comes_back),
		UNIT_LOOP(list_is_read_up_to_its_capacity, ROOM + 1),
		UNIT_LOOP(list_of_wrong_length_is_refused_by_name, 4),
		UNIT_LOOP(value_of_a_list_out_of_range_is_refused_by_name, 3),
		UNIT_LOOP(list_that_could_not_be_loaded_is_not_saved, 2),
	};

	return UNIT_RUN("state versions", cases, state_bed_setup,
			state_bed_teardown);
}
