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
/* Operand of the jump over the header: its length, counted from behind. */
#define JUMP_OPERAND	0x201u
/* What is looked at goes up to init_size, which 2.12 and later have. */
#define HEADER_MIN	(offsetof(struct setup_header, init_size) + \
			 sizeof(uint32_t))
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

/* From X86_HEADER_OFFSET; what follows is code. */
static size_t header_size(const uint8_t *head)
{
	return JUMP_OPERAND + 1 + head[JUMP_OPERAND] - X86_HEADER_OFFSET;
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

/*
 * A relocatable kernel that is loaded at another multiple than that of its
 * alignment first moves up to the next: "runtime_start" in boot.rst.
 */
static int find_memory(const struct setup_header *h, const char *path,
		       struct x86_bzimage *image, struct fail *why)
{
	const uint64_t align = h->kernel_alignment;

	image->memory = h->init_size;
	if (!h->relocatable_kernel)
		return 0;
	if (!align || (align & (align - 1)))
		return fail(why, -EINVAL, "%s: kernel_alignment 0x%" PRIx64
			    ", expected a power of 2", path, align);
	image->memory += -image->address & (align - 1);
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
	if (image->size <= ENTRY64)
		return fail(why, -EINVAL, "%s: %" PRIu64 " bytes of code "
			    "(syssize), expected more than %u", path,
			    image->size, ENTRY64);
	if (file_size < image->offset ||
	    file_size - image->offset < image->size)
		return fail(why, -EINVAL, "%s: truncated: %" PRIu64 " bytes, "
			    "its header promises %" PRIu64, path, file_size,
			    image->offset + image->size);
	if (h->init_size < image->size)
		return fail(why, -EINVAL, "%s: init_size %" PRIu32 " is less "
			    "than its %" PRIu64 " bytes of code", path,
			    h->init_size, image->size);
	return find_memory(h, path, image, why);
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
	end = header_size(head);
	if (!err && end < HEADER_MIN)
		err = fail(why, -EINVAL, "%s: setup header of %zu bytes, boot "
			   "protocol 2.12 has at least %zu", path, end,
			   HEADER_MIN);
	if (!err)
		err = check_sizes(h, file_size, path, image, why);
	if (err)
		return err;
	/* Code must not get into boot_params. */
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
