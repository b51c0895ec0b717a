// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all virtio devices share: status, features, interrupts, and the saved
 * state of the transport.
 *
 * Called by devices on the loop thread and by the register file (mmio.c) on
 * vCPU threads, under vdev->lock; saving and loading take the lock themselves,
 * while no vCPU runs.
 *
 * Theory of operation. A device is live between DRIVER_OK and a reset, unless
 * it breaks:
 *
 *   reset -> ACKNOWLEDGE, DRIVER -> FEATURES_OK -> DRIVER_OK (live) -> reset
 *   any of them -> NEEDS_RESET (broken, not live, no queue ready) -> reset
 *
 * Features are final, and queues may be ready, only from FEATURES_OK on.
 * InterruptStatus alone is outside the lock: the driver reads and acknowledges
 * it in its interrupt handler, which must not wait for a batch of ours.
 */
#include "virtio/device.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STATUS_KNOWN \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | \
	 VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK | \
	 VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)

void virtio_device_init(struct virtio_device *vdev,
			const struct virtio_device_ops *ops,
			const struct guest_memory *mem, uint64_t features,
			uint16_t queue_size, void *state_object)
{
	assert(ops->queues <= VIRTIO_QUEUES_MAX);
	assert(queue_size && !(queue_size & (queue_size - 1)));
	assert(queue_size <= VIRTQ_SIZE_MAX);

	memset(vdev, 0, sizeof(*vdev));
	vdev->ops = ops;
	vdev->mem = mem;
	vdev->offered = features | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
		VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	vdev->state_object = state_object;
	atomic_init(&vdev->interrupt_status, 0);
	pthread_mutex_init(&vdev->lock, NULL);
	for (unsigned int i = 0; i < ops->queues; i++) {
		vdev->queue[i].mem = mem;
		vdev->queue[i].size_max = queue_size;
	}
}

void virtio_device_destroy(struct virtio_device *vdev)
{
	pthread_mutex_destroy(&vdev->lock);
}

bool virtio_device_live(const struct virtio_device *vdev)
{
	return (vdev->status & (VIRTIO_STATUS_DRIVER_OK |
				VIRTIO_STATUS_NEEDS_RESET)) ==
		VIRTIO_STATUS_DRIVER_OK;
}

bool virtio_device_has(const struct virtio_device *vdev, unsigned int bit)
{
	return (vdev->status & VIRTIO_STATUS_FEATURES_OK) &&
		(vdev->features & VIRTIO_BIT(bit));
}

/*
 * The bit before the edge: a handler that takes the edge finds the bit. It
 * acknowledges before it looks at the rings, and our used.idx was stored
 * before the bit, so that no buffer falls between two edges.
 */
static void interrupt(struct virtio_device *vdev, unsigned int bit)
{
	atomic_fetch_or(&vdev->interrupt_status, bit);
	vdev->host_ops->interrupt(vdev->host);
}

void virtio_device_signal(struct virtio_device *vdev)
{
	if (virtio_device_live(vdev))
		interrupt(vdev, VIRTIO_INT_USED);
}

void virtio_device_flush(struct virtio_device *vdev, struct virtq *q)
{
	if (virtq_flush(q))
		virtio_device_signal(vdev);
}

