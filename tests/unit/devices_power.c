// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/power.c: which bytes end the guest, and which do not.
 */
#include "devices/power.h"

#include <string.h>

#include "tests/unit/runner.h"

#define S5 (POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT)

static unsigned int offs, resets;

static void on_off(void *opaque)
{
	(void)opaque;
	offs++;
}

static void on_reset(void *opaque)
{
	(void)opaque;
	resets++;
}

static struct power power = { .off = on_off, .reset = on_reset };

static void setup(void)
{
	offs = 0;
	resets = 0;
}

static void put(uint64_t offset, unsigned int value)
{
	uint8_t byte = (uint8_t)value;

	power_write(&power, offset, &byte, 1);
}

START_TEST(only_s5_with_slp_en_switches_off)
{
	unsigned int expected;

	for (unsigned int value = 0; value < 256; value++) {
		offs = 0;
		put(POWER_SLEEP_CONTROL, value);
		/* ACPI 6.5, table 4.19: bits 0, 1, 6 and 7 do not count. */
		expected = (value & 0x3c) == 0x34;
		ck_assert_msg(offs == expected, "%#x: %u", value, offs);
	}
	ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(only_the_reset_value_resets)
{
	for (unsigned int value = 0; value < 256; value++)
		put(POWER_RESET, value);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(offs, 0);
	put(POWER_RESET, 0x2a);
	ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(sleep_status_takes_anything)
{
	put(POWER_SLEEP_STATUS, S5);
	put(POWER_SLEEP_STATUS, POWER_RESET_VALUE);
	ck_assert_uint_eq(offs + resets, 0);
}
END_TEST

START_TEST(wide_write_is_ignored)
{
	const uint8_t two[2] = { S5, POWER_RESET_VALUE };

	power_write(&power, POWER_SLEEP_CONTROL, two, 2);
	power_write(&power, POWER_SLEEP_STATUS, two, 2);
	ck_assert_uint_eq(offs + resets, 0);
}
END_TEST

START_TEST(all_registers_read_zero)
{
	uint8_t byte[2];

	for (unsigned int i = 0; i < POWER_SIZE; i++) {
		memset(byte, 0xff, sizeof(byte));
		power_read(&power, i, byte, 1);
		ck_assert_uint_eq(byte[0], 0);
		ck_assert_uint_eq(byte[1], 0xff);
	}
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(only_s5_with_slp_en_switches_off),
		UNIT_TEST(only_the_reset_value_resets),
		UNIT_TEST(sleep_status_takes_anything),
		UNIT_TEST(wide_write_is_ignored),
		UNIT_TEST(all_registers_read_zero),
	};

	return UNIT_RUN("devices_power", cases, setup, NULL);
}
