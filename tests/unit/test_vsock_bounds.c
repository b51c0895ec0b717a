// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: a guest that feeds its rings as fast as the device empties them does
 * not keep the loop thread to itself.
 *
 * A second thread plays it, ahead of all that a guest can know: it always has
 * made a whole ring more available than the device has taken.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tests/unit/test_vsock_bed.h"

#define QUEUE_SIZE	64u
#define MANY		500000u
/* Buffers that one turn of the loop may use up. */
#define TURN_MAX	5000u

static atomic_bool stop;

static void feed(const struct fake_queue *queue, const struct virtq *q)
{
	uint16_t taken = __atomic_load_n(&q->last_avail, __ATOMIC_RELAXED);

	__atomic_store_n(&queue->avail->idx.raw,
			 htole16((uint16_t)(taken + QUEUE_SIZE)),
			 __ATOMIC_RELEASE);
}

static void *run_guest(void *arg)
{
	const struct virtio_device *vdev = &vbed.d->dev.vdev;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		feed(vbed.v.rx, &vdev->queue[VSOCK_QUEUE_RX]);
		feed(vbed.v.tx, &vdev->queue[VSOCK_QUEUE_TX]);
	}
	return arg;
}

/* A ring full of packets that belong to nothing: an answer each. */
static void fill_tx(void)
{
	for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
		struct vsock_header hdr = fake_vsock_header(&vbed.v,
			VSOCK_OP_CREDIT_UPDATE, 5000 + i, 6000);

		ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, NULL, 0), 0);
	}
}

/* RX buffers too short for a header, or of all sizes. */
static const uint32_t rx_sizes[] = { 10, 3776 };

START_TEST(turns_end_however_fast_a_guest_feeds_its_rings)
{
	const struct virtio_device *vdev;
	const uint64_t *counter;
	pthread_t guest;

	vbed_start(&(const struct fake_vsock_config){
			   .queue_size = QUEUE_SIZE, .tx_slots = QUEUE_SIZE,
			   .tx_direct = true, .rx_count = QUEUE_SIZE,
			   .rx_seg = { rx_sizes[_i] } });
	vbed.raw = true;
	vbed_probe();
	vdev = &vbed.d->dev.vdev;
	counter = _i ? &vbed_stats()->packets_to_guest :
		       &vbed_stats()->malformed;
	fill_tx();
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&guest, NULL, run_guest, NULL), 0);
	while (*counter < MANY) {
		uint64_t before = *counter;

		vdev->host_ops->kick(vdev->host, VSOCK_QUEUE_TX);
		loop_run_once(vbed.loop, 0);
		ck_assert_uint_le(*counter - before, TURN_MAX);
	}
	atomic_store(&stop, true);
	pthread_join(guest, NULL);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	/* Then it comes to rest. */
	vbed_run_device();
	vbed.loose = true;
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(turns_end_however_fast_a_guest_feeds_its_rings,
			  UNIT_COUNT(rx_sizes)),
	};

	return UNIT_RUN("vsock_bounds", cases, NULL, vbed_teardown);
}
