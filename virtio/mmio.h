/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mmio transport, version 2 (virtio 1.2, section 4.2): the register
 * file. Works on struct virtio_device; holds no state of its own.
 */
#ifndef WHERRY_VIRTIO_MMIO_H
#define WHERRY_VIRTIO_MMIO_H

#include <stdint.h>

#include "virtio/device.h"

/* Bytes of one register window. */
#define VIRTIO_MMIO_SIZE		0x1000u

/* Register offsets, section 4.2.2. */
#define VIRTIO_MMIO_MAGIC_VALUE		0x000u
#define VIRTIO_MMIO_VERSION		0x004u
#define VIRTIO_MMIO_DEVICE_ID		0x008u
#define VIRTIO_MMIO_VENDOR_ID		0x00cu
#define VIRTIO_MMIO_DEVICE_FEATURES	0x010u
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL	0x014u
#define VIRTIO_MMIO_DRIVER_FEATURES	0x020u
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL	0x024u
#define VIRTIO_MMIO_QUEUE_SEL		0x030u
#define VIRTIO_MMIO_QUEUE_SIZE_MAX	0x034u
#define VIRTIO_MMIO_QUEUE_SIZE		0x038u
#define VIRTIO_MMIO_QUEUE_READY		0x044u
#define VIRTIO_MMIO_QUEUE_NOTIFY	0x050u
#define VIRTIO_MMIO_INTERRUPT_STATUS	0x060u
#define VIRTIO_MMIO_INTERRUPT_ACK	0x064u
#define VIRTIO_MMIO_STATUS		0x070u
#define VIRTIO_MMIO_QUEUE_DESC_LOW	0x080u
#define VIRTIO_MMIO_QUEUE_DESC_HIGH	0x084u
#define VIRTIO_MMIO_QUEUE_DRIVER_LOW	0x090u
#define VIRTIO_MMIO_QUEUE_DRIVER_HIGH	0x094u
#define VIRTIO_MMIO_QUEUE_DEVICE_LOW	0x0a0u
#define VIRTIO_MMIO_QUEUE_DEVICE_HIGH	0x0a4u
#define VIRTIO_MMIO_SHM_LEN_LOW		0x0b0u
#define VIRTIO_MMIO_SHM_LEN_HIGH	0x0b4u
#define VIRTIO_MMIO_SHM_BASE_LOW	0x0b8u
#define VIRTIO_MMIO_SHM_BASE_HIGH	0x0bcu
#define VIRTIO_MMIO_QUEUE_RESET		0x0c0u
#define VIRTIO_MMIO_CONFIG_GENERATION	0x0fcu
#define VIRTIO_MMIO_CONFIG		0x100u

#define VIRTIO_MMIO_MAGIC	0x74726976u	/* "virt" */
/* VendorID is informative; the subsystem vendor "WHRY". */
#define VIRTIO_MMIO_VENDOR	0x59524857u

/**
 * virtio_mmio_read() - the driver reads a register
 * @vdev: the device behind the window
 * @offset: into the window, bytes
 * @data: @len bytes are filled in, little-endian; unknown registers read 0
 * @len: 1, 2, 4 or 8; below VIRTIO_MMIO_CONFIG only aligned 4 is defined,
 *       everything else reads 0
 *
 * Context: any thread, not locked: takes the lock itself, except for
 * InterruptStatus, so that an interrupt handler never waits for a batch.
 */
void virtio_mmio_read(struct virtio_device *vdev, uint64_t offset, void *data,
		      unsigned int len);

/**
 * virtio_mmio_write() - the driver writes a register
 *
 * As virtio_mmio_read(). QueueNotify only rings host_ops->kick(); a status
 * write changes the registers at once and rings VIRTIO_KICK_STATUS.
 * FEATURES_OK does not stick when the driver's features are not acceptable
 * (no VERSION_1, or bits not offered; section 3.1.1).
 */
void virtio_mmio_write(struct virtio_device *vdev, uint64_t offset,
		       const void *data, unsigned int len);

#endif
