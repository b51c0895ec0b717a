/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of virtio/ stand on: a guest, a device that does nothing but
 * count, its host and its driver.
 */
#ifndef WHERRY_TESTS_UNIT_VIRTIO_BED_H
#define WHERRY_TESTS_UNIT_VIRTIO_BED_H

#include <string.h>

#include "tests/unit/runner.h"
#include "tests/fake/driver.h"
#include "tests/fake/guest.h"
#include "tests/fake/host.h"

#define BED_QUEUES	3u
#define BED_QUEUE_SIZE	16u
#define BED_RAM		(1u << 20)
#define BED_ID		0x2au
#define BED_CONFIG_LEN	12u
/* A feature bit of the device type. */
#define BED_F_OWN	5
#define BED_FEATURES	(VIRTIO_BIT(BED_F_OWN))
#define BED_ALL		UINT64_MAX

/**
 * struct bed_own - the counting device's own saved state
 * @small: at most 99
 * @large: any value
 */
struct bed_own {
	uint16_t small;
	uint64_t large;
};

/**
 * struct bed_device - a device that counts what it is asked
 * @vdev: its transport
 * @own: its own saved state
 * @config: its configuration space; the driver may write it
 * @status_changes: calls of status_changed()
 * @notified: calls of queue_notify() by queue
 * @loads: calls of loaded()
 * @loaded_result: what loaded() is to return
 * @notify: if set, called by queue_notify()
 */
struct bed_device {
	struct virtio_device vdev;
	struct bed_own own;
	uint8_t config[BED_CONFIG_LEN];
	unsigned int status_changes;
	unsigned int notified[BED_QUEUES];
	unsigned int loads;
	int loaded_result;
	void (*notify)(struct virtio_device *vdev, unsigned int queue);
};

/**
 * struct bed - the whole
 * @guest: RAM of BED_RAM bytes below and above the hole
 * @device: the device, hosted by @host
 * @host: its host
 * @driver: its driver, which has done nothing yet
 * @q: the device's side of queue 0
 * @dq: the driver's side of queue 0
 * @page: a page of RAM to point at
 */
struct bed {
	struct fake_guest guest;
	struct bed_device device;
	struct fake_host host;
	struct fake_driver driver;
	struct virtq *q;
	struct fake_queue *dq;
	gpa_t page;
};

extern struct bed bed;

/** bed_device_init() - another device of the same type, on bed's memory */
void bed_device_init(struct bed_device *device);
/** bed_setup() - fixture: @bed as it is after power-on */
void bed_setup(void);
/** bed_setup_live() - fixture: probed, with all features */
void bed_setup_live(void);
/** bed_setup_plain() - fixture: probed, with VERSION_1 and nothing else */
void bed_setup_plain(void);
void bed_teardown(void);

/** bed_fill() - make @count chains of one writable byte available in @dq */
void bed_fill(struct fake_queue *dq, unsigned int count);
/** bed_pop() - pop one chain that must be there; Return: its head */
uint16_t bed_pop(struct virtq *q);
/** bed_use() - pop @count chains and push them back with length 0 */
void bed_use(struct virtq *q, unsigned int count);

#endif
