/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handing the machine to a kernel. Private to x86_64/.
 */
#ifndef WHERRY_VMM_X86_64_BOOT_H
#define WHERRY_VMM_X86_64_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/memory.h"
#include "vmm/x86_64/kernel.h"

struct vcpu;

/* Types of memory, ACPI 6.5, 15: the same in e820 and in PVH's map. */
#define X86_MEMORY_RAM		1u
#define X86_MEMORY_RESERVED	2u
#define X86_MEMORY_ACPI		3u
#define X86_MEMORY_RUNS_MAX	8u

/**
 * struct x86_memory_run - one line of the memory map
 * @gpa: start
 * @size: bytes
 * @type: X86_MEMORY_*
 */
struct x86_memory_run {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
};

/**
 * struct x86_start - what is in guest memory for the kernel to find
 * @initrd: guest physical
 * @initrd_size: bytes; 0: none
 * @runs: how many of @run
 * @run: the memory map
 */
struct x86_start {
	uint64_t initrd;
	uint64_t initrd_size;
	unsigned int runs;
	struct x86_memory_run run[X86_MEMORY_RUNS_MAX];
};

/** x86_memory_map() - what the guest may use as RAM; pure */
void x86_memory_map(const struct guest_memory *memory, struct x86_start *start);

/**
 * x86_write_linux64() - struct boot_params at LAYOUT_ZERO_PAGE, page tables
 * Return: 0 or -EFAULT: no RAM there.
 */
int x86_write_linux64(const struct guest_memory *memory,
		      const struct x86_kernel *kernel,
		      const struct x86_start *start);
/** x86_write_pvh() - struct hvm_start_info at LAYOUT_PVH_INFO */
int x86_write_pvh(const struct guest_memory *memory,
		  const struct x86_start *start);

/** x86_set_entry() - registers of the boot processor, and its GDT */
int x86_set_entry(struct vcpu *vcpu, const struct x86_kernel *kernel,
		  struct fail *why);

#endif
