// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/device.c and virtio/mmio.c: device status, feature negotiation, reset,
 * and a device that broke (virtio 1.2, 2.1, 2.2, 3.1; facts.md M3, M10 to M17).
 */
#include "virtio/device.h"

#include <errno.h>

#include "tests/unit/virtio_bed.h"

#define ACK		VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER		VIRTIO_STATUS_DRIVER
#define FEATURES_OK	VIRTIO_STATUS_FEATURES_OK
#define DRIVER_OK	VIRTIO_STATUS_DRIVER_OK
#define NEEDS_RESET	VIRTIO_STATUS_NEEDS_RESET
#define FAILED		VIRTIO_STATUS_FAILED

static const struct fail reason = { "so says the test" };

static uint32_t status(void)
{
	return fake_read(&bed.driver, VIRTIO_MMIO_STATUS);
}

static void set_status(uint32_t value)
{
	fake_write(&bed.driver, VIRTIO_MMIO_STATUS, value);
}

/* Accept exactly these, whether offered or not. */
static void accept(uint64_t features)
{
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES,
		   (uint32_t)features);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES,
		   (uint32_t)(features >> 32));
}

static void probe(void)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	fake_host_run(&bed.host);
}

START_TEST(device_is_live_after_a_probe)
{
	ck_assert(!virtio_device_live(&bed.device.vdev));
	probe();
	ck_assert(virtio_device_live(&bed.device.vdev));
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert_uint_ge(bed.device.status_changes, 1);
}
END_TEST

START_TEST(status_bits_are_only_ever_added)
{
	set_status(ACK);
	set_status(DRIVER);
	ck_assert_uint_eq(status(), ACK | DRIVER);
	set_status(FAILED);
	ck_assert_uint_eq(status(), ACK | DRIVER | FAILED);
}
END_TEST

START_TEST(unknown_status_bits_are_ignored)
{
	set_status(0xffffff30);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(bed.device.vdev.resets, 0);
}
END_TEST

START_TEST(driver_cannot_set_needs_reset)
{
	set_status(NEEDS_RESET | ACK);
	ck_assert_uint_eq(status(), ACK);
}
END_TEST

START_TEST(each_status_write_kicks_the_loop)
{
	set_status(ACK);
	set_status(ACK | DRIVER);
	set_status(0);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[VIRTIO_KICK_STATUS]), 3);
	ck_assert_uint_eq(bed.device.status_changes, 0);
	ck_assert_uint_eq(fake_host_run(&bed.host), 1);
	ck_assert_uint_eq(bed.device.status_changes, 1);
}
END_TEST

