/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of virtio-mmio and of split virtqueues, as Linux does it:
 * only through virtio_mmio_read() and virtio_mmio_write(), and guest memory.
 *
 * Fast (no allocation after the set-up, no system call of its own) and easily
 * made to break rules: the areas are at hand as struct members, and the raw
 * helpers write whatever they are told.
 *
 * One thread plays the driver of one queue; it may be another than the one
 * that plays the device. To go on with another device on the same memory, as
 * after a restore, set driver->vdev.
 */
#ifndef WHERRY_TESTS_FAKE_DRIVER_H
#define WHERRY_TESTS_FAKE_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/fake/guest.h"
#include "virtio/device.h"
#include "virtio/mmio.h"
#include "virtio/queue.h"

/* Entries of each prepared indirect table. */
#define FAKE_TABLE_MAX 32u
/* fake_add(): no indirect table. */
#define FAKE_ALL_DIRECT 65535u

struct fake_driver;

/** struct fake_seg - a buffer in guest memory; not checked to lie in RAM */
struct fake_seg {
	gpa_t gpa;
	uint32_t len;
};

/**
 * struct fake_used - a chain that the device has returned
 * @head: its first descriptor
 * @len: bytes written, says the device
 * @token: what fake_add() was given
 */
struct fake_used {
	uint16_t head;
	uint32_t len;
	void *token;
};

/**
 * struct fake_queue - the driver's side of a virtqueue
 * @driver: its driver
 * @index: queue number
 * @size: entries; 0: not set up
 * @event_idx: EVENT_IDX was negotiated
 * @interrupts: the driver wants interrupts
 * @avail_idx: free-running index of the next available entry
 * @kicked: @avail_idx at the last fake_kick()
 * @used_seen: free-running index of the next used entry to look at
 * @free_head: first free descriptor
 * @free_num: how many are free
 * @desc: descriptor area
 * @avail: driver area
 * @used: device area
 * @desc_gpa: where @desc lies
 * @avail_gpa: where @avail lies
 * @used_gpa: where @used lies
 * @table_gpa: FAKE_TABLE_MAX descriptors for each head
 * @area_size: entries that the areas were allocated for
 * @slot: bookkeeping per descriptor: @next as the driver remembers it (the
 *     table in guest memory may be broken on purpose); and per chain, at its
 *     head: last descriptor, length, writable bytes, token, whether the device
 *     has it
 */
struct fake_queue {
	struct fake_driver *driver;
	unsigned int index;
	uint16_t size;
	bool event_idx;
	bool interrupts;
	uint16_t avail_idx;
	uint16_t kicked;
	uint16_t used_seen;
	uint16_t free_head;
	uint16_t free_num;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	gpa_t desc_gpa;
	gpa_t avail_gpa;
	gpa_t used_gpa;
	gpa_t table_gpa;
	uint16_t area_size;
	struct {
		uint16_t next;
		uint16_t last;
		uint16_t count;
		bool in_flight;
		uint32_t in_len;
		void *token;
	} slot[VIRTQ_SIZE_MAX];
};

/**
 * struct fake_driver - the driver of one device
 * @guest: RAM
 * @vdev: the device
 * @features: accepted
 * @doorbell_direct: queues notify by host_ops->kick(), as KVM's ioeventfd
 *     does, without the register file and its lock (but for queues in
 *     ops->exact_notify, which have no ioeventfd)
 * @queue: the queues
 */
struct fake_driver {
	struct fake_guest *guest;
	struct virtio_device *vdev;
	uint64_t features;
	bool doorbell_direct;
	struct fake_queue queue[VIRTIO_QUEUES_MAX];
};

/** fake_driver_init() - a driver that has not touched the device yet */
void fake_driver_init(struct fake_driver *driver, struct fake_guest *guest,
		      struct virtio_device *vdev);

