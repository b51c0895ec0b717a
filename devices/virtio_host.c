// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hosts a virtio device on the event loop: owns its eventfds.
 *
 * Doorbells are rung by KVM and by vCPU threads and answered on the loop
 * thread, with the device locked. They are eventfds watched edge-triggered, so
 * a kick costs no read(): each write makes a new event, and a doorbell says
 * only "look", never how often.
 *
 * Two doorbells rung one after the other may be heard in either order. A
 * device must not see a kick of a new driver before the reset that came in
 * between, so status changes are found by comparing the transport's registers
 * with those last shown to the device, before every queue notification; the
 * status doorbell merely wakes the loop.
 */
#include "devices/virtio_host.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/log.h"

static void ring(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	/* An eventfd takes 2^64 - 2 of these before it refuses one. */
	n = write(fd, &one, sizeof(one));
	(void)n;
}

static void host_interrupt(void *opaque)
{
	const struct virtio_host *host = opaque;

	ring(host->irq_fd);
}

static void host_kick(void *opaque, unsigned int queue)
{
	const struct virtio_host *host = opaque;

	assert(queue <= VIRTIO_KICK_STATUS);
	/* A doorbell of a queue that does not exist is the driver's doing. */
	if (host->kick[queue].source.fd >= 0)
		ring(host->kick[queue].source.fd);
}

static void host_broken(void *opaque, const struct fail *why)
{
	const struct virtio_host *host = opaque;

	log_guest(LOG_LEVEL_WARN, "%s: bad driver, the device now waits for a "
		  "reset: %s", host->vdev->ops->name, why->text);
	/* The device itself may not know: the register file finds things too. */
	ring(host->kick[VIRTIO_KICK_STATUS].source.fd);
}

static const struct virtio_host_ops host_ops = {
	.interrupt = host_interrupt,
	.kick = host_kick,
	.broken = host_broken,
};

static void notify(struct virtio_host *host, unsigned int queue)
{
	struct virtio_device *vdev = host->vdev;

	/* Asked each time: the notification before may have broken it. */
	if (virtio_device_live(vdev) && vdev->queue[queue].ready)
		vdev->ops->queue_notify(vdev, queue);
}

static void notify_all(struct virtio_host *host)
{
	for (unsigned int i = 0; i < host->vdev->ops->queues; i++)
		notify(host, i);
}

/* Tell the device of a status change that it does not know of. Locked. */
static void show_status(struct virtio_host *host)
{
	struct virtio_device *vdev = host->vdev;
	bool reset = host->resets != vdev->resets;
	bool was_ok = host->status & VIRTIO_STATUS_DRIVER_OK;

	if (!reset && host->status == vdev->status)
		return;
	host->resets = vdev->resets;
	host->status = vdev->status;
	if (vdev->ops->status_changed)
		vdev->ops->status_changed(vdev);
	if (reset || !was_ok)
		notify_all(host);
}

static void on_kick(struct loop_source *source, uint32_t events)
{
	struct virtio_host_kick *kick =
		loop_owner(source, struct virtio_host_kick, source);
	struct virtio_host *host = kick->host;

	(void)events;
	pthread_mutex_lock(&host->vdev->lock);
	show_status(host);
	if (kick->queue != VIRTIO_KICK_STATUS)
		notify(host, kick->queue);
	pthread_mutex_unlock(&host->vdev->lock);
}

void virtio_host_drain(struct virtio_host *host)
{
	/*
	 * Which doorbells rang is not worth finding out: a notification too
	 * many is harmless, and the queues tell what there is to do.
	 */
	pthread_mutex_lock(&host->vdev->lock);
	show_status(host);
	notify_all(host);
	pthread_mutex_unlock(&host->vdev->lock);
}

static int add_kick(struct virtio_host *host, unsigned int queue)
{
	struct virtio_host_kick *kick = &host->kick[queue];

	kick->host = host;
	kick->queue = queue;
	kick->source.fn = on_kick;
	kick->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick->source.fd < 0)
		return -errno;
	return loop_add(host->loop, &kick->source, EPOLLIN | EPOLLET);
}

int virtio_host_init(struct virtio_host *host, struct virtio_device *vdev,
		     struct loop *loop, struct fail *why)
{
	int err = 0;

	memset(host, 0, sizeof(*host));
	host->vdev = vdev;
	host->loop = loop;
	for (unsigned int i = 0; i <= VIRTIO_KICK_STATUS; i++)
		host->kick[i].source.fd = -1;
	host->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (host->irq_fd < 0)
		err = -errno;
	for (unsigned int i = 0; i < vdev->ops->queues && !err; i++)
		err = add_kick(host, i);
	if (!err)
		err = add_kick(host, VIRTIO_KICK_STATUS);
	if (err) {
		virtio_host_destroy(host);
		return fail(why, err, "%s: cannot make doorbells: %s",
			    vdev->ops->name, strerror(-err));
	}
	host->resets = vdev->resets;
	host->status = vdev->status;
	vdev->host_ops = &host_ops;
	vdev->host = host;
	return 0;
}

void virtio_host_destroy(struct virtio_host *host)
{
	if (!host->loop)
		return;
	for (unsigned int i = 0; i <= VIRTIO_KICK_STATUS; i++) {
		struct loop_source *source = &host->kick[i].source;

		loop_remove(host->loop, source);
		if (source->fd >= 0)
			close(source->fd);
		source->fd = -1;
	}
	if (host->irq_fd >= 0)
		close(host->irq_fd);
	host->irq_fd = -1;
	host->loop = NULL;
}

int virtio_host_kick_fd(const struct virtio_host *host, unsigned int queue)
{
	assert(queue < host->vdev->ops->queues);
	return host->kick[queue].source.fd;
}
