// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/queue.c with a driver that breaks the rules: one rule, one test
 * (virtio 1.2, 2.7.4 to 2.7.7; facts.md Q7, Q9). Nothing is taken from a ring
 * that is refused, and the reason names what was wrong.
 */
#include "virtio/queue.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_bed.h"

#define NEXT	VIRTQ_DESC_F_NEXT
#define WRITE	VIRTQ_DESC_F_WRITE
#define INDIRECT VIRTQ_DESC_F_INDIRECT

static void desc(uint16_t i, gpa_t gpa, uint32_t len, uint16_t flags,
		 uint16_t next)
{
	fake_desc_set(bed.dq, i, gpa, len, flags, next);
}

static void table(unsigned int i, gpa_t gpa, uint32_t len, uint16_t flags,
		  uint16_t next)
{
	fake_table_set(&bed.driver, bed.dq->table_gpa, i, gpa, len, flags,
		       next);
}

/* A pop fails, says why, takes nothing and touches nothing of the caller's. */
static void refused(const char *says)
{
	struct iovec iov[BED_QUEUE_SIZE];
	struct virtq_chain chain, before;
	struct fail why = { "" };
	uint16_t at = bed.q->last_avail;

	memset(&before, 0x5a, sizeof(before));
	memcpy(&chain, &before, sizeof(chain));
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(virtq_pop(bed.q, iov, BED_QUEUE_SIZE, &chain,
					   &why), -EINVAL);
		ck_says(&why, says);
	}
	ck_assert_int_eq(virtq_pop(bed.q, iov, 0, &chain, NULL), -EINVAL);
	ck_assert_uint_eq(bed.q->last_avail, at);
	ck_assert_mem_eq(&chain, &before, sizeof(chain));
}

/* The chain from descriptor @head on is refused. */
static void head_refused(uint16_t head, const char *says)
{
	fake_avail_put(bed.dq, head);
	refused(says);
}

START_TEST(avail_idx_jump_is_refused)
{
	fake_avail_idx_set(bed.dq, BED_QUEUE_SIZE + 1);
	refused("available index jumped from 0 to 17");
}
END_TEST

START_TEST(avail_idx_going_back_is_refused)
{
	bed_fill(bed.dq, 2);
	bed_use(bed.q, 2);
	fake_avail_idx_set(bed.dq, 1);
	refused("available index jumped from 2 to 1");
}
END_TEST

START_TEST(full_ring_is_not_a_jump)
{
	bed_fill(bed.dq, BED_QUEUE_SIZE);
	bed_use(bed.q, BED_QUEUE_SIZE);
}
END_TEST

START_TEST(head_out_of_range_is_refused)
{
	head_refused(BED_QUEUE_SIZE, "descriptor 16 of a table of 16");
}
END_TEST

START_TEST(next_out_of_range_is_refused)
{
	desc(0, bed.page, 1, NEXT, UINT16_MAX);
	head_refused(0, "descriptor 65535 of a table of 16");
}
END_TEST

START_TEST(descriptor_loop_is_refused)
{
	desc(0, bed.page, 1, NEXT, 1);
	desc(1, bed.page, 1, NEXT, 0);
	head_refused(0, "more than 16 descriptors");
}
END_TEST

START_TEST(descriptor_that_is_its_own_next_is_refused)
{
	desc(5, bed.page, 0, NEXT, 5);
	head_refused(5, "more than 16 descriptors");
}
END_TEST

START_TEST(indirect_loop_is_refused)
{
	table(0, bed.page, 1, NEXT, 1);
	table(1, bed.page, 1, NEXT, 0);
	desc(0, bed.dq->table_gpa, 32, INDIRECT, 0);
	head_refused(0, "more than 16 descriptors");
}
END_TEST

START_TEST(chain_longer_than_queue_is_refused)
{
	for (uint16_t i = 0; i < BED_QUEUE_SIZE + 1; i++)
		table(i, bed.page, 1, i < BED_QUEUE_SIZE ? NEXT : 0, i + 1);
	desc(0, bed.dq->table_gpa, 16 * (BED_QUEUE_SIZE + 1), INDIRECT, 0);
	head_refused(0, "more than 16 descriptors");
}
END_TEST

