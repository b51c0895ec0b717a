// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tests/fake: the driver's side keeps its own books, so that a device that
 * breaks the rules is caught by every test that harvests.
 */
#include <errno.h>

#include "tests/unit/virtio_bed.h"

static struct fake_used used;

START_TEST(chain_that_the_device_does_not_have_is_caught)
{
	bed_fill(bed.dq, 2);
	bed_use(bed.q, 1);
	virtq_push(bed.q, 0, 0);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), -EPROTO);
}
END_TEST

START_TEST(head_out_of_range_is_caught)
{
	bed_fill(bed.dq, 1);
	virtq_push(bed.q, 500, 0);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), -EPROTO);
}
END_TEST

/* Q3: len is never more than what was written. */
START_TEST(length_beyond_the_writable_part_is_caught)
{
	const struct fake_seg seg[] = { { bed.page, 10 }, { bed.page, 4 } };

	fake_add(bed.dq, seg, 1, 1, FAKE_ALL_DIRECT, NULL);
	virtq_push(bed.q, bed_pop(bed.q), 5);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), -EPROTO);
}
END_TEST

START_TEST(tokens_come_back_with_their_chains)
{
	const struct fake_seg seg = { bed.page, 4 };
	uint16_t head[2];
	int a, b;

	fake_add(bed.dq, &seg, 0, 1, 0, &a);
	fake_add(bed.dq, &seg, 0, 1, 1, &b);
	head[0] = bed_pop(bed.q);
	head[1] = bed_pop(bed.q);
	virtq_push(bed.q, head[1], 2);
	virtq_push(bed.q, head[0], 1);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_ptr_eq(used.token, &b);
	ck_assert_uint_eq(used.len, 2);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_ptr_eq(used.token, &a);
}
END_TEST

START_TEST(full_queue_takes_no_more)
{
	const struct fake_seg seg[3] = {
		{ bed.page, 1 }, { bed.page, 1 }, { bed.page, 1 },
	};

	for (unsigned int i = 0; i < 5; i++)
		ck_assert_int_ge(fake_add(bed.dq, seg, 3, 0, FAKE_ALL_DIRECT,
					  NULL), 0);
	ck_assert_int_eq(fake_add(bed.dq, seg, 3, 0, FAKE_ALL_DIRECT, NULL),
			 -ENOSPC);
	ck_assert_int_ge(fake_add(bed.dq, seg, 3, 0, 0, NULL), 0);
	ck_assert_int_eq(fake_add(bed.dq, seg, 3, 0, 0, NULL), -ENOSPC);
	bed_use(bed.q, 1);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_int_ge(fake_add(bed.dq, seg, 3, 0, 2, NULL), 0);
}
END_TEST

/* Chains of all shapes, returned in another order: no descriptor is lost. */
START_TEST(descriptors_are_all_free_again_in_the_end)
{
	const struct fake_seg seg[4] = {
		{ bed.page, 1 }, { bed.page, 1 }, { bed.page, 1 },
		{ bed.page, 1 },
	};
	uint16_t head[BED_QUEUE_SIZE];

	for (unsigned int round = 0; round < 1000; round++) {
		unsigned int num = 0;

		while (fake_add(bed.dq, seg, 1 + round % 3, num % 2,
				(round + num) % 6, NULL) >= 0)
			num++;
		for (unsigned int i = 0; i < num; i++)
			head[i] = bed_pop(bed.q);
		for (unsigned int i = 0; i < num; i++)
			virtq_push(bed.q, head[(i + round) % num], 0);
		virtq_flush(bed.q);
		for (unsigned int i = 0; i < num; i++)
			ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
		ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
	}
}
END_TEST

START_TEST(direct_doorbell_skips_the_register)
{
	bed.driver.doorbell_direct = true;
	pthread_mutex_lock(&bed.device.vdev.lock);
	fake_notify(bed.dq);
	pthread_mutex_unlock(&bed.device.vdev.lock);
	ck_assert_uint_eq(fake_host_run(&bed.host), 1);
	ck_assert_uint_eq(bed.device.notified[0], 1);
	ck_assert(!bed.q->notified);
}
END_TEST

START_TEST(other_doorbells_are_seen_by_the_transport)
{
	struct virtio_device_ops ops = *bed.device.vdev.ops;

	ops.exact_notify = 1u << 0;
	bed.device.vdev.ops = &ops;
	bed.driver.doorbell_direct = true;
	fake_notify(bed.dq);
	ck_assert(bed.q->notified);
}
END_TEST

START_TEST(probing_many_times_uses_no_more_ram)
{
	uint64_t next = bed.guest.next[0];

	for (unsigned int i = 0; i < 100; i++)
		ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	ck_assert_uint_eq(bed.guest.next[0], next);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(chain_that_the_device_does_not_have_is_caught),
		UNIT_TEST(head_out_of_range_is_caught),
		UNIT_TEST(length_beyond_the_writable_part_is_caught),
		UNIT_TEST(tokens_come_back_with_their_chains),
		UNIT_TEST(full_queue_takes_no_more),
		UNIT_TEST(descriptors_are_all_free_again_in_the_end),
		UNIT_TEST(direct_doorbell_skips_the_register),
		UNIT_TEST(other_doorbells_are_seen_by_the_transport),
		UNIT_TEST(probing_many_times_uses_no_more_ram),
	};

	return UNIT_RUN("virtio_fake", cases, bed_setup_live, bed_teardown);
}
