// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, reading: what was written comes back, and nothing else is
 * accepted. Writing and the check: virtio_state_write.c.
 */
#include "tests/unit/virtio_state_bed.h"

#include <errno.h>

struct thing {
	uint8_t u8;
	bool flag;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	uint8_t blob[5];
	uint32_t size;
	uint8_t uuid[3];
};

static const struct state_field thing_fields[] = {
	STATE_VALUE(struct thing, u8, "u8", 0, UINT8_MAX),
	STATE_VALUE(struct thing, flag, "flag", 0, 1),
	STATE_VALUE(struct thing, u16, "u16", 10, 60000),
	STATE_VALUE(struct thing, u32, "u32", 0, UINT64_MAX),
	STATE_VALUE(struct thing, u64, "u64", 0, UINT64_MAX),
	STATE_BYTES(struct thing, blob, "blob"),
	STATE_SAME(struct thing, size, "size"),
	STATE_SAME_BYTES(struct thing, uuid, "uuid"),
};
static const struct state_table thing_table = STATE_TABLE(thing_fields, 1);

static const struct thing some_thing = {
	.u8 = 255, .flag = true, .u16 = 60000, .u32 = UINT32_MAX,
	.u64 = UINT64_MAX, .blob = { 1, 2, 3, 4, 5 }, .size = 7,
	.uuid = { 9, 8, 7 },
};

START_TEST(every_kind_of_field_comes_back)
{
	struct thing thing = { .size = 7, .uuid = { 9, 8, 7 } };

	state_put(&writer, &thing_table, &some_thing);
	finish_well();
	ck_assert_int_eq(state_get(&root, &thing_table, &thing, &why), 0);
	ck_assert_int_eq(state_leave(&root, &why), 0);
	ck_assert_uint_eq(thing.u8, 255);
	ck_assert(thing.flag);
	ck_assert_uint_eq(thing.u16, 60000);
	ck_assert_uint_eq(thing.u32, UINT32_MAX);
	ck_assert_uint_eq(thing.u64, UINT64_MAX);
	ck_assert_mem_eq(thing.blob, some_thing.blob, 5);
}
END_TEST

START_TEST(single_properties_come_back)
{
	const char *text;
	const void *data;
	uint8_t exact[3];
	uint32_t u32;
	uint64_t u64;
	size_t len;

	state_put_u32(&writer, "u32", 0x12345678);
	state_put_u64(&writer, "u64", UINT64_C(0x123456789abcdef0));
	state_put_string(&writer, "text", "hello");
	state_put_string(&writer, "no-text", "");
	state_put_blob(&writer, "blob", "abc", 3);
	state_put_blob(&writer, "empty", NULL, 0);
	finish_well();
	ck_assert_int_eq(state_get_u32(&root, "u32", &u32, &why), 0);
	ck_assert_uint_eq(u32, 0x12345678);
	ck_assert_int_eq(state_get_u64(&root, "u64", &u64, &why), 0);
	ck_assert_uint_eq(u64, UINT64_C(0x123456789abcdef0));
	ck_assert_int_eq(state_get_string(&root, "text", &text, &why), 0);
	ck_assert_str_eq(text, "hello");
	ck_assert_int_eq(state_get_string(&root, "no-text", &text, &why), 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(state_get_exact(&root, "blob", exact, 3, &why), 0);
	ck_assert_mem_eq(exact, "abc", 3);
	ck_assert_int_eq(state_get_blob(&root, "empty", &data, &len, &why), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(state_leave(&root, &why), 0);
}
END_TEST

START_TEST(nodes_come_back)
{
	struct state_node bus, device;
	uint32_t value;

	for (unsigned int i = 0; i < 3; i++) {
		state_begin(&writer, "bus@%x", i);
		state_put_u32(&writer, "id", i);
		state_begin(&writer, "device");
		state_put_u32(&writer, "id", 10 + i);
		state_end(&writer);
		state_end(&writer);
	}
	finish_well();
	/* In any order. */
	for (unsigned int i = 2; i < 3; i--) {
		ck_assert_int_eq(state_enter(&root, &bus, &why, "bus@%x", i),
				 0);
		ck_assert_int_eq(state_enter(&bus, &device, &why, "device"), 0);
		ck_assert_int_eq(state_get_u32(&device, "id", &value, &why), 0);
		ck_assert_uint_eq(value, 10 + i);
		ck_assert_int_eq(state_leave(&device, &why), 0);
		ck_assert_int_eq(state_get_u32(&bus, "id", &value, &why), 0);
		ck_assert_uint_eq(value, i);
		ck_assert_int_eq(state_leave(&bus, &why), 0);
	}
	ck_assert_int_eq(state_leave(&root, &why), 0);
}
END_TEST

START_TEST(unread_property_is_refused)
{
	uint32_t value;

	state_put_u32(&writer, "known", 1);
	state_put_u32(&writer, "later", 2);
	finish_well();
	ck_assert_int_eq(state_get_u32(&root, "known", &value, &why), 0);
	/* Reading one twice is not reading two. */
	ck_assert_int_eq(state_get_u32(&root, "known", &value, &why), 0);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
	ck_says(&why, "node /: property later is not known here");
}
END_TEST

START_TEST(unread_node_is_refused)
{
	struct state_node node;

	state_begin(&writer, "vcpu@0");
	state_end(&writer);
	state_begin(&writer, "gpu@1");
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "vcpu@0"), 0);
	ck_assert_int_eq(state_leave(&node, &why), 0);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
	ck_says(&why, "node /: subnode gpu@1 is not known here");
}
END_TEST

