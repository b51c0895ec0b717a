// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/queue.c, who is told when: used buffer notifications by flush, and
 * available buffer notifications by arm and disarm (virtio 1.2, 2.7.7, 2.7.10;
 * facts.md Q4 to Q6, and section 0 on the event queue).
 */
#include "virtio/queue.h"

#include "tests/unit/virtio_bed.h"

/* Use one buffer. Return: whether the driver wants to know. */
static bool use_one(void)
{
	struct fake_used used;
	bool wanted;

	bed_fill(bed.dq, 1);
	bed_use(bed.q, 1);
	wanted = virtq_flush(bed.q);
	fake_interrupts_off(bed.dq);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	return wanted;
}

/* Q5: MUST notify when used.idx moves past used_event, and not otherwise. */
START_TEST(event_idx_suppresses_interrupts_until_used_event)
{
	fake_used_event_set(bed.dq, 2);
	ck_assert(!use_one());
	ck_assert(!use_one());
	ck_assert(use_one());
	ck_assert(!use_one());
}
END_TEST

START_TEST(event_idx_counts_a_whole_batch)
{
	fake_used_event_set(bed.dq, 1);
	bed_fill(bed.dq, 8);
	bed_use(bed.q, 4);
	ck_assert(virtq_flush(bed.q));
	bed_use(bed.q, 4);
	ck_assert(!virtq_flush(bed.q));
	fake_used_event_set(bed.dq, 8);
	bed_fill(bed.dq, 4);
	bed_use(bed.q, 4);
	ck_assert(virtq_flush(bed.q));
}
END_TEST

START_TEST(event_idx_wraps)
{
	for (unsigned int i = 0; i < 65535; i++) {
		fake_used_event_set(bed.dq, i % 2 ? i & 0xffff : 65535);
		ck_assert_int_eq(use_one(), i % 2);
	}
	/* The index goes from 65535 to 0. */
	fake_used_event_set(bed.dq, 65535);
	ck_assert(use_one());
	fake_used_event_set(bed.dq, 65535);
	ck_assert(!use_one());
	fake_used_event_set(bed.dq, 1);
	ck_assert(use_one());
}
END_TEST

START_TEST(batch_across_the_wrap_is_seen)
{
	for (unsigned int i = 0; i < 65530; i++)
		use_one();
	fake_used_event_set(bed.dq, 1);
	bed_fill(bed.dq, 8);
	bed_use(bed.q, 8);
	ck_assert(virtq_flush(bed.q));
	ck_assert_uint_eq(fake_used_idx(bed.dq), 2);
}
END_TEST

/* Q5: avail.flags is not looked at with EVENT_IDX. */
START_TEST(event_idx_ignores_the_no_interrupt_flag)
{
	fake_used_event_set(bed.dq, 0);
	bed.dq->avail->flags = le16_make(VIRTQ_AVAIL_F_NO_INTERRUPT);
	ck_assert(use_one());
}
END_TEST

/* Q5: used.flags stays 0 with EVENT_IDX. */
START_TEST(event_idx_leaves_used_flags_alone)
{
	virtq_disarm(bed.q);
	ck_assert_uint_eq(le16_get(bed.dq->used->flags), 0);
	virtq_arm(bed.q);
	ck_assert_uint_eq(le16_get(bed.dq->used->flags), 0);
}
END_TEST

START_TEST(flush_of_nothing_notifies_nobody)
{
	fake_used_event_set(bed.dq, 0);
	ck_assert(!virtq_flush(bed.q));
	ck_assert(use_one());
	fake_used_event_set(bed.dq, 0);
	ck_assert(!virtq_flush(bed.q));
}
END_TEST

START_TEST(arm_asks_for_the_next_buffer)
{
	bed_fill(bed.dq, 3);
	ck_assert(fake_kick(bed.dq));
	bed_use(bed.q, 3);
	ck_assert(!virtq_arm(bed.q));
	ck_assert_uint_eq(fake_avail_event(bed.dq), 3);
	bed_fill(bed.dq, 1);
	ck_assert(fake_kick(bed.dq));
}
END_TEST

START_TEST(driver_is_silent_while_not_armed)
{
	bed_fill(bed.dq, 1);
	ck_assert(fake_kick(bed.dq));
	bed_use(bed.q, 1);
	bed_fill(bed.dq, 2);
	ck_assert(!fake_kick(bed.dq));
}
END_TEST

/* The buffer that came between the last pop and the arm rings no bell. */
START_TEST(arm_sees_buffer_that_slipped_in)
{
	bed_fill(bed.dq, 1);
	fake_kick(bed.dq);
	bed_use(bed.q, 1);
	bed_fill(bed.dq, 1);
	ck_assert(!fake_kick(bed.dq));
	ck_assert(virtq_arm(bed.q));
	bed_use(bed.q, 1);
	ck_assert(!virtq_arm(bed.q));
}
END_TEST

/* A jump is not "nothing there": the pop that follows tells what is wrong. */
START_TEST(arm_sees_a_ring_that_jumped)
{
	fake_avail_idx_set(bed.dq, 0x9000);
	ck_assert(virtq_arm(bed.q));
}
END_TEST

/*
 * Section 0: eight buffers lie there, one is used; the driver puts it back as
 * entry 8, and that is what must ring. With avail_event left at 0 it does not.
 */
