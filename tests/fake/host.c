// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host ops that only remember. See host.h.
 *
 * The ops are called on any thread; fake_host_run() on the one thread that
 * plays the loop, taking the device's lock around each handler.
 */
#include "tests/fake/host.h"

#include <string.h>

static void on_interrupt(void *opaque)
{
	struct fake_host *host = opaque;

	atomic_fetch_add(&host->interrupts, 1);
}

static void on_kick(void *opaque, unsigned int queue)
{
	struct fake_host *host = opaque;

	atomic_fetch_add(&host->kicks[queue], 1);
	atomic_fetch_or(&host->pending, 1u << queue);
}

static void on_broken(void *opaque, const struct fail *why)
{
	struct fake_host *host = opaque;

	host->broken++;
	host->why = *why;
}

static const struct virtio_host_ops fake_host_ops = {
	.interrupt = on_interrupt,
	.kick = on_kick,
	.broken = on_broken,
};

void fake_host_init(struct fake_host *host, struct virtio_device *vdev)
{
	memset(host, 0, sizeof(*host));
	host->vdev = vdev;
	vdev->host_ops = &fake_host_ops;
	vdev->host = host;
}

static unsigned int run_one(struct virtio_device *vdev, unsigned int kick)
{
	unsigned int ran = 0;

	pthread_mutex_lock(&vdev->lock);
	if (kick == VIRTIO_KICK_STATUS) {
		if (vdev->ops->status_changed)
			vdev->ops->status_changed(vdev);
		ran = 1;
	} else if (virtio_device_live(vdev) && vdev->queue[kick].ready) {
		vdev->ops->queue_notify(vdev, kick);
		ran = 1;
	}
	pthread_mutex_unlock(&vdev->lock);
	return ran;
}

unsigned int fake_host_run(struct fake_host *host)
{
	unsigned int bits, ran = 0;

	while ((bits = atomic_exchange(&host->pending, 0))) {
		if (bits & 1u << VIRTIO_KICK_STATUS)
			ran += run_one(host->vdev, VIRTIO_KICK_STATUS);
		for (unsigned int i = 0; i < VIRTIO_KICK_STATUS; i++) {
			if (bits & 1u << i)
				ran += run_one(host->vdev, i);
		}
	}
	return ran;
}

unsigned int fake_host_interrupts(struct fake_host *host)
{
	return atomic_exchange(&host->interrupts, 0);
}
