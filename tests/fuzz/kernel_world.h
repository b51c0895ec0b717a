/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target "kernel": what its files share.
 */
#ifndef WHERRY_TESTS_FUZZ_KERNEL_WORLD_H
#define WHERRY_TESTS_FUZZ_KERNEL_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/kvm.h"
#include "vmm/x86_64/kernel.h"

/* The first byte behind all guest addresses that may be used, and some more. */
#define WORLD_END	(UINT64_C(7) << 30)

/**
 * struct world_run - a run of guest memory
 * @gpa: start
 * @size: bytes
 */
struct world_run {
	uint64_t gpa;
	uint64_t size;
};

/**
 * struct world_part - what a kernel's file wants in guest memory
 * @gpa: where
 * @size: bytes there
 * @offset: of its contents in the file
 * @filled: bytes of contents; the rest is zero
 */
struct world_part {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset;
	uint64_t filled;
};

/**
 * struct world_file - a file that the loaders are given
 * @fd: a memfd
 * @path: to open it by
 * @data: what it begins with
 * @len: bytes of @data
 * @size: bytes; what follows @data is zero
 */
struct world_file {
	int fd;
	char path[32];
	const uint8_t *data;
	size_t len;
	uint64_t size;
};

/**
 * struct world - one machine without a KVM, and what is booted in it
 * @ram_fd: memfd in which an offset is a guest address
 * @ram: all of it, mapped
 * @kernel: the file
 * @initrd: the file; @size 0: none
 * @append: the command line
 * @vm: the machine
 * @entered: arch_boot() got as far as the registers
 * @loaded: with this kernel
 * @why: why it did not
 */
struct world {
	int ram_fd;
	uint8_t *ram;
	struct world_file kernel;
	struct world_file initrd;
	char append[1u << 16];
	struct vm vm;
	bool entered;
	struct x86_kernel loaded;
	struct fail why;
};

/** require() - a rule: abort() with its text when it is broken */
#define require(rule) \
	((rule) ? (void)0 : world_violated(__FILE__, __LINE__, #rule))
void world_violated(const char *file, int line, const char *rule)
	__attribute__((noreturn));

/**
 * world_file_bytes() - copy out of a file as the loaders see it
 * Dies unless all of it lies in the file.
 */
void world_file_bytes(const struct world_file *file, uint64_t offset,
		      void *buf, size_t len);

/**
 * world_parts() - read a kernel's file again, by other code than the loaders
 * @part: filled in; X86_ELF_SEGMENTS_MAX of them
 *
 * Dies when the file is one that must not have been accepted, or was not
 * understood as its format says.
 *
 * Return: how many parts there are.
 */
unsigned int world_parts(const struct world *w, struct world_part *part);

/** world_check_parameters() - what the guest is told, where it would look */
void world_check_parameters(const struct world *w,
			    const struct world_part *part, unsigned int parts);

/**
 * world_initrd() - where the guest is told that its initrd lies
 * Return: the run; of size 0 when it is told of none.
 */
struct world_run world_initrd(const struct world *w);

#endif