/** fake_read() - Return: a 32-bit register */
uint32_t fake_read(struct fake_driver *driver, uint32_t offset);
/** fake_write() - write a 32-bit register */
void fake_write(struct fake_driver *driver, uint32_t offset, uint32_t value);
/** fake_offered() - Return: the feature bits the device offers */
uint64_t fake_offered(struct fake_driver *driver);

/**
 * fake_probe() - all steps of section 3.1.1, up to DRIVER_OK
 * @want: features taken where offered
 * @size: of each queue, unless QueueSizeMax is less
 *
 * Return: 0; -ENODEV: not a virtio-mmio device; -EOPNOTSUPP: FEATURES_OK did
 * not stick; -EIO: a queue did not become ready.
 */
int fake_probe(struct fake_driver *driver, uint64_t want, uint16_t size);

/* The steps of fake_probe(), in order, for tests that stop between them. */
void fake_reset(struct fake_driver *driver);
int fake_negotiate(struct fake_driver *driver, uint64_t want);
int fake_queue_setup(struct fake_driver *driver, unsigned int index,
		     uint16_t size);
void fake_driver_ok(struct fake_driver *driver);
/** fake_status_add() - set bits of the status register */
void fake_status_add(struct fake_driver *driver, uint32_t bits);

/**
 * fake_add() - make a chain available, publish it; does not kick
 * @seg: @out device-readable segments, then @in device-writable ones
 * @direct: that many of them get direct descriptors, the rest stand in an
 *     indirect table of up to FAKE_TABLE_MAX; FAKE_ALL_DIRECT: no table
 * @token: comes back with the used element
 *
 * Return: the head, or -ENOSPC when descriptors are short.
 */
int fake_add(struct fake_queue *q, const struct fake_seg *seg, unsigned int out,
	     unsigned int in, unsigned int direct, void *token);

/**
 * fake_kick() - notify the device of what was added, if it wants to know
 * Return: whether the doorbell was rung.
 */
bool fake_kick(struct fake_queue *q);
/** fake_notify() - ring the doorbell, wanted or not */
void fake_notify(struct fake_queue *q);

/**
 * fake_harvest() - take the next used element, free its descriptors
 *
 * Return: 1; 0 when there is none; -EPROTO when the device returned a chain
 * that it did not have, or claims more bytes than the chain can take.
 */
int fake_harvest(struct fake_queue *q, struct fake_used *used);

/** fake_in_flight() - Return: descriptors of chains that the device has */
unsigned int fake_in_flight(const struct fake_queue *q);

/**
 * fake_interrupts_on() - ask for an interrupt at the next used element
 * Return: true when there is one already.
 */
bool fake_interrupts_on(struct fake_queue *q);
void fake_interrupts_off(struct fake_queue *q);

/**
 * fake_isr() - what an interrupt handler does first: read InterruptStatus and
 * acknowledge it
 * Return: the bits that were set.
 */
uint32_t fake_isr(struct fake_driver *driver);

/* Raw: no bookkeeping, any values. */

/** fake_desc_set() - write a descriptor of the queue's table */
void fake_desc_set(struct fake_queue *q, uint16_t i, gpa_t gpa, uint32_t len,
		   uint16_t flags, uint16_t next);
/** fake_table_set() - write entry @i of an indirect table anywhere in RAM */
void fake_table_set(struct fake_driver *driver, gpa_t table, unsigned int i,
		    gpa_t gpa, uint32_t len, uint16_t flags, uint16_t next);
/** fake_avail_put() - write the next available entry and publish it */
void fake_avail_put(struct fake_queue *q, uint16_t head);
/** fake_avail_idx_set() - store avail.idx */
void fake_avail_idx_set(struct fake_queue *q, uint16_t idx);
/** fake_used_event_set() - ask for an interrupt once used.idx passes @idx */
void fake_used_event_set(struct fake_queue *q, uint16_t idx);
/** fake_avail_event() - Return: the entry the device wants a doorbell for */
uint16_t fake_avail_event(const struct fake_queue *q);
/** fake_used_idx() - Return: used.idx, with acquire semantics */
uint16_t fake_used_idx(const struct fake_queue *q);

#endif
