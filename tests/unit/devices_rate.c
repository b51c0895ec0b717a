// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/rate.c: how many pass, and what becomes of the rest.
 */
#include "devices/rate.h"

#include "tests/unit/runner.h"

#define BURST		3u
#define INTERVAL	100u
#define START		UINT64_C(5000)

static struct rate rate;

static void setup(void)
{
	rate = (struct rate){ .burst = BURST, .interval_ms = INTERVAL };
}

static void spend(uint64_t now)
{
	for (unsigned int i = 0; i < BURST; i++)
		ck_assert(rate_take(&rate, now));
}

START_TEST(so_many_pass_in_an_interval_and_no_more)
{
	spend(START);
	ck_assert(!rate_take(&rate, START));
	ck_assert(!rate_take(&rate, START + INTERVAL - 1));
	ck_assert_uint_eq(rate.held, 2);
}
END_TEST

START_TEST(next_interval_is_a_new_one)
{
	spend(START);
	spend(START + INTERVAL);
	ck_assert(!rate_take(&rate, START + INTERVAL));
}
END_TEST

START_TEST(who_comes_rarely_never_waits)
{
	for (uint64_t now = START; now < START + 50 * INTERVAL;
	     now += INTERVAL / 2)
		ck_assert(rate_take(&rate, now));
	ck_assert_uint_eq(rate_held(&rate, START + 100 * INTERVAL), 0);
}
END_TEST

START_TEST(count_is_told_once_when_the_interval_is_over)
{
	spend(START);
	ck_assert(!rate_take(&rate, START + 1));
	ck_assert_uint_eq(rate_held(&rate, START + INTERVAL - 1), 0);
	ck_assert_uint_eq(rate_wait(&rate, START + INTERVAL - 1), 1);
	ck_assert_uint_eq(rate_wait(&rate, START + INTERVAL), 0);
	ck_assert_uint_eq(rate_held(&rate, START + INTERVAL), 1);
	ck_assert_uint_eq(rate_held(&rate, START + 3 * INTERVAL), 0);
}
END_TEST

/* Else what is told afterwards would be told out of order. */
START_TEST(none_passes_before_those_held_back_are_told_of)
{
	spend(START);
	ck_assert(!rate_take(&rate, START));
	ck_assert(!rate_take(&rate, START + 10 * INTERVAL));
	ck_assert_uint_eq(rate_held(&rate, START + 10 * INTERVAL), 2);
	ck_assert(rate_take(&rate, START + 10 * INTERVAL));
}
END_TEST

/* Counts are let through as well: together they stay within the limit. */
START_TEST(flood_is_told_of_within_the_limit)
{
	unsigned int passed = 0;

	for (uint64_t now = START; now < START + 10 * INTERVAL; now++) {
		passed += rate_held(&rate, now) > 0;
		for (unsigned int i = 0; i < 10; i++)
			passed += rate_take(&rate, now);
	}
	ck_assert_uint_eq(passed, 10 * BURST);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(so_many_pass_in_an_interval_and_no_more),
		UNIT_TEST(next_interval_is_a_new_one),
		UNIT_TEST(who_comes_rarely_never_waits),
		UNIT_TEST(count_is_told_once_when_the_interval_is_over),
		UNIT_TEST(none_passes_before_those_held_back_are_told_of),
		UNIT_TEST(flood_is_told_of_within_the_limit),
	};

	return UNIT_RUN("devices_rate", cases, setup, NULL);
}
