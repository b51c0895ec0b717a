// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio/mmio.c, the register file as a driver sees it (virtio 1.2, 4.2.2;
 * facts.md 2.1). Status and features are in virtio_status.c.
 */
#include "virtio/mmio.h"

#include "tests/unit/virtio_bed.h"

static uint32_t rd(uint32_t offset)
{
	return fake_read(&bed.driver, offset);
}

static void wr(uint32_t offset, uint32_t value)
{
	fake_write(&bed.driver, offset, value);
}

/* Reads @len bytes; the buffer was full of ones. */
static uint64_t read_any(uint64_t offset, unsigned int len)
{
	uint8_t data[16];
	le64 value = le64_make(0);

	memset(data, 0xff, sizeof(data));
	virtio_mmio_read(&bed.device.vdev, offset, data, len);
	for (unsigned int i = len; i < sizeof(data); i++)
		ck_assert_uint_eq(data[i], 0xff);
	memcpy(&value, data, len);
	return le64_get(value);
}

/* M1 */
START_TEST(identity_registers)
{
	ck_assert_uint_eq(rd(0x000), 0x74726976);
	ck_assert_uint_eq(rd(0x004), 2);
	ck_assert_uint_eq(rd(0x008), BED_ID);
	ck_assert_uint_eq(rd(0x00c), VIRTIO_MMIO_VENDOR);
}
END_TEST

/* M10, M11: VERSION_1, what queues can do, what the device can do; no more. */
START_TEST(offered_features_come_in_halves)
{
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES),
			  1u << BED_F_OWN | 1u << 28 | 1u << 29);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 1);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
}
END_TEST

/* M6, M9, M18: bits of the transport that must not be offered. */
START_TEST(ring_reset_packed_admin_and_suspend_are_not_offered)
{
	const unsigned int bits[] = { 33, 34, 35, 38, 40, 41, 42 };
	uint64_t offered = fake_offered(&bed.driver);

	for (unsigned int i = 0; i < UNIT_COUNT(bits); i++)
		ck_assert(!(offered & VIRTIO_BIT(bits[i])));
}
END_TEST

START_TEST(queue_size_max_is_0_behind_the_last_queue)
{
	for (unsigned int i = 0; i < BED_QUEUES; i++) {
		wr(VIRTIO_MMIO_QUEUE_SEL, i);
		ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_SIZE_MAX),
				  BED_QUEUE_SIZE);
	}
	wr(VIRTIO_MMIO_QUEUE_SEL, BED_QUEUES);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_SIZE_MAX), 0);
	wr(VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_SIZE_MAX), 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
}
END_TEST

/* Registers of a queue that does not exist lead nowhere. */
START_TEST(writes_to_an_absent_queue_are_ignored)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	wr(VIRTIO_MMIO_QUEUE_SEL, BED_QUEUES);
	for (uint32_t offset = VIRTIO_MMIO_QUEUE_SIZE; offset < 0xac;
	     offset += 4) {
		if (offset != VIRTIO_MMIO_STATUS)
			wr(offset, 1);
	}
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_uint_eq(bed.host.broken, 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_STATUS), 0x0b);
}
END_TEST

START_TEST(queue_registers_take_both_halves)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(VIRTIO_MMIO_QUEUE_SIZE, 8);
	wr(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x11);
	wr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x12);
	wr(VIRTIO_MMIO_QUEUE_DRIVER_LOW, 0x22);
	wr(VIRTIO_MMIO_QUEUE_DRIVER_HIGH, 0x21);
	wr(VIRTIO_MMIO_QUEUE_DEVICE_LOW, 0x32);
	wr(VIRTIO_MMIO_QUEUE_DEVICE_HIGH, 0x31);
	ck_assert_uint_eq(bed.q[1].size, 8);
	ck_assert_uint_eq(bed.q[1].desc_gpa, UINT64_C(0x1100000012));
	ck_assert_uint_eq(bed.q[1].driver_gpa, UINT64_C(0x2100000022));
	ck_assert_uint_eq(bed.q[1].device_gpa, UINT64_C(0x3100000032));
	ck_assert_uint_eq(bed.q[0].size | bed.q[2].size, 0);
}
END_TEST