/* Direct descriptors and those of the table count together. */
START_TEST(mixed_chain_longer_than_queue_is_refused)
{
	for (uint16_t i = 0; i < BED_QUEUE_SIZE; i++)
		table(i, bed.page, 1, i < BED_QUEUE_SIZE - 1 ? NEXT : 0,
		      i + 1);
	desc(0, bed.page, 1, NEXT, 1);
	desc(1, bed.dq->table_gpa, 16 * BED_QUEUE_SIZE, INDIRECT, 0);
	head_refused(0, "more than 16 descriptors");
}
END_TEST

START_TEST(nested_indirect_is_refused)
{
	table(0, bed.dq->table_gpa, 16, INDIRECT, 0);
	desc(0, bed.dq->table_gpa, 16, INDIRECT, 0);
	head_refused(0, "indirect descriptor in an indirect table");
}
END_TEST

START_TEST(indirect_with_next_is_refused)
{
	table(0, bed.page, 1, 0, 0);
	desc(0, bed.dq->table_gpa, 16, INDIRECT | NEXT, 1);
	desc(1, bed.page, 1, 0, 0);
	head_refused(0, "indirect descriptor with NEXT");
}
END_TEST

START_TEST(indirect_that_was_not_negotiated_is_refused)
{
	fake_reset(&bed.driver);
	ck_assert_int_eq(fake_probe(&bed.driver,
				    BED_ALL & ~VIRTIO_BIT(28), 16), 0);
	table(0, bed.page, 1, 0, 0);
	desc(0, bed.dq->table_gpa, 16, INDIRECT, 0);
	head_refused(0, "not negotiated");
}
END_TEST

START_TEST(indirect_length_not_multiple_of_16_is_refused)
{
	table(0, bed.page, 1, 0, 0);
	desc(0, bed.dq->table_gpa, 17, INDIRECT, 0);
	head_refused(0, "indirect table of 17 bytes");
}
END_TEST

START_TEST(empty_indirect_table_is_refused)
{
	desc(0, bed.dq->table_gpa, 0, INDIRECT, 0);
	head_refused(0, "indirect table of 0 bytes");
}
END_TEST

START_TEST(indirect_table_outside_ram_is_refused)
{
	desc(0, BED_RAM - 16, 32, INDIRECT, 0);
	head_refused(0, "indirect table at 0xffff0, 32 bytes, is not in RAM");
}
END_TEST

START_TEST(huge_indirect_table_is_refused)
{
	desc(0, 0, UINT32_MAX - 15, INDIRECT, 0);
	head_refused(0, "is not in RAM");
}
END_TEST

START_TEST(next_outside_the_indirect_table_is_refused)
{
	table(0, bed.page, 1, NEXT, 2);
	desc(0, bed.dq->table_gpa, 32, INDIRECT, 0);
	head_refused(0, "descriptor 2 of a table of 2");
}
END_TEST

START_TEST(descriptor_outside_ram_is_refused)
{
	desc(0, FAKE_GUEST_HIGH + BED_RAM, 1, 0, 0);
	head_refused(0, "segment at 0x100100000, 1 bytes, is not in RAM");
}
END_TEST

START_TEST(descriptor_in_the_hole_is_refused)
{
	desc(0, 0xfee00000, 4, WRITE, 0);
	head_refused(0, "segment at 0xfee00000, 4 bytes, is not in RAM");
}
END_TEST

START_TEST(descriptor_into_the_hole_is_refused)
{
	desc(0, BED_RAM - 1, 2, 0, 0);
	head_refused(0, "segment at 0xfffff, 2 bytes, is not in RAM");
}
END_TEST

START_TEST(descriptor_across_the_hole_is_refused)
{
	desc(0, BED_RAM - 1, (uint32_t)(FAKE_GUEST_HIGH - BED_RAM + 2), 0, 0);
	head_refused(0, "is not in RAM");
}
END_TEST

START_TEST(descriptor_whose_end_wraps_is_refused)
{
	desc(0, UINT64_MAX, 2, 0, 0);
	head_refused(0, "is not in RAM");
}
END_TEST

