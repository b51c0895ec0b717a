/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host without an event loop: remembers kicks until fake_host_run(), counts
 * interrupts, keeps the reason when the device breaks.
 *
 * With a real loop, use struct virtio_host instead; the fake driver does not
 * care.
 */
#ifndef WHERRY_TESTS_FAKE_HOST_H
#define WHERRY_TESTS_FAKE_HOST_H

#include <stdatomic.h>

#include "virtio/device.h"

/**
 * struct fake_host - host side of one device
 * @vdev: the device
 * @pending: bit n: kick n (a queue, or VIRTIO_KICK_STATUS) waits to be run
 * @kicks: how many kicks came, by number
 * @interrupts: edges sent
 * @broken: how often the device broke
 * @why: the last reason
 */
struct fake_host {
	struct virtio_device *vdev;
	atomic_uint pending;
	atomic_uint kicks[VIRTIO_KICK_STATUS + 1];
	atomic_uint interrupts;
	unsigned int broken;
	struct fail why;
};

/** fake_host_init() - host @vdev: sets vdev->host_ops and vdev->host */
void fake_host_init(struct fake_host *host, struct virtio_device *vdev);

/**
 * fake_host_run() - handle the kicks that wait, under the lock, as a loop would
 *
 * Status first, then queues in order; queues only while the device is live and
 * the queue ready. Goes on until no kick waits.
 * Return: how many handlers ran. Context: the one thread that plays the loop.
 */
unsigned int fake_host_run(struct fake_host *host);

/** fake_host_interrupts() - Return: edges since the last call */
unsigned int fake_host_interrupts(struct fake_host *host);

#endif
