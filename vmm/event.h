/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a machine tells on its control socket without being asked.
 */
#ifndef WHERRY_VMM_EVENT_H
#define WHERRY_VMM_EVENT_H

#include <jansson.h>

struct control;

/**
 * enum machine_event - what the machine tells without being asked
 * @MACHINE_EVENT_STOP: all vCPUs are parked
 * @MACHINE_EVENT_RESUME: they run again
 * @MACHINE_EVENT_SHUTDOWN: the process ends; data: {"guest": bool,
 *     "reason": "guest-shutdown" | "guest-reset" | "guest-panic" |
 *     "host-qmp-quit" | "host-signal" | "host-error"}
 * @MACHINE_EVENT_RESET: the guest asked for a reset, or was reset; data:
 *     {"guest": bool, "reason": "guest-reset" | "host-qmp-system-reset"}
 * @MACHINE_EVENT_POWERDOWN: the guest's power button has been pressed
 * @MACHINE_EVENT_GUEST_PANICKED: the guest's kernel has panicked; data:
 *     {"action": "pause" | "poweroff"}: what becomes of it
 * @MACHINE_EVENT_GUEST_CRASHLOADED: it has, and deals with it by itself; data:
 *     {"action": "run"}
 * @MACHINE_EVENT_SNAPSHOT_SAVED: data: {"path": string} and what
 *     machine_save() reports
 * @MACHINE_EVENT_SNAPSHOT_LOADED: data: {"path": string}
 * @MACHINE_EVENT_SNAPSHOT_PROGRESS: saving or verifying takes its time; data:
 *     {"path": string, "phase": "copying" | "syncing" | "verifying",
 *     "done": bytes, "total": bytes}
 * @MACHINE_EVENT_VSOCK_GATE: the gate of the vsock device has moved; data:
 *     {"from": state, "to": state} as query-vsock has them, and "forced": bool:
 *     let through without the driver's answer
 * @MACHINE_EVENTS: how many there are
 */
enum machine_event {
	MACHINE_EVENT_STOP,
	MACHINE_EVENT_RESUME,
	MACHINE_EVENT_SHUTDOWN,
	MACHINE_EVENT_RESET,
	MACHINE_EVENT_POWERDOWN,
	MACHINE_EVENT_GUEST_PANICKED,
	MACHINE_EVENT_GUEST_CRASHLOADED,
	MACHINE_EVENT_SNAPSHOT_SAVED,
	MACHINE_EVENT_SNAPSHOT_LOADED,
	MACHINE_EVENT_SNAPSHOT_PROGRESS,
	MACHINE_EVENT_VSOCK_GATE,
	MACHINE_EVENTS
};

/** machine_event_names - by enum machine_event, as clients see them; NULL ends
 *  them */
extern const char *const machine_event_names[];

/**
 * machine_tell() - tell all clients what has happened
 * @to: whose clients; NULL: nobody listens, nothing happens
 * @data: its data, or NULL; the reference is taken over
 *
 * As control_event(), MACHINE_EVENT_VSOCK_GATE as control_state().
 * Context: loop thread.
 */
void machine_tell(struct control *to, enum machine_event event, json_t *data);

#endif
