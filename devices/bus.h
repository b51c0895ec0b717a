/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address bus: which device answers at which address. One for MMIO, one for
 * port I/O. Filled before vCPUs run, constant afterwards: no lock.
 */
#ifndef WHERRY_DEVICES_BUS_H
#define WHERRY_DEVICES_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/fail.h"

#define BUS_RANGES_MAX 32

/**
 * struct bus_range - a run of addresses and who answers there
 * @base: first address
 * @size: bytes, not 0; the last address is at most 2^64 - 1
 * @name: for messages; must outlive the bus
 * @read: fill @len (1, 2, 4 or 8) bytes at @offset into the range; vCPU thread
 * @write: the opposite
 * @opaque: for both
 */
struct bus_range {
	uint64_t base;
	uint64_t size;
	const char *name;
	void (*read)(void *opaque, uint64_t offset, void *data,
		     unsigned int len);
	void (*write)(void *opaque, uint64_t offset, const void *data,
		      unsigned int len);
	void *opaque;
};

/**
 * struct bus - an empty one is all zero
 * @count: how many of @range are in use
 * @range: ascending and disjoint
 */
struct bus {
	unsigned int count;
	struct bus_range range[BUS_RANGES_MAX];
};

/**
 * bus_add() - let a device answer at a run of addresses
 * @range: copied
 *
 * Return: 0; -EEXIST naming both ranges when it overlaps one; -ENOSPC; -EINVAL
 * when it is empty or wraps round.
 */
int bus_add(struct bus *bus, const struct bus_range *range, struct fail *why);

/**
 * bus_read() - a vCPU reads
 *
 * An access that is not wholly inside one range is answered by nobody.
 *
 * Return: whether anybody answered; if not, @data is all ones.
 */
bool bus_read(const struct bus *bus, uint64_t addr, void *data,
	      unsigned int len);
/** bus_write() - a vCPU writes. Return: whether anybody listened. */
bool bus_write(const struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len);

#endif
