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
 *   reset-sent ──every buffer used for an event came back──▶ open
 *   any ──device reset (status 0)──▶ nothing due ▶ closed
 *
 * Connections do not survive a load. The driver learns of it by the event: it
 * reads guest_cid, resets its connected sockets, and makes the event's buffer
 * available again, in this order. A connection made before that sweep is over
 * would be swept away with the old ones and its peer would never hear of it.
 * So nothing passes until avail.idx of the event queue has moved on by as many
 * buffers as there are unanswered events: that move is ordered after the
 * sweep, whereas the read of guest_cid comes before it. The doorbell only says
 * when to look; it is armed before the event is published, because with
 * EVENT_IDX it would otherwise never ring.
 *
 * A driver that is still filling its event queue for the first time also moves
 * avail.idx. It ends the filling with a notification; until there was one
 * (virtq.notified, which the transport saves), the event waits.
 *
 * What a snapshot keeps is the number of events published and not answered. A
 * reset that was due but not published needs no keeping: each load makes one
 * due anyhow, and one is enough for both.
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
const struct state_table vsock_gate_table = STATE_TABLE(gate_fields);

const char *vsock_gate_state_name(enum vsock_gate_state state)
{
	return state_names[state];
}

void vsock_gate_reset(struct vsock_gate *gate)
{
	*gate = (struct vsock_gate){ 0 };
}

/*
 * Takes an event buffer and publishes the event in it.
 * Return: 1 published, 0 no buffer, -EINVAL a malformed ring.
 */
static int publish(struct virtq *events, struct fail *why)
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
	/* Linux ignores the event at any other length than 4. */
	virtq_push(events, chain.head, sizeof(event));
	return 1;
}

/*
 * Publishes the event that is due, if it may go out now. The doorbell for the
 * last answer is armed first: entry base + owed - 1 completes the answers.
 */
static int try_publish(struct vsock_gate *gate, struct virtq *events,
		       struct fail *why)
{
	uint16_t base;
	int ret;

	if (!gate->unsent || !events->notified)
		return 0;
	do {
		base = virtq_avail_idx(events);
		virtq_arm_after(events, (uint16_t)(base + gate->owed));
		ret = publish(events, why);
		/* No buffer: ask for the doorbell of the next one. */
	} while (ret == 0 && virtq_arm(events));
	if (ret <= 0)
		return ret;
	gate->unsent = false;
	gate->owed++;
	gate->base = base;
	gate->cid_read = false;
	gate->forced = false;
	return virtq_flush(events);
}

/* Takes note of the answers that came, if they now are complete. */
static void count_answers(struct vsock_gate *gate, const struct virtq *events)
{
	uint16_t now = virtq_avail_idx(events);
	uint16_t answers = (uint16_t)(now - gate->base);

	if (!gate->owed)
		return;
	gate->owed = answers < gate->owed ? gate->owed - answers : 0;
	gate->base = now;
}

int vsock_gate_loaded(struct vsock_gate *gate, struct virtq *events, bool live,
		      struct fail *why)
{
	gate->unsent = true;
	gate->forced = false;
	gate->cid_read = false;
	if (!live || !events->ready)
		return 0;
	gate->base = virtq_avail_idx(events);
	return try_publish(gate, events, why);
}

int vsock_gate_look(struct vsock_gate *gate, struct virtq *events, bool live,
		    struct fail *why)
{
	if (!live || !events->ready)
		return 0;
	count_answers(gate, events);
	return try_publish(gate, events, why);
}

bool vsock_gate_cid_read(struct vsock_gate *gate)
{
	if (!gate->owed || gate->unsent || gate->forced)
		return false;
	gate->cid_read = true;
	return true;
}

bool vsock_gate_force(struct vsock_gate *gate)
{
	if (!gate->owed || gate->unsent || !gate->cid_read)
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
