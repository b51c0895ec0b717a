// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/queue.c, what two CPUs see of each other's stores (virtio 1.2, 2.7.7,
 * 2.7.10, 2.7.13). Each side stores, then looks at what the other one stores:
 * at least one of them has to see it, or both go to sleep.
 *
 * Whether one CPU's store waits in its store buffer while it looks is a matter
 * of luck, and of a second CPU that has nothing else to do. So the device is
 * run step by step: between its store and its look there is a full fence.
 */
#include "tests/fake/watch.h"
#include "tests/unit/virtio_bed.h"

/* As they are to be called: what they say depends on the look. */
static void flush(void *said)
{
	bool *wanted = said;

	*wanted = virtq_flush(bed.q);
}

static void arm(void *said)
{
	bool *there = said;

	*there = virtq_arm(bed.q);
}

/* Of the driver's area. The descriptors lie there, too: not to be looked at. */
static void *driver_page(void)
{
	return (uint8_t *)bed.dq->avail - bed.dq->avail_gpa % 4096;
}

static void expect_order(struct fake_order order)
{
	ck_assert(order.stored);
	ck_assert(order.looked);
	ck_assert_msg(order.fenced, "the device looks before its store is out");
}

START_TEST(used_index_is_out_before_the_drivers_wish_is_looked_at)
{
	bool wanted = false;

	bed_fill(bed.dq, 1);
	bed_use(bed.q, 1);
	expect_order(fake_trace(flush, &wanted, &bed.dq->used->idx.raw,
				driver_page()));
	ck_assert(wanted);
	ck_assert_uint_eq(fake_used_idx(bed.dq), 1);
}
END_TEST

/* avail_event, behind the ring, or the flag (2.7.10). */
static const uint16_t *wish(void)
{
	const void *behind = &bed.dq->used->ring[bed.dq->size];

	return bed.dq->event_idx ? behind : &bed.dq->used->flags.raw;
}

START_TEST(devices_wish_is_out_before_the_ring_is_looked_at)
{
	bool there = false;

	bed_fill(bed.dq, 2);
	virtq_disarm(bed.q);
	bed_use(bed.q, 1);
	expect_order(fake_trace(arm, &there, wish(), driver_page()));
	ck_assert(there);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(used_index_is_out_before_the_drivers_wish_is_looked_at),
		UNIT_TEST(devices_wish_is_out_before_the_ring_is_looked_at),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("event_idx", cases, bed_setup_live, bed_teardown),
		UNIT_GROUP("plain", cases, bed_setup_plain, bed_teardown),
	};

	return unit_run("virtio_race", groups, UNIT_COUNT(groups));
}
