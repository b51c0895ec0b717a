/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generic event device of a hardware-reduced ACPI machine (ACPI 6.5, 5.6.9):
 * one interrupt, and one register that says what for.
 */
#ifndef WHERRY_DEVICES_GED_H
#define WHERRY_DEVICES_GED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/state.h"

/* Bytes of address space; the register is all of it. */
#define GED_SIZE	4u

/* What has happened: bits of the register, known to the guest's tables. */
#define GED_POWER_BUTTON	(1u << 0)
#define GED_NEW_GENERATION	(1u << 1)
#define GED_EVENTS_ALL		(GED_POWER_BUTTON | GED_NEW_GENERATION)

/**
 * struct ged - set @line and @opaque by ged_init()
 * @lock: held for @pending, and while the line follows it
 * @pending: GED_*: what the guest has not read yet
 * @line: the level of the interrupt; under @lock, must not block
 * @opaque: for @line
 *
 * The line is high while anything is pending and reading takes everything, so
 * an event from before the guest had a driver waits for it.
 */
struct ged {
	pthread_mutex_t lock;
	uint32_t pending;
	void (*line)(void *opaque, bool high);
	void *opaque;
};

/** ged_init() - nothing is pending; the line is taken to be low */
void ged_init(struct ged *ged, void (*line)(void *opaque, bool high),
	      void *opaque);
void ged_destroy(struct ged *ged);

/** ged_raise() - @events (GED_*) have happened. Context: any thread */
void ged_raise(struct ged *ged, uint32_t events);

/**
 * ged_read() - for struct bus_range; @opaque: struct ged; vCPU thread
 *
 * All four bytes at once take the events; anything else reads 0.
 */
void ged_read(void *opaque, uint64_t offset, void *data, unsigned int len);
/** ged_write() - for struct bus_range: ignored */
void ged_write(void *opaque, uint64_t offset, const void *data,
	       unsigned int len);

/** ged_save() - into the open node. Context: no vCPU runs */
void ged_save(struct ged *ged, struct state_writer *w);
/**
 * ged_load() - from the node that ged_save() wrote into
 *
 * Sets the line, so the irqchip has to be there. Context: before any vCPU runs.
 *
 * Return: 0, or negative errno with the reason and the device as it was.
 */
int ged_load(struct ged *ged, struct state_node *node, struct fail *why);

#endif
