// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/bus.c: who answers at an address.
 */
#include "devices/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/runner.h"

static struct bus bus;
static struct fail why;
static uint64_t last_offset;
static const char *last_who;

static void on_read(void *opaque, uint64_t offset, void *data,
		    unsigned int len)
{
	last_who = opaque;
	last_offset = offset;
	memset(data, 0x5a, len);
}

static void on_write(void *opaque, uint64_t offset, const void *data,
		     unsigned int len)
{
	(void)data;
	(void)len;
	last_who = opaque;
	last_offset = offset;
}

static int add(const char *name, uint64_t base, uint64_t size)
{
	char *opaque = NULL;
	struct bus_range range = {
		.base = base, .size = size, .name = name,
		.read = on_read, .write = on_write,
	};

	memcpy(&opaque, &name, sizeof(opaque));
	range.opaque = opaque;
	return bus_add(&bus, &range, &why);
}

static void setup(void)
{
	memset(&bus, 0, sizeof(bus));
	why.text[0] = '\0';
	last_who = NULL;
	last_offset = 0;
}

static void answers(uint64_t addr, unsigned int len, const char *who,
		    uint64_t offset)
{
	uint64_t data = 0;

	last_who = NULL;
	ck_assert(bus_read(&bus, addr, &data, len));
	ck_assert_str_eq(last_who, who);
	ck_assert_uint_eq(last_offset, offset);
	last_who = NULL;
	ck_assert(bus_write(&bus, addr, &data, len));
	ck_assert_str_eq(last_who, who);
	ck_assert_uint_eq(last_offset, offset);
}

static void silent(uint64_t addr, unsigned int len)
{
	uint64_t data = 0;
	uint64_t expected = len < 8 ? (UINT64_C(1) << 8 * len) - 1 : UINT64_MAX;

	last_who = NULL;
	ck_assert(!bus_read(&bus, addr, &data, len));
	ck_assert_uint_eq(data, expected);
	ck_assert(!bus_write(&bus, addr, &data, len));
	ck_assert_ptr_null(last_who);
}

START_TEST(range_answers_with_the_offset_into_it)
{
	/* Not in order of address. */
	ck_assert_int_eq(add("b", 0x2000, 0x100), 0);
	ck_assert_int_eq(add("c", 0x3000, 8), 0);
	ck_assert_int_eq(add("a", 0x1000, 0x1000), 0);
	answers(0x1000, 8, "a", 0);
	answers(0x1fff, 1, "a", 0xfff);
	answers(0x2000, 4, "b", 0);
	answers(0x3004, 4, "c", 4);
}
END_TEST

START_TEST(address_of_nobody_reads_as_ones)
{
	silent(0x1000, 4);
	add("a", 0x1000, 8);
	silent(0xfff, 1);
	silent(0x1008, 1);
	silent(0, 2);
	silent(UINT64_MAX, 1);
}
END_TEST

START_TEST(access_straddling_an_end_is_answered_by_nobody)
{
	add("a", 0x1000, 8);
	add("b", 0x1008, 8);
	silent(0xffe, 4);
	silent(0x1006, 4);
	silent(0x1004, 8);
	silent(0x100e, 4);
}
END_TEST

START_TEST(range_without_a_side_is_silent_on_it)
{
	struct bus_range range = { .base = 0, .size = 4, .name = "mute" };

	ck_assert_int_eq(bus_add(&bus, &range, &why), 0);
	silent(0, 4);
}
END_TEST

START_TEST(overlap_is_refused_naming_both)
{
	static const struct { uint64_t base, size; } bad[] = {
		{ 0x1000, 0x100 }, { 0x1010, 1 }, { 0xfff, 2 },
		{ 0x10ff, 0x100 }, { 0, UINT64_MAX },
	};

	add("resident", 0x1000, 0x100);
	ck_assert_int_eq(add("intruder", bad[_i].base, bad[_i].size), -EEXIST);
	ck_says(&why, "resident");
	ck_says(&why, "intruder");
	ck_assert_uint_eq(bus.count, 1);
	ck_assert_int_eq(add("below", 0xfff, 1), 0);
	ck_assert_int_eq(add("above", 0x1100, 1), 0);
}
END_TEST

START_TEST(empty_or_wrapping_range_is_refused)
{
	ck_assert_int_eq(add("a", 0x1000, 0), -EINVAL);
	ck_assert_int_eq(add("a", UINT64_MAX, 2), -EINVAL);
	ck_assert_int_eq(add("a", UINT64_MAX, 1), 0);
	answers(UINT64_MAX, 1, "a", 0);
	silent(UINT64_MAX, 2);
}
END_TEST

START_TEST(full_bus_takes_no_more)
{
	for (unsigned int i = 0; i < BUS_RANGES_MAX; i++)
		ck_assert_int_eq(add("a", 0x1000 - 8 * i, 8), 0);
	ck_assert_int_eq(add("late", 0x8000, 8), -ENOSPC);
	ck_says(&why, "late");
	answers(0x1000, 1, "a", 0);
	silent(0x8000, 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(range_answers_with_the_offset_into_it),
		UNIT_TEST(address_of_nobody_reads_as_ones),
		UNIT_TEST(access_straddling_an_end_is_answered_by_nobody),
		UNIT_TEST(range_without_a_side_is_silent_on_it),
		UNIT_LOOP(overlap_is_refused_naming_both, 5),
		UNIT_TEST(empty_or_wrapping_range_is_refused),
		UNIT_TEST(full_bus_takes_no_more),
	};

	return UNIT_RUN("devices_bus", cases, setup, NULL);
}
