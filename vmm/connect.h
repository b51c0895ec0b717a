/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `wherry connect`: standard input and output to a vsock port of a guest.
 */
#ifndef WHERRY_VMM_CONNECT_H
#define WHERRY_VMM_CONNECT_H

#include <stdint.h>

#include "virtio/fail.h"

/**
 * struct connect_options - where to, and between what to relay
 * @uds: path of the guest's vsock socket (--vsock uds=)
 * @port: vsock port in the guest
 * @wait_ms: for how long to try again while no process has @uds, or nobody
 *     listens in the guest; 0: never
 * @timeout_ms: how long to wait until the guest has accepted; negative: for
 *     ever, or @wait_ms
 * @in: descriptor to read from
 * @out: descriptor to write to
 */
struct connect_options {
	const char *uds;
	uint32_t port;
	int wait_ms;
	int timeout_ms;
	int in;
	int out;
};

/* Exit status, besides 0 and MACHINE_EXIT_ERROR (wherry.1, EXIT STATUS). */
#define CONNECT_EXIT_RESET	3
#define CONNECT_EXIT_TIMEOUT	124
#define CONNECT_EXIT_OUTPUT	141	/* as of a program that SIGPIPE ended */

/**
 * connect_run() - connect and relay until both ends are done
 *
 * The end of @in is passed on to the guest as a half-close, the guest's to
 * @out by closing it. A guest that closes altogether ends the relay without
 * waiting for @in. SIGPIPE is to be ignored.
 *
 * Return: exit status of the process: 0; CONNECT_EXIT_OUTPUT: nobody reads @out
 * any more, which needs no words; another one, with the reason:
 * CONNECT_EXIT_RESET: input or output was lost; CONNECT_EXIT_TIMEOUT;
 * MACHINE_EXIT_ERROR.
 * Context: blocks.
 */
int connect_run(const struct connect_options *options, struct fail *why);

#endif
