/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor: the process, around one machine at a time.
 *
 * Everything here is for the loop thread, which is the main thread.
 */
#ifndef WHERRY_VMM_MONITOR_H
#define WHERRY_VMM_MONITOR_H

#include "virtio/fail.h"
#include "vmm/machine.h"

struct control_command;
struct monitor;

/**
 * monitor_run() - make a machine, run it until it ends
 * @commands: what its control socket offers; their opaque is the monitor
 *
 * Return: exit status of the process; the reason of MACHINE_EXIT_ERROR is in
 * @why (or was logged, with text empty).
 */
int monitor_run(const struct machine_options *options,
		const struct control_command *commands, struct fail *why);

/* What the control socket asks for. */

/** monitor_machine() - the machine; NULL: options.incoming, none loaded yet */
struct machine *monitor_machine(const struct monitor *mon);
/** monitor_status() - machine_status(), or "inmigrate" (QMP RunState) */
const char *monitor_status(const struct monitor *mon);
/** monitor_cont() - machine_cont(), unless there is no machine or it is ending */
void monitor_cont(struct monitor *mon);
/** monitor_quit() - end the process with 0 after this loop turn */
void monitor_quit(struct monitor *mon);
/**
 * monitor_load() - put the machine of a snapshot in the place of this one
 * @path: the snapshot's directory
 *
 * It runs on if the machine before it ran; the first one runs unless --paused.
 * Host sockets stay: who waits in their backlog is served by the new guest, a
 * connection of the old one is closed. When it fails nothing has changed.
 *
 * Return: 0 or negative errno with the reason. -EBUSY: it is being saved.
 */
int monitor_load(struct monitor *mon, const char *path, struct fail *why);
/**
 * monitor_reset() - boot the kernel anew, in a machine like a new one
 *
 * Kernel and initrd are read again. Otherwise as monitor_load().
 * Return: 0 or negative errno with the reason. -ENOTSUP: no kernel is known.
 */
int monitor_reset(struct monitor *mon, struct fail *why);

#endif
