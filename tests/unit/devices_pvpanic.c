// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/pvpanic.c: what the guest can tell, how often, and what of it is
 * saved.
 */
#include "devices/pvpanic.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_state_bed.h"

static unsigned int panics, crashes;

static void on_panic(void *opaque)
{
	(void)opaque;
	panics++;
}

static void on_crash_loaded(void *opaque)
{
	(void)opaque;
	crashes++;
}

static struct pvpanic pvpanic;

static void make(void)
{
	panics = 0;
	crashes = 0;
	pvpanic = (struct pvpanic){
		.panicked = on_panic, .crash_loaded = on_crash_loaded,
	};
}

static void setup(void)
{
	state_bed_setup();
	make();
}

static void put(unsigned int value)
{
	uint8_t byte = (uint8_t)value;

	pvpanic_write(&pvpanic, 0, &byte, 1);
}

START_TEST(register_reads_what_can_be_told)
{
	uint8_t byte = 0xff;

	pvpanic_read(&pvpanic, 0, &byte, 1);
	ck_assert_uint_eq(byte, 3);
	put(PVPANIC_PANICKED);
	pvpanic_read(&pvpanic, 0, &byte, 1);
	ck_assert_uint_eq(byte, 3);
}
END_TEST

START_TEST(each_value_tells_what_its_known_bits_say)
{
	for (unsigned int value = 0; value < 256; value++) {
		make();
		put(value);
		ck_assert_uint_eq(panics, value & 1);
		ck_assert_uint_eq(crashes, (value & 3) == 2);
		ck_assert_uint_eq(pvpanic_told(&pvpanic), value & 1);
	}
}
END_TEST

START_TEST(guest_that_repeats_itself_is_heard_once)
{
	for (unsigned int i = 0; i < 1000; i++) {
		put(PVPANIC_CRASH_LOADED);
		put(PVPANIC_PANICKED);
	}
	ck_assert_uint_eq(panics, 1);
	ck_assert_uint_eq(crashes, 1);
}
END_TEST

START_TEST(panic_that_is_forgotten_can_come_again)
{
	put(PVPANIC_CRASH_LOADED);
	put(PVPANIC_PANICKED);
	pvpanic_forget(&pvpanic);
	ck_assert(!pvpanic_told(&pvpanic));
	put(PVPANIC_CRASH_LOADED);
	put(PVPANIC_PANICKED);
	ck_assert_uint_eq(panics, 2);
	ck_assert_uint_eq(crashes, 1);
}
END_TEST

START_TEST(wide_accesses_are_nothing)
{
	const uint8_t out[4] = { 1, 1, 1, 1 };
	uint8_t in[4] = { 9, 9, 9, 9 };

	pvpanic_write(&pvpanic, 0, out, 2);
	pvpanic_write(&pvpanic, 0, out, 4);
	ck_assert_uint_eq(panics + crashes, 0);
	pvpanic_read(&pvpanic, 0, in, 4);
	ck_assert_uint_eq(in[0] + in[1] + in[2] + in[3], 0);
}
END_TEST

/* What was written, loaded into a new device. */
static int load(void)
{
	struct state_node node;
	int err;

	make();
	enter_well(&node, "pvpanic@505");
	err = pvpanic_load(&pvpanic, &node, &why);
	if (!err)
		ck_assert(!state_leave(&node, &why));
	return err;
}

static int save_and_load(void)
{
	state_begin(&writer, "pvpanic@505");
	pvpanic_save(&pvpanic, &writer);
	state_end(&writer);
	return load();
}

START_TEST(panic_is_loaded_without_being_told_again)
{
	put(PVPANIC_PANICKED);
	ck_assert(!save_and_load());
	ck_assert(pvpanic_told(&pvpanic));
	put(PVPANIC_PANICKED);
	ck_assert_uint_eq(panics, 0);
}
END_TEST

START_TEST(guest_that_is_well_is_loaded_so)
{
	ck_assert(!save_and_load());
	ck_assert(!pvpanic_told(&pvpanic));
}
END_TEST

START_TEST(unknown_bits_in_a_snapshot_are_refused)
{
	state_begin(&writer, "pvpanic@505");
	state_put_u32(&writer, "told", PVPANIC_ALL + 1);
	state_end(&writer);
	ck_assert_int_eq(load(), -ERANGE);
	ck_says(&why, "told");
	ck_assert(!pvpanic_told(&pvpanic));
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(register_reads_what_can_be_told),
		UNIT_TEST(each_value_tells_what_its_known_bits_say),
		UNIT_TEST(guest_that_repeats_itself_is_heard_once),
		UNIT_TEST(panic_that_is_forgotten_can_come_again),
		UNIT_TEST(wide_accesses_are_nothing),
		UNIT_TEST(panic_is_loaded_without_being_told_again),
		UNIT_TEST(guest_that_is_well_is_loaded_so),
		UNIT_TEST(unknown_bits_in_a_snapshot_are_refused),
	};

	return UNIT_RUN("devices_pvpanic", cases, setup,
			state_bed_teardown);
}
