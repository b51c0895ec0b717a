// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest physical memory: turns guest addresses into host pointers, checked.
 *
 * Called by devices on the loop thread and by the machine on the main thread.
 * The regions are constant while a guest exists, so there is no lock.
 */
#include "virtio/memory.h"

#include <errno.h>
#include <string.h>

void *guest_memory_at(const struct guest_memory *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->region[i];
		/* Below the region this wraps to more than any size. */
		uint64_t off = gpa - r->gpa;

		if (off < r->size)
			return len <= r->size - off ? r->host + off : NULL;
	}
	return NULL;
}

int guest_memory_read(const struct guest_memory *mem, gpa_t gpa, void *buf,
		      size_t len)
{
	const void *from = guest_memory_at(mem, gpa, len);

	if (!from)
		return -EFAULT;
	memcpy(buf, from, len);
	return 0;
}

int guest_memory_write(const struct guest_memory *mem, gpa_t gpa,
		       const void *buf, size_t len)
{
	void *to = guest_memory_at(mem, gpa, len);

	if (!to)
		return -EFAULT;
	memcpy(to, buf, len);
	return 0;
}

uint64_t guest_memory_total(const struct guest_memory *mem)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < mem->count; i++)
		total += mem->region[i].size;
	return total;
}
