// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vsock gate: what stands between a restored guest and lost connections.
 *
 * Owns the decision whether packets may pass, and the TRANSPORT_RESET events
 * (virtio 1.2, section 5.10.6.7) in the event queue. Called by device.c, under
 * the device's lock; pure but for the queue, so that tests need nothing else.
 *
 * Theory of operation
 *
 *   closed ──DRIVER_OK, nothing due──▶ open
 *   load ▶ one more reset due ▶ reset-pending
 *   reset-pending ──DRIVER_OK and an event buffer──▶ reset-sent
 *   reset-sent ──the event's buffer came back, guest_cid was read──▶ open
 *   any ──device reset (status 0)──▶ nothing due ▶ closed
 *
 * Connections do not survive a load. The driver learns of it by the event: it
 * reads guest_cid, resets its connected sockets, and makes the event's buffer
 * available again; Linux in this order. A connection made before that sweep is
 * over would be swept away with the old ones and its peer would never hear of
 * it. So nothing passes until the buffer has come back: that is ordered after
 * the sweep, whereas the read of guest_cid comes before it. Windows' driver
 * gives the buffer back first, then reads guest_cid and sweeps: so the gate
 * waits for both. (For such a driver the read is the last that can be seen;
 * the sweep follows it at once, but nothing proves when it is over.)
 *
 * It is that buffer which counts, known by its head or its address, not how
 * many there were: a driver that is still filling its event queue for the
 * first time makes others available, perhaps with a doorbell for each. One
 * that rings once, at the end, is in the middle of its work until then; until
 * there was a notification (virtq.notified, which the transport saves), the
 * event waits. Drivers handle events in the order of the used ring, so that the
 * last event's buffer answers for all before it. The doorbell only says when to
 * look; it is armed before the event is published, because with EVENT_IDX it
 * would otherwise never ring.
 *
 * What a snapshot keeps is the number of events published and not answered. A
 * reset that was due but not published needs no keeping: each load makes one
 * due anyhow, and one is enough for both.
 *
 * Connects under way. A socket in connect() is not connected, so the sweep
 * passes it over. At the instant when vCPUs stop, its REQUEST or the answer to
 * it is in one of four places, and in each it is found again by the next life,
 * whatever the order of the driver's works, on however many CPUs, with EVENT_IDX
 * or without:
 *
 *  1. The REQUEST is the driver's still, or available in the TX ring. It is
 *     taken when the gate has opened, like any other.
 *  2. The REQUEST was taken and is not answered. Its chain is held
 *     (virtq_hold()) until the turn that puts the answer into the RX ring, so
 *     the transport saves it, it is popped again when the gate has opened, and
 *     the connect is made anew. Its buffer is the device's, so nobody has
 *     changed it. The answer becomes visible and the chain goes back in one
 *     turn of the loop, and a save is a turn of its own: never both, never
 *     neither.
 *  3. The answer is in the RX ring, and the driver has not handled it. An RST
 *     ends the connect, now or later. A RESPONSE makes the socket connected, to
 *     nobody; before the sweep or after it. recall.c finds all of these (its
 *     head says why none can be missed), and an RST for each is the first that
 *     goes into the RX ring when the gate has opened, behind the RESPONSE.
 *     Drivers take the RX ring in order (Linux under rx_lock), so the socket
 *     is connected, if at all, when its RST comes.
 *  4. The driver has handled the answer, that is, the socket was connected (and
 *     in its table, for Linux does both before it gives the buffer up) or gone
 *     when vCPUs stopped. The sweep of this load's event comes later and finds
 *     it.
 *
 * All but one of the ring's chains can be held: an RST that is due when even
 * that many are waits in memory alone, and a save in that moment loses it.
 *
 * A connect by a host's client that lies in the RX ring as a REQUEST ends by
 * itself: the driver's RESPONSE belongs to nothing and is answered by an RST.
 */
#include "devices/vsock/gate.h"

#include <errno.h>

#include "virtio/vsock.h"

static const char *const state_names[] = {
	[VSOCK_GATE_CLOSED] = "closed",
	[VSOCK_GATE_RESET_PENDING] = "reset-pending",
	[VSOCK_GATE_RESET_SENT] = "reset-sent",
	[VSOCK_GATE_OPEN] = "open",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) ==
	       VSOCK_GATE_STATES, "a name for each state");

static const struct state_field gate_fields[] = {
	STATE_VALUE(struct vsock_gate, owed, "resets-owed", 0, VIRTQ_SIZE_MAX),
};
const struct state_table vsock_gate_table = STATE_TABLE(gate_fields, 1);

const char *vsock_gate_state_name(enum vsock_gate_state state)
{
	return state_names[state];
}

void vsock_gate_reset(struct vsock_gate *gate)
{
	*gate = (struct vsock_gate){ 0 };
}

