/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device as its transport sees it, and its host as it sees that.
 *
 * Threads. The driver's register accesses arrive on vCPU threads; they change
 * the transport's registers under @lock and then only ring the host. All
 * device work runs on the loop thread, under @lock, through the ops below.
 * So a device needs no thought about vCPU threads but for config_read() and
 * config_write().
 */
#ifndef WHERRY_VIRTIO_DEVICE_H
#define WHERRY_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/queue.h"
#include "virtio/state.h"

/* virtio 1.2, section 5: device types. */
#define VIRTIO_ID_RNG		4u
#define VIRTIO_ID_VSOCK		19u

/* Section 6: reserved feature bits. */
#define VIRTIO_F_INDIRECT_DESC	28
#define VIRTIO_F_EVENT_IDX	29
#define VIRTIO_F_VERSION_1	32
#define VIRTIO_BIT(n)		(UINT64_C(1) << (n))

/* Section 2.1: device status. */
#define VIRTIO_STATUS_ACKNOWLEDGE	0x01u
#define VIRTIO_STATUS_DRIVER		0x02u
#define VIRTIO_STATUS_DRIVER_OK		0x04u
#define VIRTIO_STATUS_FEATURES_OK	0x08u
#define VIRTIO_STATUS_NEEDS_RESET	0x40u
#define VIRTIO_STATUS_FAILED		0x80u

/* Section 4.2.2: InterruptStatus. */
#define VIRTIO_INT_USED		0x1u
#define VIRTIO_INT_CONFIG	0x2u

#define VIRTIO_QUEUES_MAX	4u
/* virtio_host_ops.kick with this "queue": the driver changed the status. */
#define VIRTIO_KICK_STATUS	VIRTIO_QUEUES_MAX

struct virtio_device;

/**
 * struct virtio_device_ops - what a device type provides
 * @name: for messages and saved state: "vsock", "rng"
 * @id: device type, virtio 1.2, section 5
 * @queues: how many virtqueues
 * @exact_notify: bits of queues whose notifications are so rare and tell so
 *     much that they are to go through the QueueNotify register, not through
 *     an ioeventfd: virtq.notified is then exact at every instant
 * @status_changed: loop thread, locked: the driver wrote the status register;
 *     compare vdev->resets with the one last seen, and virtio_device_live()
 *     with what was before
 * @holds: bits of queues on which the device holds chains (virtq_hold())
 * @queue_notify: loop thread, locked: the driver notified queue @queue (or
 *     may have: spurious calls are to be borne). Only while the device is live
 * @config_read: any thread, locked: fill @len bytes of device configuration
 *     from @offset, any alignment; @buf is all zeros before, so that what lies
 *     behind the structure is just left alone; NULL: reads as zeros
 * @config_write: any thread, locked; NULL: writes are ignored
 * @state: the device's own saved fields; NULL: none
 * @saving: loop thread, locked: about to be saved; bring @state_object up to
 *     date. NULL: nothing to do
 * @loaded: loop thread or main thread before the loop runs, locked: transport
 *     and @state were loaded; check, and do what the load itself has to do,
 *     before any vCPU runs. May signal interrupts: the irqchip is there. Looks
 *     at its queues itself: doorbells rung before the save are gone. NULL: the
 *     transport calls queue_notify() for every ready queue instead
 */
struct virtio_device_ops {
	const char *name;
	uint32_t id;
	unsigned int queues;
	unsigned int exact_notify;
	unsigned int holds;
	void (*status_changed)(struct virtio_device *vdev);
	void (*queue_notify)(struct virtio_device *vdev, unsigned int queue);
	void (*config_read)(struct virtio_device *vdev, uint32_t offset,
			    void *buf, uint32_t len);
	void (*config_write)(struct virtio_device *vdev, uint32_t offset,
			     const void *buf, uint32_t len);
	const struct state_table *state;
	void (*saving)(struct virtio_device *vdev);
	int (*loaded)(struct virtio_device *vdev, struct fail *why);
};

/**
 * struct virtio_host_ops - what the transport asks of whoever hosts it
 * @interrupt: any thread: send an edge on the device's interrupt line
 * @kick: any thread: have the loop call queue_notify() for @queue, or
 *     status_changed() for VIRTIO_KICK_STATUS, soon
 * @broken: any thread, locked: the driver broke the rules, @why says how; the
 *     device now waits for a reset
 */
struct virtio_host_ops {
	void (*interrupt)(void *host);
	void (*kick)(void *host, unsigned int queue);
	void (*broken)(void *host, const struct fail *why);
};

/**
 * struct virtio_device - transport registers and queues of one device
 * @ops: the device type
 * @host_ops: see there; the tests bring their own
 * @host: handed to host_ops
 * @lock: held for everything but reads of InterruptStatus and its ACK
 * @mem: the guest's RAM
 * @offered: feature bits offered (transport bits included)
 * @features: feature bits accepted; final once FEATURES_OK is set
 * @status: device status register
 * @interrupt_status: InterruptStatus register
 * @config_generation: ConfigGeneration register
 * @features_sel: DeviceFeaturesSel register
 * @driver_features_sel: DriverFeaturesSel register
 * @queue_sel: QueueSel register
 * @resets: how often the driver wrote 0 to the status register; not saved
 * @queue: the virtqueues; size_max set at creation
 * @state_object: what ops->state describes
 */
