// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bzImage: the compressed kernel that distributions ship.
 *
 * Called by boot.c on the main thread, before vCPUs run. The file is the
 * user's, yet it is checked as if it were not.
 * Format: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/x86_64/kernel.h"
#include "vmm/x86_64/layout.h"

#define SECTOR		512u
#define BOOT_FLAG	0xaa55u
#define MAGIC		0x53726448u	/* "HdrS" */
/* 2.12 brought xloadflags, which tell whether there is a 64-bit entry. */
#define VERSION_MIN	0x020cu
/* The 64-bit entry point lies here in the code. */
#define ENTRY64		0x200u
/* type_of_loader: none of the registered ones. */
#define LOADER_UNKNOWN	0xffu
#define VIDEO_NORMAL	0xffffu

static void read_header(const uint8_t *head, struct setup_header *h)
{
	memcpy(h, head + X86_HEADER_OFFSET, sizeof(*h));
}

bool x86_bzimage_probe(const uint8_t *head, size_t len)
{
	struct setup_header h;

	if (len < X86_HEADER_OFFSET + sizeof(h))
		return false;
	read_header(head, &h);
	return h.boot_flag == BOOT_FLAG && h.header == MAGIC;
}

static int check_version(const struct setup_header *h, const char *path,
			 struct fail *why)
{
	if (h->version < VERSION_MIN)
		return fail(why, -EINVAL, "%s: boot protocol %u.%02u, expected "
			    "2.12 or later", path, h->version >> 8u,
			    h->version & 0xffu);
	if (!(h->loadflags & LOADED_HIGH))
		return fail(why, -EINVAL, "%s: a zImage (loadflags 0x%x), "
			    "expected a bzImage", path, h->loadflags);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return fail(why, -EINVAL, "%s: no 64-bit entry point "
			    "(xloadflags 0x%x), expected a 64-bit kernel", path,
			    h->xloadflags);
	return 0;
}

static int check_sizes(const struct setup_header *h, uint64_t file_size,
		       const char *path, struct x86_bzimage *image,
		       struct fail *why)
{
	unsigned int sectors = h->setup_sects ? h->setup_sects : 4;

	image->offset = (sectors + 1) * SECTOR;
	image->size = (uint64_t)h->syssize * 16;
	image->address = h->pref_address;
	image->memory = h->init_size;
	if (image->size <= ENTRY64)
		return fail(why, -EINVAL, "%s: %" PRIu64 " bytes of code "
			    "(syssize), expected more than %u", path,
			    image->size, ENTRY64);
	if (file_size < image->offset ||
	    file_size - image->offset < image->size)
		return fail(why, -EINVAL, "%s: truncated: %" PRIu64 " bytes, "
			    "its header promises %" PRIu64, path, file_size,
			    image->offset + image->size);
	if (image->memory < image->size)
		return fail(why, -EINVAL, "%s: init_size %" PRIu64 " is less "
			    "than its %" PRIu64 " bytes of code", path,
			    image->memory, image->size);
	return 0;
}

int x86_bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size,
		      const char *path, struct x86_bzimage *image,
		      struct x86_kernel *kernel, struct fail *why)
{
	struct setup_header *h = &kernel->header;
	size_t end;
	int err;

	memset(kernel, 0, sizeof(*kernel));
	if (!x86_bzimage_probe(head, len))
		return fail(why, -EINVAL, "%s: not a bzImage", path);
	read_header(head, h);
	err = check_version(h, path, why);
	if (!err)
		err = check_sizes(h, file_size, path, image, why);
	if (err)
		return err;
	/*
	 * The header ends where its jump instruction leads; what follows in
	 * the file is code and must not get into boot_params.
	 */
	end = 0x202u + head[0x201] - X86_HEADER_OFFSET;
	if (end < sizeof(*h))
		memset((uint8_t *)h + end, 0, sizeof(*h) - end);
	h->type_of_loader = LOADER_UNKNOWN;
	h->vid_mode = VIDEO_NORMAL;
	kernel->protocol = X86_LINUX64;
	kernel->entry = image->address + ENTRY64;
	kernel->end = image->address + image->memory;
	kernel->initrd_end = (uint64_t)h->initrd_addr_max + 1;
	kernel->cmdline_max = h->cmdline_size;
	return 0;
}

int x86_bzimage_load(const struct x86_file *file, const uint8_t *head,
		     size_t len, const struct guest_memory *memory,
		     struct x86_kernel *kernel, struct fail *why)
{
	struct x86_bzimage image;
	void *to;
	int err;

	err = x86_bzimage_parse(head, len, file->size, file->path, &image,
				kernel, why);
	if (!err)
		err = x86_fits(memory, image.address, image.memory, file->path,
			       why);
	if (err)
		return err;
	to = guest_memory_at(memory, image.address, image.size);
	return x86_file_read(file, image.offset, to, image.size, why);
}