START_TEST(negotiated_features_are_final_and_known_to_queues)
{
	probe();
	ck_assert(virtio_device_has(&bed.device.vdev, BED_F_OWN));
	ck_assert(virtio_device_has(&bed.device.vdev, VIRTIO_F_VERSION_1));
	ck_assert(!virtio_device_has(&bed.device.vdev, BED_F_OWN + 1));
	for (unsigned int i = 0; i < BED_QUEUES; i++)
		ck_assert(bed.q[i].event_idx && bed.q[i].indirect);
	accept(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert(virtio_device_has(&bed.device.vdev, BED_F_OWN));
}
END_TEST

/* Section 3.1.1: not from DRIVER_OK on, but from FEATURES_OK on. */
START_TEST(features_are_final_before_driver_ok)
{
	struct virtio_device *vdev = &bed.device.vdev;
	uint64_t taken;

	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	taken = vdev->features;
	accept(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert_uint_eq(vdev->features, taken);
	/* One that was never offered, least of all. */
	accept(UINT64_MAX);
	ck_assert_uint_eq(vdev->features, taken);
	ck_assert(virtio_device_has(vdev, BED_F_OWN));
	ck_assert(!virtio_device_has(vdev, BED_F_OWN + 1));
}
END_TEST

START_TEST(features_not_taken_are_not_used)
{
	ck_assert_int_eq(fake_probe(&bed.driver,
				    VIRTIO_BIT(VIRTIO_F_VERSION_1), 16), 0);
	ck_assert(!virtio_device_has(&bed.device.vdev, BED_F_OWN));
	ck_assert(!bed.q->event_idx && !bed.q->indirect);
}
END_TEST

START_TEST(no_feature_is_negotiated_before_features_ok)
{
	accept(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert(!virtio_device_has(&bed.device.vdev, VIRTIO_F_VERSION_1));
}
END_TEST

/* M10, M11 */
START_TEST(features_ok_without_version_1_is_refused)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver,
					~VIRTIO_BIT(VIRTIO_F_VERSION_1)),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

/* M11 */
START_TEST(features_not_offered_are_refused)
{
	set_status(ACK | DRIVER);
	accept(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(_i));
	set_status(ACK | DRIVER | FEATURES_OK);
	if (bed.device.vdev.offered & VIRTIO_BIT(_i))
		ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK);
	else
		ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

/* The driver may try again with less. */
START_TEST(refused_features_can_be_replaced)
{
	set_status(ACK | DRIVER);
	accept(BED_ALL);
	set_status(ACK | DRIVER | FEATURES_OK);
	accept(bed.device.vdev.offered);
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK);
}
END_TEST

START_TEST(feature_selectors_out_of_range_are_ignored)
{
	accept(bed.device.vdev.offered);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	ck_assert_uint_eq(bed.device.vdev.features, bed.device.vdev.offered);
}
END_TEST

START_TEST(driver_ok_without_features_ok_is_refused)
{
	set_status(ACK | DRIVER);
	set_status(ACK | DRIVER | DRIVER_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER);
	/* Not even together with a FEATURES_OK that does not stick. */
	set_status(ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

/* M17 */
START_TEST(same_features_are_accepted_again_after_a_reset)
{
	for (unsigned int i = 0; i < 3; i++)
		probe();
	ck_assert_uint_eq(bed.device.vdev.resets, 3);
}
END_TEST

/* M3, M14 */
START_TEST(reset_clears_everything)
{
	struct virtio_device *vdev = &bed.device.vdev;

	probe();
	bed_fill(bed.dq, 5);
	bed_use(bed.q, 3);
	virtio_device_flush(vdev, bed.q);
	virtio_device_config_changed(vdev);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SEL, 1);
	fake_write(&bed.driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	fake_write(&bed.driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	ck_assert_uint_eq(vdev->resets, 1);
	set_status(0);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(atomic_load(&vdev->interrupt_status), 0);
	ck_assert_uint_eq(vdev->features, 0);
	ck_assert_uint_eq(vdev->features_sel, 0);
	ck_assert_uint_eq(vdev->driver_features_sel, 0);
	ck_assert_uint_eq(vdev->queue_sel, 0);
	ck_assert_uint_eq(vdev->resets, 2);
	ck_assert_uint_eq(vdev->config_generation, 1);
	for (unsigned int i = 0; i < BED_QUEUES; i++) {
		const struct virtq zero = {
			.mem = &bed.guest.mem, .size_max = BED_QUEUE_SIZE,
		};

		ck_assert(!bed.q[i].ready);
		ck_assert_uint_eq(bed.q[i].size, zero.size);
		ck_assert_uint_eq(bed.q[i].size_max, zero.size_max);
		ck_assert_uint_eq(bed.q[i].desc_gpa, 0);
		ck_assert_uint_eq(bed.q[i].last_avail, 0);
		ck_assert_uint_eq(bed.q[i].used_idx, 0);
		ck_assert(!bed.q[i].event_idx && !bed.q[i].indirect);
	}
}
END_TEST

/* M14: no queue access and no notification after a reset. */
START_TEST(nothing_is_delivered_after_a_reset)
{
	struct virtio_device *vdev = &bed.device.vdev;
	uint16_t head;

	probe();
	bed_fill(bed.dq, 2);
	head = bed_pop(bed.q);
	set_status(0);
	fake_host_interrupts(&bed.host);
	virtq_push(bed.q, head, 1);
	virtio_device_flush(vdev, bed.q);
	virtio_device_signal(vdev);
	virtio_device_config_changed(vdev);
	ck_assert_uint_eq(fake_used_idx(bed.dq), 0);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
	ck_assert_uint_eq(atomic_load(&vdev->interrupt_status), 0);
}
END_TEST

/* M12 */
START_TEST(no_interrupt_before_driver_ok)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 16), 0);
	virtio_device_signal(&bed.device.vdev);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
	ck_assert_uint_eq(atomic_load(&bed.device.vdev.interrupt_status), 0);
}
END_TEST

/* M15 */
START_TEST(needs_reset_is_set_with_config_interrupt)
{
	probe();
	virtio_device_break(&bed.device.vdev, &reason);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK | DRIVER_OK |
			  NEEDS_RESET);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 1);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_CONFIG);
	ck_assert_uint_eq(bed.host.broken, 1);
	ck_assert_str_eq(bed.host.why.text, reason.text);
	ck_assert(!virtio_device_live(&bed.device.vdev));
}
END_TEST

START_TEST(second_break_is_not_told)
{
	probe();
	virtio_device_break(&bed.device.vdev, &reason);
	virtio_device_break(&bed.device.vdev, &reason);
	ck_assert_uint_eq(bed.host.broken, 1);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 1);
}
END_TEST

