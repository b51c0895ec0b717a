// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio-mmio register file, version 2 (virtio 1.2, section 4.2.2).
 *
 * Called by the address bus on vCPU threads; takes vdev->lock, but for
 * InterruptStatus and its acknowledgement. Does no device work: what a write
 * asks of the device is done on the loop thread after host_ops->kick().
 *
 * Registers that are write-only, unknown, legacy, or of features not offered
 * (shared memory, queue reset) read as 0 and ignore writes, but for the length
 * and base of a shared memory region, which read as all ones: "no region".
 */
#include "virtio/mmio.h"

#include <endian.h>
#include <string.h>

#define STATUS_DRIVER_MAY_SET \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | \
	 VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK | \
	 VIRTIO_STATUS_FAILED)

/* The queue that QueueSel names, NULL when there is none. */
static struct virtq *selected(struct virtio_device *vdev)
{
	if (vdev->queue_sel >= vdev->ops->queues)
		return NULL;
	return &vdev->queue[vdev->queue_sel];
}

/* Halves of a 64-bit register. */
static uint32_t half_get(uint64_t value, uint32_t sel)
{
	if (sel > 1)
		return 0;
	return (uint32_t)(value >> (32 * sel));
}

static void half_set(uint64_t *value, uint32_t sel, uint32_t half)
{
	unsigned int shift = 32 * sel;

	if (sel > 1)
		return;
	*value &= ~((uint64_t)UINT32_MAX << shift);
	*value |= (uint64_t)half << shift;
}

static uint32_t register_read(struct virtio_device *vdev, uint32_t offset)
{
	const struct virtq *q = selected(vdev);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return vdev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VIRTIO_MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return half_get(vdev->offered, vdev->features_sel);
	case VIRTIO_MMIO_QUEUE_SIZE_MAX:
		return q ? q->size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q ? q->ready : 0;
	case VIRTIO_MMIO_STATUS:
		return vdev->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vdev->config_generation;
	default:
		return 0;
	}
}

/* Section 3.1.1: the device may refuse a subset; these are never good. */
static bool features_acceptable(const struct virtio_device *vdev)
{
	return !(vdev->features & ~vdev->offered) &&
		(vdev->features & VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void features_accept(struct virtio_device *vdev)
{
	vdev->status |= VIRTIO_STATUS_FEATURES_OK;
	for (unsigned int i = 0; i < vdev->ops->queues; i++) {
		struct virtq *q = &vdev->queue[i];

		q->event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX);
		q->indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC);
	}
}

