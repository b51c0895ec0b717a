// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two threads on one device: the test's own thread plays the guest's vCPU, the
 * other one the loop. Nothing may get lost between them; under
 * ThreadSanitizer, nothing may race either (configure
 * --enable-sanitizers=thread).
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/unit/virtio_bed.h"

#define CHAINS		20000u
#define OUTSTANDING	8u
#define DEADLINE_SECONDS 30

static atomic_bool stop;
static pthread_t loop_thread;

/* Answer each chain: what can be read comes back, plus one. */
static void echo(struct virtio_device *vdev, unsigned int queue)
{
	struct virtq *q = &vdev->queue[queue];
	struct fail why = { "" };
	struct virtq_chain chain;
	struct iovec iov[4];
	int ret;

	do {
		virtq_disarm(q);
		while ((ret = virtq_pop(q, iov, 4, &chain, &why)) == 1) {
			uint32_t value;

			memcpy(&value, iov[0].iov_base, sizeof(value));
			value++;
			memcpy(iov[1].iov_base, &value, sizeof(value));
			virtq_push(q, chain.head, sizeof(value));
		}
		virtio_device_flush(vdev, q);
		if (ret < 0) {
			virtio_device_break(vdev, &why);
			return;
		}
	} while (virtq_arm(q));
}

static void *loop_main(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		if (!fake_host_run(&bed.host))
			sched_yield();
	}
	return NULL;
}

static void setup(void)
{
	bed_setup();
	bed.device.notify = echo;
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&loop_thread, NULL, loop_main, NULL),
			 0);
}

static void stop_loop(void)
{
	atomic_store(&stop, true);
	ck_assert_int_eq(pthread_join(loop_thread, NULL), 0);
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void wait_for_interrupt(void)
{
	time_t end = now() + DEADLINE_SECONDS;

	while (!fake_host_interrupts(&bed.host)) {
		ck_assert_msg(now() < end, "a notification was lost");
		sched_yield();
	}
}

/* Chains are numbered; each has a slot of two integers. */
static uint32_t *slot(unsigned int i)
{
	return fake_guest_at(&bed.guest, bed.page + 8 * (i % OUTSTANDING), 8);
}

static void send(unsigned int i)
{
	gpa_t at = bed.page + 8 * (i % OUTSTANDING);
	const struct fake_seg seg[] = { { at, 4 }, { at + 4, 4 } };

	slot(i)[0] = i;
	slot(i)[1] = 0;
	ck_assert_int_ge(fake_add(bed.dq, seg, 1, 1, i % 3, NULL), 0);
	fake_kick(bed.dq);
}

/* What comes back comes back in order. Return: how many. */
static unsigned int receive(unsigned int next)
{
	struct fake_used used;
	unsigned int got = 0;

	do {
		fake_interrupts_off(bed.dq);
		while (fake_harvest(bed.dq, &used) == 1) {
			ck_assert_uint_eq(used.len, 4);
			ck_assert_uint_eq(slot(next + got)[1],
					  next + got + 1);
			got++;
		}
	} while (fake_interrupts_on(bed.dq));
	return got;
}

/* Doorbells and interrupts in both manners, with and without the register. */
START_TEST(no_notification_is_lost)
{
	uint64_t features = _i & 1 ? BED_ALL :
		~VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	unsigned int sent = 0, received = 0;

	bed.driver.doorbell_direct = _i & 2;
	ck_assert_int_eq(fake_probe(&bed.driver, features, 16), 0);
	while (received < CHAINS) {
		unsigned int burst = 1 + sent % OUTSTANDING;

		while (burst-- && sent < CHAINS &&
		       sent - received < OUTSTANDING)
			send(sent++);
		wait_for_interrupt();
		fake_isr(&bed.driver);
		received += receive(received);
	}
	stop_loop();
	ck_assert_uint_eq(bed.host.broken, 0);
	ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
}
END_TEST

/* Reads and acknowledges while the loop sets bits under the lock. */
START_TEST(interrupt_status_is_shared_without_the_lock)
{
	unsigned int seen = 0;

	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	for (unsigned int i = 0; i < CHAINS; i++) {
		if (!fake_in_flight(bed.dq))
			send(0);
		seen += fake_isr(&bed.driver) & VIRTIO_INT_USED;
		ck_assert_uint_eq(fake_read(&bed.driver, VIRTIO_MMIO_STATUS),
				  0x0f);
		receive(0);
	}
	stop_loop();
	ck_assert_uint_gt(seen, 0);
	fake_isr(&bed.driver);
	ck_assert_uint_eq(fake_isr(&bed.driver), 0);
	virtio_device_signal(&bed.device.vdev);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_USED);
}
END_TEST

/* A driver that goes away in mid-work, again and again. */
START_TEST(resets_while_the_loop_works)
{
	for (unsigned int i = 0; i < 300; i++) {
		ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
		for (unsigned int j = 0; j < i % OUTSTANDING; j++)
			send(j);
		if (i % 5 == 0) {
			fake_avail_idx_set(bed.dq, 0x7000);
			fake_notify(bed.dq);
		}
	}
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	fake_host_interrupts(&bed.host);
	send(7);
	wait_for_interrupt();
	stop_loop();
	ck_assert_uint_eq(bed.device.vdev.resets, 301);
	ck_assert_uint_eq(receive(7), 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(no_notification_is_lost, 4),
		UNIT_TEST(interrupt_status_is_shared_without_the_lock),
		UNIT_TEST(resets_while_the_loop_works),
	};

	return UNIT_RUN("virtio_threads", cases, setup, bed_teardown);
}
