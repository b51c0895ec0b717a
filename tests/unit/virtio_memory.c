// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/memory.c and virtio/fail.c: what is RAM, and how reasons are told.
 */
#include "virtio/memory.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_bed.h"
#include "virtio/fail.h"

#define HIGH FAKE_GUEST_HIGH

START_TEST(first_and_last_byte_of_a_region_are_ram)
{
	uint8_t *low = bed.guest.mem.region[0].host;
	uint8_t *high = bed.guest.mem.region[1].host;

	ck_assert_ptr_eq(guest_memory_at(&bed.guest.mem, 0, 1), low);
	ck_assert_ptr_eq(guest_memory_at(&bed.guest.mem, BED_RAM - 1, 1),
			 low + BED_RAM - 1);
	ck_assert_ptr_eq(guest_memory_at(&bed.guest.mem, 0, BED_RAM), low);
	ck_assert_ptr_eq(guest_memory_at(&bed.guest.mem, HIGH, BED_RAM), high);
}
END_TEST

START_TEST(the_hole_is_not_ram)
{
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, BED_RAM, 1));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, HIGH - 1, 1));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, HIGH + BED_RAM, 1));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, UINT64_MAX, 1));
}
END_TEST

START_TEST(a_run_may_not_leave_its_region)
{
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, BED_RAM - 1, 2));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, 1, BED_RAM));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, HIGH + 1, BED_RAM));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, 0, HIGH + 1));
}
END_TEST

START_TEST(a_run_whose_end_wraps_is_not_ram)
{
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, 16, UINT64_MAX));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, 16,
					   UINT64_MAX - 15));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, UINT64_MAX, 2));
}
END_TEST

START_TEST(adjacent_regions_are_still_two)
{
	uint8_t host[2][16];
	struct guest_memory mem = {
		.count = 2,
		.region = { { 0, 16, host[0] }, { 16, 16, host[1] } },
	};

	ck_assert_ptr_nonnull(guest_memory_at(&mem, 0, 16));
	ck_assert_ptr_eq(guest_memory_at(&mem, 16, 16), host[1]);
	ck_assert_ptr_null(guest_memory_at(&mem, 15, 2));
}
END_TEST

START_TEST(an_empty_run_must_still_be_inside_ram)
{
	ck_assert_ptr_nonnull(guest_memory_at(&bed.guest.mem, 5, 0));
	ck_assert_ptr_null(guest_memory_at(&bed.guest.mem, BED_RAM, 0));
}
END_TEST

START_TEST(read_and_write_copy_all_or_nothing)
{
	uint8_t buf[4] = { 1, 2, 3, 4 }, back[4] = { 0 };
	gpa_t end = BED_RAM - 2;

	ck_assert_int_eq(guest_memory_write(&bed.guest.mem, 64, buf, 4), 0);
	ck_assert_int_eq(guest_memory_read(&bed.guest.mem, 64, back, 4), 0);
	ck_assert_mem_eq(buf, back, 4);
	ck_assert_int_eq(guest_memory_write(&bed.guest.mem, end, buf, 4),
			 -EFAULT);
	memset(back, 0x55, 4);
	ck_assert_int_eq(guest_memory_read(&bed.guest.mem, end, back, 4),
			 -EFAULT);
	ck_assert_mem_eq(back, "\x55\x55\x55\x55", 4);
	ck_assert_int_eq(guest_memory_read(&bed.guest.mem, end, back, 2), 0);
	ck_assert_mem_eq(back, "\0\0\x55\x55", 4);
}
END_TEST

START_TEST(total_is_the_sum_of_regions)
{
	ck_assert_uint_eq(guest_memory_total(&bed.guest.mem), 2 * BED_RAM);
}
END_TEST

START_TEST(fail_hands_back_the_error_and_keeps_the_reason)
{
	struct fail why;

	ck_assert_int_eq(fail(&why, -ENOENT, "no %s, %u times", "boat", 3u),
			 -ENOENT);
	ck_assert_str_eq(why.text, "no boat, 3 times");
}
END_TEST

START_TEST(fail_without_a_place_for_the_reason_is_allowed)
{
	ck_assert_int_eq(fail(NULL, -EIO, "x"), -EIO);
	ck_assert_int_eq(fail_within(NULL, -EIO, "x"), -EIO);
}
END_TEST

START_TEST(fail_within_puts_the_context_in_front)
{
	struct fail why;

	fail(&why, -EINVAL, "bad size");
	ck_assert_int_eq(fail_within(&why, -EINVAL, "queue %u", 2u), -EINVAL);
	ck_assert_str_eq(why.text, "queue 2: bad size");
}
END_TEST

START_TEST(long_reasons_are_cut_at_the_end)
{
	static char big[2 * FAIL_TEXT_MAX];
	struct fail why;

	memset(big, 'a', sizeof(big) - 1);
	fail(&why, -EINVAL, "%s", big);
	ck_assert_uint_eq(strlen(why.text), FAIL_TEXT_MAX - 1);
	fail_within(&why, -EINVAL, "outer");
	ck_assert_uint_eq(strlen(why.text), FAIL_TEXT_MAX - 1);
	ck_assert(!strncmp(why.text, "outer: aaa", 10));
	fail_within(&why, -EINVAL, "%s", big);
	ck_assert_uint_eq(strlen(why.text), FAIL_TEXT_MAX - 1);
	ck_assert_mem_eq(why.text, big, FAIL_TEXT_MAX - 1);
}
END_TEST

/* The room for ": " and the inner text shrinks to nothing, byte by byte. */
START_TEST(context_of_any_length_leaves_a_terminated_text)
{
	static char big[FAIL_TEXT_MAX];
	int len = FAIL_TEXT_MAX - 6 + _i;
	struct fail why;

	memset(big, 'b', sizeof(big) - 1);
	fail(&why, -EINVAL, "inner");
	fail_within(&why, -EINVAL, "%.*s", len, big);
	ck_assert_uint_le(strlen(why.text), FAIL_TEXT_MAX - 1);
	ck_assert_mem_eq(why.text, big,
			 len < FAIL_TEXT_MAX - 1 ? len : FAIL_TEXT_MAX - 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(first_and_last_byte_of_a_region_are_ram),
		UNIT_TEST(the_hole_is_not_ram),
		UNIT_TEST(a_run_may_not_leave_its_region),
		UNIT_TEST(a_run_whose_end_wraps_is_not_ram),
		UNIT_TEST(adjacent_regions_are_still_two),
		UNIT_TEST(an_empty_run_must_still_be_inside_ram),
		UNIT_TEST(read_and_write_copy_all_or_nothing),
		UNIT_TEST(total_is_the_sum_of_regions),
		UNIT_TEST(fail_hands_back_the_error_and_keeps_the_reason),
		UNIT_TEST(fail_without_a_place_for_the_reason_is_allowed),
		UNIT_TEST(fail_within_puts_the_context_in_front),
		UNIT_TEST(long_reasons_are_cut_at_the_end),
		UNIT_LOOP(context_of_any_length_leaves_a_terminated_text, 7),
	};

	return UNIT_RUN("virtio_memory", cases, bed_setup, bed_teardown);
}