void virtio_device_break(struct virtio_device *vdev, const struct fail *why)
{
	if (vdev->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	vdev->status |= VIRTIO_STATUS_NEEDS_RESET;
	for (unsigned int i = 0; i < vdev->ops->queues; i++)
		virtq_disable(&vdev->queue[i]);
	/* Section 2.1.2: a MUST; before DRIVER_OK nobody would listen. */
	if (vdev->status & VIRTIO_STATUS_DRIVER_OK)
		interrupt(vdev, VIRTIO_INT_CONFIG);
	vdev->host_ops->broken(vdev->host, why);
}

void virtio_device_reset(struct virtio_device *vdev)
{
	vdev->status = 0;
	vdev->features = 0;
	vdev->features_sel = 0;
	vdev->driver_features_sel = 0;
	vdev->queue_sel = 0;
	vdev->resets++;
	for (unsigned int i = 0; i < vdev->ops->queues; i++)
		virtq_reset(&vdev->queue[i]);
	atomic_store(&vdev->interrupt_status, 0);
}

void virtio_device_config_changed(struct virtio_device *vdev)
{
	vdev->config_generation++;
	if (virtio_device_live(vdev))
		interrupt(vdev, VIRTIO_INT_CONFIG);
}

/*
 * Saved state. The registers go through a plain struct, because one of them
 * is atomic and two are constants of the device type.
 */
struct registers {
	uint32_t id;
	uint64_t offered;
	uint32_t queues;
	uint64_t features;
	uint32_t status;
	uint32_t interrupt_status;
	uint32_t config_generation;
	uint32_t features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
};

static const struct state_field register_fields[] = {
	STATE_SAME(struct registers, id, "device-id"),
	STATE_SAME(struct registers, offered, "offered-features"),
	STATE_SAME(struct registers, queues, "queues"),
	STATE_VALUE(struct registers, features, "features", 0, UINT64_MAX),
	STATE_VALUE(struct registers, status, "status", 0, STATUS_KNOWN),
	STATE_VALUE(struct registers, interrupt_status, "interrupt-status", 0,
		    VIRTIO_INT_USED | VIRTIO_INT_CONFIG),
	STATE_VALUE(struct registers, config_generation, "config-generation",
		    0, UINT32_MAX),
	STATE_VALUE(struct registers, features_sel, "device-features-sel", 0,
		    UINT32_MAX),
	STATE_VALUE(struct registers, driver_features_sel,
		    "driver-features-sel", 0, UINT32_MAX),
	STATE_VALUE(struct registers, queue_sel, "queue-sel", 0, UINT32_MAX),
};
static const struct state_table register_table =
	STATE_TABLE(register_fields, 1);

/*
 * Size and addresses of a queue that is not ready are what the driver wrote so
 * far, which may be anything; virtq_enable() checks those of a ready one.
 */
static const struct state_field queue_fields[] = {
	STATE_SAME(struct virtq, size_max, "size-max"),
	STATE_VALUE(struct virtq, size, "size", 0, UINT16_MAX),
	STATE_VALUE(struct virtq, ready, "ready", 0, 1),
	STATE_VALUE(struct virtq, desc_gpa, "desc-gpa", 0, UINT64_MAX),
	STATE_VALUE(struct virtq, driver_gpa, "driver-gpa", 0, UINT64_MAX),
	STATE_VALUE(struct virtq, device_gpa, "device-gpa", 0, UINT64_MAX),
	STATE_VALUE(struct virtq, last_avail, "last-avail", 0, UINT16_MAX),
	STATE_VALUE(struct virtq, used_idx, "used-idx", 0, UINT16_MAX),
	STATE_VALUE(struct virtq, notified, "notified", 0, 1),
	/* Chains popped and not yet given back; there were none before. */
	STATE_LIST(struct virtq, held, held_count, "held", 0,
		   VIRTQ_SIZE_MAX - 1, .since = 2),
};
static const struct state_table queue_table = STATE_TABLE(queue_fields, 2);

static struct registers registers_of(struct virtio_device *vdev)
{
	return (struct registers){
		.id = vdev->ops->id,
		.offered = vdev->offered,
		.queues = vdev->ops->queues,
		.features = vdev->features,
		.status = vdev->status,
		.interrupt_status = atomic_load(&vdev->interrupt_status),
		.config_generation = vdev->config_generation,
		.features_sel = vdev->features_sel,
		.driver_features_sel = vdev->driver_features_sel,
		.queue_sel = vdev->queue_sel,
	};
}

static void save_queue(const struct virtq *q, struct state_writer *w)
{
	/* Else what is popped or not published has no place in the file. */
	assert((uint16_t)(q->last_avail - q->used_idx) == q->held_count);
	assert(q->flushed == q->used_idx);
	state_put(w, &queue_table, q);
}

void virtio_device_save(struct virtio_device *vdev, struct state_writer *w)
{
	struct registers regs;

	pthread_mutex_lock(&vdev->lock);
	if (vdev->ops->saving)
		vdev->ops->saving(vdev);
	regs = registers_of(vdev);
	state_put(w, &register_table, &regs);
	for (unsigned int i = 0; i < vdev->ops->queues; i++) {
		state_begin(w, "queue@%u", i);
		save_queue(&vdev->queue[i], w);
		state_end(w);
	}
	if (vdev->ops->state) {
		state_begin(w, "%s", vdev->ops->name);
		state_put(w, vdev->ops->state, vdev->state_object);
		state_end(w);
	}
	pthread_mutex_unlock(&vdev->lock);
}

/* Could the register file have come to hold these? */
static int registers_check(const struct registers *regs, struct fail *why)
{
	uint64_t foreign = regs->features & ~regs->offered;

	if (regs->status & ~STATUS_KNOWN)
		return fail(why, -EINVAL, "status 0x%x has unknown bits",
			    regs->status);
	if (!(regs->status & VIRTIO_STATUS_FEATURES_OK)) {
		if (regs->status & VIRTIO_STATUS_DRIVER_OK)
			return fail(why, -EINVAL, "status 0x%x has DRIVER_OK "
				    "without FEATURES_OK", regs->status);
		return 0;
	}
	if (foreign)
		return fail(why, -EINVAL, "features 0x%" PRIx64 " were "
			    "accepted, but only 0x%" PRIx64 " offered",
			    regs->features, regs->offered);
	if (!(regs->features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return fail(why, -EINVAL, "features 0x%" PRIx64 " were "
			    "accepted without VERSION_1", regs->features);
	return 0;
}

static int registers_load(struct virtio_device *vdev, struct state_node *node,
			  struct fail *why)
{
	struct registers regs = registers_of(vdev);
	int err;

	err = state_get(node, &register_table, &regs, why);
	if (!err)
		err = registers_check(&regs, why);
	if (err)
		return err;
	vdev->features = regs.features;
	vdev->status = regs.status;
	vdev->config_generation = regs.config_generation;
	vdev->features_sel = regs.features_sel;
	vdev->driver_features_sel = regs.driver_features_sel;
	vdev->queue_sel = regs.queue_sel;
	atomic_store(&vdev->interrupt_status, regs.interrupt_status);
	return 0;
}

static int queue_start(struct virtio_device *vdev, unsigned int i,
		       struct fail *why)
{
	struct virtq *q = &vdev->queue[i];

	if ((uint16_t)(q->last_avail - q->used_idx) != q->held_count)
		return fail(why, -EINVAL,
			    "last-avail %u, used-idx %u, but %u chains held",
			    q->last_avail, q->used_idx, q->held_count);
	if (q->held_count && !(vdev->ops->holds & 1u << i))
		return fail(why, -EINVAL,
			    "%u chains held, on a queue where none is",
			    q->held_count);
	q->event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX);
	q->indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC);
	if (!q->ready) {
		if (q->last_avail || q->used_idx)
			return fail(why, -EINVAL, "last-avail %u, used-idx %u, "
				    "but the queue is not ready",
				    q->last_avail, q->used_idx);
		if (q->notified)
			return fail(why, -EINVAL,
				    "notified, but the queue is not ready");
		return 0;
	}
	if (!(vdev->status & VIRTIO_STATUS_FEATURES_OK) ||
	    (vdev->status & VIRTIO_STATUS_NEEDS_RESET))
		return fail(why, -EINVAL, "ready at device status 0x%x",
			    vdev->status);
	/*
	 * What the rings in guest memory say is not held against the file: a
	 * guest must not be able to spoil its own snapshot. The first pop will
	 * find it out, as it would have without a load.
	 */
	return virtq_enable(q, why);
}

static int queue_load(struct virtio_device *vdev, struct state_node *parent,
		      unsigned int i, struct fail *why)
{
	struct virtq *q = &vdev->queue[i];
	struct state_node node;
	int err;

	err = state_enter(parent, &node, why, "queue@%u", i);
	if (err)
		return err;
	err = state_get(&node, &queue_table, q, why);
	if (!err)
		err = state_leave(&node, why);
	if (err)
		return err;
	/* The work is to be begun anew. */
	q->again = q->held_count;
	err = queue_start(vdev, i, why);
	if (err)
		return fail_within(why, err, "queue@%u", i);
	return 0;
}

static int own_load(struct virtio_device *vdev, struct state_node *parent,
		    struct fail *why)
{
	struct state_node node;
	int err;

	if (!vdev->ops->state)
		return 0;
	err = state_enter(parent, &node, why, "%s", vdev->ops->name);
	if (err)
		return err;
	err = state_get(&node, vdev->ops->state, vdev->state_object, why);
	if (err)
		return err;
	return state_leave(&node, why);
}

int virtio_device_load(struct virtio_device *vdev, struct state_node *node,
		       struct fail *why)
{
	uint32_t resets = vdev->resets;
	int err;

	pthread_mutex_lock(&vdev->lock);
	err = registers_load(vdev, node, why);
	for (unsigned int i = 0; !err && i < vdev->ops->queues; i++)
		err = queue_load(vdev, node, i, why);
	if (!err)
		err = own_load(vdev, node, why);
	if (err) {
		virtio_device_reset(vdev);
		vdev->config_generation = 0;
		vdev->resets = resets;
	}
	pthread_mutex_unlock(&vdev->lock);
	return err;
}

int virtio_device_loaded(struct virtio_device *vdev, struct fail *why)
{
	int err = 0;

	pthread_mutex_lock(&vdev->lock);
	if (vdev->ops->loaded)
		err = vdev->ops->loaded(vdev, why);
	if (err)
		goto unlock;
	if (atomic_load(&vdev->interrupt_status))
		vdev->host_ops->interrupt(vdev->host);
	if (virtio_device_live(vdev) && !vdev->ops->loaded) {
		for (unsigned int i = 0; i < vdev->ops->queues; i++) {
			if (vdev->queue[i].ready)
				vdev->host_ops->kick(vdev->host, i);
		}
	}
unlock:
	pthread_mutex_unlock(&vdev->lock);
	return err;
}
