// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Address bus: owns a sorted table of address ranges.
 *
 * Filled by the machine on the main thread; searched by all vCPU threads at
 * once. It never changes while they run, so there is no lock, and no cache of
 * the last hit either: with a dozen ranges that would cost more in cache lines
 * bounced between vCPUs than the search does.
 */
#include "devices/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The first range that ends at or behind @addr, or count. */
static unsigned int find_slot(const struct bus *bus, uint64_t addr)
{
	unsigned int low = 0;
	unsigned int high = bus->count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct bus_range *range = &bus->range[mid];

		if (range->base + (range->size - 1) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int bus_add(struct bus *bus, const struct bus_range *range, struct fail *why)
{
	unsigned int slot;
	uint64_t last;

	if (!range->size ||
	    __builtin_add_overflow(range->base, range->size - 1, &last))
		return fail(why, -EINVAL, "%s: bad address range: %#" PRIx64
			    " bytes at %#" PRIx64, range->name, range->size,
			    range->base);
	slot = find_slot(bus, range->base);
	if (slot < bus->count && bus->range[slot].base <= last)
		return fail(why, -EEXIST, "%s at %#" PRIx64 " to %#" PRIx64
			    " overlaps %s at %#" PRIx64 " to %#" PRIx64,
			    range->name, range->base, last,
			    bus->range[slot].name, bus->range[slot].base,
			    bus->range[slot].base +
			    (bus->range[slot].size - 1));
	if (bus->count == BUS_RANGES_MAX)
		return fail(why, -ENOSPC, "%s: more than %d address ranges",
			    range->name, BUS_RANGES_MAX);
	memmove(&bus->range[slot + 1], &bus->range[slot],
		(bus->count - slot) * sizeof(bus->range[0]));
	bus->range[slot] = *range;
	bus->count++;
	return 0;
}

/* The range that has all of @len bytes at @addr, or NULL. */
static const struct bus_range *find(const struct bus *bus, uint64_t addr,
				    unsigned int len)
{
	unsigned int slot = find_slot(bus, addr);
	const struct bus_range *range = &bus->range[slot];

	if (slot == bus->count || addr < range->base ||
	    len > range->size - (addr - range->base))
		return NULL;
	return range;
}

bool bus_read(const struct bus *bus, uint64_t addr, void *data,
	      unsigned int len)
{
	const struct bus_range *range = find(bus, addr, len);

	if (!range || !range->read) {
		memset(data, 0xff, len);
		return false;
	}
	range->read(range->opaque, addr - range->base, data, len);
	return true;
}

bool bus_write(const struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len)
{
	const struct bus_range *range = find(bus, addr, len);

	if (!range || !range->write)
		return false;
	range->write(range->opaque, addr - range->base, data, len);
	return true;
}
