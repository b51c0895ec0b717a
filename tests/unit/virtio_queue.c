// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/queue.c with a driver that obeys: what is popped, pushed, published,
 * and which areas a queue can be enabled with. Bad rings are in
 * virtio_queue_bad.c, notifications in virtio_event_idx.c.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_bed.h"

static struct iovec iov[BED_QUEUE_SIZE];
static struct virtq_chain chain;
static struct fail why;

static int pop(void)
{
	return virtq_pop(bed.q, iov, BED_QUEUE_SIZE, &chain, &why);
}

static const uint8_t *host(gpa_t gpa)
{
	return fake_guest_at(&bed.guest, gpa, 1);
}

/* Is segment @i at @gpa, @len bytes long? */
static void ck_segment(unsigned int i, gpa_t gpa, size_t len)
{
	ck_assert_ptr_eq(iov[i].iov_base, host(gpa));
	ck_assert_uint_eq(iov[i].iov_len, len);
}

START_TEST(an_empty_ring_pops_nothing)
{
	ck_assert_int_eq(pop(), 0);
}
END_TEST

START_TEST(chain_is_popped_with_its_segments_in_order)
{
	const struct fake_seg seg[] = {
		{ bed.page, 44 }, { bed.page + 100, 7 },
		{ bed.page + 200, 300 }, { bed.page + 600, 1 },
	};
	int head = fake_add(bed.dq, seg, 2, 2, FAKE_ALL_DIRECT, NULL);

	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(chain.head, head);
	ck_assert_uint_eq(chain.out_num, 2);
	ck_assert_uint_eq(chain.in_num, 2);
	ck_assert_uint_eq(chain.out_len, 51);
	ck_assert_uint_eq(chain.in_len, 301);
	ck_assert_ptr_eq(chain.iov, iov);
	for (unsigned int i = 0; i < 4; i++)
		ck_segment(i, seg[i].gpa, seg[i].len);
	ck_assert_int_eq(pop(), 0);
}
END_TEST

START_TEST(chain_of_readable_segments_only)
{
	const struct fake_seg seg[] = { { bed.page, 5 }, { bed.page, 6 } };

	fake_add(bed.dq, seg, 2, 0, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_num, 2);
	ck_assert_uint_eq(chain.out_len, 11);
	ck_assert_uint_eq(chain.in_num, 0);
	ck_assert_uint_eq(chain.in_len, 0);
}
END_TEST

START_TEST(chain_of_writable_segments_only)
{
	const struct fake_seg seg[] = { { bed.page, 5 }, { bed.page, 6 } };

	fake_add(bed.dq, seg, 0, 2, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_num, 0);
	ck_assert_uint_eq(chain.out_len, 0);
	ck_assert_uint_eq(chain.in_num, 2);
	ck_assert_uint_eq(chain.in_len, 11);
}
END_TEST

/* Q7: zero or more direct descriptors, then one that points to a table. */
START_TEST(direct_descriptors_may_precede_an_indirect_table)
{
	const struct fake_seg seg[] = {
		{ bed.page, 1 }, { bed.page + 10, 2 }, { bed.page + 20, 3 },
		{ bed.page + 30, 4 }, { bed.page + 40, 5 },
	};

	fake_add(bed.dq, seg, 3, 2, (unsigned int)_i, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_num, 3);
	ck_assert_uint_eq(chain.out_len, 6);
	ck_assert_uint_eq(chain.in_num, 2);
	ck_assert_uint_eq(chain.in_len, 9);
	for (unsigned int i = 0; i < 5; i++)
		ck_segment(i, seg[i].gpa, seg[i].len);
	ck_assert_uint_eq(fake_in_flight(bed.dq), _i < 5 ? _i + 1 : 5);
}
END_TEST

/* Q7: MUST ignore WRITE on the descriptor that points to a table. */
START_TEST(write_flag_on_the_descriptor_of_a_table_is_ignored)
{
	gpa_t table = bed.dq->table_gpa;

	fake_table_set(&bed.driver, table, 0, bed.page, 8, VIRTQ_DESC_F_NEXT,
		       1);
	fake_table_set(&bed.driver, table, 1, bed.page, 9, VIRTQ_DESC_F_WRITE,
		       0);
	fake_desc_set(bed.dq, 0, table, 32,
		      VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE, 0);
	fake_avail_put(bed.dq, 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_len, 8);
	ck_assert_uint_eq(chain.in_len, 9);
}
END_TEST

