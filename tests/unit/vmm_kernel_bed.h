/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels' files without a KVM: RAM for a machine, a file to boot from.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_KERNEL_BED_H
#define WHERRY_TESTS_UNIT_VMM_KERNEL_BED_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "vmm/kvm.h"

#define MIB (UINT64_C(1) << 20)

/* What kernel_boot() says of a machine that is ready: registers need a KVM. */
#define LOADED "KVM_GET_SREGS: Bad file descriptor"

/**
 * struct kernel_bed - what a test works on
 * @dir: a fresh folder
 * @path: of the kernel's file, in it
 * @vm: the machine, without a KVM
 * @why: why something failed
 */
struct kernel_bed {
	char dir[32];
	char path[64];
	struct vm vm;
	struct fail why;
};

/** kernel_bed_setup() - no file and no memory yet */
void kernel_bed_setup(struct kernel_bed *bed);
/** kernel_bed_teardown() - the folder and the memory go */
void kernel_bed_teardown(struct kernel_bed *bed);
/** kernel_give_memory() - RAM of @size bytes, all zero */
void kernel_give_memory(struct kernel_bed *bed, uint64_t size);
/** kernel_write_file() - @data, and zeros up to @size bytes or cut there */
void kernel_write_file(const struct kernel_bed *bed, const void *data,
		       size_t len, uint64_t size);

/**
 * kernel_boot() - boot the file
 * @initrd: path, or NULL
 * @append: command line
 *
 * Return: the reason with which booting fails; LOADED: it does not.
 */
const char *kernel_boot(struct kernel_bed *bed, const char *initrd,
			const char *append);

#endif
