// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RAM: where it lies, and what of it the guest is told to use.
 *
 * Called by vm.c and boot.c on the main thread, before vCPUs run. Pure.
 */
#include <string.h>

#include "vmm/arch.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/layout.h"

void arch_memory_layout(uint64_t size, struct guest_memory *memory)
{
	uint64_t low = size < ARCH_RAM_LOW_MAX ? size : ARCH_RAM_LOW_MAX;

	memset(memory, 0, sizeof(*memory));
	memory->region[0].size = low;
	memory->count = 1;
	if (size == low)
		return;
	memory->region[1].gpa = ARCH_RAM_HIGH_BASE;
	memory->region[1].size = size - low;
	memory->count = 2;
}

static void add_run(struct x86_start *start, uint64_t gpa, uint64_t end,
		    uint32_t type)
{
	start->run[start->runs++] = (struct x86_memory_run){
		.gpa = gpa, .size = end - gpa, .type = type,
	};
}

void x86_memory_map(const struct guest_memory *memory, struct x86_start *start)
{
	const struct guest_region *r = memory->region;

	start->runs = 0;
	add_run(start, 0, LAYOUT_LOW_RAM_END, X86_MEMORY_RAM);
	/* There is RAM behind it, but it holds the tables: not to be used. */
	add_run(start, LAYOUT_ACPI, LAYOUT_ACPI_END, X86_MEMORY_ACPI);
	_Static_assert(ARCH_VMGENID_BASE == LAYOUT_VMGENID &&
		       LAYOUT_ACPI_END <= LAYOUT_VMGENID, "in what follows");
	add_run(start, LAYOUT_ACPI_END, LAYOUT_FIRMWARE_END,
		X86_MEMORY_RESERVED);
	add_run(start, LAYOUT_FIRMWARE_END, r[0].size, X86_MEMORY_RAM);
	add_run(start, LAYOUT_IDENTITY_MAP, LAYOUT_KVM_END,
		X86_MEMORY_RESERVED);
	for (unsigned int i = 1; i < memory->count; i++)
		add_run(start, r[i].gpa, r[i].gpa + r[i].size, X86_MEMORY_RAM);
}
