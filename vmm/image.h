/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that a restored guest's memory is a private mapping of.
 *
 * What the guest has not written to is in the file alone. Nobody may change it,
 * but somebody can: cut it off, or write to it. Then the guest's memory is not
 * what it was, and what is missing raises SIGBUS in whoever looks at it.
 */
#ifndef WHERRY_VMM_IMAGE_H
#define WHERRY_VMM_IMAGE_H

#include <stdint.h>
#include <time.h>

#include "virtio/fail.h"

/**
 * struct image - what the file was like when the guest was restored
 * @name: the snapshot, for messages; the caller's
 * @fd: the file, the caller's
 * @size: its length, bytes
 * @written: when it was written to last
 */
struct image {
	const char *name;
	int fd;
	uint64_t size;
	struct timespec written;
};

/**
 * image_init() - remember what the file is like
 * @name: may be NULL
 * @size: how long it has to be, bytes
 *
 * Return: 0; -EINVAL: it has another length; another negative errno.
 */
int image_init(struct image *image, const char *name, int fd, uint64_t size,
	       struct fail *why);

/**
 * image_check() - is it still what it was?
 *
 * Return: 0; -EIO: it was cut off or written to, or cannot be looked at; the
 * reason names the snapshot. Context: any thread.
 */
int image_check(const struct image *image, struct fail *why);

/**
 * image_guard() - outlive what is missing from a mapping of an image
 * @start: of the mapping
 * @size: bytes
 * @lost: called when somebody looked at a page that is missing, which is one of
 *     zeros from then on: what has it must not go on. In a signal handler, on
 *     the thread that looked, any number of times
 * @opaque: handed to @lost
 *
 * System calls are not helped: they fail with EFAULT. Threads must not block
 * SIGBUS.
 *
 * Return: 0, or negative errno with the reason. Context: the main thread, as
 * image_unguard().
 */
int image_guard(void *start, uint64_t size, void (*lost)(void *opaque),
		void *opaque, struct fail *why);

/** image_unguard() - before it is unmapped; no-op if it is not guarded */
void image_unguard(void *start);

#endif
