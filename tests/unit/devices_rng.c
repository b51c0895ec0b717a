// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/rng.c: what is filled, how much of it, and what is refused.
 */
#include "devices/rng.h"

#include <errno.h>
#include <string.h>

#include "tests/fake/driver.h"
#include "tests/fake/guest.h"
#include "tests/fake/host.h"
#include "tests/unit/virtio_state_bed.h"

#define RAM (8u << 20)

static struct fake_guest guest;
static struct fake_host host;
static struct fake_driver driver;
static struct fake_queue *q;
static struct rng rng;

static void setup(void)
{
	fake_guest_init(&guest, RAM, 0);
	rng_init(&rng, &guest.mem);
	fake_host_init(&host, &rng.vdev);
	fake_driver_init(&driver, &guest, &rng.vdev);
	ck_assert_int_eq(fake_probe(&driver, UINT64_MAX, RNG_QUEUE_SIZE), 0);
	fake_host_run(&host);
	fake_host_interrupts(&host);
	q = &driver.queue[0];
}

static void teardown(void)
{
	rng_destroy(&rng);
	fake_guest_destroy(&guest);
}

static struct fake_seg buffer(uint32_t len)
{
	return (struct fake_seg){ fake_guest_alloc(&guest, len + 16, 16), len };
}

/* How many of the bytes are no longer 0; 1 in 256 stays so by chance. */
static unsigned int touched(struct fake_seg seg)
{
	const uint8_t *p = fake_guest_at(&guest, seg.gpa, seg.len);
	unsigned int count = 0;

	for (uint32_t i = 0; i < seg.len; i++)
		count += p[i] != 0;
	return count;
}

/* One chain there and back. Return: the used length. */
static uint32_t exchange(const struct fake_seg *seg, unsigned int out,
			 unsigned int in)
{
	struct fake_used used = { 0 };
	int head = fake_add(q, seg, out, in, FAKE_ALL_DIRECT, NULL);

	ck_assert_int_ge(head, 0);
	ck_assert(fake_kick(q));
	fake_host_run(&host);
	ck_assert_int_eq(fake_harvest(q, &used), 1);
	ck_assert_uint_eq(used.head, head);
	ck_assert_int_eq(fake_harvest(q, &used), 0);
	return used.len;
}

START_TEST(device_says_that_it_is_an_entropy_device)
{
	ck_assert_uint_eq(fake_read(&driver, VIRTIO_MMIO_DEVICE_ID), 4);
	ck_assert_uint_eq(fake_read(&driver, VIRTIO_MMIO_CONFIG), 0);
	fake_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 1);
	ck_assert_uint_eq(fake_read(&driver, VIRTIO_MMIO_QUEUE_SIZE_MAX), 0);
}
END_TEST

START_TEST(buffer_is_filled_and_nothing_behind_it)
{
	struct fake_seg seg = buffer(1000);
	const uint8_t *p = fake_guest_at(&guest, seg.gpa, seg.len + 16);

	ck_assert_uint_eq(exchange(&seg, 0, 1), 1000);
	ck_assert_uint_gt(touched(seg), 900);
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(p[1000 + i], 0);
	ck_assert_uint_eq(fake_host_interrupts(&host), 1);
	ck_assert_uint_eq(fake_isr(&driver), VIRTIO_INT_USED);
}
END_TEST

START_TEST(two_fills_differ)
{
	struct fake_seg a = buffer(32), b = buffer(32);

	exchange(&a, 0, 1);
	exchange(&b, 0, 1);
	ck_assert_mem_ne(fake_guest_at(&guest, a.gpa, 32),
			 fake_guest_at(&guest, b.gpa, 32), 32);
}
END_TEST

START_TEST(all_segments_of_a_chain_are_filled)
{
	struct fake_seg seg[3] = { buffer(300), buffer(1), buffer(300) };

	ck_assert_uint_eq(exchange(seg, 0, 3), 601);
	ck_assert_uint_gt(touched(seg[0]), 250);
	ck_assert_uint_gt(touched(seg[2]), 250);
}
END_TEST

START_TEST(chain_with_a_readable_segment_gets_nothing)
{
	struct fake_seg seg[2] = { buffer(64), buffer(64) };

	ck_assert_uint_eq(exchange(seg, 1, 1), 0);
	ck_assert_uint_eq(touched(seg[0]) + touched(seg[1]), 0);
	ck_assert(virtio_device_live(&rng.vdev));
}
END_TEST

START_TEST(chain_without_a_writable_segment_gets_nothing)
{
	struct fake_seg seg = buffer(64);

	ck_assert_uint_eq(exchange(&seg, 1, 0), 0);
	ck_assert_uint_eq(touched(seg), 0);
	seg.len = 0;
	ck_assert_uint_eq(exchange(&seg, 0, 1), 0);
	ck_assert(virtio_device_live(&rng.vdev));
}
END_TEST

