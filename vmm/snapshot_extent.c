// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots on disk, writing: which memory is worth reading.
 *
 * Called by snapshot_write.c on the thread that saves, vCPUs parked and devices
 * at rest. Owns a descriptor of /proc/self/pagemap while it is used.
 *
 * Theory. To read a page that the guest never touched is to allocate it: a page
 * of the memfd, or one of zeros in the page cache of the file that a restored
 * guest runs from. So holes are asked for, of which there are two kinds:
 *
 *  - Memory of a guest that was booted is a shared mapping of its memfd. A hole
 *    there was never touched.
 *  - Memory of a guest that was restored is a private mapping of a snapshot's
 *    file. A hole there was zeros when the guest was saved, but it may have been
 *    written to since: such a page is the process's own, in memory or swapped
 *    out, and the page tables know it.
 *
 * Where neither can be found out, everything counts as data.
 */
#include <fcntl.h>
#include <unistd.h>

#include "vmm/snapshot_internal.h"

#define PAGE		4096u
/*
 * Linux, Documentation/admin-guide/mm/pagemap.rst. Not present and not swapped:
 * never touched. Present, but of the file: not written to.
 */
#define PAGEMAP_PRESENT	(UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED	(UINT64_C(1) << 62)
#define PAGEMAP_FILE	(UINT64_C(1) << 61)

void snapshot_extents_begin(struct snapshot_extents *e,
			    const struct snapshot_job *job)
{
	*e = (struct snapshot_extents){ .fd = job->memory_fd, .pagemap = -1 };
	if (e->fd < 0 || !job->image)
		return;
	e->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (e->pagemap < 0)
		e->fd = -1;
}

void snapshot_extents_end(struct snapshot_extents *e)
{
	if (e->pagemap >= 0)
		close(e->pagemap);
	e->pagemap = -1;
}

void snapshot_extents_region(struct snapshot_extents *e,
			     const struct guest_region *r, uint64_t start)
{
	e->host = r->host;
	e->start = start;
	e->count = 0;
}

/* Is the page of the file's byte @at the process's own? */
static bool is_own(struct snapshot_extents *e, uint64_t at)
{
	uint64_t page = ((uintptr_t)e->host + (at - e->start)) / PAGE;
	uint64_t entry;

	if (page < e->first || page - e->first >= e->count) {
		ssize_t got = pread(e->pagemap, e->entry, sizeof(e->entry),
				    (off_t)(page * sizeof(e->entry[0])));

		e->first = page;
		e->count = got > 0 ? (unsigned int)got / sizeof(entry) : 0;
		if (!e->count)
			return true;
	}
	entry = e->entry[page - e->first];
	return (entry & PAGEMAP_SWAPPED) ||
	       ((entry & PAGEMAP_PRESENT) && !(entry & PAGEMAP_FILE));
}

/* The next page from @at on, within a hole of the file, that is our own or not. */
static uint64_t next_page(struct snapshot_extents *e, uint64_t at,
			  uint64_t end, bool own)
{
	while (at < end && is_own(e, at) != own)
		at += PAGE - at % PAGE;
	return at < end ? at : end;
}

uint64_t snapshot_extents_data(struct snapshot_extents *e, uint64_t at,
			       uint64_t end)
{
	uint64_t data = snapshot_next_data(e->fd, at, end);

	return e->pagemap < 0 ? data : next_page(e, at, data, true);
}

uint64_t snapshot_extents_hole(struct snapshot_extents *e, uint64_t at,
			       uint64_t end)
{
	uint64_t data, hole;

	if (e->pagemap < 0)
		return snapshot_next_hole(e->fd, at, end);
	while (at < end) {
		data = snapshot_next_data(e->fd, at, end);
		hole = next_page(e, at, data, false);
		if (hole < data)
			return hole;
		at = data < end ? snapshot_next_hole(e->fd, data, end) : end;
	}
	return end;
}
