// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/virtio_host.c: doorbells over real eventfds, and in which order the
 * device hears of them.
 */
#include "devices/virtio_host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/virtio_bed.h"

static struct loop *loop;
static struct virtio_host host;

static void setup(void)
{
	struct fail why;

	bed_setup();
	loop = loop_new(&why);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(virtio_host_init(&host, &bed.device.vdev, loop, &why),
			 0);
}

static void teardown(void)
{
	virtio_host_destroy(&host);
	loop_free(loop);
	bed_teardown();
}

static void probe(void)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, BED_QUEUE_SIZE), 0);
}

/* All that has been rung so far. */
static void run(void)
{
	while (loop_run_once(loop, 0) > 0)
		;
}

/* A live device that has heard of it, and counts from zero. */
static void setup_live(void)
{
	setup();
	probe();
	run();
	bed.device.status_changes = 0;
	memset(bed.device.notified, 0, sizeof(bed.device.notified));
}

static uint64_t edges(void)
{
	uint64_t n;

	return read(host.irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

START_TEST(eventfds_are_nonblocking_and_closed_by_exec)
{
	for (unsigned int i = 0; i < BED_QUEUES; i++) {
		int fd = virtio_host_kick_fd(&host, i);

		ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	}
	ck_assert_int_ne(fcntl(host.irq_fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(host.irq_fd, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(kick_notifies_its_queue_and_no_other)
{
	fake_notify(&bed.driver.queue[1]);
	run();
	ck_assert_uint_eq(bed.device.notified[0], 0);
	ck_assert_uint_eq(bed.device.notified[1], 1);
	ck_assert_uint_eq(bed.device.notified[2], 0);
}
END_TEST

START_TEST(every_later_kick_is_heard)
{
	/* The eventfd is never read; each write has to be an edge. */
	for (unsigned int i = 1; i <= 1000; i++) {
		fake_notify(bed.dq);
		ck_assert_int_eq(loop_run_once(loop, 1000), 1);
		ck_assert_uint_eq(bed.device.notified[0], i);
		ck_assert_int_eq(loop_run_once(loop, 0), 0);
	}
}
END_TEST

START_TEST(kick_of_an_ioeventfd_is_heard)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(virtio_host_kick_fd(&host, 2), &one, 8), 8);
	run();
	ck_assert_uint_eq(bed.device.notified[2], 1);
}
END_TEST

START_TEST(device_hears_of_its_status_before_any_kick)
{
	/* A queue kick is the only doorbell: the status one may come later. */
	const uint64_t one = 1;

	loop_remove(loop, &host.kick[VIRTIO_KICK_STATUS].source);
	probe();
	ck_assert_int_eq(write(virtio_host_kick_fd(&host, 0), &one, 8), 8);
	ck_assert_uint_eq(bed.device.status_changes, 0);
	run();
	ck_assert_uint_eq(bed.device.status_changes, 1);
	ck_assert_uint_ge(bed.device.notified[0], 1);
}
END_TEST

static unsigned int changes_at_notify;

static void note_changes(struct virtio_device *vdev, unsigned int queue)
{
	(void)vdev;
	(void)queue;
	changes_at_notify = bed.device.status_changes;
}

START_TEST(kick_of_a_new_driver_comes_after_the_reset)
{
	/* Both in one turn, the queue's doorbell rung before the status one. */
	bed.device.notify = note_changes;
	changes_at_notify = UINT32_MAX;
	fake_notify(bed.dq);
	probe();
	fake_notify(bed.dq);
	run();
	ck_assert_uint_eq(changes_at_notify, 1);
	ck_assert_uint_eq(bed.device.status_changes, 1);
}
END_TEST

START_TEST(device_that_is_not_live_is_not_notified)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 8), 0);
	fake_notify(bed.dq);
	run();
	ck_assert_uint_eq(bed.device.notified[0], 0);
	ck_assert_uint_ge(bed.device.status_changes, 1);
}
END_TEST

START_TEST(kick_before_driver_ok_is_made_up_for)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 8), 0);
	fake_notify(bed.dq);
	run();
	fake_driver_ok(&bed.driver);
	run();
	ck_assert_uint_eq(bed.device.notified[0], 1);
	/* Never one that is not ready. */
	ck_assert_uint_eq(bed.device.notified[1], 0);
}
END_TEST

START_TEST(drain_handles_all_kicks_at_once)
{
	probe();
	for (unsigned int i = 0; i < BED_QUEUES; i++)
		fake_notify(&bed.driver.queue[i]);
	virtio_host_drain(&host);
	ck_assert_uint_eq(bed.device.status_changes, 1);
	for (unsigned int i = 0; i < BED_QUEUES; i++)
		ck_assert_uint_ge(bed.device.notified[i], 1);
}
END_TEST

START_TEST(drain_leaves_a_device_that_is_not_live_alone)
{
	virtio_host_drain(&host);
	ck_assert_uint_eq(bed.device.status_changes, 0);
	ck_assert_uint_eq(bed.device.notified[0], 0);
}
END_TEST

