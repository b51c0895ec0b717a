/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `wherry ctl`: one command to a control socket, for people and scripts.
 */
#ifndef WHERRY_VMM_CTL_H
#define WHERRY_VMM_CTL_H

#include <stdio.h>

#include "virtio/fail.h"
#include "vmm/control_message.h"

/**
 * struct ctl_options - what to send, and where
 * @socket: path of the control socket
 * @execute: the command's name
 * @argument: its arguments, "key=value" each
 * @arguments: how many
 * @table: commands this program knows, for the kinds of their arguments; the
 *     server may know others
 * @out: where the result goes: on a terminal for people, else as one line of
 *     JSON
 */
struct ctl_options {
	const char *socket;
	const char *execute;
	const char **argument;
	unsigned int arguments;
	const struct control_command *table;
	FILE *out;
};

/**
 * ctl_run() - connect, negotiate, send, wait for the answer, print it
 *
 * `quit` is done when the connection closes.
 *
 * Return: exit status of the process: 0, MACHINE_EXIT_ERROR or
 * MACHINE_EXIT_USAGE, with the reason unless 0.
 * Context: blocks.
 */
int ctl_run(const struct ctl_options *options, struct fail *why);

/**
 * ctl_print() - print a result
 * @result: the member "return" of a reply
 * @pretty: for people: an object line by line, nothing for an empty one
 *
 * Return: 0 or negative errno: it could not be written.
 */
int ctl_print(FILE *out, json_t *result, bool pretty);

#endif
