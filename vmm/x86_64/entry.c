// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the boot processor finds when it starts: the kernel's parameters,
 * descriptor and page tables, registers.
 *
 * Called by boot.c on the main thread, vCPUs never run. Two protocols: the
 * 64-bit one of Documentation/arch/x86/boot.rst, and PVH
 * (xen/include/public/arch-x86/hvm/start_info.h).
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/layout.h"

/* Selectors that the 64-bit protocol demands; PVH's are free. */
#define SELECTOR_CODE	0x10u
#define SELECTOR_DATA	0x18u
#define SELECTOR_TASK	0x20u

#define CR0_PE		(UINT64_C(1) << 0)
#define CR0_ET		(UINT64_C(1) << 4)
#define CR0_NE		(UINT64_C(1) << 5)
#define CR0_WP		(UINT64_C(1) << 16)
#define CR0_PG		(UINT64_C(1) << 31)
#define CR4_PAE		(UINT64_C(1) << 5)
#define EFER_LME	(UINT64_C(1) << 8)
#define EFER_LMA	(UINT64_C(1) << 10)
#define RFLAGS_FIXED	UINT64_C(2)

#define PTE_PRESENT	UINT64_C(1)
#define PTE_WRITE	UINT64_C(2)
#define PTE_HUGE	(UINT64_C(1) << 7)
#define PD_PAGES	4u
#define PD_ENTRIES	512u

/* struct hvm_start_info and what it points to; not in user headers. */
#define START_MAGIC	0x336ec578u
#define START_VERSION	1u

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t modules;
	uint64_t module_list;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_runs;
	uint32_t reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "start_info.h");

struct start_module {
	uint64_t address;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};
_Static_assert(sizeof(struct start_module) == 32, "start_info.h");

struct start_memory {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
_Static_assert(sizeof(struct start_memory) == 24, "start_info.h");

struct pvh_page {
	struct start_info info;
	struct start_module module;
	struct start_memory memory[X86_MEMORY_RUNS_MAX];
};
_Static_assert(sizeof(struct pvh_page) <= 4096, "one page");

int x86_write_pvh(const struct guest_memory *memory,
		  const struct x86_start *start)
{
	const uint64_t at = LAYOUT_PVH_INFO;
	struct pvh_page page;

	memset(&page, 0, sizeof(page));
	page.info.magic = START_MAGIC;
	page.info.version = START_VERSION;
	page.info.cmdline = LAYOUT_CMDLINE;
	page.info.rsdp = LAYOUT_ACPI;
	page.info.memory_map = at + offsetof(struct pvh_page, memory);
	page.info.memory_runs = start->runs;
	if (start->initrd_size) {
		page.info.modules = 1;
		page.info.module_list = at + offsetof(struct pvh_page, module);
		page.module.address = start->initrd;
		page.module.size = start->initrd_size;
	}
	for (unsigned int i = 0; i < start->runs; i++) {
		page.memory[i].address = start->run[i].gpa;
		page.memory[i].size = start->run[i].size;
		page.memory[i].type = start->run[i].type;
	}
	return guest_memory_write(memory, at, &page, sizeof(page));
}

/* The first 4 GiB as they are, in pages of 2 MiB. */
static int write_page_tables(const struct guest_memory *memory)
{
	const uint64_t flags = PTE_PRESENT | PTE_WRITE;
	uint64_t table[PD_ENTRIES];
	int err;

	memset(table, 0, sizeof(table));
	table[0] = LAYOUT_PDPT | flags;
	err = guest_memory_write(memory, LAYOUT_PML4, table, sizeof(table));
	memset(table, 0, sizeof(table));
	for (uint64_t i = 0; i < PD_PAGES; i++)
		table[i] = (LAYOUT_PD + i * sizeof(table)) | flags;
	if (!err)
		err = guest_memory_write(memory, LAYOUT_PDPT, table,
					 sizeof(table));
	for (uint64_t page = 0; !err && page < PD_PAGES; page++) {
		for (uint64_t i = 0; i < PD_ENTRIES; i++)
			table[i] = (page << 30 | i << 21) | flags | PTE_HUGE;
		err = guest_memory_write(memory,
					 LAYOUT_PD + page * sizeof(table),
					 table, sizeof(table));
	}
	return err;
}

int x86_write_linux64(const struct guest_memory *memory,
		      const struct x86_kernel *kernel,
		      const struct x86_start *start)
{
	struct boot_params params;
	int err;

	memset(&params, 0, sizeof(params));
	params.hdr = kernel->header;
	params.hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	params.hdr.ramdisk_image = (uint32_t)start->initrd;
	params.hdr.ramdisk_size = (uint32_t)start->initrd_size;
	params.acpi_rsdp_addr = LAYOUT_ACPI;
	params.e820_entries = (uint8_t)start->runs;
	for (unsigned int i = 0; i < start->runs; i++) {
		params.e820_table[i].addr = start->run[i].gpa;
		params.e820_table[i].size = start->run[i].size;
		params.e820_table[i].type = start->run[i].type;
	}
	err = guest_memory_write(memory, LAYOUT_ZERO_PAGE, &params,
				 sizeof(params));
	return err ? err : write_page_tables(memory);
}

/* Intel SDM volume 3, 3.4.5: a segment as the descriptor that means it. */
static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 |
	       (uint64_t)s->type << 40 | (uint64_t)s->s << 44 |
	       (uint64_t)s->dpl << 45 | (uint64_t)s->present << 47 |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)s->avl << 52 |
	       (uint64_t)s->l << 53 | (uint64_t)s->db << 54 |
	       (uint64_t)s->g << 55 | (s->base >> 24 & 0xff) << 56;
}