START_TEST(huge_buffer_is_filled_in_part)
{
	struct fake_seg seg = buffer(1u << 20);

	ck_assert_uint_eq(exchange(&seg, 0, 1), RNG_WORK_MAX);
	seg.gpa += RNG_WORK_MAX;
	seg.len -= RNG_WORK_MAX;
	ck_assert_uint_eq(touched(seg), 0);
}
END_TEST

START_TEST(much_work_is_done_in_bounded_pieces)
{
	struct fake_seg seg = buffer(RNG_WORK_MAX / 2);
	struct fake_used used;
	unsigned int done = 0;

	for (unsigned int i = 0; i < 10; i++)
		fake_add(q, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
	fake_kick(q);
	atomic_store(&host.pending, 0);
	pthread_mutex_lock(&rng.vdev.lock);
	rng.vdev.ops->queue_notify(&rng.vdev, 0);
	pthread_mutex_unlock(&rng.vdev.lock);
	while (fake_harvest(q, &used) == 1)
		done++;
	ck_assert_uint_eq(done, 2);
	/* It rang its own doorbell, and goes on by that alone. */
	ck_assert_uint_eq(atomic_load(&host.pending), 1);
	fake_host_run(&host);
	while (fake_harvest(q, &used) == 1)
		done++;
	ck_assert_uint_eq(done, 10);
	ck_assert_uint_eq(atomic_load(&host.pending), 0);
}
END_TEST

START_TEST(empty_chains_are_bounded_work_as_well)
{
	struct fake_seg seg = { fake_guest_alloc(&guest, 16, 16), 0 };
	struct fake_used used;
	unsigned int done = 0;

	for (unsigned int i = 0; i < RNG_QUEUE_SIZE; i++)
		fake_add(q, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
	fake_kick(q);
	fake_host_run(&host);
	while (fake_harvest(q, &used) == 1)
		done++;
	ck_assert_uint_eq(done, RNG_QUEUE_SIZE);
}
END_TEST

START_TEST(spurious_kick_does_nothing)
{
	fake_notify(q);
	fake_host_run(&host);
	ck_assert_uint_eq(fake_used_idx(q), 0);
	ck_assert_uint_eq(fake_host_interrupts(&host), 0);
}
END_TEST

START_TEST(bad_ring_breaks_the_device_and_a_reset_mends_it)
{
	struct fake_seg seg = buffer(64);

	fake_avail_put(q, RNG_QUEUE_SIZE);
	fake_notify(q);
	fake_host_run(&host);
	ck_assert_uint_eq(host.broken, 1);
	ck_assert_uint_ne(host.why.text[0], 0);
	ck_assert(fake_read(&driver, VIRTIO_MMIO_STATUS) &
		  VIRTIO_STATUS_NEEDS_RESET);
	ck_assert_int_eq(fake_probe(&driver, UINT64_MAX, RNG_QUEUE_SIZE), 0);
	ck_assert_uint_eq(exchange(&seg, 0, 1), 64);
}
END_TEST

START_TEST(restored_device_serves_what_was_waiting)
{
	struct fake_seg seg = buffer(64);
	struct state_node node;
	struct fake_used used;

	state_bed_setup();
	fake_add(q, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
	state_begin(&writer, "rng");
	virtio_device_save(&rng.vdev, &writer);
	state_end(&writer);
	rng_destroy(&rng);
	rng_init(&rng, &guest.mem);
	fake_host_init(&host, &rng.vdev);
	enter_well(&node, "rng");
	ck_assert_msg(!virtio_device_load(&rng.vdev, &node, &why), "%s",
		      why.text);
	ck_assert_int_eq(state_leave(&node, &why), 0);
	ck_assert_int_eq(virtio_device_loaded(&rng.vdev, &why), 0);
	fake_host_run(&host);
	ck_assert_int_eq(fake_harvest(q, &used), 1);
	ck_assert_uint_eq(used.len, 64);
	state_bed_teardown();
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(device_says_that_it_is_an_entropy_device),
		UNIT_TEST(buffer_is_filled_and_nothing_behind_it),
		UNIT_TEST(two_fills_differ),
		UNIT_TEST(all_segments_of_a_chain_are_filled),
		UNIT_TEST(chain_with_a_readable_segment_gets_nothing),
		UNIT_TEST(chain_without_a_writable_segment_gets_nothing),
		UNIT_TEST(huge_buffer_is_filled_in_part),
		UNIT_TEST(much_work_is_done_in_bounded_pieces),
		UNIT_TEST(empty_chains_are_bounded_work_as_well),
		UNIT_TEST(spurious_kick_does_nothing),
		UNIT_TEST(bad_ring_breaks_the_device_and_a_reset_mends_it),
		UNIT_TEST(restored_device_serves_what_was_waiting),
	};

	return UNIT_RUN("devices_rng", cases, setup, teardown);
}
