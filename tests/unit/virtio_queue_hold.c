// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/queue.c and device.c: chains that are held while later ones go back,
 * their way through a save and a load, and looking back at what was used.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>

#include "tests/unit/virtio_bed.h"

static struct iovec iov[BED_QUEUE_SIZE];
static struct virtq_chain chain;
static struct fail why;
static struct virtio_device_ops ops;
/* The saved tree, the test's to spoil. */
static void *tree;
static struct bed_device other;
static struct fake_host other_host;

/* A device that may hold chains of queue 0. */
static void may_hold(struct bed_device *device)
{
	ops = *device->vdev.ops;
	ops.holds = 1u << 0;
	device->vdev.ops = &ops;
}

static void setup(void)
{
	bed_setup_live();
	may_hold(&bed.device);
	bed_device_init(&other);
	fake_host_init(&other_host, &other.vdev);
	may_hold(&other);
}

static void teardown(void)
{
	free(tree);
	tree = NULL;
	virtio_device_destroy(&other.vdev);
	bed_teardown();
}

/* The driver's next buffer, number @i: @i + 1 readable bytes. */
static void add(unsigned int i)
{
	const struct fake_seg seg = { bed.page + 16 * i, i + 1 };

	ck_assert_int_ge(fake_add(bed.dq, &seg, 1, 0, FAKE_ALL_DIRECT, NULL),
			 0);
}

/* Return: which buffer it is, or -1. */
static int pop_from(struct virtq *q)
{
	int ret = virtq_pop(q, iov, BED_QUEUE_SIZE, &chain, &why);

	ck_assert_int_ge(ret, 0);
	return ret ? (int)chain.out_len - 1 : -1;
}

static int pop(void)
{
	return pop_from(bed.q);
}

/* Which head did the driver get back? */
static int used_head(void)
{
	struct fake_used used;

	virtq_flush(bed.q);
	return fake_harvest(bed.dq, &used) == 1 ? used.head : -1;
}

START_TEST(later_chains_go_back_before_a_held_one)
{
	uint16_t first, second;

	add(0);
	add(1);
	ck_assert_int_eq(pop(), 0);
	first = chain.head;
	ck_assert(virtq_hold(bed.q, first));
	ck_assert_int_eq(pop(), 1);
	second = chain.head;
	virtq_push(bed.q, second, 0);
	ck_assert_int_eq(used_head(), second);
	ck_assert_int_eq(used_head(), -1);
	virtq_push_held(bed.q, first, 0);
	ck_assert_int_eq(used_head(), first);
	ck_assert_uint_eq(bed.q->held_count, 0);
	ck_assert_uint_eq(bed.q->last_avail, bed.q->used_idx);
}
END_TEST

START_TEST(held_chain_is_not_popped_again_in_this_life)
{
	add(0);
	ck_assert_int_eq(pop(), 0);
	ck_assert(virtq_hold(bed.q, chain.head));
	ck_assert_int_eq(pop(), -1);
	ck_assert(!virtq_arm(bed.q));
	virtq_push_held(bed.q, chain.head, 0);
	virtq_flush(bed.q);
}
END_TEST

START_TEST(all_but_one_entry_can_be_held)
{
	for (unsigned int i = 0; i < BED_QUEUE_SIZE; i++)
		add(i);
	for (int i = 0; i < (int)BED_QUEUE_SIZE - 1; i++) {
		ck_assert_int_eq(pop(), i);
		ck_assert(virtq_hold(bed.q, chain.head));
	}
	ck_assert_int_eq(pop(), BED_QUEUE_SIZE - 1);
	ck_assert(!virtq_hold(bed.q, chain.head));
	virtq_push(bed.q, chain.head, 0);
	ck_assert_int_eq(used_head(), chain.head);
	for (uint16_t i = 0; i < BED_QUEUE_SIZE - 1; i++)
		virtq_push_held(bed.q, i, 0);
	virtq_flush(bed.q);
}
END_TEST

START_TEST(what_is_not_held_is_not_pushed)
{
	add(0);
	ck_assert_int_eq(pop(), 0);
	virtq_push_held(bed.q, chain.head, 0);
	ck_assert_uint_eq(bed.q->used_idx, 0);
	ck_assert(virtq_hold(bed.q, chain.head));
	/* Nor what was held before the driver reset the queue. */
	virtq_disable(bed.q);
	ck_assert_uint_eq(bed.q->held_count, 0);
	virtq_push_held(bed.q, chain.head, 0);
	ck_assert_uint_eq(bed.q->used_idx, 0);
	ck_assert(!virtq_hold(bed.q, chain.head));
}
END_TEST

static void save(void)
{
	struct state_writer w;
	const void *data;
	size_t len;

	ck_assert_int_eq(state_writer_init(&w), 0);
	state_begin(&w, "device@0");
	virtio_device_save(&bed.device.vdev, &w);
	state_end(&w);
	ck_assert_msg(!state_writer_finish(&w, &data, &len, &why), "%s",
		      why.text);
	tree = malloc(len);
	ck_assert_ptr_nonnull(tree);
	memcpy(tree, data, len);
	state_writer_free(&w);
}

static int load(void)
{
	struct state_node root, node;
	int err;

	state_root(&root, tree);
	ck_assert_int_eq(state_enter(&root, &node, &why, "device@0"), 0);
	err = virtio_device_load(&other.vdev, &node, &why);
	if (!err)
		err = state_leave(&node, &why);
	return err;
}

