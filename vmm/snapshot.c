// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots on disk, reading. Writing: snapshot_write.c, snapshot_place.c.
 *
 * Called by machine.c on the main thread before the loop runs, by
 * machine_task.c on a thread of its own, and by tools; no locks, no state
 * between calls.
 *
 * The directory is input from outside: no symbolic links inside, regular files
 * only, lengths compared, and checksums too before anything is interpreted.
 * What is interpreted is in private memory then, so that nobody changes it
 * afterwards. `memory` alone is used in place; what it holds is the guest's,
 * who is not trusted either.
 */
#include "vmm/snapshot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/arch.h"

/* Read at once by snapshot_verify(). */
#define CHUNK	(1u << 20)
/* How often to look again for a snapshot that is being replaced. */
#define ATTEMPTS	10
/* What RAM comes in. */
#define PAGE	4096u

static const char *const phase_names[] = {
	[SNAPSHOT_COPYING] = "copying",
	[SNAPSHOT_SYNCING] = "syncing",
	[SNAPSHOT_VERIFYING] = "verifying",
};
_Static_assert(sizeof(phase_names) / sizeof(*phase_names) == SNAPSHOT_PHASES,
	       "a name for each phase");

const char *snapshot_phase_name(enum snapshot_phase phase)
{
	return phase_names[phase];
}

uint64_t snapshot_next_data(int fd, uint64_t at, uint64_t end)
{
	off_t found;

	if (fd < 0)
		return at;
	found = lseek(fd, at, SEEK_DATA);
	if (found < 0)
		return errno == ENXIO ? end : at;
	return (uint64_t)found < end ? (uint64_t)found : end;
}

uint64_t snapshot_next_hole(int fd, uint64_t at, uint64_t end)
{
	off_t found;

	if (fd < 0)
		return end;
	found = lseek(fd, at, SEEK_HOLE);
	if (found < 0 || (uint64_t)found <= at || (uint64_t)found > end)
		return end;
	return found;
}

/* Return: 0 with @fd and @size of a regular file; negative errno. */
static int open_file(int dir, const char *name, int *fd, uint64_t *size,
		     struct fail *why)
{
	struct stat st;
	int err;

	/* O_NONBLOCK: a FIFO would keep us waiting. */
	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
		     O_CLOEXEC);
	if (*fd < 0 && errno == ELOOP)
		return fail(why, -EINVAL, "%s: a symbolic link, a regular file "
			    "expected", name);
	if (*fd < 0) {
		err = errno;
		return fail(why, -err, "%s: %s", name, strerror(err));
	}
	if (fstat(*fd, &st) || !S_ISREG(st.st_mode)) {
		close(*fd);
		*fd = -1;
		return fail(why, -EINVAL, "%s: a regular file expected", name);
	}
	*size = st.st_size;
	return 0;
}

/* Return: 0 with @len bytes from @offset read, or negative errno. */
static int read_all(int fd, void *data, size_t len, uint64_t offset,
		    const char *name, struct fail *why)
{
	uint8_t *p = data;

	while (len) {
		ssize_t done = pread(fd, p, len, offset);
		int err = errno;

		if (done < 0 && err == EINTR)
			continue;
		if (done < 0)
			return fail(why, -err, "%s: %s", name, strerror(err));
		if (!done)
			return fail(why, -EIO, "%s: shorter than it was", name);
		p += done;
		offset += done;
		len -= done;
	}
	return 0;
}

/* The whole of a small file, in memory of its own. */
static int load_file(int dir, const char *name, uint64_t max, void **data,
		     size_t *len, struct fail *why)
{
	uint64_t size;
	int ret, fd;

	ret = open_file(dir, name, &fd, &size, why);
	if (ret)
		return ret;
	*len = size;
	*data = NULL;
	if (size > max) {
		close(fd);
		return fail(why, -EFBIG, "%s: %" PRIu64 " bytes, at most %"
			    PRIu64, name, size, max);
	}
	*data = malloc(size ? size : 1);
	if (*data)
		ret = read_all(fd, *data, size, 0, name, why);
	else
		ret = fail(why, -ENOMEM, "%s: no memory for %" PRIu64 " bytes",
			   name, size);
	close(fd);
	if (ret) {
		free(*data);
		*data = NULL;
	}
	return ret;
}

static int check_length(const struct manifest_file *file, uint64_t length,
			struct fail *why)
{
	if (length == file->length)
		return 0;
	return fail(why, -EINVAL, "%s: %" PRIu64 " bytes, %" PRIu64
		    " expected by the manifest", file->name, length,
		    file->length);
}

static int check_crc(const struct manifest_file *file, uint32_t crc,
		     struct fail *why)
{
	if (crc == file->crc)
		return 0;
	return fail(why, -EBADMSG, "%s: damaged: CRC32C is %08" PRIx32
		    ", %08" PRIx32 " expected by the manifest", file->name,
		    crc, file->crc);
}