START_TEST(indirect_table_at_an_odd_address_is_read)
{
	gpa_t table = bed.page + 1001;

	fake_table_set(&bed.driver, table, 0, bed.page, 8, VIRTQ_DESC_F_NEXT,
		       2);
	fake_table_set(&bed.driver, table, 2, bed.page + 5, 3, 0, 0);
	fake_desc_set(bed.dq, 3, table, 48, VIRTQ_DESC_F_INDIRECT, 0);
	fake_avail_put(bed.dq, 3);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.head, 3);
	ck_segment(0, bed.page, 8);
	ck_segment(1, bed.page + 5, 3);
}
END_TEST

/* The descriptor that points to the table is no part of the chain. */
START_TEST(indirect_chain_as_long_as_the_queue_is_popped)
{
	struct fake_seg seg[BED_QUEUE_SIZE];

	for (unsigned int i = 0; i < BED_QUEUE_SIZE; i++)
		seg[i] = (struct fake_seg){ bed.page + i, 1 };
	fake_add(bed.dq, seg, BED_QUEUE_SIZE, 0, 0, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_len, BED_QUEUE_SIZE);
}
END_TEST

START_TEST(direct_chain_as_long_as_the_queue_is_popped)
{
	struct fake_seg seg[BED_QUEUE_SIZE];

	for (unsigned int i = 0; i < BED_QUEUE_SIZE; i++)
		seg[i] = (struct fake_seg){ bed.page + i, 1 };
	fake_add(bed.dq, seg, 0, BED_QUEUE_SIZE, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.in_len, BED_QUEUE_SIZE);
}
END_TEST

START_TEST(empty_segments_are_left_out)
{
	const struct fake_seg seg[] = {
		{ bed.page, 0 }, { bed.page, 4 }, { UINT64_MAX, 0 },
		{ bed.page, 0 }, { bed.page + 9, 2 },
	};

	fake_add(bed.dq, seg, 3, 2, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_num, 1);
	ck_assert_uint_eq(chain.in_num, 1);
	ck_segment(0, bed.page, 4);
	ck_segment(1, bed.page + 9, 2);
}
END_TEST