/* Buffers 0 .. 3; 0 and 2 are held, the others were given back. */
static void hold_two(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		add(i);
		ck_assert_int_eq(pop(), (int)i);
		if (i % 2 == 0)
			ck_assert(virtq_hold(bed.q, chain.head));
		else
			virtq_push(bed.q, chain.head, 0);
	}
	virtq_flush(bed.q);
}

static void release_two(void)
{
	while (bed.q->held_count)
		virtq_push_held(bed.q, bed.q->held[0], 0);
	virtq_flush(bed.q);
}

START_TEST(what_is_held_at_a_save_is_popped_first_after_the_load)
{
	struct virtq *q = &other.vdev.queue[0];

	hold_two();
	add(4);
	save();
	release_two();
	ck_assert_msg(!load(), "%s", why.text);
	ck_assert_uint_eq(q->held_count, 2);
	ck_assert_int_eq(pop_from(q), 0);
	virtq_push(q, chain.head, 0);
	/* It may be held once more, and is not popped a second time. */
	ck_assert_int_eq(pop_from(q), 2);
	ck_assert(virtq_hold(q, chain.head));
	ck_assert_int_eq(pop_from(q), 4);
	virtq_push(q, chain.head, 0);
	ck_assert_int_eq(pop_from(q), -1);
	virtq_push_held(q, q->held[0], 0);
	ck_assert_uint_eq(q->last_avail, q->used_idx);
}
END_TEST

START_TEST(held_chains_stand_a_second_save)
{
	struct virtq *q = &other.vdev.queue[0];

	hold_two();
	save();
	release_two();
	ck_assert_msg(!load(), "%s", why.text);
	/* One is popped anew and held, one has not been looked at. */
	ck_assert_int_eq(pop_from(q), 0);
	ck_assert(virtq_hold(q, chain.head));
	free(tree);
	*bed.q = *q;
	save();
	virtio_device_reset(&other.vdev);
	ck_assert_msg(!load(), "%s", why.text);
	ck_assert_uint_eq(q->again, 2);
	ck_assert_int_eq(pop_from(q), 2);
	ck_assert_int_eq(pop_from(q), 0);
	ck_assert_int_eq(pop_from(q), -1);
	virtq_disable(bed.q);
}
END_TEST

START_TEST(load_refuses_heads_that_do_not_fit_the_indices)
{
	int node, len;

	hold_two();
	save();
	release_two();
	node = fdt_path_offset(tree, "/device@0/queue@0");
	ck_assert_ptr_nonnull(fdt_getprop(tree, node, "held", &len));
	ck_assert_int_eq(len, 2 * sizeof(fdt32_t));
	ck_assert_int_eq(fdt_setprop(tree, node, "held", "", 0), 0);
	ck_assert_int_lt(load(), 0);
	ck_says(&why, "last-avail 4, used-idx 2, but 0 chains held");
}
END_TEST

START_TEST(load_refuses_held_chains_where_none_can_be)
{
	hold_two();
	save();
	release_two();
	ops.holds = 0;
	ck_assert_int_eq(load(), -EINVAL);
	ck_says(&why, "queue@0: 2 chains held, on a queue where none is");
}
END_TEST

START_TEST(used_chains_can_be_looked_at_from_the_last_back)
{
	struct virtq_chain back;
	uint32_t len;

	for (unsigned int i = 0; i < 3; i++) {
		const struct fake_seg seg = { bed.page + 64 * i, 10 + i };

		fake_add(bed.dq, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
		ck_assert_int_eq(virtq_pop(bed.q, iov, BED_QUEUE_SIZE, &chain,
					   &why), 1);
		virtq_push(bed.q, chain.head, 5 + i);
	}
	virtq_flush(bed.q);
	for (uint16_t i = 0; i < 3; i++) {
		ck_assert(virtq_used_look(bed.q, (uint16_t)(3 - i), iov,
					  BED_QUEUE_SIZE, &back, &len));
		ck_assert_uint_eq(back.in_len, 10 + i);
		ck_assert_uint_eq(len, 5 + i);
		ck_assert_ptr_eq(iov[0].iov_base,
				 fake_guest_at(&bed.guest, bed.page + 64u * i,
					       1));
	}
	/* One that does not exist, or does not fit. */
	bed.dq->used->ring[2].id = le32_make(BED_QUEUE_SIZE);
	ck_assert(!virtq_used_look(bed.q, 1, iov, BED_QUEUE_SIZE, &back,
				   &len));
	ck_assert(!virtq_used_look(bed.q, 2, iov, 0, &back, &len));
	virtq_disable(bed.q);
	ck_assert(!virtq_used_look(bed.q, 2, iov, 1, &back, &len));
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(later_chains_go_back_before_a_held_one),
		UNIT_TEST(held_chain_is_not_popped_again_in_this_life),
		UNIT_TEST(all_but_one_entry_can_be_held),
		UNIT_TEST(what_is_not_held_is_not_pushed),
		UNIT_TEST(what_is_held_at_a_save_is_popped_first_after_the_load),
		UNIT_TEST(held_chains_stand_a_second_save),
		UNIT_TEST(load_refuses_heads_that_do_not_fit_the_indices),
		UNIT_TEST(load_refuses_held_chains_where_none_can_be),
		UNIT_TEST(used_chains_can_be_looked_at_from_the_last_back),
	};

	return UNIT_RUN("virtio_queue_hold", cases, setup, teardown);
}