static void set_segments(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment code = {
		.limit = UINT32_MAX, .selector = SELECTOR_CODE,
		.type = 0xb, .present = 1, .s = 1, .g = 1,
		.l = long_mode, .db = !long_mode,
	};
	struct kvm_segment data = {
		.limit = UINT32_MAX, .selector = SELECTOR_DATA,
		.type = 0x3, .present = 1, .s = 1, .g = 1, .db = 1,
	};
	struct kvm_segment task = {
		.limit = 0x67, .selector = SELECTOR_TASK,
		.type = 0xb, .present = 1,
	};

	sregs->cs = code;
	sregs->ds = data;
	sregs->es = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->ss = data;
	sregs->tr = task;
	memset(&sregs->ldt, 0, sizeof(sregs->ldt));
	sregs->ldt.unusable = 1;
}

static int write_gdt(const struct guest_memory *memory,
		     struct kvm_sregs *sregs)
{
	uint64_t gdt[SELECTOR_TASK / 8 + 2] = { 0 };

	gdt[SELECTOR_CODE / 8] = descriptor(&sregs->cs);
	gdt[SELECTOR_DATA / 8] = descriptor(&sregs->ds);
	/* Its upper half, in long mode: base bits 32 .. 63, which are 0. */
	gdt[SELECTOR_TASK / 8] = descriptor(&sregs->tr);
	sregs->gdt.base = LAYOUT_GDT;
	sregs->gdt.limit = sizeof(gdt) - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	return guest_memory_write(memory, LAYOUT_GDT, gdt, sizeof(gdt));
}

int x86_set_entry(struct vcpu *vcpu, const struct x86_kernel *kernel,
		  struct fail *why)
{
	const bool long_mode = kernel->protocol == X86_LINUX64;
	struct kvm_regs regs = {
		.rip = kernel->entry,
		.rflags = RFLAGS_FIXED,
		.rsp = LAYOUT_STACK_TOP,
	};
	struct kvm_sregs sregs;

	if (long_mode)
		regs.rsi = LAYOUT_ZERO_PAGE;
	else
		regs.rbx = LAYOUT_PVH_INFO;
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return fail(why, -errno, "KVM_GET_SREGS: %s", strerror(errno));
	set_segments(&sregs, long_mode);
	if (write_gdt(&vcpu->vm->memory, &sregs))
		return fail(why, -EFAULT, "no RAM for the GDT");
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	sregs.cr4 = 0;
	sregs.efer = 0;
	if (long_mode) {
		sregs.cr0 |= CR0_PG | CR0_WP;
		sregs.cr3 = LAYOUT_PML4;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return fail(why, -errno, "KVM_SET_SREGS: %s", strerror(errno));
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return fail(why, -errno, "KVM_SET_REGS: %s", strerror(errno));
	return 0;
}