START_TEST(chain_of_empty_segments_is_an_empty_chain)
{
	const struct fake_seg seg[] = { { bed.page, 0 }, { bed.page, 0 } };

	fake_add(bed.dq, seg, 1, 1, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(chain.out_num + chain.in_num, 0);
	ck_assert_uint_eq(chain.out_len + chain.in_len, 0);
}
END_TEST

START_TEST(segments_in_both_regions_are_popped)
{
	gpa_t high = fake_guest_alloc_high(&bed.guest, 4096, 4096);
	const struct fake_seg seg[] = {
		{ bed.page, 1 }, { high, 4096 }, { bed.page, 2 },
		{ BED_RAM - 4, 4 }, { FAKE_GUEST_HIGH + BED_RAM - 4, 4 },
	};

	fake_add(bed.dq, seg, 5, 0, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	for (unsigned int i = 0; i < 5; i++)
		ck_segment(i, seg[i].gpa, seg[i].len);
}
END_TEST

/* -ENOSPC takes nothing: the same chain comes with a larger vector. */
START_TEST(chain_longer_than_the_vector_is_not_taken)
{
	const struct fake_seg seg[] = {
		{ bed.page, 1 }, { bed.page, 0 }, { bed.page, 3 },
	};

	fake_add(bed.dq, seg, 3, 0, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(virtq_pop(bed.q, iov, 1, &chain, &why), -ENOSPC);
	ck_assert_int_eq(virtq_pop(bed.q, NULL, 0, &chain, &why), -ENOSPC);
	ck_assert_uint_eq(bed.q->last_avail, 0);
	ck_assert_int_eq(virtq_pop(bed.q, iov, 2, &chain, &why), 1);
	ck_assert_uint_eq(chain.out_num, 2);
}
END_TEST

START_TEST(chains_are_popped_in_the_order_of_the_ring)
{
	fake_desc_set(bed.dq, 7, bed.page, 7, 0, 0);
	fake_desc_set(bed.dq, 2, bed.page, 2, 0, 0);
	fake_avail_put(bed.dq, 7);
	fake_avail_put(bed.dq, 2);
	ck_assert_uint_eq(bed_pop(bed.q), 7);
	ck_assert_uint_eq(bed_pop(bed.q), 2);
}
END_TEST

START_TEST(unpopped_chains_are_popped_again_in_order)
{
	bed_fill(bed.dq, 4);
	for (uint16_t i = 0; i < 4; i++)
		ck_assert_uint_eq(bed_pop(bed.q), i);
	virtq_unpop(bed.q, 3);
	for (uint16_t i = 1; i < 4; i++)
		ck_assert_uint_eq(bed_pop(bed.q), i);
	ck_assert_int_eq(pop(), 0);
}
END_TEST

START_TEST(descriptors_are_read_at_the_pop_and_not_later)
{
	const struct fake_seg seg = { bed.page, 5 };

	fake_add(bed.dq, &seg, 1, 0, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_eq(pop(), 1);
	fake_desc_set(bed.dq, 0, UINT64_MAX, UINT32_MAX, UINT16_MAX, 0);
	ck_segment(0, bed.page, 5);
	ck_assert_uint_eq(chain.out_len, 5);
}
END_TEST

/* Q3: elements first, the index later, and only when told. */
START_TEST(used_elements_are_published_by_the_flush)
{
	struct fake_used used;

	bed_fill(bed.dq, 2);
	virtq_push(bed.q, bed_pop(bed.q), 1);
	virtq_push(bed.q, bed_pop(bed.q), 0);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 0);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_uint_eq(used.head, 0);
	ck_assert_uint_eq(used.len, 1);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_uint_eq(used.head, 1);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 0);
	ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
}
END_TEST

/* Q1: no descriptor, ring entry or readable buffer is ever written. */
START_TEST(device_writes_nothing_but_the_used_ring)
{
	const struct fake_seg seg[] = { { bed.page, 64 }, { bed.page, 64 } };
	uint8_t desc[BED_QUEUE_SIZE * 16], avail[4 + BED_QUEUE_SIZE * 2 + 2];

	for (unsigned int i = 0; i < 3; i++)
		fake_add(bed.dq, seg, 2, 0, i, NULL);
	memcpy(desc, bed.dq->desc, sizeof(desc));
	memcpy(avail, bed.dq->avail, sizeof(avail));
	bed_use(bed.q, 3);
	virtq_flush(bed.q);
	virtq_arm(bed.q);
	virtq_disarm(bed.q);
	ck_assert_mem_eq(desc, bed.dq->desc, sizeof(desc));
	ck_assert_mem_eq(avail, bed.dq->avail, sizeof(avail));
	for (unsigned int i = 0; i < 64; i++)
		ck_assert_uint_eq(host(bed.page)[i], 0);
}
END_TEST

START_TEST(rings_go_round_and_indices_wrap)
{
	struct fake_used used;
	unsigned int burst;

	for (unsigned int done = 0; done < 70000; done += burst) {
		burst = 1 + done % BED_QUEUE_SIZE;
		bed_fill(bed.dq, burst);
		bed_use(bed.q, burst);
		ck_assert_int_eq(pop(), 0);
		virtq_flush(bed.q);
		for (unsigned int i = 0; i < burst; i++)
			ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	}
	ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
	ck_assert_uint_eq(bed.q->last_avail, bed.dq->avail_idx);
}
END_TEST

START_TEST(chains_may_come_back_in_any_order)
{
	struct fake_used used;
	uint16_t head[3];

	bed_fill(bed.dq, 3);
	for (unsigned int i = 0; i < 3; i++)
		head[i] = bed_pop(bed.q);
	virtq_push(bed.q, head[2], 0);
	virtq_push(bed.q, head[0], 0);
	virtq_push(bed.q, head[1], 0);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_uint_eq(used.head, head[2]);
}
END_TEST

/* M5: QueueReady is 0: nothing is read or written. */
START_TEST(queue_that_is_not_ready_is_empty_and_takes_nothing)
{
	uint16_t head;

	bed_fill(bed.dq, 2);
	head = bed_pop(bed.q);
	virtq_disable(bed.q);
	ck_assert_int_eq(pop(), 0);
	virtq_push(bed.q, head, 0);
	virtq_unpop(bed.q, 1);
	ck_assert(!virtq_flush(bed.q));
	ck_assert(!virtq_arm(bed.q));
	ck_assert(!virtq_arm_after(bed.q, 3));
	virtq_disarm(bed.q);
	ck_assert_uint_eq(virtq_avail_idx(bed.q), 0);
	ck_assert_uint_eq(bed.q->used_idx, 0);
	ck_assert_uint_eq(fake_used_idx(bed.dq), 0);
}
END_TEST

/* A size, or addresses, that a queue must not be enabled with. */
static const struct {
	uint16_t size;
	gpa_t desc, driver, device;
	const char *says;
} bad_areas[] = {
	{ 0, 0, 0, 0, "size 0" },
	{ 3, 0, 0, 0, "size 3" },
	{ 2 * BED_QUEUE_SIZE, 0, 0, 0, "size 32" },
	{ UINT16_MAX, 0, 0, 0, "size 65535" },
	{ 0x8000, 0, 0, 0, "size 32768" },
	{ 16, 8, 0, 0, "descriptor area at 0x8 is not 16-byte aligned" },
	{ 16, 0, 1, 0, "driver area at 0x1 is not 2-byte aligned" },
	{ 16, 0, 0, 2, "device area at 0x2 is not 4-byte aligned" },
	{ 16, BED_RAM - 240, 0, 0, "descriptor area at 0xfff10, 256 bytes" },
	{ 16, 0, BED_RAM - 36, 0, "driver area at 0xfffdc, 38 bytes" },
	{ 16, 0, 0, BED_RAM - 132, "device area at 0xfff7c, 134 bytes" },
	{ 16, BED_RAM, 0, 0, "is not in RAM" },
	{ 16, 0, FAKE_GUEST_HIGH - 2, 0, "is not in RAM" },
	{ 16, 0, 0, UINT64_MAX - 3, "is not in RAM" },
	{ 16, UINT64_MAX - 15, 0, 0, "is not in RAM" },
};

START_TEST(bad_size_or_area_is_refused)
{
	virtq_reset(bed.q);
	bed.q->size = bad_areas[_i].size;
	bed.q->desc_gpa = bad_areas[_i].desc;
	bed.q->driver_gpa = bad_areas[_i].driver;
	bed.q->device_gpa = bad_areas[_i].device;
	ck_assert_int_eq(virtq_enable(bed.q, &why), -EINVAL);
	ck_says(&why, bad_areas[_i].says);
	ck_assert(!bed.q->ready);
	ck_assert_int_eq(pop(), 0);
}
END_TEST

/* The event field behind the ring counts as part of the area. */
START_TEST(areas_that_end_with_ram_are_accepted)
{
	virtq_reset(bed.q);
	bed.q->size = 16;
	bed.q->desc_gpa = BED_RAM - 256;
	bed.q->driver_gpa = FAKE_GUEST_HIGH + BED_RAM - 38;
	bed.q->device_gpa = BED_RAM - 136;
	ck_assert_int_eq(virtq_enable(bed.q, &why), 0);
	ck_assert_int_eq(pop(), 0);
}
END_TEST

START_TEST(queue_of_one_entry_works)
{
	struct fake_used used;

	fake_reset(&bed.driver);
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 1), 0);
	for (unsigned int i = 0; i < 5; i++) {
		bed_fill(bed.dq, 1);
		bed_use(bed.q, 1);
		ck_assert(virtq_flush(bed.q));
		ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	}
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(an_empty_ring_pops_nothing),
		UNIT_TEST(chain_is_popped_with_its_segments_in_order),
		UNIT_TEST(chain_of_readable_segments_only),
		UNIT_TEST(chain_of_writable_segments_only),
		UNIT_LOOP(direct_descriptors_may_precede_an_indirect_table, 6),
		UNIT_TEST(write_flag_on_the_descriptor_of_a_table_is_ignored),
		UNIT_TEST(indirect_table_at_an_odd_address_is_read),
		UNIT_TEST(indirect_chain_as_long_as_the_queue_is_popped),
		UNIT_TEST(direct_chain_as_long_as_the_queue_is_popped),
		UNIT_TEST(empty_segments_are_left_out),
		UNIT_TEST(chain_of_empty_segments_is_an_empty_chain),
		UNIT_TEST(segments_in_both_regions_are_popped),
		UNIT_TEST(chain_longer_than_the_vector_is_not_taken),
		UNIT_TEST(chains_are_popped_in_the_order_of_the_ring),
		UNIT_TEST(unpopped_chains_are_popped_again_in_order),
		UNIT_TEST(descriptors_are_read_at_the_pop_and_not_later),
		UNIT_TEST(used_elements_are_published_by_the_flush),
		UNIT_TEST(device_writes_nothing_but_the_used_ring),
		UNIT_TEST(rings_go_round_and_indices_wrap),
		UNIT_TEST(chains_may_come_back_in_any_order),
		UNIT_TEST(queue_that_is_not_ready_is_empty_and_takes_nothing),
		UNIT_LOOP(bad_size_or_area_is_refused, UNIT_COUNT(bad_areas)),
		UNIT_TEST(areas_that_end_with_ram_are_accepted),
		UNIT_TEST(queue_of_one_entry_works),
	};

	return UNIT_RUN("virtio_queue", cases, bed_setup_live, bed_teardown);
}