START_TEST(queue_registers_are_constant_while_ready)
{
	struct virtq before;

	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	/* In mid-work: pushed, and not yet published. */
	bed_fill(bed.dq, 1);
	bed_use(bed.q, 1);
	wr(VIRTIO_MMIO_QUEUE_SEL, 0);
	memcpy(&before, bed.q, sizeof(before));
	wr(VIRTIO_MMIO_QUEUE_SIZE, 4);
	for (uint32_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW;
	     offset <= VIRTIO_MMIO_QUEUE_DEVICE_HIGH; offset += 4)
		wr(offset, 0x40);
	wr(VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_mem_eq(&before, bed.q, sizeof(before));
}
END_TEST

START_TEST(huge_queue_size_is_not_cut_to_a_good_one)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	wr(VIRTIO_MMIO_QUEUE_SIZE, 0x10010);
	wr(VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ck_says(&bed.host.why, "size 65535");
}
END_TEST

START_TEST(queue_ready_reads_back_and_can_be_taken_back)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	bed_fill(bed.dq, 2);
	bed_use(bed.q, 2);
	wr(VIRTIO_MMIO_QUEUE_SEL, 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 1);
	wr(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	/* Enabled again, it starts from the beginning, features included. */
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 8), 0);
	ck_assert(bed.q->event_idx && bed.q->indirect);
	bed_fill(bed.dq, 8);
	bed_use(bed.q, 8);
}
END_TEST

/* Section 3.1.1: features first, so that the queue knows them. */
START_TEST(queue_is_not_ready_before_features_ok)
{
	ck_assert_int_ne(fake_queue_setup(&bed.driver, 0, 16), 0);
	ck_assert_uint_eq(bed.host.broken, 0);
}
END_TEST

/* M7 */
START_TEST(there_is_no_shared_memory_region)
{
	wr(0x0ac, 0);
	ck_assert_uint_eq(rd(0x0b0), UINT32_MAX);
	ck_assert_uint_eq(rd(0x0b4), UINT32_MAX);
	ck_assert_uint_eq(rd(0x0b8), UINT32_MAX);
	ck_assert_uint_eq(rd(0x0bc), UINT32_MAX);
}
END_TEST

/* M6 */
START_TEST(queue_reset_reads_0_and_does_nothing)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	wr(VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(VIRTIO_MMIO_QUEUE_RESET, 1);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_RESET), 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_QUEUE_READY), 1);
}
END_TEST

/* M8: unknown, legacy and write-only registers. */
START_TEST(other_registers_read_0_and_ignore_writes)
{
	const uint32_t offsets[] = {
		0x018, 0x01c, 0x014, 0x020, 0x024, 0x028, 0x02c, 0x030, 0x038,
		0x03c, 0x040, 0x048, 0x04c, 0x050, 0x054, 0x058, 0x05c, 0x064,
		0x068, 0x06c, 0x074, 0x078, 0x07c, 0x080, 0x084, 0x088, 0x08c,
		0x090, 0x094, 0x0a0, 0x0a4, 0x0a8, 0x0ac, 0x0c4, 0x0f8,
	};

	for (unsigned int i = 0; i < UNIT_COUNT(offsets); i++) {
		wr(offsets[i], 1);
		ck_assert_uint_eq(rd(offsets[i]), 0);
	}
	ck_assert_uint_eq(bed.host.broken, 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_STATUS), 0);
}
END_TEST

START_TEST(read_only_registers_ignore_writes)
{
	const uint32_t offsets[] = {
		0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x060, 0x0fc,
	};

	for (unsigned int i = 0; i < UNIT_COUNT(offsets); i++) {
		uint32_t before = rd(offsets[i]);

		wr(offsets[i], ~before);
		ck_assert_uint_eq(rd(offsets[i]), before);
	}
}
END_TEST

/* Control registers are 32 bits wide and aligned; nothing else is defined. */
START_TEST(narrow_wide_and_crooked_register_accesses_do_nothing)
{
	const uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	const unsigned int lens[] = { 1, 2, 8 };
	struct virtio_device *vdev = &bed.device.vdev;

	for (unsigned int i = 0; i < UNIT_COUNT(lens); i++) {
		ck_assert_uint_eq(read_any(0, lens[i]), 0);
		virtio_mmio_write(vdev, VIRTIO_MMIO_STATUS, ones, lens[i]);
	}
	for (uint64_t offset = 1; offset < 4; offset++) {
		ck_assert_uint_eq(read_any(offset, 4), 0);
		virtio_mmio_write(vdev, VIRTIO_MMIO_STATUS + offset, ones, 4);
	}
	ck_assert_uint_eq(read_any(0, 3), 0);
	virtio_mmio_write(vdev, VIRTIO_MMIO_STATUS, ones, 3);
	virtio_mmio_write(vdev, VIRTIO_MMIO_STATUS, ones, 0);
	ck_assert_uint_eq(vdev->status, 0);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[VIRTIO_KICK_STATUS]), 0);
}
END_TEST

