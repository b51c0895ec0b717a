/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line, checked.
 */
#ifndef WHERRY_VMM_OPTIONS_H
#define WHERRY_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/log.h"
#include "virtio/fail.h"
#include "vmm/machine.h"

/**
 * enum command - the first word after `wherry`
 * @COMMAND_HELP: `help` and `--help`; the first one, so that a zeroed topic
 *     means the overview
 * @COMMAND_VERSION: `--version`
 * @COMMANDS: how many there are
 */
enum command {
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_RUN,
	COMMAND_RESTORE,
	COMMAND_CTL,
	COMMAND_CONNECT,
	COMMAND_INSPECT,
	COMMANDS
};

/**
 * struct options - what the user wants
 * @command: which of the parts below is filled in
 * @topic: COMMAND_HELP: about which command; COMMAND_HELP: about all
 * @log_level: --quiet, --verbose
 * @machine: COMMAND_RUN, COMMAND_RESTORE
 * @socket: COMMAND_CTL, COMMAND_CONNECT: path to connect to
 * @directory: COMMAND_INSPECT: path of a snapshot
 * @execute: COMMAND_CTL: name of the control command; NULL: @wait alone
 * @argument: COMMAND_CTL: its arguments, "key=value" each, not looked into
 * @arguments: how many
 * @wait: COMMAND_CTL: name of an event to wait for; NULL: none
 * @json: COMMAND_CTL, COMMAND_INSPECT: JSON even on a terminal
 * @verify: COMMAND_INSPECT: read the memory, too
 * @port: COMMAND_CONNECT: vsock port
 * @wait_ms: COMMAND_CONNECT: how long to wait until the guest listens
 * @timeout_ms: COMMAND_CONNECT: how long to wait for the guest's answer;
 *     COMMAND_CTL: for everything; negative: for ever
 *
 * Strings belong to argv, those in @owned to this struct.
 */
struct options {
	enum command command;
	enum command topic;
	enum log_level log_level;
	struct machine_options machine;
	const char *socket;
	const char *directory;
	const char *execute;
	const char **argument;
	unsigned int arguments;
	const char *wait;
	bool json;
	bool verify;
	uint32_t port;
	int wait_ms;
	int timeout_ms;
	struct {
		const char **words;
	} owned;
};

/**
 * options_parse() - read the command line
 * @argc: as main() has it
 * @argv: as main() has it; must outlive @out
 * @out: filled in; options_free() it in any case
 * @why: names the option, the value (as it was given: log_error() makes it
 *     printable) and what was expected
 *
 * Looks at no file: whether one exists is for those who open it. Long options
 * are taken in full only (an abbreviation that works today would be ambiguous
 * tomorrow), as `--option value` or `--option=value`, each at most once, before
 * or after the other words; "--" ends them.
 *
 * Return: 0, -EINVAL for a command line that cannot be (exit status
 * MACHINE_EXIT_USAGE) or -ENOMEM.
 */
int options_parse(int argc, char **argv, struct options *out,
		  struct fail *why);
void options_free(struct options *options);

/** command_name() - Return: the word on the command line */
const char *command_name(enum command command);

#endif
