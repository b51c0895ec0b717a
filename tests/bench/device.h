/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device processes: ours, and the front-end to somebody else's.
 */
#ifndef WHERRY_TESTS_BENCH_DEVICE_H
#define WHERRY_TESTS_BENCH_DEVICE_H

#include "tests/bench/bench.h"
#include "tests/bench/worker.h"

/**
 * struct device_order - what to run
 * @measure: for the guest
 * @queue_size: of the virtqueues
 * @path: our device: where its host side is to be
 * @vhost_user: another device's vhost-user socket
 * @guest_ctl: the guest's control socket, for device_main()
 */
struct device_order {
	const struct bench_measure *measure;
	unsigned int queue_size;
	const char *path;
	const char *vhost_user;
	int guest_ctl;
};

/**
 * device_main() - a worker_fn: our device; it forks the guest off
 * @arg: struct device_order
 *
 * Ends at SIGTERM, and takes the guest along.
 */
void device_main(int ctl, void *arg);

/**
 * vhost_user_main() - a worker_fn: the guest, attached to another device
 * @arg: struct device_order
 */
void vhost_user_main(int ctl, void *arg);

#endif
