// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/ged.c: no event is lost, and the interrupt line follows them.
 */
#include "devices/ged.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_state_bed.h"

static struct ged ged;
static bool line_high;

static void on_line(void *opaque, bool high)
{
	ck_assert_ptr_eq(opaque, &line_high);
	line_high = high;
}

static void setup(void)
{
	state_bed_setup();
	line_high = false;
	ged_init(&ged, on_line, &line_high);
}

static void teardown(void)
{
	ged_destroy(&ged);
	state_bed_teardown();
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

/* What was written, loaded. */
static int load(void)
{
	struct state_node node;
	int err;

	enter_well(&node, "ged@0");
	err = ged_load(&ged, &node, &why);
	if (!err)
		ck_assert(!state_leave(&node, &why));
	return err;
}

static int load_pending(uint32_t pending)
{
	state_begin(&writer, "ged@0");
	state_put_u32(&writer, "pending", pending);
	state_end(&writer);
	return load();
}

START_TEST(pending_event_survives_a_save)
{
	ged_raise(&ged, GED_POWER_BUTTON);
	state_begin(&writer, "ged@0");
	ged_save(&ged, &writer);
	state_end(&writer);
	/* The source does not notice. */
	ck_assert_uint_eq(take(), GED_POWER_BUTTON);
	ck_assert(!load());
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
	ck_assert(!load_pending(0));
	ck_assert(!line_high);
}
END_TEST

START_TEST(unknown_event_is_refused_at_load)
{
	ged_raise(&ged, GED_POWER_BUTTON);
	ck_assert_int_eq(load_pending(GED_EVENTS_ALL + 1), -ERANGE);
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
