// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events: what a machine tells without being asked.
 *
 * Owns their names, which are a public interface (wherry.1), and how each is
 * told. Called on the loop thread by whoever has something to tell; calls
 * control.c.
 */
#include "vmm/event.h"

#include "vmm/control.h"

const char *const machine_event_names[] = {
	[MACHINE_EVENT_STOP] = "STOP",
	[MACHINE_EVENT_RESUME] = "RESUME",
	[MACHINE_EVENT_SHUTDOWN] = "SHUTDOWN",
	[MACHINE_EVENT_RESET] = "RESET",
	[MACHINE_EVENT_POWERDOWN] = "POWERDOWN",
	[MACHINE_EVENT_GUEST_PANICKED] = "GUEST_PANICKED",
	[MACHINE_EVENT_GUEST_CRASHLOADED] = "GUEST_CRASHLOADED",
	[MACHINE_EVENT_SNAPSHOT_SAVED] = "SNAPSHOT_SAVED",
	[MACHINE_EVENT_SNAPSHOT_LOADED] = "SNAPSHOT_LOADED",
	[MACHINE_EVENT_SNAPSHOT_PROGRESS] = "SNAPSHOT_PROGRESS",
	[MACHINE_EVENT_VSOCK_GATE] = "VSOCK_GATE",
	[MACHINE_EVENTS] = NULL
};

void machine_tell(struct control *to, enum machine_event event, json_t *data)
{
	const char *name = machine_event_names[event];

	/* The guest can move its gate as often as it likes. */
	if (event == MACHINE_EVENT_VSOCK_GATE)
		control_state(to, name, data);
	else
		control_event(to, name, data);
}
