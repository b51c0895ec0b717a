/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading a kernel: what the file formats have in common. Private to x86_64/.
 */
#ifndef WHERRY_VMM_X86_64_KERNEL_H
#define WHERRY_VMM_X86_64_KERNEL_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/memory.h"

/* Start of the setup header in a bzImage, and so of boot_params.hdr. */
#define X86_HEADER_OFFSET	0x1f1u
/* Enough of a file for either format's header. */
#define X86_HEAD_SIZE		1024u
/* More than any kernel has; keeps hostile files short. */
#define X86_ELF_SEGMENTS_MAX	64u
#define X86_ELF_NOTES_MAX	(64u << 10)

/**
 * struct x86_file - a file being loaded
 * @path: for messages
 * @fd: open for reading
 * @size: bytes
 */
struct x86_file {
	const char *path;
	int fd;
	uint64_t size;
};

/**
 * x86_file_open() - open a regular, not empty file
 * Return: 0 or negative errno with the reason; close() @file->fd after 0.
 */
int x86_file_open(struct x86_file *file, const char *path, struct fail *why);
/**
 * x86_file_read() - read exactly @len bytes at @offset, which lie in the file
 */
int x86_file_read(const struct x86_file *file, uint64_t offset, void *buf,
		  uint64_t len, struct fail *why);

/**
 * enum x86_protocol - how the boot processor starts
 * @X86_LINUX64: 64-bit boot protocol (Documentation/arch/x86/boot.rst): long
 *     mode, RSI: struct boot_params
 * @X86_PVH: 32-bit protected mode, no paging, EBX: struct hvm_start_info
 */
enum x86_protocol { X86_LINUX64, X86_PVH };

/**
 * struct x86_kernel - a kernel in guest memory
 * @protocol: how to start it
 * @entry: where, guest physical
 * @end: first byte past what it needs, guest physical
 * @initrd_end: an initrd must end here at the latest
 * @cmdline_max: longest command line, bytes without the NUL
 * @header: for struct boot_params
 */
struct x86_kernel {
	enum x86_protocol protocol;
	uint64_t entry;
	uint64_t end;
	uint64_t initrd_end;
	uint32_t cmdline_max;
	struct setup_header header;
};

/**
 * x86_fail_small() - refuse a guest with too little memory
 * @need: guest physical address up to which RAM would do, bytes
 * @path: what needs it, for the message
 * Return: -ENOMEM with the reason.
 */
int x86_fail_small(const struct guest_memory *memory, uint64_t need,
		   const char *path, struct fail *why);
/**
 * x86_fits() - is [@gpa, @gpa + @len) in low RAM, above the boot tables?
 * @path: the file that asks, for the message
 * Return: 0; -EINVAL; -ENOMEM saying how much memory would do.
 */
int x86_fits(const struct guest_memory *memory, uint64_t gpa, uint64_t len,
	     const char *path, struct fail *why);

/**
 * struct x86_bzimage - what the setup header says
 * @offset: of the code in the file, bytes
 * @size: of the code, bytes
 * @address: where it is to be loaded
 * @memory: bytes that it needs from there: to move to where its alignment
 *     allows, and to unpack itself
 */
struct x86_bzimage {
	uint64_t offset;
	uint64_t size;
	uint64_t address;
	uint64_t memory;
};

/** x86_bzimage_probe() - does it look like one? */
bool x86_bzimage_probe(const uint8_t *head, size_t len);
/**
 * x86_bzimage_parse() - check the setup header; pure
 * @head: first @len bytes of the file
 * @file_size: bytes
 * @path: for messages
 * @image: filled in
 * @kernel: filled in
 *
 * Return: 0 or -EINVAL naming the file, the value and what was expected.
 */
int x86_bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size,
		      const char *path, struct x86_bzimage *image,
		      struct x86_kernel *kernel, struct fail *why);
int x86_bzimage_load(const struct x86_file *file, const uint8_t *head,
		     size_t len, const struct guest_memory *memory,
		     struct x86_kernel *kernel, struct fail *why);

/** x86_elf_probe() - does it look like one? */
bool x86_elf_probe(const uint8_t *head, size_t len);
/**
 * x86_elf_header() - check an ELF header; pure
 * @ehdr: filled in: its program headers lie in the file
 */
int x86_elf_header(const uint8_t *head, size_t len, uint64_t file_size,
		   const char *path, Elf64_Ehdr *ehdr, struct fail *why);
/** x86_elf_segment() - check a program header against the file; pure */
int x86_elf_segment(const Elf64_Phdr *phdr, uint64_t file_size,
		    const char *path, struct fail *why);
/**
 * x86_elf_pvh_entry() - find the PVH entry point among notes; pure
 * @notes: contents of a PT_NOTE segment
 * @align: p_align of the segment
 * Return: the address, or 0: none.
 */
uint32_t x86_elf_pvh_entry(const uint8_t *notes, size_t len, uint64_t align);
int x86_elf_load(const struct x86_file *file, const uint8_t *head, size_t len,
		 const struct guest_memory *memory, struct x86_kernel *kernel,
		 struct fail *why);

#endif
