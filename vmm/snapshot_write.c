// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots on disk, writing: what the files hold. Where they go, and how they
 * get there all at once, is the business of snapshot_place.c.
 *
 * Called by machine_task.c on a thread of its own, vCPUs parked and devices at
 * rest until memory is copied; no locks, no state between calls.
 *
 * Memory is read, checksummed and written once, run by run while it is in the
 * cache. Zeros are neither written nor checksummed byte by byte. A page that
 * the guest never touched is not even read: snapshot_extent.c.
 *
 * What takes longest is stable storage. Memory goes there piece by piece, the
 * next one under way while one is waited for, so that somebody can be told how
 * far it is; fsync() has the last word.
 */
#include "vmm/snapshot_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arch.h"

/* What is zero is found out, and left out, in units of this. */
#define PAGE		4096u
/* Written and checksummed at once. */
#define CHUNK		(1u << 20)
/* Waited for at once on its way to stable storage. */
#define SYNC_PIECE	(UINT64_C(16) << 20)

/**
 * struct save - a snapshot being written
 * @job: what to save
 * @why: where reasons go
 * @dir: the temporary directory
 * @told: bytes that job->progress() has heard of
 * @zeros: bytes of zeros not in @crc yet
 * @crc: of the memory before
 * @manifest: so far
 * @stats: so far
 * @extents: of memory
 */
struct save {
	const struct snapshot_job *job;
	struct fail *why;
	int dir;
	uint64_t told;
	uint64_t zeros;
	uint32_t crc;
	struct manifest manifest;
	struct snapshot_stats stats;
	struct snapshot_extents extents;
};

/* errno as the reason. */
static int file_fail(const struct save *s, const char *name, const char *what)
{
	int err = errno;

	return fail(s->why, -err, "snapshot %s: cannot %s %s: %s",
		    s->job->path, what, name, strerror(err));
}

static int write_all(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t done = pwrite(fd, p, len, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done ? errno : EIO;
			return -1;
		}
		p += done;
		offset += done;
		len -= done;
	}
	return 0;
}

static int create_file(const struct save *s, const char *name, int *fd)
{
	*fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
		     O_CLOEXEC, 0600);
	return *fd < 0 ? file_fail(s, name, "create") : 0;
}

/* Sync and close; @ret is what came before. */
static int finish_file(const struct save *s, const char *name, int fd, int ret)
{
	if (!ret && fsync(fd))
		ret = file_fail(s, name, "sync");
	if (close(fd) && !ret)
		ret = file_fail(s, name, "close");
	if (!ret)
		snapshot_reached(s->job, name);
	return ret;
}

static int write_file(const struct save *s, const char *name, const void *data,
		      size_t len)
{
	int ret, fd;

	ret = create_file(s, name, &fd);
	if (ret)
		return ret;
	if (write_all(fd, data, len, 0))
		ret = file_fail(s, name, "write");
	return finish_file(s, name, fd, ret);
}

static bool page_is_zero(const uint8_t *page, size_t len)
{
	return !page[0] && !memcmp(page, page + 1, len - 1);
}

/* How many bytes from here, in whole pages, are zero, or are not? */
static size_t run_length(const uint8_t *p, size_t len, bool *zero)
{
	size_t run = 0;

	do {
		size_t page = len - run < PAGE ? len - run : PAGE;

		if (!run)
			*zero = page_is_zero(p, page);
		else if (page_is_zero(p + run, page) != *zero)
			break;
		run += page;
	} while (run < len);
	return run;
}

/*
 * What is missing from the file that memory is a mapping of reads as zeros, or
 * looks like a hole: only the file tells.
 */
static int check_image(const struct save *s)
{
	const struct image *image = s->job->image;
	int ret = image ? image_check(image, s->why) : 0;

	return ret ? fail_within(s->why, ret, "snapshot %s: not saved",
				 s->job->path) : 0;
}

/* Not for each page: in steps of a chunk. */
static int copied_up_to(struct save *s, uint64_t offset)
{
	int ret;

	if (offset - s->told < CHUNK)
		return 0;
	s->told = offset;
	ret = check_image(s);
	if (ret || !s->job->progress)
		return ret;
	ret = s->job->progress(s->job->opaque, SNAPSHOT_COPYING, offset,
			       guest_memory_total(s->job->memory));
	return ret ? fail(s->why, ret, "snapshot %s: given up: %s",
			  s->job->path, strerror(-ret)) : 0;
}

static int write_extent(struct save *s, int fd, const uint8_t *p, uint64_t len,
			uint64_t offset)
{
	int ret;

	while (len) {
		bool zero = false;
		size_t run = run_length(p, len < CHUNK ? len : CHUNK, &zero);

		if (zero) {
			s->zeros += run;
		} else {
			s->crc = crc32c_zeros(s->crc, s->zeros);
			s->zeros = 0;
			s->crc = crc32c(s->crc, p, run);
			s->stats.memory_written += run;
			if (write_all(fd, p, run, offset))
				return file_fail(s, SNAPSHOT_MEMORY, "write");
		}
		p += run;
		offset += run;
		len -= run;
		ret = copied_up_to(s, offset);
		if (ret)
			return ret;
	}
	return 0;
}