/* One bad segment behind good ones, in a table as well. */
START_TEST(last_segment_outside_ram_is_refused)
{
	table(0, bed.page, 1, NEXT, 1);
	table(1, BED_RAM, 1, 0, 0);
	desc(0, bed.page, 1, NEXT, 1);
	desc(1, bed.dq->table_gpa, 32, INDIRECT, 0);
	head_refused(0, "segment at 0x100000, 1 bytes, is not in RAM");
}
END_TEST

START_TEST(readable_after_writable_is_refused)
{
	desc(0, bed.page, 1, WRITE | NEXT, 1);
	desc(1, bed.page, 1, 0, 0);
	head_refused(0, "readable descriptor after a writable one");
}
END_TEST

/* The order holds for empty segments too, though they are left out. */
START_TEST(readable_after_an_empty_writable_is_refused)
{
	desc(0, bed.page, 0, WRITE | NEXT, 1);
	desc(1, bed.page, 1, 0, 0);
	head_refused(0, "readable descriptor after a writable one");
}
END_TEST

/* Needs RAM of more than 4 GiB in one piece: pretend, nothing is touched. */
START_TEST(chain_of_more_than_4_gib_is_refused)
{
	struct guest_memory big = bed.guest.mem;

	big.region[0].size = UINT64_C(0x100000000);
	bed.q->mem = &big;
	bed.q->region = &big.region[0];
	desc(0, 0, UINT32_MAX, NEXT, 1);
	desc(1, 0, 1, WRITE, 0);
	head_refused(0, "more than 2^32 - 1 bytes");
	desc(0, 0, UINT32_MAX - 1, NEXT, 1);
	bed_pop(bed.q);
}
END_TEST

START_TEST(unknown_descriptor_flags_are_ignored)
{
	desc(0, bed.page, 1, 0xfff8, 0);
	fake_avail_put(bed.dq, 0);
	ck_assert_uint_eq(bed_pop(bed.q), 0);
}
END_TEST

/* Malformed comes before too long. */
START_TEST(loop_with_a_short_vector_is_malformed)
{
	struct virtq_chain chain;
	struct iovec iov[2];

	desc(0, bed.page, 1, NEXT, 0);
	fake_avail_put(bed.dq, 0);
	ck_assert_int_eq(virtq_pop(bed.q, iov, 2, &chain, NULL), -EINVAL);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(avail_idx_jump_is_refused),
		UNIT_TEST(avail_idx_going_back_is_refused),
		UNIT_TEST(full_ring_is_not_a_jump),
		UNIT_TEST(head_out_of_range_is_refused),
		UNIT_TEST(next_out_of_range_is_refused),
		UNIT_TEST(descriptor_loop_is_refused),
		UNIT_TEST(descriptor_that_is_its_own_next_is_refused),
		UNIT_TEST(indirect_loop_is_refused),
		UNIT_TEST(chain_longer_than_queue_is_refused),
		UNIT_TEST(mixed_chain_longer_than_queue_is_refused),
		UNIT_TEST(nested_indirect_is_refused),
		UNIT_TEST(indirect_with_next_is_refused),
		UNIT_TEST(indirect_that_was_not_negotiated_is_refused),
		UNIT_TEST(indirect_length_not_multiple_of_16_is_refused),
		UNIT_TEST(empty_indirect_table_is_refused),
		UNIT_TEST(indirect_table_outside_ram_is_refused),
		UNIT_TEST(huge_indirect_table_is_refused),
		UNIT_TEST(next_outside_the_indirect_table_is_refused),
		UNIT_TEST(descriptor_outside_ram_is_refused),
		UNIT_TEST(descriptor_in_the_hole_is_refused),
		UNIT_TEST(descriptor_into_the_hole_is_refused),
		UNIT_TEST(descriptor_across_the_hole_is_refused),
		UNIT_TEST(descriptor_whose_end_wraps_is_refused),
		UNIT_TEST(last_segment_outside_ram_is_refused),
		UNIT_TEST(readable_after_writable_is_refused),
		UNIT_TEST(readable_after_an_empty_writable_is_refused),
		UNIT_TEST(chain_of_more_than_4_gib_is_refused),
		UNIT_TEST(unknown_descriptor_flags_are_ignored),
		UNIT_TEST(loop_with_a_short_vector_is_malformed),
	};

	return UNIT_RUN("virtio_queue_bad", cases, bed_setup_live,
			bed_teardown);
}