static void driver_ok(struct virtio_device *vdev)
{
	if (!(vdev->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	vdev->status |= VIRTIO_STATUS_DRIVER_OK;
	/* Broken while being set up: only now may the driver be told. */
	if (vdev->status & VIRTIO_STATUS_NEEDS_RESET) {
		atomic_fetch_or(&vdev->interrupt_status, VIRTIO_INT_CONFIG);
		vdev->host_ops->interrupt(vdev->host);
	}
}

/* Section 2.1: bits are only ever added, until a 0 resets the device. */
static void status_write(struct virtio_device *vdev, uint32_t value)
{
	uint32_t added = value & STATUS_DRIVER_MAY_SET & ~vdev->status;

	if (!value) {
		virtio_device_reset(vdev);
	} else {
		vdev->status |= added & ~(VIRTIO_STATUS_FEATURES_OK |
					  VIRTIO_STATUS_DRIVER_OK);
		if ((added & VIRTIO_STATUS_FEATURES_OK) &&
		    features_acceptable(vdev))
			features_accept(vdev);
		if (added & VIRTIO_STATUS_DRIVER_OK)
			driver_ok(vdev);
	}
	vdev->host_ops->kick(vdev->host, VIRTIO_KICK_STATUS);
}

static void queue_ready_write(struct virtio_device *vdev, struct virtq *q,
			      uint32_t value)
{
	struct fail why;

	if (!value) {
		virtq_disable(q);
		return;
	}
	/* Section 3.1.1: queues come after features, and not while broken. */
	if (q->ready || !(vdev->status & VIRTIO_STATUS_FEATURES_OK) ||
	    (vdev->status & VIRTIO_STATUS_NEEDS_RESET))
		return;
	if (virtq_enable(q, &why) < 0) {
		fail_within(&why, 0, "queue %u", vdev->queue_sel);
		virtio_device_break(vdev, &why);
	}
}

/* Registers of the selected queue: constant while it is ready. */
static void queue_write(struct virtio_device *vdev, uint32_t offset,
			uint32_t value)
{
	struct virtq *q = selected(vdev);

	if (!q)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		queue_ready_write(vdev, q, value);
		return;
	}
	if (q->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_SIZE:
		/* Too large stays too large: enabling refuses it. */
		q->size = value < UINT16_MAX ? (uint16_t)value : UINT16_MAX;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		half_set(&q->desc_gpa, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH,
			 value);
		break;
	case VIRTIO_MMIO_QUEUE_DRIVER_LOW:
	case VIRTIO_MMIO_QUEUE_DRIVER_HIGH:
		half_set(&q->driver_gpa,
			 offset == VIRTIO_MMIO_QUEUE_DRIVER_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_DEVICE_LOW:
	case VIRTIO_MMIO_QUEUE_DEVICE_HIGH:
		half_set(&q->device_gpa,
			 offset == VIRTIO_MMIO_QUEUE_DEVICE_HIGH, value);
		break;
	default:
		break;
	}
}

static void notify(struct virtio_device *vdev, uint32_t queue)
{
	if (!virtio_device_live(vdev) || queue >= vdev->ops->queues ||
	    !vdev->queue[queue].ready)
		return;
	vdev->queue[queue].notified = true;
	vdev->host_ops->kick(vdev->host, queue);
}

static void register_write(struct virtio_device *vdev, uint32_t offset,
			   uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		vdev->features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		/* Section 3.1.1: no new features after FEATURES_OK. */
		if (!(vdev->status & VIRTIO_STATUS_FEATURES_OK))
			half_set(&vdev->features, vdev->driver_features_sel,
				 value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		vdev->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		vdev->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notify(vdev, value);
		break;
	case VIRTIO_MMIO_STATUS:
		status_write(vdev, value);
		break;
	default:
		queue_write(vdev, offset, value);
		break;
	}
}

/* Is this an access at all? The bus should only ever hand us such. */
static bool access_ok(uint64_t offset, unsigned int len)
{
	return (len == 1 || len == 2 || len == 4 || len == 8) &&
		offset < VIRTIO_MMIO_SIZE && len <= VIRTIO_MMIO_SIZE - offset;
}

void virtio_mmio_read(struct virtio_device *vdev, uint64_t offset, void *data,
		      unsigned int len)
{
	uint32_t value;

	memset(data, 0, len);
	if (!access_ok(offset, len))
		return;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (!vdev->ops->config_read)
			return;
		pthread_mutex_lock(&vdev->lock);
		vdev->ops->config_read(vdev,
				       (uint32_t)offset - VIRTIO_MMIO_CONFIG,
				       data, len);
		pthread_mutex_unlock(&vdev->lock);
		return;
	}
	if (len != 4 || offset % 4)
		return;
	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		value = atomic_load(&vdev->interrupt_status);
	} else {
		pthread_mutex_lock(&vdev->lock);
		value = register_read(vdev, (uint32_t)offset);
		pthread_mutex_unlock(&vdev->lock);
	}
	value = htole32(value);
	memcpy(data, &value, sizeof(value));
}

void virtio_mmio_write(struct virtio_device *vdev, uint64_t offset,
		       const void *data, unsigned int len)
{
	uint32_t value;

	if (!access_ok(offset, len))
		return;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		if (!vdev->ops->config_write)
			return;
		pthread_mutex_lock(&vdev->lock);
		vdev->ops->config_write(vdev,
					(uint32_t)offset - VIRTIO_MMIO_CONFIG,
					data, len);
		pthread_mutex_unlock(&vdev->lock);
		return;
	}
	if (len != 4 || offset % 4)
		return;
	memcpy(&value, data, sizeof(value));
	value = le32toh(value);
	if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
		atomic_fetch_and(&vdev->interrupt_status, ~value);
		return;
	}
	pthread_mutex_lock(&vdev->lock);
	register_write(vdev, (uint32_t)offset, value);
	pthread_mutex_unlock(&vdev->lock);
}