/* @start: where the region lies in the file. */
static int write_region(struct save *s, int fd, const struct guest_region *r,
			uint64_t start)
{
	uint64_t end = start + r->size;
	uint64_t at = start;
	uint64_t data, hole;
	int ret;

	snapshot_extents_region(&s->extents, r, start);
	while (at < end) {
		data = snapshot_extents_data(&s->extents, at, end);
		s->zeros += data - at;
		if (data == end)
			break;
		hole = snapshot_extents_hole(&s->extents, data, end);
		ret = write_extent(s, fd, r->host + (data - start),
				   hole - data, data);
		if (ret)
			return ret;
		at = hole;
	}
	return 0;
}

/*
 * An error that is told here is not told to fsync() again. Where the call is
 * not known, or not for such a file, fsync() does it all.
 */
static int sync_range(const struct save *s, int fd, uint64_t at,
		      unsigned int how)
{
	if (!sync_file_range(fd, at, SYNC_PIECE, how) || errno == ENOSYS ||
	    errno == EINVAL || errno == ESPIPE)
		return 0;
	return file_fail(s, SNAPSHOT_MEMORY, "sync");
}

static int sync_piece(const struct save *s, int fd, uint64_t at)
{
	int ret = sync_range(s, fd, at + SYNC_PIECE, SYNC_FILE_RANGE_WRITE);

	return ret ? ret : sync_range(s, fd, at, SYNC_FILE_RANGE_WAIT_BEFORE |
				      SYNC_FILE_RANGE_WRITE |
				      SYNC_FILE_RANGE_WAIT_AFTER);
}

static int sync_memory(const struct save *s, int fd)
{
	const struct snapshot_job *job = s->job;
	uint64_t total = s->stats.memory_bytes;
	int ret = 0;

	for (uint64_t at = 0; at < total && !ret && job->progress;
	     at += SYNC_PIECE) {
		ret = job->progress(job->opaque, SNAPSHOT_SYNCING, at, total);
		if (ret)
			return fail(s->why, ret, "snapshot %s: given up: %s",
				    job->path, strerror(-ret));
		ret = sync_piece(s, fd, at);
	}
	return ret;
}

static int write_memory(struct save *s)
{
	const struct guest_memory *memory = s->job->memory;
	uint64_t total = guest_memory_total(memory);
	uint64_t start = 0;
	int ret, fd;

	ret = create_file(s, SNAPSHOT_MEMORY, &fd);
	if (ret)
		return ret;
	if (ftruncate(fd, total))
		ret = file_fail(s, SNAPSHOT_MEMORY, "extend");
	if (!ret)
		ret = check_image(s);
	snapshot_extents_begin(&s->extents, s->job);
	for (unsigned int i = 0; i < memory->count && !ret; i++) {
		ret = write_region(s, fd, &memory->region[i], start);
		start += memory->region[i].size;
	}
	snapshot_extents_end(&s->extents);
	/* Whatever else went wrong: that would be why. */
	if (check_image(s))
		ret = -EIO;
	if (!ret && s->job->copied)
		s->job->copied(s->job->opaque);
	s->crc = crc32c_zeros(s->crc, s->zeros);
	s->stats.memory_bytes = total;
	if (!ret)
		ret = sync_memory(s, fd);
	manifest_add_file(&s->manifest, SNAPSHOT_MEMORY, total, s->crc);
	return finish_file(s, SNAPSHOT_MEMORY, fd, ret);
}

static int write_manifest(struct save *s)
{
	char *text = malloc(MANIFEST_SIZE_MAX);
	int ret;

	if (!text)
		return fail(s->why, -ENOMEM, "snapshot %s: no memory",
			    s->job->path);
	snprintf(s->manifest.arch, sizeof(s->manifest.arch), "%s", ARCH_NAME);
	s->manifest.memory_size = s->stats.memory_bytes;
	ret = manifest_format(&s->manifest, text, MANIFEST_SIZE_MAX);
	assert(ret > 0);
	ret = write_file(s, SNAPSHOT_MANIFEST, text, ret);
	free(text);
	return ret;
}

static int write_files(struct save *s)
{
	int ret = write_memory(s);

	if (!ret)
		ret = write_file(s, SNAPSHOT_STATE, s->job->state,
				 s->job->state_len);
	s->stats.state_bytes = s->job->state_len;
	manifest_add_file(&s->manifest, SNAPSHOT_STATE, s->job->state_len,
			  crc32c(0, s->job->state, s->job->state_len));
	if (!ret)
		ret = write_manifest(s);
	if (!ret && fsync(s->dir))
		ret = file_fail(s, "its directory", "sync");
	return ret;
}

int snapshot_write_job(const struct snapshot_job *job,
		       struct snapshot_stats *stats, struct fail *why)
{
	struct save s = { .job = job, .why = why };
	struct snapshot_place place;
	int ret;

	if (job->state_len > STATE_SIZE_MAX)
		return fail(why, -EFBIG,
			    "snapshot %s: state of %zu bytes: at most %u",
			    job->path, job->state_len, STATE_SIZE_MAX);
	ret = snapshot_place_begin(&place, job, why);
	if (ret)
		return ret;
	s.dir = place.dir;
	ret = write_files(&s);
	if (!ret)
		ret = snapshot_place_commit(&place, why);
	snapshot_place_end(&place);
	if (!ret && stats)
		*stats = s.stats;
	return ret;
}

int snapshot_write(const char *path, const void *state, size_t len,
		   const struct guest_memory *mem,
		   struct snapshot_stats *stats, struct fail *why)
{
	const struct snapshot_job job = {
		.path = path,
		.state = state,
		.state_len = len,
		.memory = mem,
		.memory_fd = -1,
	};

	return snapshot_write_job(&job, stats, why);
}
