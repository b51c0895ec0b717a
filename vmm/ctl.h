/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `wherry ctl`: a command to a control socket, an event from it, for people
 * and scripts.
 */
#ifndef WHERRY_VMM_CTL_H
#define WHERRY_VMM_CTL_H

#include <stdbool.h>
#include <stdio.h>

#include "virtio/fail.h"
#include "vmm/control_message.h"

/* Exit status: --timeout has passed; that of timeout(1). */
#define CTL_EXIT_TIMEOUT 124

/* How long whoever gave no --timeout waits for a greeting, milliseconds. */
#define CTL_GREETING_MS 5000

/**
 * struct ctl_options - what to send, what to wait for, and where
 * @socket: path of the control socket
 * @execute: the command's name; NULL: none, @wait alone
 * @argument: its arguments, "key=value" each
 * @arguments: how many
 * @table: commands this program knows, for the kinds of their arguments; the
 *     server may know others
 * @wait: name of the event to wait for; NULL: none
 * @events: names of the events this program knows, ended by NULL
 * @json: one line of JSON even on a terminal
 * @timeout_ms: for all of it, from connecting on; negative: for ever, but for
 *     the greeting
 * @greeting_ms: for connecting and the greeting if @timeout_ms is negative
 * @out: where the result goes: on a terminal for people, else as one line of
 *     JSON
 * @progress_fd: where a bar is drawn, if it is a terminal
 */
struct ctl_options {
	const char *socket;
	const char *execute;
	const char **argument;
	unsigned int arguments;
	const struct control_command *table;
	const char *wait;
	const char *const *events;
	bool json;
	int timeout_ms;
	int greeting_ms;
	FILE *out;
	int progress_fd;
};

/**
 * ctl_run() - connect, negotiate, send, print the answer, wait for the event
 *
 * `quit` is done when the connection closes. The event may come at any time
 * after the negotiation, before the answer too; its message is printed behind
 * the answer, as one line of JSON. Of a command that fails, no event is waited
 * for.
 *
 * Return: exit status of the process: 0, MACHINE_EXIT_ERROR,
 * MACHINE_EXIT_USAGE or CTL_EXIT_TIMEOUT, with the reason unless 0. A command
 * that was sent is carried out, whatever happens here.
 * Context: blocks.
 */
int ctl_run(const struct ctl_options *options, struct fail *why);

#endif
