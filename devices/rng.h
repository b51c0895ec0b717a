/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio entropy device (virtio 1.2, section 5.4).
 */
#ifndef WHERRY_DEVICES_RNG_H
#define WHERRY_DEVICES_RNG_H

#include <sys/uio.h>

#include "virtio/device.h"

/* QueueSizeMax, and so the longest chain. */
#define RNG_QUEUE_SIZE	64u
/* Random bytes made for one notification before the loop gets its turn. */
#define RNG_WORK_MAX	65536u

/**
 * struct rng - an entropy device; has no state of its own to save
 * @vdev: the device; locked by it
 * @iov: scratch for one chain
 */
struct rng {
	struct virtio_device vdev;
	struct iovec iov[RNG_QUEUE_SIZE];
};

/**
 * rng_init() - a device just after power-on, to be hosted by virtio_host_init()
 * @mem: the guest's RAM
 */
void rng_init(struct rng *rng, const struct guest_memory *mem);
/** rng_destroy() - after virtio_host_destroy() */
void rng_destroy(struct rng *rng);

#endif
