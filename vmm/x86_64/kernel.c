// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loading a kernel: what the file formats have in common. Files are read as a
 * whole or refused, and go where there is RAM for them.
 *
 * Called by boot.c, bzimage.c and elf.c on the main thread, before vCPUs run.
 */
#include "vmm/x86_64/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/x86_64/layout.h"

#define MIB (UINT64_C(1) << 20)

int x86_file_open(struct x86_file *file, const char *path, struct fail *why)
{
	struct stat st;
	int err;

	file->path = path;
	/* O_NONBLOCK: a FIFO must not hang us before it is refused. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0)
		return fail(why, -errno, "%s: %s", path, strerror(errno));
	if (fstat(file->fd, &st) < 0)
		err = fail(why, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err = fail(why, -EINVAL, "%s: not a regular file", path);
	else if (st.st_size == 0)
		err = fail(why, -EINVAL, "%s: empty", path);
	else
		err = 0;
	if (err) {
		close(file->fd);
		file->fd = -1;
		return err;
	}
	file->size = (uint64_t)st.st_size;
	return 0;
}

int x86_file_read(const struct x86_file *file, uint64_t offset, void *buf,
		  uint64_t len, struct fail *why)
{
	uint8_t *to = buf;
	ssize_t n;

	while (len) {
		n = pread(file->fd, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(why, -errno, "%s: %s", file->path,
				    strerror(errno));
		if (n == 0)
			return fail(why, -EIO, "%s: became shorter while it "
				    "was read", file->path);
		to += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int x86_fail_small(const struct guest_memory *memory, uint64_t need,
		   const char *path, struct fail *why)
{
	return fail(why, -ENOMEM, "guest memory of %" PRIu64 " MiB is too "
		    "small: %s needs at least %" PRIu64 " MiB",
		    guest_memory_total(memory) / MIB, path,
		    (need + MIB - 1) / MIB);
}

int x86_fits(const struct guest_memory *memory, uint64_t gpa, uint64_t len,
	     const char *path, struct fail *why)
{
	if (gpa < LAYOUT_KERNEL_MIN)
		return fail(why, -EINVAL, "%s: wants to be loaded at 0x%" PRIx64
			    ", expected 0x%x or above", path, gpa,
			    LAYOUT_KERNEL_MIN);
	if (gpa > ARCH_RAM_LOW_MAX || len > ARCH_RAM_LOW_MAX - gpa)
		return fail(why, -EINVAL, "%s: %" PRIu64 " bytes at 0x%" PRIx64
			    " reach above 0x%" PRIx64 ", where RAM ends", path,
			    len, gpa, ARCH_RAM_LOW_MAX);
	if (!guest_memory_at(memory, gpa, len))
		return x86_fail_small(memory, gpa + len, path, why);
	return 0;
}