START_TEST(arm_after_rings_when_the_buffer_comes_back)
{
	struct fake_used used;

	bed_fill(bed.dq, 8);
	ck_assert(fake_kick(bed.dq));
	ck_assert(!virtq_arm_after(bed.q, virtq_avail_idx(bed.q)));
	bed_use(bed.q, 1);
	ck_assert(virtq_flush(bed.q));
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	bed_fill(bed.dq, 1);
	ck_assert(fake_kick(bed.dq));
}
END_TEST

START_TEST(without_arm_after_the_buffer_comes_back_in_silence)
{
	struct fake_used used;

	bed_fill(bed.dq, 8);
	ck_assert(fake_kick(bed.dq));
	bed_use(bed.q, 1);
	virtq_flush(bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	bed_fill(bed.dq, 1);
	ck_assert(!fake_kick(bed.dq));
}
END_TEST

/* Two events are owed: only the second buffer to come back rings. */
START_TEST(arm_after_waits_for_the_entry_it_names)
{
	struct fake_used used;

	bed_fill(bed.dq, 8);
	fake_kick(bed.dq);
	ck_assert(!virtq_arm_after(bed.q, 9));
	bed_use(bed.q, 2);
	virtq_flush(bed.q);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
		bed_fill(bed.dq, 1);
		ck_assert_int_eq(fake_kick(bed.dq), i == 1);
	}
}
END_TEST

START_TEST(arm_after_tells_when_the_entry_is_there_already)
{
	bed_fill(bed.dq, 8);
	ck_assert(virtq_arm_after(bed.q, 7));
	ck_assert(!virtq_arm_after(bed.q, 8));
	ck_assert(virtq_arm_after(bed.q, 0));
}
END_TEST

START_TEST(arm_after_wraps)
{
	for (unsigned int i = 0; i < 65530; i++)
		use_one();
	bed_fill(bed.dq, 8);
	ck_assert(virtq_arm_after(bed.q, 0));
	ck_assert(virtq_arm_after(bed.q, 1));
	ck_assert(!virtq_arm_after(bed.q, 2));
	fake_kick(bed.dq);
	bed_fill(bed.dq, 1);
	ck_assert(fake_kick(bed.dq));
}
END_TEST

/* Q4, without EVENT_IDX: used_event means nothing, the flag decides. */
START_TEST(plain_interrupts_follow_the_flag)
{
	fake_used_event_set(bed.dq, 1000);
	bed.dq->avail->flags = le16_make(0);
	ck_assert(use_one());
	bed.dq->avail->flags = le16_make(VIRTQ_AVAIL_F_NO_INTERRUPT);
	ck_assert(!use_one());
	bed.dq->avail->flags = le16_make(0xfffe);
	ck_assert(use_one());
}
END_TEST

START_TEST(plain_disarm_and_arm_set_the_flag)
{
	virtq_disarm(bed.q);
	ck_assert_uint_eq(le16_get(bed.dq->used->flags),
			  VIRTQ_USED_F_NO_NOTIFY);
	bed_fill(bed.dq, 1);
	ck_assert(!fake_kick(bed.dq));
	ck_assert(virtq_arm(bed.q));
	ck_assert_uint_eq(le16_get(bed.dq->used->flags), 0);
	bed_fill(bed.dq, 1);
	ck_assert(fake_kick(bed.dq));
	/* avail_event is not ours to write then. */
	ck_assert_uint_eq(fake_avail_event(bed.dq), 0);
}
END_TEST

START_TEST(plain_arm_after_waits_for_the_entry)
{
	bed_fill(bed.dq, 4);
	ck_assert(!virtq_arm_after(bed.q, 4));
	bed_fill(bed.dq, 1);
	ck_assert(virtq_arm_after(bed.q, 4));
}
END_TEST

int main(void)
{
	const struct unit_case with[] = {
		UNIT_TEST(event_idx_suppresses_interrupts_until_used_event),
		UNIT_TEST(event_idx_counts_a_whole_batch),
		UNIT_TEST(event_idx_wraps),
		UNIT_TEST(batch_across_the_wrap_is_seen),
		UNIT_TEST(event_idx_ignores_the_no_interrupt_flag),
		UNIT_TEST(event_idx_leaves_used_flags_alone),
		UNIT_TEST(flush_of_nothing_notifies_nobody),
		UNIT_TEST(arm_asks_for_the_next_buffer),
		UNIT_TEST(driver_is_silent_while_not_armed),
		UNIT_TEST(arm_sees_buffer_that_slipped_in),
		UNIT_TEST(arm_sees_a_ring_that_jumped),
		UNIT_TEST(arm_after_rings_when_the_buffer_comes_back),
		UNIT_TEST(without_arm_after_the_buffer_comes_back_in_silence),
		UNIT_TEST(arm_after_waits_for_the_entry_it_names),
		UNIT_TEST(arm_after_tells_when_the_entry_is_there_already),
		UNIT_TEST(arm_after_wraps),
	};
	const struct unit_case without[] = {
		UNIT_TEST(plain_interrupts_follow_the_flag),
		UNIT_TEST(plain_disarm_and_arm_set_the_flag),
		UNIT_TEST(plain_arm_after_waits_for_the_entry),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("event_idx", with, bed_setup_live, bed_teardown),
		UNIT_GROUP("plain", without, bed_setup_plain, bed_teardown),
	};

	return unit_run("virtio_event_idx", groups, UNIT_COUNT(groups));
}
