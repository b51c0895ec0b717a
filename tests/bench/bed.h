/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bed: the processes among which one measure is taken.
 */
#ifndef WHERRY_TESTS_BENCH_BED_H
#define WHERRY_TESTS_BENCH_BED_H

#include "tests/bench/app.h"
#include "tests/bench/bench.h"
#include "tests/bench/device.h"
#include "tests/bench/worker.h"

/**
 * enum bed_kind - between whom
 * @BED_OURS: host application, our device, guest
 * @BED_AF_UNIX: two applications and AF_UNIX sockets
 * @BED_PEER: host application, somebody else's device, guest
 */
enum bed_kind {
	BED_OURS,
	BED_AF_UNIX,
	BED_PEER,
	BED_KINDS,
};

/**
 * struct bed - the processes
 * @kind: which
 * @measure: what they do
 * @app: the host application; of two, the one that begins
 * @other: the guest, or the second application
 * @device: the device's process; pid 0 if it is not ours to end
 * @device_pid: the same, to ask for its CPU time; 0: none
 * @guest_begins: the guest's application begins, not the host's
 * @foreign: the device was there before; its socket is not ours to remove
 * @uds: the device's host side
 * @listen_path: where host applications listen
 */
struct bed {
	enum bed_kind kind;
	const struct bench_measure *measure;
	struct worker app;
	struct worker other;
	struct worker device;
	pid_t device_pid;
	bool guest_begins;
	bool foreign;
	char uds[108];
	char listen_path[124];
};

/**
 * struct bed_result - of one round
 * @value: in the measure's unit
 * @cpu_s_per_gib: of the device; 0 where it does not apply
 */
struct bed_result {
	double value;
	double cpu_s_per_gib;
};

/** bed_start() - Return: 0; -ETIMEDOUT, -EPIPE as worker_wait() */
int bed_start(struct bed *bed, enum bed_kind kind,
	      const struct bench_measure *measure,
	      const struct bench_options *options);
/** bed_round() - one round. Return: as bed_start() */
int bed_round(struct bed *bed, const struct bench_options *options,
	      struct bed_result *result);
/** bed_stop() - ends all its processes; safe on a zeroed struct */
void bed_stop(struct bed *bed);

#endif