/*
 * Asks for the doorbell of whatever is made available from now on. Return:
 * avail.idx before that.
 */
static uint16_t arm(struct virtq *events)
{
	unsigned int tries = events->size;
	uint16_t idx;

	/* A driver has no more buffers to get in between with. */
	do {
		idx = virtq_avail_idx(events);
	} while (virtq_arm_after(events, idx) && tries--);
	return idx;
}

/*
 * Takes an event buffer and publishes the event in it.
 * Return: 1 published, 0 no buffer, -EINVAL a malformed ring.
 */
static int publish(struct vsock_gate *gate, struct virtq *events,
		   struct fail *why)
{
	struct vsock_event event = {
		.id = le32_make(VSOCK_EVENT_TRANSPORT_RESET),
	};
	struct iovec iov[sizeof(event)];
	struct virtq_chain chain;
	const uint8_t *from = (const uint8_t *)&event;
	size_t left = sizeof(event);
	int ret;

	ret = virtq_pop(events, iov, sizeof(iov) / sizeof(iov[0]), &chain, why);
	if (ret == -ENOSPC)
		return fail(why, -EINVAL,
			    "event buffer in more than %zu pieces",
			    sizeof(event));
	if (ret <= 0)
		return ret;
	if (chain.out_num || chain.in_len < sizeof(event))
		return fail(why, -EINVAL,
			    "event buffer of %u writable and %u readable bytes, at least %zu and 0 expected",
			    chain.in_len, chain.out_len, sizeof(event));
	for (unsigned int i = 0; left; i++) {
		size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

		__builtin_memcpy(iov[i].iov_base, from, part);
		from += part;
		left -= part;
	}
	gate->head = chain.head;
	gate->gpa = virtq_buffer_gpa(events, chain.head);
	/* What is available by now cannot be the answer. */
	gate->base = arm(events);
	/* Linux ignores the event at any other length than 4. */
	virtq_push(events, chain.head, sizeof(event));
	return 1;
}

/* Publishes the event that is due, if it may go out now. */
static int try_publish(struct vsock_gate *gate, struct virtq *events,
		       struct fail *why)
{
	int ret;

	if (!gate->unsent || !events->notified)
		return 0;
	ret = publish(gate, events, why);
	/* No buffer: ask for the doorbell of the next one, then look again. */
	if (ret == 0 && virtq_arm(events))
		ret = publish(gate, events, why);
	if (ret <= 0)
		return ret;
	gate->unsent = false;
	gate->owed++;
	gate->cid_read = false;
	gate->returned = false;
	gate->forced = false;
	return virtq_flush(events);
}

/* Has the event's buffer come back? Return: 0 or -EINVAL. */
static int look_for_answer(struct vsock_gate *gate, struct virtq *events,
			   struct fail *why)
{
	int ret = 0;

	if (!gate->owed || gate->unsent)
		return 0;
	(void)arm(events);
	if (!gate->returned) {
		ret = virtq_avail_find(events, &gate->base, gate->head,
				       gate->gpa, why);
		if (ret < 0)
			return ret;
		gate->returned = ret;
	}
	if (gate->returned && gate->cid_read)
		gate->owed = 0;
	return 0;
}

int vsock_gate_loaded(struct vsock_gate *gate, struct virtq *events, bool live,
		      struct fail *why)
{
	gate->unsent = true;
	gate->forced = false;
	gate->cid_read = false;
	gate->returned = false;
	if (!live || !events->ready)
		return 0;
	return try_publish(gate, events, why);
}

int vsock_gate_look(struct vsock_gate *gate, struct virtq *events, bool live,
		    struct fail *why)
{
	int err;

	if (!live || !events->ready)
		return 0;
	err = look_for_answer(gate, events, why);
	if (err)
		return err;
	return try_publish(gate, events, why);
}

bool vsock_gate_cid_read(struct vsock_gate *gate)
{
	if (!gate->owed || gate->unsent || gate->forced)
		return false;
	gate->cid_read = true;
	return true;
}

bool vsock_gate_half_way(const struct vsock_gate *gate)
{
	return gate->owed && !gate->unsent && !gate->forced &&
	       (gate->cid_read || gate->returned);
}

bool vsock_gate_force(struct vsock_gate *gate)
{
	if (!vsock_gate_half_way(gate))
		return false;
	gate->forced = true;
	return true;
}

enum vsock_gate_state vsock_gate_state(const struct vsock_gate *gate,
				       bool live)
{
	if (gate->unsent)
		return VSOCK_GATE_RESET_PENDING;
	if (!live)
		return VSOCK_GATE_CLOSED;
	if (gate->owed && !gate->forced)
		return VSOCK_GATE_RESET_SENT;
	return VSOCK_GATE_OPEN;
}
