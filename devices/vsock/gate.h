/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate between the vsock device and its guest. See gate.c for the theory.
 */
#ifndef WHERRY_DEVICES_VSOCK_GATE_H
#define WHERRY_DEVICES_VSOCK_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/queue.h"
#include "virtio/state.h"

/**
 * enum vsock_gate_state - may packets pass?
 * @VSOCK_GATE_CLOSED: no driver; nothing passes
 * @VSOCK_GATE_RESET_PENDING: a TRANSPORT_RESET is due and could not be
 *     delivered yet; nothing passes
 * @VSOCK_GATE_RESET_SENT: delivered, the driver has not yet dealt with it;
 *     nothing passes
 * @VSOCK_GATE_OPEN: packets pass
 */
enum vsock_gate_state {
	VSOCK_GATE_CLOSED,
	VSOCK_GATE_RESET_PENDING,
	VSOCK_GATE_RESET_SENT,
	VSOCK_GATE_OPEN,
	VSOCK_GATE_STATES,
};

/** vsock_gate_state_name() - "closed", "reset-pending", "reset-sent", "open" */
const char *vsock_gate_state_name(enum vsock_gate_state state);

/**
 * struct vsock_gate - one gate
 * @owed: resets published that the driver has not answered; saved
 * @unsent: a load wants a reset published; every load sets it, so not saved
 * @head: the buffer that the last reset was published in: its chain
 * @gpa: and where it lies
 * @base: free-running index of the first available entry not looked at, for
 *     that buffer
 * @cid_read: guest_cid was read since the last reset was published
 * @returned: the buffer came back
 * @forced: let through without the one or the other (vsock_gate_force())
 */
struct vsock_gate {
	uint32_t owed;
	bool unsent;
	uint16_t head;
	gpa_t gpa;
	uint16_t base;
	bool cid_read;
	bool returned;
	bool forced;
};

/* What a snapshot keeps of a gate. */
extern const struct state_table vsock_gate_table;

/**
 * vsock_gate_reset() - the driver reset the device: nothing is owed any more
 */
void vsock_gate_reset(struct vsock_gate *gate);

/**
 * vsock_gate_loaded() - a snapshot was loaded: one more reset is due
 * @events: the event queue, as loaded
 * @live: the driver has set DRIVER_OK
 *
 * Publishes the event at once where the rules allow it. Context: device
 * locked, no vCPU runs.
 *
 * Return: 1 when the driver is to be interrupted, 0 when not, -EINVAL when
 * the event queue is malformed.
 */
int vsock_gate_loaded(struct vsock_gate *gate, struct virtq *events, bool live,
		      struct fail *why);

/**
 * vsock_gate_look() - the driver may have notified the event queue, or read
 * guest_cid
 *
 * Looks for the answer, publishes a pending event. Spurious calls are harmless.
 * Return: as vsock_gate_loaded().
 */
int vsock_gate_look(struct vsock_gate *gate, struct virtq *events, bool live,
		    struct fail *why);

/**
 * vsock_gate_cid_read() - the driver read guest_cid
 * Return: whether the gate waits for that; vsock_gate_look() is due.
 */
bool vsock_gate_cid_read(struct vsock_gate *gate);

/**
 * vsock_gate_half_way() - is one of two signs of an answer there?
 *
 * guest_cid was read, or the buffer came back: the other is due within a
 * bounded time.
 */
bool vsock_gate_half_way(const struct vsock_gate *gate);

/**
 * vsock_gate_force() - the bounded wait is over: let packets through
 *
 * Only half way. Return: whether it was.
 */
bool vsock_gate_force(struct vsock_gate *gate);

/** vsock_gate_state() - where the gate stands; @live: DRIVER_OK is set */
enum vsock_gate_state vsock_gate_state(const struct vsock_gate *gate,
				       bool live);

#endif
