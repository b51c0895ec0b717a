/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many file descriptors a process may have, and who gets them.
 */
#ifndef WHERRY_VMM_DESCRIPTORS_H
#define WHERRY_VMM_DESCRIPTORS_H

#include "virtio/fail.h"
#include "vmm/control.h"
#include "vmm/machine.h"

/* The process without a machine: loop, signals, log, control socket. */
#define DESCRIPTORS_PROCESS	16u
/* A machine without a vsock connection, with all that an option can add. */
#define DESCRIPTORS_MACHINE	48u
/* Saving, verifying, loading: files and folders of a snapshot. */
#define DESCRIPTORS_SNAPSHOT	32u
/*
 * Kept from vsock connections at all times: for the control socket's clients
 * and one to be turned away, a machine that is built beside the one there is,
 * and snapshots.
 */
#define DESCRIPTORS_KEPT	(CONTROL_CLIENTS_MAX + 1u + \
				 DESCRIPTORS_MACHINE + DESCRIPTORS_SNAPSHOT)

/**
 * descriptors_prepare() - have as many as the options ask for
 * @options: connections= and clients= that were not given are filled in, fewer
 *     than by default if the hard limit gives no more (which is said); so is
 *     vsock.host.fds_max
 *
 * Raises the soft limit (RLIMIT_NOFILE) to what is needed, no further.
 *
 * Return: 0; -EMFILE: connections= or clients= is more than the hard limit
 * gives, the reason names it and how many it gives; or negative errno.
 * Context: before any thread exists.
 */
int descriptors_prepare(struct machine_options *options, struct fail *why);

#endif
