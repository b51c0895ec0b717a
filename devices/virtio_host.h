/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts a virtio device on the event loop: an eventfd per queue for kicks
 * (KVM ioeventfd), one for status changes, one for the interrupt (KVM irqfd).
 */
#ifndef WHERRY_DEVICES_VIRTIO_HOST_H
#define WHERRY_DEVICES_VIRTIO_HOST_H

#include <stdint.h>

#include "devices/loop.h"
#include "virtio/device.h"

struct virtio_host;

/**
 * struct virtio_host_kick - one doorbell
 * @source: the eventfd
 * @host: whose
 * @queue: the queue, or VIRTIO_KICK_STATUS
 */
struct virtio_host_kick {
	struct loop_source source;
	struct virtio_host *host;
	unsigned int queue;
};

/**
 * struct virtio_host - the host side of one device
 * @vdev: the device
 * @loop: where its work runs; NULL: not initialised
 * @kick: one doorbell per queue, and the status one
 * @irq_fd: eventfd written for each interrupt
 * @resets: vdev->resets when the device last heard of a status change
 * @status: vdev->status then
 */
struct virtio_host {
	struct virtio_device *vdev;
	struct loop *loop;
	struct virtio_host_kick kick[VIRTIO_KICK_STATUS + 1];
	int irq_fd;
	uint32_t resets;
	uint32_t status;
};

/**
 * virtio_host_init() - make the eventfds, watch them, set vdev->host*
 *
 * Before any queue_notify() the device is told of a status change that it has
 * not heard of, whichever doorbell rang first; when that makes it live, every
 * ready queue is notified, for a driver may have kicked before DRIVER_OK.
 * After virtio_device_load() the first doorbell therefore calls
 * status_changed() once.
 *
 * Return: 0 or negative errno with the reason; nothing is left behind then.
 */
int virtio_host_init(struct virtio_host *host, struct virtio_device *vdev,
		     struct loop *loop, struct fail *why);
/** virtio_host_destroy() - safe on a zeroed struct */
void virtio_host_destroy(struct virtio_host *host);

/**
 * virtio_host_drain() - handle all kicks rung so far, now
 *
 * Called once vCPUs are parked, before saving: what a guest had said before it
 * stopped must not be lost with the eventfd. Context: loop thread, not locked.
 */
void virtio_host_drain(struct virtio_host *host);

/**
 * virtio_host_kick_fd() - the eventfd to give to KVM_IOEVENTFD
 * @queue: below ops->queues
 */
int virtio_host_kick_fd(const struct virtio_host *host, unsigned int queue);

#endif
