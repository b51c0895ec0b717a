/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of snapshot.h share; for snapshot*.c alone.
 */
#ifndef WHERRY_VMM_SNAPSHOT_INTERNAL_H
#define WHERRY_VMM_SNAPSHOT_INTERNAL_H

#include <limits.h>
#include <stdbool.h>

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
 * @dir: the temporary directory, locked
 * @ours: @temp is still what we made
 */
struct snapshot_place {
	const struct snapshot_job *job;
	char name[NAME_MAX + 1];
	char temp[NAME_MAX + 1];
	int parent;
	int dir;
	bool ours;
};

/**
 * snapshot_place_begin() - make the temporary directory
 *
 * Refuses at once, before anything is written, what could not be replaced in
 * the end. Removes what crashed saves of the same name have left.
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