static void break_it(struct virtio_device *vdev, unsigned int queue)
{
	const struct fail why = { "descriptor 7 is rotten" };

	(void)queue;
	virtio_device_break(vdev, &why);
}

START_TEST(broken_device_is_named_and_not_notified_again)
{
	int saved = dup(STDERR_FILENO);
	char text[256] = "";
	int pipe_fd[2];

	ck_assert_int_eq(pipe(pipe_fd), 0);
	dup2(pipe_fd[1], STDERR_FILENO);
	bed.device.notify = break_it;
	for (unsigned int i = 0; i < BED_QUEUES; i++)
		fake_notify(&bed.driver.queue[i]);
	run();
	virtio_host_drain(&host);
	dup2(saved, STDERR_FILENO);
	ck_assert_int_gt(read(pipe_fd[0], text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, "counter"));
	ck_assert_ptr_nonnull(strstr(text, "descriptor 7 is rotten"));
	ck_assert_uint_eq(bed.device.notified[0] + bed.device.notified[1] +
			  bed.device.notified[2], 1);
	ck_assert_uint_eq(edges(), 1);
	/* The device itself is told that it is no longer live. */
	ck_assert_uint_eq(bed.device.status_changes, 1);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(saved);
}
END_TEST

START_TEST(interrupts_are_edges_on_the_eventfd)
{
	pthread_mutex_lock(&bed.device.vdev.lock);
	virtio_device_signal(&bed.device.vdev);
	virtio_device_signal(&bed.device.vdev);
	pthread_mutex_unlock(&bed.device.vdev.lock);
	ck_assert_uint_eq(edges(), 2);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_USED);
}
END_TEST

START_TEST(destroyed_host_may_be_destroyed_again)
{
	struct virtio_host zero = { 0 };

	virtio_host_destroy(&zero);
	virtio_host_destroy(&host);
	virtio_host_destroy(&host);
	ck_assert_int_eq(loop_run_once(loop, 0), 0);
	/* Descriptor 0 was not a casualty. */
	ck_assert_int_ge(fcntl(0, F_GETFD), 0);
}
END_TEST

#define THREAD_KICKS 2000

static void pop_all(struct virtio_device *vdev, unsigned int queue)
{
	struct virtq *q = &vdev->queue[queue];
	struct virtq_chain chain;
	struct iovec iov[4];
	struct fail why;

	do {
		while (virtq_pop(q, iov, 4, &chain, &why) == 1)
			virtq_push(q, chain.head, 0);
		virtio_device_flush(vdev, q);
	} while (virtq_arm(q));
}

static void *drive(void *arg)
{
	const struct fake_seg seg = { bed.page, 1 };
	unsigned int done = 0, added = 0;
	struct fake_used used;

	(void)arg;
	while (done < THREAD_KICKS) {
		if (added < THREAD_KICKS &&
		    fake_add(bed.dq, &seg, 0, 1, FAKE_ALL_DIRECT, NULL) >= 0) {
			added++;
			fake_kick(bed.dq);
		}
		while (fake_harvest(bed.dq, &used) == 1)
			done++;
	}
	loop_stop(loop, 1);
	return NULL;
}

START_TEST(no_doorbell_is_lost_between_threads)
{
	pthread_t thread;

	bed.device.notify = pop_all;
	bed.driver.doorbell_direct = _i;
	pthread_create(&thread, NULL, drive, NULL);
	ck_assert_int_eq(loop_run(loop), 1);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(fake_in_flight(bed.dq), 0);
}
END_TEST

int main(void)
{
	const struct unit_case init_cases[] = {
		UNIT_TEST(eventfds_are_nonblocking_and_closed_by_exec),
		UNIT_TEST(device_hears_of_its_status_before_any_kick),
		UNIT_TEST(device_that_is_not_live_is_not_notified),
		UNIT_TEST(kick_before_driver_ok_is_made_up_for),
		UNIT_TEST(drain_handles_all_kicks_at_once),
		UNIT_TEST(drain_leaves_a_device_that_is_not_live_alone),
		UNIT_TEST(destroyed_host_may_be_destroyed_again),
	};
	const struct unit_case live_cases[] = {
		UNIT_TEST(kick_notifies_its_queue_and_no_other),
		UNIT_TEST(every_later_kick_is_heard),
		UNIT_TEST(kick_of_an_ioeventfd_is_heard),
		UNIT_TEST(kick_of_a_new_driver_comes_after_the_reset),
		UNIT_TEST(broken_device_is_named_and_not_notified_again),
		UNIT_TEST(interrupts_are_edges_on_the_eventfd),
		UNIT_LOOP(no_doorbell_is_lost_between_threads, 2),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("init", init_cases, setup, teardown),
		UNIT_GROUP("live", live_cases, setup_live, teardown),
	};

	return unit_run("devices_virtio_host", groups, UNIT_COUNT(groups));
}
