// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file that a restored guest's memory is a private mapping of.
 *
 * Called by ram.c on the main thread; image_check() also by whoever saves or
 * has lost something. Owns the process's SIGBUS handler and the list of what it
 * is for, which is why that is static: a handler has no argument.
 *
 * Theory of the guard. An access beyond the end of the file (or where the disk
 * cannot be read) raises SIGBUS. The handler puts a page of zeros there, so
 * that the access and the code around it end as they always do, and says that
 * memory is lost; the loop then ends the machine, in order. Nobody is to trust
 * what was made of those zeros in between: a save looks at the file again when
 * it has copied all, a load before it is taken for good.
 *
 * A slot is in use while its @end is not 0, which is written last; nobody
 * looks at a mapping before it is guarded, or when it is no more.
 */
#include "vmm/image.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "virtio/memory.h"

#define PAGE	((uintptr_t)4096)
/* A machine's, and its heir's. */
#define GUARDS	(2u * GUEST_REGIONS_MAX)

/**
 * struct guard - a mapping that is looked after
 * @start: its first byte
 * @end: one past the last; 0: the slot is free
 * @lost: see image_guard()
 * @opaque: handed to @lost
 */
static struct guard {
	uintptr_t start;
	atomic_uintptr_t end;
	void (*lost)(void *opaque);
	void *opaque;
} guards[GUARDS];

static int check_size(const struct image *image, const struct stat *st,
		      int err, struct fail *why)
{
	if ((uint64_t)st->st_size == image->size)
		return 0;
	return fail(why, err, "memory: %" PRId64 " bytes, %" PRIu64
		    " expected", (int64_t)st->st_size, image->size);
}

int image_init(struct image *image, const char *name, int fd, uint64_t size,
	       struct fail *why)
{
	struct stat st;

	*image = (struct image){ .name = name, .fd = fd, .size = size };
	if (fstat(fd, &st))
		return fail(why, -errno, "memory: %s", strerror(errno));
	image->written = st.st_mtim;
	return check_size(image, &st, -EINVAL, why);
}

int image_check(const struct image *image, struct fail *why)
{
	const char *name = image->name ? image->name : "";
	struct stat st;

	if (fstat(image->fd, &st))
		return fail(why, -EIO, "snapshot %s: memory: %s", name,
			    strerror(errno));
	if (check_size(image, &st, -EIO, why))
		return fail_within(why, -EIO, "snapshot %s was changed while "
				   "a guest runs from it", name);
	if (st.st_mtim.tv_sec != image->written.tv_sec ||
	    st.st_mtim.tv_nsec != image->written.tv_nsec)
		return fail(why, -EIO, "snapshot %s was changed while a guest "
			    "runs from it: memory: somebody has written to it",
			    name);
	return 0;
}

static struct guard *find_guard(uintptr_t at)
{
	for (unsigned int i = 0; i < GUARDS; i++)
		if (at < atomic_load(&guards[i].end) && at >= guards[i].start)
			return &guards[i];
	return NULL;
}

static void on_bus_error(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	const struct guard *guard;
	int err = errno;

	(void)context;
	/* 0 and below: somebody's kill(). */
	guard = info->si_code > 0 ? find_guard(at) : NULL;
	if (!guard || mmap((void *)(at & ~(PAGE - 1)), PAGE,
			   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			   MAP_FIXED, -1, 0) == MAP_FAILED) {
		signal(signo, SIG_DFL);
		raise(signo);
		return;
	}
	guard->lost(guard->opaque);
	errno = err;
}

int image_guard(void *start, uint64_t size, void (*lost)(void *opaque),
		void *opaque, struct fail *why)
{
	struct sigaction action = {
		.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO,
	};
	struct guard *guard = NULL;

	for (unsigned int i = 0; i < GUARDS && !guard; i++)
		if (!atomic_load(&guards[i].end))
			guard = &guards[i];
	if (!guard)
		return fail(why, -ENOSPC, "memory: more than %u mappings",
			    GUARDS);
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL))
		return fail(why, -errno, "sigaction: %s", strerror(errno));
	guard->start = (uintptr_t)start;
	guard->lost = lost;
	guard->opaque = opaque;
	atomic_store(&guard->end, (uintptr_t)start + size);
	return 0;
}

void image_unguard(void *start)
{
	for (unsigned int i = 0; i < GUARDS; i++)
		if (atomic_load(&guards[i].end) &&
		    guards[i].start == (uintptr_t)start)
			atomic_store(&guards[i].end, 0);
}
