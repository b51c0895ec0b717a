/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio socket device (virtio 1.2, section 5.10): queues, gate, CID.
 */
#ifndef WHERRY_DEVICES_VSOCK_DEVICE_H
#define WHERRY_DEVICES_VSOCK_DEVICE_H

#include "devices/loop.h"
#include "devices/vsock/engine.h"
#include "devices/vsock/gate.h"
#include "virtio/device.h"

#define VSOCK_QUEUE_SIZE	256u
/* How long a driver that has read guest_cid may take to give the event's
 * buffer back, or the other way round, before it is let through all the same,
 * ms. */
#define VSOCK_GATE_PATIENCE	10000u

/**
 * struct vsock_device - one socket device
 * @vdev: its transport
 * @gate: may packets pass?
 * @engine: the protocol
 * @loop: where it all runs
 * @run: runs the queues at the end of a turn
 * @patience: bounds the wait of a gate for a driver that is half way
 * @patience_ms: VSOCK_GATE_PATIENCE; tests shorten it
 * @interrupt: armed while the driver has not heard of headers that it got back
 * @interrupted: the TX ring's used index when it was interrupted last
 * @guest_cid: the guest's CID
 * @resets: vdev.resets, as last seen
 * @gate_forced: how often the gate was let through without an answer
 * @state: gate state last announced
 * @on_gate: called on each change of the gate's state; NULL: nobody listens
 * @opaque: handed to @on_gate
 */
struct vsock_device {
	struct virtio_device vdev;
	struct vsock_gate gate;
	struct vsock_engine engine;
	struct loop *loop;
	struct loop_task run;
	struct loop_timer patience;
	uint32_t patience_ms;
	struct loop_timer interrupt;
	uint16_t interrupted;
	uint64_t guest_cid;
	uint32_t resets;
	uint64_t gate_forced;
	enum vsock_gate_state state;
	void (*on_gate)(void *opaque, enum vsock_gate_state from,
			enum vsock_gate_state to);
	void *opaque;
};

/**
 * struct vsock_device_options - what a device is to be like
 * @guest_cid: VSOCK_CID_GUEST_MIN .. VSOCK_CID_GUEST_MAX
 * @queue_size: of each queue, a power of two up to VIRTQ_SIZE_MAX; 0:
 *     VSOCK_QUEUE_SIZE
 * @buf_alloc: receive buffer of a connection, bytes; 0: VSOCK_BUF_ALLOC
 * @conns_max: connections at a time from each side; 0: VSOCK_CONNS_MAX
 * @seqpacket: offer seqpacket sockets: the back-end can do them
 */
struct vsock_device_options {
	uint64_t guest_cid;
	uint16_t queue_size;
	uint32_t buf_alloc;
	uint32_t conns_max;
	bool seqpacket;
};

/**
 * vsock_device_init() - a device with no driver yet
 * @dev: zeroed
 * @backend: the host side, outlives @dev
 *
 * Return: 0 or negative errno with the reason.
 */
int vsock_device_init(struct vsock_device *dev, struct loop *loop,
		      const struct guest_memory *mem,
		      struct vsock_backend *backend,
		      const struct vsock_device_options *options,
		      struct fail *why);
/** vsock_device_destroy() - drops all connections; safe on a zeroed struct */
void vsock_device_destroy(struct vsock_device *dev);

/**
 * vsock_device_set_running() - the VM is paused or goes on
 *
 * While it is paused nothing is taken from or given to either side and no
 * timeout fires: a pause costs no connection.
 */
void vsock_device_set_running(struct vsock_device *dev, bool running);

/**
 * vsock_device_finish() - the guest is over; what it has sent is not
 *
 * What waits in its TX ring is taken as well, and lingers as far as host
 * sockets do not take it at once. Context: no vCPU runs, nor will.
 */
void vsock_device_finish(struct vsock_device *dev);

/** vsock_device_gate() - where the gate stands */
enum vsock_gate_state vsock_device_gate(const struct vsock_device *dev);

#endif