struct virtio_device {
	const struct virtio_device_ops *ops;
	const struct virtio_host_ops *host_ops;
	void *host;
	pthread_mutex_t lock;
	const struct guest_memory *mem;
	uint64_t offered;
	uint64_t features;
	uint32_t status;
	atomic_uint interrupt_status;
	uint32_t config_generation;
	uint32_t features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	uint32_t resets;
	struct virtq queue[VIRTIO_QUEUES_MAX];
	void *state_object;
};

/**
 * virtio_device_init() - a device just after power-on
 * @vdev: embedded in the device type's own struct
 * @features: of the device type; VERSION_1, INDIRECT_DESC and EVENT_IDX are
 *     added
 * @queue_size: QueueSizeMax of every queue, a power of two up to
 *     VIRTQ_SIZE_MAX
 * @state_object: what ops->state describes, or NULL
 *
 * The host fields are set by whoever hosts the device, before the guest runs.
 */
void virtio_device_init(struct virtio_device *vdev,
			const struct virtio_device_ops *ops,
			const struct guest_memory *mem, uint64_t features,
			uint16_t queue_size, void *state_object);
void virtio_device_destroy(struct virtio_device *vdev);

/**
 * virtio_device_live() - may the device touch its queues now?
 *
 * DRIVER_OK is set and NEEDS_RESET is not (virtio 1.2, 2.1.2, 3.1.1).
 */
bool virtio_device_live(const struct virtio_device *vdev);

/**
 * virtio_device_has() - was feature bit @bit negotiated?
 *
 * Return: false for every bit before FEATURES_OK, when nothing is final.
 */
bool virtio_device_has(const struct virtio_device *vdev, unsigned int bit);

/**
 * virtio_device_signal() - tell the driver of used buffers
 *
 * Sets InterruptStatus bit 0, then sends an edge; nothing unless the device is
 * live (section 3.1.1: none before DRIVER_OK). Context: locked.
 */
void virtio_device_signal(struct virtio_device *vdev);

/**
 * virtio_device_flush() - publish a queue's used elements, interrupt if wanted
 *
 * virtq_flush() and, where the driver asks for it, virtio_device_signal().
 */
void virtio_device_flush(struct virtio_device *vdev, struct virtq *q);

/**
 * virtio_device_break() - the driver broke the rules (virtio 1.2, 2.1.2)
 *
 * Sets DEVICE_NEEDS_RESET, sends a configuration change notification when
 * DRIVER_OK is set (or once it is), stops all queues until a reset, tells the
 * host why. From then on pops find nothing, pushes and flushes do nothing and
 * no interrupt is sent. A second break says nothing new and is not reported.
 * Context: locked.
 */
void virtio_device_break(struct virtio_device *vdev, const struct fail *why);

/**
 * virtio_device_reset() - what writing 0 to the status register does
 *
 * Clears InterruptStatus, status, features, selectors and queues, counts it in
 * vdev->resets. Does not ring the host: the register file does.
 * Context: locked.
 */
void virtio_device_reset(struct virtio_device *vdev);

/**
 * virtio_device_config_changed() - the configuration space is another one now
 *
 * Moves ConfigGeneration on (section 4.2.2: a driver must not see half of
 * each); when the device is live, sends a configuration change notification.
 * Context: locked.
 */
void virtio_device_config_changed(struct virtio_device *vdev);

/**
 * virtio_device_save() - transport registers, queues, the device's own fields
 *
 * Writes properties first, then subnodes: the caller's own properties of the
 * open node come before the call.
 * Context: no vCPU runs, no device work is under way; nothing is popped and
 * not pushed, nothing pushed and not flushed. Takes the lock.
 */
void virtio_device_save(struct virtio_device *vdev, struct state_writer *w);

/**
 * virtio_device_load() - the opposite
 * @node: the node that virtio_device_save() wrote into
 *
 * Device type, offered features and queue sizes must match. Queues that were
 * ready are enabled, so guest memory is to be in place. Enters and leaves the
 * subnodes; leaving @node is the caller's. Does not call ops->loaded(): see
 * virtio_device_loaded().
 *
 * Return: 0 or negative errno with the reason; the transport and the queues
 * are then as after virtio_device_init(), and what ops->state describes may be
 * half set (the transport is loaded and checked before it).
 * Context: no vCPU runs. Takes the lock.
 */
int virtio_device_load(struct virtio_device *vdev, struct state_node *node,
		       struct fail *why);

/**
 * virtio_device_loaded() - everything is loaded, the guest is about to run
 *
 * Calls ops->loaded(), or without one kicks every ready queue, because
 * doorbells rung before the save are gone. Afterwards sends one interrupt if
 * InterruptStatus is not 0 (drivers must bear spurious ones; section 2.7.7.2).
 *
 * Return: 0, or what ops->loaded() said, with the reason.
 * Context: no vCPU runs. Takes the lock.
 */
int virtio_device_loaded(struct virtio_device *vdev, struct fail *why);

#endif