/* M13: before FEATURES_OK too. */
START_TEST(config_is_read_at_any_width)
{
	ck_assert_uint_eq(read_any(0x100, 1), 0xc0);
	ck_assert_uint_eq(read_any(0x103, 1), 0xc3);
	ck_assert_uint_eq(read_any(0x101, 2), 0xc2c1);
	ck_assert_uint_eq(read_any(0x100, 4), 0xc3c2c1c0);
	ck_assert_uint_eq(read_any(0x104, 4), 0xc7c6c5c4);
	ck_assert_uint_eq(read_any(0x102, 4), 0xc5c4c3c2);
	ck_assert_uint_eq(read_any(0x100, 8), UINT64_C(0xc7c6c5c4c3c2c1c0));
}
END_TEST

START_TEST(config_behind_the_structure_reads_0)
{
	ck_assert_uint_eq(read_any(0x10a, 4), 0xcbca);
	ck_assert_uint_eq(read_any(0x10c, 4), 0);
	ck_assert_uint_eq(read_any(0xffc, 4), 0);
	ck_assert_uint_eq(read_any(0xffe, 4), 0);
	ck_assert_uint_eq(read_any(0x1000, 4), 0);
	ck_assert_uint_eq(read_any(UINT64_MAX - 3, 4), 0);
	ck_assert_uint_eq(read_any(UINT64_C(0x100000100), 4), 0);
}
END_TEST

START_TEST(config_is_written_through_the_device)
{
	const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct virtio_device *vdev = &bed.device.vdev;

	virtio_mmio_write(vdev, 0x102, data, 2);
	ck_assert_mem_eq(bed.device.config, "\xc0\xc1\x01\x02\xc4", 5);
	virtio_mmio_write(vdev, 0x10a, data, 8);
	virtio_mmio_write(vdev, 0xffe, data, 4);
	virtio_mmio_write(vdev, UINT64_C(0x100000100), data, 4);
	ck_assert_mem_eq(bed.device.config + 4, "\xc4\xc5\xc6\xc7\xc8\xc9\xca",
			 7);
}
END_TEST

START_TEST(device_without_config_reads_0)
{
	struct virtio_device_ops bare = *bed.device.vdev.ops;
	const uint8_t data[4] = { 1, 2, 3, 4 };

	bare.config_read = NULL;
	bare.config_write = NULL;
	bed.device.vdev.ops = &bare;
	ck_assert_uint_eq(read_any(0x100, 4), 0);
	virtio_mmio_write(&bed.device.vdev, 0x100, data, 4);
	ck_assert_uint_eq(bed.device.config[0], 0xc0);
}
END_TEST

/* M4 */
START_TEST(config_change_moves_the_generation_and_interrupts)
{
	uint32_t before = rd(VIRTIO_MMIO_CONFIG_GENERATION);

	virtio_device_config_changed(&bed.device.vdev);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 0);
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	virtio_device_config_changed(&bed.device.vdev);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_CONFIG_GENERATION), before + 2);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 1);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_CONFIG);
}
END_TEST

/* M2: set until acknowledged, bit by bit; other bits 0. */
START_TEST(interrupt_status_holds_until_acknowledged)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_device_signal(&bed.device.vdev);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	virtio_device_config_changed(&bed.device.vdev);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 1);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 0);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffd);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 2);
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
END_TEST

/* The driver acknowledges before it scans: a bit set again needs an edge. */
START_TEST(each_signal_sends_an_edge)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	virtio_device_signal(&bed.device.vdev);
	virtio_device_signal(&bed.device.vdev);
	ck_assert_uint_eq(fake_host_interrupts(&bed.host), 2);
}
END_TEST