/* Does the manifest describe what this program could have saved? */
static int check_manifest(const struct manifest *m, struct fail *why)
{
	const struct manifest_file *memory;

	if (strcmp(m->arch, ARCH_NAME))
		return fail(why, -ENOTSUP, "saved from a guest of "
			    "architecture %s, this program runs %s", m->arch,
			    ARCH_NAME);
	for (unsigned int i = 0; i < m->files; i++)
		if (strcmp(m->file[i].name, SNAPSHOT_STATE) &&
		    strcmp(m->file[i].name, SNAPSHOT_MEMORY))
			return fail(why, -EINVAL, SNAPSHOT_MANIFEST
				    ": file %s is not known here",
				    m->file[i].name);
	memory = manifest_find_file(m, SNAPSHOT_MEMORY);
	if (!memory || !manifest_find_file(m, SNAPSHOT_STATE))
		return fail(why, -EINVAL, SNAPSHOT_MANIFEST
			    ": files " SNAPSHOT_STATE " and " SNAPSHOT_MEMORY
			    " expected");
	if (memory->length != m->memory_size)
		return fail(why, -EINVAL, SNAPSHOT_MANIFEST ": memory-size %"
			    PRIu64 ", but file " SNAPSHOT_MEMORY " has %"
			    PRIu64 " bytes", m->memory_size, memory->length);
	if (!m->memory_size || m->memory_size % PAGE)
		return fail(why, -EINVAL, SNAPSHOT_MANIFEST ": memory-size %"
			    PRIu64 ": a multiple of %u expected",
			    m->memory_size, PAGE);
	return 0;
}

static int load_manifest(struct snapshot *s, int dir, struct fail *why)
{
	void *text;
	size_t len;
	int ret;

	ret = load_file(dir, SNAPSHOT_MANIFEST, MANIFEST_SIZE_MAX, &text, &len,
			why);
	if (ret == -ENOENT)
		return fail(why, ret, "not a snapshot: it has no "
			    SNAPSHOT_MANIFEST);
	if (ret)
		return ret;
	ret = manifest_parse(text, len, &s->manifest, why);
	free(text);
	if (ret)
		return fail_within(why, ret, SNAPSHOT_MANIFEST);
	return check_manifest(&s->manifest, why);
}

static int load_state(struct snapshot *s, int dir, struct fail *why)
{
	const struct manifest_file *file;
	int ret;

	file = manifest_find_file(&s->manifest, SNAPSHOT_STATE);
	ret = load_file(dir, SNAPSHOT_STATE, STATE_SIZE_MAX, &s->state,
			&s->state_len, why);
	if (!ret)
		ret = check_length(file, s->state_len, why);
	if (!ret)
		ret = check_crc(file, crc32c(0, s->state, s->state_len), why);
	if (ret)
		return ret;
	ret = state_check(s->state, s->state_len, why);
	if (ret)
		return fail_within(why, ret, SNAPSHOT_STATE);
	state_root(&s->root, s->state);
	return 0;
}

static int open_memory(struct snapshot *s, int dir, struct fail *why)
{
	const struct manifest_file *file;
	int ret;

	file = manifest_find_file(&s->manifest, SNAPSHOT_MEMORY);
	ret = open_file(dir, SNAPSHOT_MEMORY, &s->memory_fd, &s->memory_size,
			why);
	return ret ? ret : check_length(file, s->memory_size, why);
}

static int open_once(const char *path, struct snapshot *snapshot,
		     struct fail *why)
{
	int ret, dir, err;

	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->memory_fd = -1;
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		err = errno;
		return fail(why, -err, "snapshot %s: %s", path, strerror(err));
	}
	ret = load_manifest(snapshot, dir, why);
	if (!ret)
		ret = load_state(snapshot, dir, why);
	if (!ret)
		ret = open_memory(snapshot, dir, why);
	close(dir);
	if (ret) {
		snapshot_close(snapshot);
		return fail_within(why, ret, "snapshot %s", path);
	}
	return 0;
}

int snapshot_open(const char *path, struct snapshot *snapshot,
		  struct fail *why)
{
	int ret = -ENOENT;

	/* A save may replace it just now: then files of the directory that we
	 * opened are gone, and the path leads to another one. */
	for (unsigned int i = 0; i < ATTEMPTS && ret == -ENOENT; i++)
		ret = open_once(path, snapshot, why);
	return ret;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->memory_fd >= 0)
		close(snapshot->memory_fd);
	snapshot->memory_fd = -1;
	free(snapshot->state);
	snapshot->state = NULL;
}

/* What is missing would pass for a hole. */
static int check_whole(const struct snapshot *snapshot, struct fail *why)
{
	struct stat st;

	if (fstat(snapshot->memory_fd, &st))
		return fail(why, -errno, SNAPSHOT_MEMORY ": %s",
			    strerror(errno));
	return (uint64_t)st.st_size == snapshot->memory_size ? 0 :
	       fail(why, -EIO, SNAPSHOT_MEMORY ": shorter than it was");
}

int snapshot_verify(const struct snapshot *snapshot,
		    snapshot_progress_fn *progress, void *opaque,
		    struct fail *why)
{
	uint64_t end = snapshot->memory_size;
	uint8_t *buffer = malloc(CHUNK);
	uint64_t data, hole, at = 0;
	uint32_t crc = 0;
	int ret = 0;

	if (!buffer)
		return fail(why, -ENOMEM, "no memory for %u bytes", CHUNK);
	while (at < end) {
		ret = progress ? progress(opaque, SNAPSHOT_VERIFYING, at,
					  end) : 0;
		if (ret) {
			fail(why, ret, "given up: %s", strerror(-ret));
			break;
		}
		data = snapshot_next_data(snapshot->memory_fd, at, end);
		crc = crc32c_zeros(crc, data - at);
		hole = snapshot_next_hole(snapshot->memory_fd, data, end);
		/* At most so much of the data at once; none left: 0 bytes. */
		if (hole - data > CHUNK)
			hole = data + CHUNK;
		ret = read_all(snapshot->memory_fd, buffer, hole - data, data,
			       SNAPSHOT_MEMORY, why);
		if (ret)
			break;
		crc = crc32c(crc, buffer, hole - data);
		at = hole;
	}
	free(buffer);
	if (!ret)
		ret = check_whole(snapshot, why);
	if (ret)
		return ret;
	return check_crc(manifest_find_file(&snapshot->manifest,
					    SNAPSHOT_MEMORY), crc, why);
}
