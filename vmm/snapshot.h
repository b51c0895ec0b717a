/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots on disk: a directory of `manifest`, `state.dtb` and `memory`.
 *
 * `memory` holds the guest's regions in order, back to back; pages of zeros
 * are holes. What `state.dtb` says is the machine's business.
 */
#ifndef WHERRY_VMM_SNAPSHOT_H
#define WHERRY_VMM_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/memory.h"
#include "virtio/state.h"
#include "vmm/image.h"
#include "vmm/manifest.h"

/**
 * struct snapshot_stats - what was written
 * @memory_bytes: RAM of the guest
 * @memory_written: thereof not zero, page by page
 * @state_bytes: length of state.dtb
 */
struct snapshot_stats {
	uint64_t memory_bytes;
	uint64_t memory_written;
	uint64_t state_bytes;
};

/**
 * enum snapshot_phase - what of saving or verifying takes its time
 * @SNAPSHOT_COPYING: memory goes to its file; the guest stands still
 * @SNAPSHOT_SYNCING: the file goes to stable storage
 * @SNAPSHOT_VERIFYING: the file is read
 * @SNAPSHOT_PHASES: how many
 */
enum snapshot_phase {
	SNAPSHOT_COPYING,
	SNAPSHOT_SYNCING,
	SNAPSHOT_VERIFYING,
	SNAPSHOT_PHASES
};

/** snapshot_phase_name() - "copying", "syncing", "verifying" */
const char *snapshot_phase_name(enum snapshot_phase phase);

/**
 * typedef snapshot_progress_fn - how far it is
 * @done: bytes of memory, holes included, that are behind it
 * @total: bytes of memory
 *
 * Called every megabyte or so, on the thread that works.
 *
 * Return: 0 to go on; a negative errno to give up with.
 */
typedef int snapshot_progress_fn(void *opaque, enum snapshot_phase phase,
				 uint64_t done, uint64_t total);

/**
 * struct snapshot_job - what to save, and how
 * @path: the snapshot's directory
 * @state: a tree that passed state_check()
 * @state_len: its length, bytes
 * @memory: the guest's RAM, which nobody writes meanwhile
 * @memory_fd: what @memory is a mapping of, regions in order, back to back
 *     (vm.memory_fd), or -1. With it, memory that the guest never touched is
 *     neither read nor, by being read, allocated
 * @image: the mapping is a private one of this: what was written to is not
 *     there; NULL: it is not. One that was changed meanwhile is not saved
 * @copied: called when @memory has been copied, before the long wait for
 *     stable storage: the guest may run on. Not called when that fails; NULL:
 *     not called
 * @progress: how far it is; NULL: not called
 * @reached: called when a step is done, for tests; NULL: not called
 * @opaque: handed to @copied, @progress and @reached
 */
struct snapshot_job {
	const char *path;
	const void *state;
	size_t state_len;
	const struct guest_memory *memory;
	int memory_fd;
	const struct image *image;
	void (*copied)(void *opaque);
	snapshot_progress_fn *progress;
	void (*reached)(void *opaque, const char *step);
	void *opaque;
};

/**
 * snapshot_write_job() - write a snapshot, atomically
 * @job: see there
 * @stats: what was written; NULL: nobody wants to know
 *
 * An existing snapshot is replaced, an empty directory too; a directory with
 * anything else in it is not. On failure, or a crash at any point, the old
 * snapshot is there whole, or none. A new one is on stable storage before this
 * returns. Saving onto the snapshot that the guest was restored from is safe:
 * its files are never written to, and mappings of them stay good.
 *
 * Context: any thread; vCPUs and devices at rest until job->copied(). The
 * process ignores SIGXFSZ, or a file size limit kills it.
 *
 * Return: 0 or negative errno; the reason names the path.
 */
int snapshot_write_job(const struct snapshot_job *job,
		       struct snapshot_stats *stats, struct fail *why);

/** snapshot_write() - snapshot_write_job() without a memory_fd */
int snapshot_write(const char *path, const void *state, size_t len,
		   const struct guest_memory *mem,
		   struct snapshot_stats *stats, struct fail *why);

/**
 * struct snapshot - one that is open; not to be copied
 * @manifest: its manifest
 * @state: state.dtb, in private memory
 * @state_len: its length, bytes
 * @root: where to start reading it
 * @memory_fd: `memory`, read-only; map it MAP_PRIVATE
 * @memory_size: its length, which is the guest's RAM, bytes
 */
struct snapshot {
	struct manifest manifest;
	void *state;
	size_t state_len;
	struct state_node root;
	int memory_fd;
	uint64_t memory_size;
};

/**
 * snapshot_open() - open a snapshot of this architecture
 * @path: its directory
 *
 * Checks manifest and state.dtb in full, but `memory` by its length alone, so
 * that the time does not depend on it. Errors name the file, what was found
 * and what was expected.
 *
 * Return: 0 or negative errno with the reason; there is nothing to close then.
 * -EBADMSG: a checksum is wrong; -ENOTSUP: another format or architecture.
 */
int snapshot_open(const char *path, struct snapshot *snapshot,
		  struct fail *why);

/** snapshot_close() - @memory_fd and @state are gone, mappings stay */
void snapshot_close(struct snapshot *snapshot);

/**
 * snapshot_verify() - read all of `memory`, compare its checksum
 * @progress: how far it is; NULL: not called
 * @opaque: for @progress
 *
 * Takes a time that depends on how much of it is not zero.
 *
 * Return: 0; -EBADMSG: it was changed; other negative errno. Context: any
 * thread.
 */
int snapshot_verify(const struct snapshot *snapshot,
		    snapshot_progress_fn *progress, void *opaque,
		    struct fail *why);

#endif