/* An interrupt handler must not wait for a batch: would hang here. */
START_TEST(interrupt_status_and_ack_do_not_take_the_lock)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	pthread_mutex_lock(&bed.device.vdev.lock);
	virtio_device_signal(&bed.device.vdev);
	ck_assert_uint_eq(fake_isr(&bed.driver), VIRTIO_INT_USED);
	ck_assert_uint_eq(fake_isr(&bed.driver), 0);
	pthread_mutex_unlock(&bed.device.vdev.lock);
}
END_TEST

START_TEST(flush_interrupts_when_the_driver_wants_it)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	bed_fill(bed.dq, 3);
	for (unsigned int i = 0; i < 3; i++) {
		bed_use(bed.q, 1);
		virtio_device_flush(&bed.device.vdev, bed.q);
		ck_assert_uint_eq(fake_host_interrupts(&bed.host), i == 0);
	}
	ck_assert_uint_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
}
END_TEST

/* The vCPU thread rings, the loop works. */
START_TEST(queue_notify_only_kicks)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	fake_host_run(&bed.host);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	ck_assert_uint_eq(bed.device.notified[1], 0);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[1]), 1);
	ck_assert_uint_eq(fake_host_run(&bed.host), 1);
	ck_assert_uint_eq(bed.device.notified[1], 1);
}
END_TEST

/* M12 */
START_TEST(queue_notify_before_driver_ok_is_ignored)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 16), 0);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[0]), 0);
	fake_driver_ok(&bed.driver);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[0]), 1);
}
END_TEST

/* M5 */
START_TEST(queue_notify_of_a_queue_not_ready_is_ignored)
{
	ck_assert_int_eq(fake_negotiate(&bed.driver, BED_ALL), 0);
	ck_assert_int_eq(fake_queue_setup(&bed.driver, 0, 16), 0);
	fake_driver_ok(&bed.driver);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	ck_assert_uint_eq(atomic_load(&bed.host.kicks[1]), 0);
}
END_TEST

START_TEST(queue_notify_of_a_queue_out_of_range_is_ignored)
{
	ck_assert_int_eq(fake_probe(&bed.driver, BED_ALL, 16), 0);
	fake_host_run(&bed.host);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, BED_QUEUES);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_KICK_STATUS);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
	ck_assert_uint_eq(atomic_load(&bed.host.pending), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(identity_registers),
		UNIT_TEST(offered_features_come_in_halves),
		UNIT_TEST(ring_reset_packed_admin_and_suspend_are_not_offered),
		UNIT_TEST(queue_size_max_is_0_behind_the_last_queue),
		UNIT_TEST(writes_to_an_absent_queue_are_ignored),
		UNIT_TEST(queue_registers_take_both_halves),
		UNIT_TEST(queue_registers_are_constant_while_ready),
		UNIT_TEST(huge_queue_size_is_not_cut_to_a_good_one),
		UNIT_TEST(queue_ready_reads_back_and_can_be_taken_back),
		UNIT_TEST(queue_is_not_ready_before_features_ok),
		UNIT_TEST(there_is_no_shared_memory_region),
		UNIT_TEST(queue_reset_reads_0_and_does_nothing),
		UNIT_TEST(other_registers_read_0_and_ignore_writes),
		UNIT_TEST(read_only_registers_ignore_writes),
		UNIT_TEST(narrow_wide_and_crooked_register_accesses_do_nothing),
		UNIT_TEST(config_is_read_at_any_width),
		UNIT_TEST(config_behind_the_structure_reads_0),
		UNIT_TEST(config_is_written_through_the_device),
		UNIT_TEST(device_without_config_reads_0),
		UNIT_TEST(config_change_moves_the_generation_and_interrupts),
		UNIT_TEST(interrupt_status_holds_until_acknowledged),
		UNIT_TEST(each_signal_sends_an_edge),
		UNIT_TEST(interrupt_status_and_ack_do_not_take_the_lock),
		UNIT_TEST(flush_interrupts_when_the_driver_wants_it),
		UNIT_TEST(queue_notify_only_kicks),
		UNIT_TEST(queue_notify_before_driver_ok_is_ignored),
		UNIT_TEST(queue_notify_of_a_queue_not_ready_is_ignored),
		UNIT_TEST(queue_notify_of_a_queue_out_of_range_is_ignored),
	};

	return UNIT_RUN("virtio_mmio", cases, bed_setup, bed_teardown);
}