START_TEST(node_that_was_not_left_is_refused)
{
	struct state_node node;

	state_begin(&writer, "vcpu@0");
	state_put_u32(&writer, "unread", 1);
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "vcpu@0"), 0);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
	ck_says(&why, "vcpu@0");
	ck_assert_int_eq(state_leave(&node, &why), -EINVAL);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
}
END_TEST

START_TEST(missing_property_is_refused)
{
	struct thing thing = some_thing;

	state_put_u32(&writer, "u8", 1);
	finish_well();
	ck_assert_int_eq(state_get(&root, &thing_table, &thing, &why),
			 -ENOENT);
	ck_says(&why, "node /: property flag is missing");
	ck_assert(state_has(&root, "u8"));
	ck_assert(!state_has(&root, "flag"));
}
END_TEST

START_TEST(missing_node_is_refused)
{
	struct state_node node;

	state_begin(&writer, "vcpu@0");
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "vcpu@%u", 1),
			 -ENOENT);
	ck_says(&why, "node /: subnode vcpu@1 is missing");
}
END_TEST

START_TEST(node_is_found_by_its_full_name_alone)
{
	struct state_node node;

	state_begin(&writer, "serial@evil");
	state_end(&writer);
	state_begin(&writer, "serial");
	state_end(&writer);
	finish_well();
	ck_assert(state_has_node(&root, "serial%s", ""));
	ck_assert(!state_has_node(&root, "serial@"));
	ck_assert(!state_has_node(&root, "serial@e"));
	ck_assert_int_eq(state_enter(&root, &node, &why, "serial"), 0);
	ck_assert_str_eq(node.name, "serial");
	ck_assert_int_eq(state_leave(&node, &why), 0);
	ck_assert_int_eq(state_leave(&root, &why), -EINVAL);
	ck_says(&why, "serial@evil");
}
END_TEST

START_TEST(node_without_its_unit_address_is_not_found)
{
	struct state_node node;

	state_begin(&writer, "serial@1");
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "serial"), -ENOENT);
}
END_TEST

START_TEST(too_long_a_name_is_not_found)
{
	struct state_node node;
	const char *name = "n234567890123456789012345678901";

	state_begin(&writer, "%s", name);
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "%sx", name),
			 -ENOENT);
	ck_assert_int_eq(state_enter(&root, &node, &why, "%sxyz", name),
			 -ENOENT);
	ck_assert_int_eq(state_enter(&root, &node, &why, "%s", name), 0);
}
END_TEST

static const struct state_field range_fields[] = {
	STATE_VALUE(struct thing, u16, "value", 10, 20),
};
static const struct state_table range_table = STATE_TABLE(range_fields, 1);

START_TEST(out_of_range_value_is_refused_by_name)
{
	const uint32_t values[] = { 9, 21, 65536 + 15, UINT32_MAX };
	struct state_node node;
	struct thing thing;

	state_begin(&writer, "queue@2");
	state_put_u32(&writer, "value", values[_i]);
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &node, &why, "queue@2"), 0);
	ck_assert_int_eq(state_get(&node, &range_table, &thing, &why),
			 -ERANGE);
	ck_says(&why, "node /queue@2: property value: value 0x");
	ck_says(&why, "0xa .. 0x14 expected");
}
END_TEST

START_TEST(ends_of_the_range_are_accepted)
{
	struct thing thing;

	state_put_u32(&writer, "value", _i ? 10 : 20);
	finish_well();
	ck_assert_int_eq(state_get(&root, &range_table, &thing, &why), 0);
	ck_assert_uint_eq(thing.u16, _i ? 10 : 20);
}
END_TEST

START_TEST(value_wider_than_the_member_is_refused)
{
	static const struct state_field fields[] = {
		STATE_VALUE(struct thing, u8, "value", 0, UINT64_MAX),
	};
	static const struct state_table table = STATE_TABLE(fields, 1);
	struct thing thing;

	state_put_u32(&writer, "value", 256);
	finish_well();
	ck_assert_int_eq(state_get(&root, &table, &thing, &why), -ERANGE);
	ck_says(&why, "0 .. 0xff expected");
}
END_TEST

START_TEST(value_that_must_match_is_refused_by_name)
{
	struct thing thing = some_thing;

	state_put(&writer, &thing_table, &some_thing);
	finish_well();
	thing.size = 8;
	ck_assert_int_eq(state_get(&root, &thing_table, &thing, &why),
			 -EINVAL);
	ck_says(&why, "property size: value 0x7, but 0x8 in this machine");
	ck_assert_uint_eq(thing.size, 8);
}
END_TEST