START_TEST(no_config_interrupt_before_driver_ok)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	virtio_device_break(&bed.device.vdev, &reason);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
	ck_assert_uint_eq(atomic_load(&bed.device.vdev.interrupt_status), 0);
	ck_assert_uint_eq(bed.host.broken, 1);
	/* It is owed, and paid when there is a driver to hear it. */
	fake_driver_ok(&bed.driver);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 1);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_CONFIG);
	ck_assert(!virtio_device_live(&bed.device.vdev));
}
END_TEST

START_TEST(broken_device_stops_all_queues)
{
	struct virtio_device *vdev = &bed.device.vdev;
	struct virtq_chain chain;
	struct iovec iov[4];
	uint16_t head;

	probe();
	bed_fill(bed.dq, 3);
	bed_fill(&bed.driver.queue[1], 3);
	head = bed_pop(bed.q);
	virtio_device_break(vdev, &reason);
	fake_host_interrupts(&bed.host);
	for (unsigned int i = 0; i < BED_QUEUES; i++)
		ck_assert_int_eq(virtq_pop(&bed.q[i], iov, 4, &chain, NULL),
				 0);
	virtq_push(bed.q, head, 1);
	virtio_device_flush(vdev, bed.q);
	virtio_device_signal(vdev);
	ck_assert_uint_eq(fake_used_idx(bed.dq), 0);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
	fake_notify(bed.dq);
	ck_assert_uint_eq(fake_host_run(&bed.host), 0);
}
END_TEST

START_TEST(broken_device_enables_no_queue)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	virtio_device_break(&bed.device.vdev, &reason);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 16), -EIO);
}
END_TEST

START_TEST(reset_mends_a_broken_device)
{
	struct fake_used used;

	probe();
	virtio_device_break(&bed.device.vdev, &reason);
	probe();
	bed_fill(bed.dq, 1);
	bed_use(bed.q, 1);
	virtio_device_flush(&bed.device.vdev, bed.q);
	ck_assert_int_eq(fake_harvest(bed.dq, &used), 1);
	ck_assert_uint_eq(bed.host.broken, 1);
}
END_TEST

/* M16 */
START_TEST(failed_device_can_be_reset)
{
	probe();
	fake_status_add(&bed.driver, FAILED);
	ck_assert_uint_eq(status() & FAILED, FAILED);
	probe();
	ck_assert_uint_eq(status() & FAILED, 0);
}
END_TEST

START_TEST(queue_that_cannot_be_enabled_breaks_the_device)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SEL, 2);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SIZE, 16);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_DESC_HIGH, 1);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_DESC_LOW, 8);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK | NEEDS_RESET);
	ck_assert_uint_eq(bed.host.broken, 1);
	ck_assert_str_eq(bed.host.why.text, "queue 2: descriptor area at "
			 "0x100000008 is not 16-byte aligned");
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
}
END_TEST

START_TEST(bad_queue_after_driver_ok_interrupts)
{
	probe();
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SEL, 0);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_READY, 0);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_SIZE, 0);
	fake_write(&bed.driver, VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 1);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_CONFIG);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(device_is_live_after_a_probe),
		UNIT_TEST(status_bits_are_only_ever_added),
		UNIT_TEST(unknown_status_bits_are_ignored),
		UNIT_TEST(driver_cannot_set_needs_reset),
		UNIT_TEST(each_status_write_kicks_the_loop),
		UNIT_TEST(negotiated_features_are_final_and_known_to_queues),
		UNIT_TEST(features_are_final_before_driver_ok),
		UNIT_TEST(features_not_taken_are_not_used),
		UNIT_TEST(no_feature_is_negotiated_before_features_ok),
		UNIT_TEST(features_ok_without_version_1_is_refused),
		UNIT_LOOP(features_not_offered_are_refused, 64),
		UNIT_TEST(refused_features_can_be_replaced),
		UNIT_TEST(feature_selectors_out_of_range_are_ignored),
		UNIT_TEST(driver_ok_without_features_ok_is_refused),
		UNIT_TEST(same_features_are_accepted_again_after_a_reset),
		UNIT_TEST(reset_clears_everything),
		UNIT_TEST(nothing_is_delivered_after_a_reset),
		UNIT_TEST(no_interrupt_before_driver_ok),
		UNIT_TEST(needs_reset_is_set_with_config_interrupt),
		UNIT_TEST(second_break_is_not_told),
		UNIT_TEST(no_config_interrupt_before_driver_ok),
		UNIT_TEST(broken_device_stops_all_queues),
		UNIT_TEST(broken_device_enables_no_queue),
		UNIT_TEST(reset_mends_a_broken_device),
		UNIT_TEST(failed_device_can_be_reset),
		UNIT_TEST(queue_that_cannot_be_enabled_breaks_the_device),
		UNIT_TEST(bad_queue_after_driver_ok_interrupts),
	};

	return UNIT_RUN("virtio_status", cases, bed_setup, bed_teardown);
}
