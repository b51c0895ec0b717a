/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of snapshot.h share; for snapshot*.c alone.
 */
#ifndef WHERRY_VMM_SNAPSHOT_INTERNAL_H
#define WHERRY_VMM_SNAPSHOT_INTERNAL_H

#include <limits.h>
#include <stdbool.h>

#include "devices/dir_lock.h"
#include "vmm/snapshot.h"

/* The files of a snapshot. */
#define SNAPSHOT_MANIFEST	"manifest"
#define SNAPSHOT_STATE		"state.dtb"
#define SNAPSHOT_MEMORY		"memory"

/**
 * snapshot_next_data() - skip a hole
 * @fd: a file; -1: one without holes
 * @at: where to start, bytes
 * @end: where to stop
 *
 * Return: the first byte from @at on that is in no hole; @end if there is none.
 */
uint64_t snapshot_next_data(int fd, uint64_t at, uint64_t end);

/**
 * snapshot_next_hole() - the end of the data that @at lies in; at most @end
 */
uint64_t snapshot_next_hole(int fd, uint64_t at, uint64_t end);

/* Read of the page tables at once. */
#define SNAPSHOT_EXTENT_PAGES	1024u

/**
 * struct snapshot_extents - where memory may be other than zero
 * @fd: what memory is a mapping of; -1: nothing is known of its holes
 * @pagemap: tells which pages of a private mapping are our own; -1: none are
 * @host: the region that is looked at
 * @start: where it lies in the file
 * @first: number of the first page in @entry
 * @count: how many
 * @entry: as read from @pagemap
 */
struct snapshot_extents {
	int fd;
	int pagemap;
	const uint8_t *host;
	uint64_t start;
	uint64_t first;
	unsigned int count;
	uint64_t entry[SNAPSHOT_EXTENT_PAGES];
};

/** snapshot_extents_begin() - for the memory of @job; a region comes next */
void snapshot_extents_begin(struct snapshot_extents *e,
			    const struct snapshot_job *job);
/** snapshot_extents_end() - gives back what begin() took; never fails */
void snapshot_extents_end(struct snapshot_extents *e);
/** snapshot_extents_region() - @r is next, at @start of the file */
void snapshot_extents_region(struct snapshot_extents *e,
			     const struct guest_region *r, uint64_t start);
/**
 * snapshot_extents_data() - skip what is known to be zero
 * @at: where to start, bytes from the start of the file; in the region
 * @end: where to stop
 *
 * Return: the first byte from @at on that is to be read; @end if there is none.
 */
uint64_t snapshot_extents_data(struct snapshot_extents *e, uint64_t at,
			       uint64_t end);
/** snapshot_extents_hole() - Return: where that which is to be read ends */
uint64_t snapshot_extents_hole(struct snapshot_extents *e, uint64_t at,
			       uint64_t end);

/** snapshot_reached() - tell the job that a step is done */
static inline void snapshot_reached(const struct snapshot_job *job,
				    const char *step)
{
	if (job->reached)
		job->reached(job->opaque, step);
}

/**
 * struct snapshot_place - a directory on its way to its place
 * @job: whose
 * @name: last part of the path
 * @temp: name of the temporary directory
 * @parent: the directory of both
 * @lock: on @parent, when something there is put into place or removed
 * @dir: the temporary directory, locked
 * @ours: @temp is still what we made
 */
struct snapshot_place {
	const struct snapshot_job *job;
	char name[NAME_MAX + 1];
	char temp[NAME_MAX + 1];
	int parent;
	struct dir_lock lock;
	int dir;
	bool ours;
};

/**
 * snapshot_place_begin() - make the temporary directory
 *
 * Refuses at once, before anything is written, what could not be replaced in
 * the end, and a directory above that could not be locked. Removes what crashed
 * saves have left there.
 *
 * Return: 0 or negative errno with the reason; nothing to end then.
 */
int snapshot_place_begin(struct snapshot_place *p,
			 const struct snapshot_job *job, struct fail *why);

/**
 * snapshot_place_commit() - put the directory, complete and synced, into place
 *
 * Return: 0: it is there, on stable storage; or negative errno with the
 * reason: what was there before is there again.
 */
int snapshot_place_commit(struct snapshot_place *p, struct fail *why);

/** snapshot_place_end() - clean up, after success or failure */
void snapshot_place_end(struct snapshot_place *p);

#endif