START_TEST(value_that_must_match_is_compared_in_full)
{
	static const struct state_field fields[] = {
		STATE_SAME(struct thing, u8, "value"),
	};
	static const struct state_table table = STATE_TABLE(fields, 1);
	struct thing thing = { .u8 = 1 };

	state_put_u32(&writer, "value", 0x101);
	finish_well();
	ck_assert_int_eq(state_get(&root, &table, &thing, &why), -EINVAL);
}
END_TEST

START_TEST(bytes_that_must_match_are_refused_by_name)
{
	struct thing thing = some_thing;

	state_put(&writer, &thing_table, &some_thing);
	finish_well();
	thing.uuid[2]++;
	ck_assert_int_eq(state_get(&root, &thing_table, &thing, &why),
			 -EINVAL);
	ck_says(&why, "property uuid: 3 bytes");
}
END_TEST

START_TEST(wrong_length_is_refused)
{
	uint8_t blob[5] = { 0 };
	struct thing thing;
	uint32_t u32;
	uint64_t u64;

	state_put_u32(&writer, "u32", 1);
	state_put_u64(&writer, "u64", 1);
	state_put_blob(&writer, "blob", blob, 4);
	state_put_u64(&writer, "value", 15);
	finish_well();
	ck_assert_int_eq(state_get_u64(&root, "u32", &u64, &why), -EINVAL);
	ck_says(&why, "node /: property u32: 4 bytes long, 8 expected");
	ck_assert_int_eq(state_get_u32(&root, "u64", &u32, &why), -EINVAL);
	ck_assert_int_eq(state_get_exact(&root, "blob", blob, 5, &why),
			 -EINVAL);
	ck_assert_int_eq(state_get_exact(&root, "blob", blob, 3, &why),
			 -EINVAL);
	ck_assert_int_eq(state_get(&root, &range_table, &thing, &why),
			 -EINVAL);
}
END_TEST

START_TEST(string_without_a_nul_at_its_end_is_refused)
{
	static const struct {
		const char *data;
		size_t len;
	} bad[] = { { "", 0 }, { "abc", 3 }, { "a\0b", 4 }, { "a\0b", 3 } };
	const char *text;

	state_put_blob(&writer, "text", bad[_i].data, bad[_i].len);
	finish_well();
	ck_assert_int_eq(state_get_string(&root, "text", &text, &why),
			 -EINVAL);
	ck_says(&why, "property text: a string");
}
END_TEST

START_TEST(error_names_the_path_of_the_node)
{
	struct state_node a, b, c;
	uint32_t value;

	state_begin(&writer, "a");
	state_begin(&writer, "b@1");
	state_begin(&writer, "c");
	state_end(&writer);
	state_end(&writer);
	state_end(&writer);
	finish_well();
	ck_assert_int_eq(state_enter(&root, &a, &why, "a"), 0);
	ck_assert_int_eq(state_enter(&a, &b, &why, "b@1"), 0);
	ck_assert_int_eq(state_enter(&b, &c, &why, "c"), 0);
	ck_assert_int_eq(state_get_u32(&c, "x", &value, &why), -ENOENT);
	ck_says(&why, "node /a/b@1/c: property x is missing");
}
END_TEST

START_TEST(value_out_of_range_is_not_saved)
{
	struct thing thing = { .u16 = 21 };

	state_begin(&writer, "node");
	state_put(&writer, &range_table, &thing);
	state_end(&writer);
	ck_assert_int_eq(finish(), -ERANGE);
	ck_says(&why, "property value: value 0x15 is out of range");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(every_kind_of_field_comes_back),
		UNIT_TEST(single_properties_come_back),
		UNIT_TEST(nodes_come_back),
		UNIT_TEST(unread_property_is_refused),
		UNIT_TEST(unread_node_is_refused),
		UNIT_TEST(node_that_was_not_left_is_refused),
		UNIT_TEST(missing_property_is_refused),
		UNIT_TEST(missing_node_is_refused),
		UNIT_TEST(node_is_found_by_its_full_name_alone),
		UNIT_TEST(node_without_its_unit_address_is_not_found),
		UNIT_TEST(too_long_a_name_is_not_found),
		UNIT_LOOP(out_of_range_value_is_refused_by_name, 4),
		UNIT_LOOP(ends_of_the_range_are_accepted, 2),
		UNIT_TEST(value_wider_than_the_member_is_refused),
		UNIT_TEST(value_that_must_match_is_refused_by_name),
		UNIT_TEST(value_that_must_match_is_compared_in_full),
		UNIT_TEST(bytes_that_must_match_are_refused_by_name),
		UNIT_TEST(wrong_length_is_refused),
		UNIT_LOOP(string_without_a_nul_at_its_end_is_refused, 4),
		UNIT_TEST(error_names_the_path_of_the_node),
		UNIT_TEST(value_out_of_range_is_not_saved),
	};

	return UNIT_RUN("state", cases, state_bed_setup,
			state_bed_teardown);
}
