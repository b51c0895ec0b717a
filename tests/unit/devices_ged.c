// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/ged.c: no event is lost, and the interrupt line follows them.
 */
#include "devices/ged.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/runner.h"

static struct ged ged;
static struct fail why;
static bool line_high;

static void on_line(void *opaque, bool high)
{
	ck_assert_ptr_eq(opaque, &line_high);
	line_high = high;
}

static void setup(void)
{
	line_high = false;
	ged_init(&ged, on_line, &line_high);
}

static void teardown(void)
{
	ged_destroy(&ged);
}

static uint32_t take(void)
{
	uint8_t b[4];

	ged_read(&ged, 0, b, sizeof(b));
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

START_TEST(line_is_high_until_events_are_read)
{
	ck_assert_uint_eq(take(), 0);
	ck_assert(!line_high);
	ged_raise(&ged, GED_POWER_BUTTON);
	ck_assert(line_high);
	ck_assert_uint_eq(take(), GED_POWER_BUTTON);
	ck_assert(!line_high);
	ck_assert_uint_eq(take(), 0);
}
END_TEST

START_TEST(events_add_up)
{
	ged_raise(&ged, GED_POWER_BUTTON);
	ged_raise(&ged, GED_NEW_GENERATION);
	ged_raise(&ged, GED_POWER_BUTTON);
	ck_assert_uint_eq(take(), GED_EVENTS_ALL);
	ck_assert(!line_high);
}
END_TEST

START_TEST(odd_accesses_take_nothing)
{
	static const struct { uint64_t offset; unsigned int len; } odd[] = {
		{ 0, 1 }, { 0, 2 }, { 1, 1 }, { 2, 2 }, { 3, 1 },
	};
	uint8_t b[4];

	ged_raise(&ged, GED_POWER_BUTTON);
	for (size_t i = 0; i < UNIT_COUNT(odd); i++) {
		memset(b, 0xff, sizeof(b));
		ged_read(&ged, odd[i].offset, b, odd[i].len);
		for (unsigned int j = 0; j < odd[i].len; j++)
			ck_assert_uint_eq(b[j], 0);
	}
	memset(b, 0, sizeof(b));
	ged_write(&ged, 0, b, sizeof(b));
	ck_assert(line_high);
	ck_assert_uint_eq(take(), GED_POWER_BUTTON);
}
END_TEST

/* A tree whose only node says @pending, loaded. */
static int load(uint32_t pending)
{
	struct state_node root, node;
	struct state_writer w;
	const void *data;
	size_t len;
	int err;

	ck_assert(!state_writer_init(&w));
	state_begin(&w, "ged@0");
	state_put_u32(&w, "pending", pending);
	state_end(&w);
	ck_assert(!state_writer_finish(&w, &data, &len, &why));
	state_root(&root, data);
	ck_assert(!state_enter(&root, &node, &why, "ged@0"));
	err = ged_load(&ged, &node, &why);
	if (!err)
		ck_assert(!state_leave(&node, &why));
	state_writer_free(&w);
	return err;
}

START_TEST(pending_event_survives_a_save)
{
	struct state_node root, node;
	struct state_writer w;
	const void *data;
	size_t len;

	ged_raise(&ged, GED_POWER_BUTTON);
	ck_assert(!state_writer_init(&w));
	state_begin(&w, "ged@0");
	ged_save(&ged, &w);
	state_end(&w);
	ck_assert(!state_writer_finish(&w, &data, &len, &why));
	/* The source does not notice. */
	ck_assert_uint_eq(take(), GED_POWER_BUTTON);
	state_root(&root, data);
	ck_assert(!state_enter(&root, &node, &why, "ged@0"));
	ck_assert(!ged_load(&ged, &node, &why));
	ck_assert(!state_leave(&node, &why));
	state_writer_free(&w);
	ck_assert(line_high);
	ged_raise(&ged, GED_NEW_GENERATION);
	ck_assert_uint_eq(take(), GED_EVENTS_ALL);
	ck_assert(!line_high);
}
END_TEST

/* The irqchip of the snapshot may still show it high. */
START_TEST(load_of_nothing_lowers_the_line)
{
	line_high = true;
	ck_assert(!load(0));
	ck_assert(!line_high);
}
END_TEST

START_TEST(unknown_event_is_refused_at_load)
{
	ged_raise(&ged, GED_POWER_BUTTON);
	ck_assert_int_eq(load(GED_EVENTS_ALL + 1), -ERANGE);
	ck_says(&why, "pending");
	ck_assert_uint_eq(take(), GED_POWER_BUTTON);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(line_is_high_until_events_are_read),
		UNIT_TEST(events_add_up),
		UNIT_TEST(odd_accesses_take_nothing),
		UNIT_TEST(pending_event_survives_a_save),
		UNIT_TEST(load_of_nothing_lowers_the_line),
		UNIT_TEST(unknown_event_is_refused_at_load),
	};
	const struct unit_group group = {
		"ged", cases, UNIT_COUNT(cases), setup, teardown,
	};

	return unit_run("devices_ged", &group, 1);
}
