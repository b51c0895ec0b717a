/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `wherry inspect`: what is in a snapshot.
 */
#ifndef WHERRY_VMM_INSPECT_H
#define WHERRY_VMM_INSPECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "virtio/fail.h"
#include "vmm/snapshot.h"

/**
 * struct inspect_options - what to show
 * @path: directory of the snapshot
 * @json: one line of JSON even on a terminal
 * @verify: read all of its memory, compare the checksum
 * @out: where it goes: on a terminal for people, else as one line of JSON
 * @progress_fd: where a bar is drawn while verifying, if it is a terminal
 */
struct inspect_options {
	const char *path;
	bool json;
	bool verify;
	FILE *out;
	int progress_fd;
};

/**
 * inspect_run() - open a snapshot, check it, print what is in it
 *
 * What the memory holds is checked with @verify only; the rest always is.
 * Parts that this program does not know are passed over: whether it can restore
 * them is not said.
 *
 * Return: exit status of the process: 0, or MACHINE_EXIT_ERROR with the reason.
 */
int inspect_run(const struct inspect_options *options, struct fail *why);

/**
 * inspect_describe() - what is in a snapshot, as JSON (wherry.1)
 * @snapshot: open
 *
 * Return: a new object; NULL with the reason.
 */
json_t *inspect_describe(struct snapshot *snapshot, struct fail *why);

#endif
