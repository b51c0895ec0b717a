// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio entropy device: owns its virtio_device.
 *
 * All work is done by queue_notify(), on the loop thread with the device
 * locked: every buffer gets as many bytes as fit into what is left of the
 * work allowed per notification, and when that is used up the device rings its
 * own doorbell, so that a driver with an appetite does not keep other devices
 * from the loop. A buffer may be filled in part (section 5.4.6.2).
 *
 * A chain that the driver had no business to send (readable parts, section
 * 5.4.6.1, or nothing to write to) comes back with a used length of 0.
 */
#include "devices/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "devices/log.h"
#include "devices/loop.h"

/* Return: 0 or negative errno. */
static int fill(uint8_t *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = getrandom(to + done, len - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* Return: how many bytes were written, at most @budget. */
static uint32_t fill_chain(const struct virtq_chain *chain, uint32_t budget)
{
	uint32_t done = 0;

	if (chain->out_num)
		return 0;
	for (unsigned int i = 0; i < chain->in_num && done < budget; i++) {
		size_t len = chain->iov[i].iov_len;
		int err;

		if (len > budget - done)
			len = budget - done;
		err = fill(chain->iov[i].iov_base, len);
		if (err) {
			log_guest(LOG_LEVEL_WARN, "rng: no random bytes from "
				  "the kernel: %s", strerror(-err));
			break;
		}
		done += (uint32_t)len;
	}
	return done;
}

static void rng_notify(struct virtio_device *vdev, unsigned int queue)
{
	struct rng *rng = loop_owner(vdev, struct rng, vdev);
	struct virtq *q = &vdev->queue[queue];
	uint32_t budget = RNG_WORK_MAX;
	/* A queue of empty buffers is work as well. */
	unsigned int chains = RNG_QUEUE_SIZE;
	struct virtq_chain chain;
	struct fail why;
	int ret;

	why.text[0] = '\0';
	virtq_disarm(q);
	do {
		while (budget && chains) {
			uint32_t len;

			ret = virtq_pop(q, rng->iov, RNG_QUEUE_SIZE, &chain,
					&why);
			if (ret < 0)
				goto broken;
			if (!ret)
				break;
			len = fill_chain(&chain, budget);
			virtq_push(q, chain.head, len);
			budget -= len;
			chains--;
		}
		virtio_device_flush(vdev, q);
		if (!budget || !chains) {
			vdev->host_ops->kick(vdev->host, queue);
			return;
		}
	} while (virtq_arm(q));
	return;
broken:
	virtio_device_flush(vdev, q);
	virtio_device_break(vdev, &why);
}

static void rng_status_changed(struct virtio_device *vdev)
{
	/* Nothing is kept between two notifications. */
	(void)vdev;
}

static const struct virtio_device_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.queues = 1,
	.status_changed = rng_status_changed,
	.queue_notify = rng_notify,
};

void rng_init(struct rng *rng, const struct guest_memory *mem)
{
	virtio_device_init(&rng->vdev, &rng_ops, mem, 0, RNG_QUEUE_SIZE, NULL);
}

void rng_destroy(struct rng *rng)
{
	virtio_device_destroy(&rng->vdev);
}
