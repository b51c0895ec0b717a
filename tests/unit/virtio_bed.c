// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the virtio tests. See virtio_bed.h.
 *
 * One bed a process, set up anew for each test.
 */
#include "tests/unit/virtio_bed.h"

#include <stddef.h>
#include <string.h>

struct bed bed;

static struct bed_device *device_of(struct virtio_device *vdev)
{
	void *p = (char *)vdev - offsetof(struct bed_device, vdev);

	return p;
}

static void on_status(struct virtio_device *vdev)
{
	device_of(vdev)->status_changes++;
}

static void on_notify(struct virtio_device *vdev, unsigned int queue)
{
	struct bed_device *device = device_of(vdev);

	device->notified[queue]++;
	if (device->notify)
		device->notify(vdev, queue);
}

static void on_config_read(struct virtio_device *vdev, uint32_t offset,
			   void *buf, uint32_t len)
{
	const struct bed_device *device = device_of(vdev);

	if (offset >= BED_CONFIG_LEN)
		return;
	if (len > BED_CONFIG_LEN - offset)
		len = BED_CONFIG_LEN - offset;
	memcpy(buf, device->config + offset, len);
}

static void on_config_write(struct virtio_device *vdev, uint32_t offset,
			    const void *buf, uint32_t len)
{
	struct bed_device *device = device_of(vdev);

	if (offset >= BED_CONFIG_LEN || len > BED_CONFIG_LEN - offset)
		return;
	memcpy(device->config + offset, buf, len);
}

static int on_loaded(struct virtio_device *vdev, struct fail *why)
{
	struct bed_device *device = device_of(vdev);

	device->loads++;
	if (device->loaded_result)
		return fail(why, device->loaded_result, "as told");
	return 0;
}

static const struct state_field own_fields[] = {
	STATE_VALUE(struct bed_own, small, "small", 0, 99),
	STATE_VALUE(struct bed_own, large, "large", 0, UINT64_MAX),
};
static const struct state_table own_table = STATE_TABLE(own_fields, 1);

static const struct virtio_device_ops bed_ops = {
	.name = "counter",
	.id = BED_ID,
	.queues = BED_QUEUES,
	.status_changed = on_status,
	.queue_notify = on_notify,
	.config_read = on_config_read,
	.config_write = on_config_write,
	.state = &own_table,
	.loaded = on_loaded,
};

void bed_device_init(struct bed_device *device)
{
	memset(device, 0, sizeof(*device));
	virtio_device_init(&device->vdev, &bed_ops, &bed.guest.mem,
			   BED_FEATURES, BED_QUEUE_SIZE, &device->own);
	for (uint8_t i = 0; i < BED_CONFIG_LEN; i++)
		device->config[i] = 0xc0 + i;
}

void bed_setup(void)
{
	fake_guest_init(&bed.guest, BED_RAM, BED_RAM);
	bed.page = fake_guest_alloc(&bed.guest, 4096, 4096);
	bed_device_init(&bed.device);
	fake_host_init(&bed.host, &bed.device.vdev);
	fake_driver_init(&bed.driver, &bed.guest, &bed.device.vdev);
	bed.q = &bed.device.vdev.queue[0];
	bed.dq = &bed.driver.queue[0];
}

static void setup_probed(uint64_t features)
{
	bed_setup();
	ck_assert_int_eq(fake_probe(&bed.driver, features, BED_QUEUE_SIZE), 0);
	fake_host_run(&bed.host);
}

void bed_setup_live(void)
{
	setup_probed(BED_ALL);
}

void bed_setup_plain(void)
{
	setup_probed(VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

void bed_teardown(void)
{
	virtio_device_destroy(&bed.device.vdev);
	fake_guest_destroy(&bed.guest);
}

void bed_fill(struct fake_queue *dq, unsigned int count)
{
	const struct fake_seg seg = { bed.page, 1 };

	for (unsigned int i = 0; i < count; i++)
		ck_assert_int_ge(fake_add(dq, &seg, 0, 1, FAKE_ALL_DIRECT,
					  NULL), 0);
}

uint16_t bed_pop(struct virtq *q)
{
	struct iovec iov[BED_QUEUE_SIZE];
	struct virtq_chain chain;
	struct fail why = { "" };
	int ret = virtq_pop(q, iov, BED_QUEUE_SIZE, &chain, &why);

	ck_assert_msg(ret == 1, "pop returned %d: %s", ret, why.text);
	return chain.head;
}

void bed_use(struct virtq *q, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		virtq_push(q, bed_pop(q), 0);
}
