// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VSOCK_GATE events. Owns struct gate_events; called by the device table on the
 * loop thread.
 *
 * A guest moves the gate whenever it resets its device, as fast as it can. The
 * first few changes in a second are told one by one; those that follow are told
 * as one, when the second is over.
 */
#include "vmm/gate_events.h"

#include <jansson.h>

#include "devices/monotonic.h"
#include "vmm/event.h"

static void tell(struct gate_events *ge, uint64_t changes)
{
	json_t *data = json_pack("{ss ss sb}",
				 "from", vsock_gate_state_name(ge->told),
				 "to", vsock_gate_state_name(ge->now),
				 "forced", ge->forced);

	if (data && changes > 1)
		json_object_set_new(data, "changes",
				    json_integer((json_int_t)changes));
	machine_tell(ge->control, MACHINE_EVENT_VSOCK_GATE, data);
	ge->told = ge->now;
	ge->forced = false;
}

/* Without memory for a timer the next change tells of those before, too. */
static void tell_later(struct gate_events *ge, uint64_t now)
{
	if (!ge->timer.slot)
		(void)loop_timer_arm(ge->loop, &ge->timer,
				     rate_wait(&ge->rate, now) + 1);
}

static void tell_held(struct gate_events *ge, uint64_t now)
{
	uint64_t held = rate_held(&ge->rate, now);

	if (held)
		tell(ge, held);
	else if (ge->rate.held)
		tell_later(ge, now);
}

static void on_timer(struct loop_timer *timer)
{
	tell_held(loop_owner(timer, struct gate_events, timer), monotonic_ms());
}

void gate_events_init(struct gate_events *ge, struct loop *loop,
		      struct control *control)
{
	*ge = (struct gate_events){
		.loop = loop,
		.control = control,
		.rate = { .burst = GATE_EVENTS_BURST,
			  .interval_ms = GATE_EVENTS_INTERVAL },
		.timer.fn = on_timer,
		.told = VSOCK_GATE_CLOSED,
		.now = VSOCK_GATE_CLOSED,
	};
}

void gate_events_destroy(struct gate_events *ge)
{
	if (ge->loop)
		loop_timer_cancel(ge->loop, &ge->timer);
}

void gate_events_change(struct gate_events *ge, enum vsock_gate_state to,
			bool forced)
{
	uint64_t now = monotonic_ms();

	/* Those that are due come first: each event begins where one ended. */
	tell_held(ge, now);
	ge->now = to;
	ge->forced |= forced;
	if (rate_take(&ge->rate, now))
		tell(ge, 1);
	else
		tell_later(ge, now);
}
