/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where things lie in the guest's physical memory. The windows of devices are
 * in vmm/arch.h; everything here is private to x86_64/.
 */
#ifndef WHERRY_VMM_X86_64_LAYOUT_H
#define WHERRY_VMM_X86_64_LAYOUT_H

/* Below 640 KiB: what the boot processor starts with. */
#define LAYOUT_GDT		0x500u
#define LAYOUT_PVH_INFO		0x6000u	/* start info, modules, memory map */
#define LAYOUT_ZERO_PAGE	0x7000u	/* struct boot_params */
#define LAYOUT_STACK_TOP	0x8ff0u
#define LAYOUT_PML4		0x9000u
#define LAYOUT_PDPT		0xa000u
#define LAYOUT_PD		0xb000u	/* four pages: 4 GiB of 2 MiB pages */
#define LAYOUT_CMDLINE		0x20000u
#define LAYOUT_CMDLINE_MAX	0x10000u

/* RAM ends here, as on a PC with an extended BIOS data area. */
#define LAYOUT_LOW_RAM_END	0x9fc00u

/* ACPI tables: RSDP first, where a guest that is not told would look. */
#define LAYOUT_ACPI		0xe0000u
#define LAYOUT_ACPI_END		0xfe000u
/*
 * The firmware's own, never the guest's: a page for the generation ID, whose
 * specification forbids memory of the kind that ACPI tables are in, and the
 * page of the reset vector, where a processor starts after a reset.
 */
#define LAYOUT_VMGENID		0xfe000u
#define LAYOUT_FIRMWARE_END	0x100000u
#define LAYOUT_RESET_VECTOR	0xffff0u

/* Kernels start here at the earliest. */
#define LAYOUT_KERNEL_MIN	0x100000u

/*
 * Four pages that KVM wants for itself on older Intel CPUs (api.rst,
 * KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSS_ADDR); no RAM is there.
 */
#define LAYOUT_IDENTITY_MAP	0xfffbc000u
#define LAYOUT_TSS		0xfffbd000u
#define LAYOUT_KVM_END		0xfffc0000u

#define LAYOUT_IOAPIC		0xfec00000u
#define LAYOUT_LAPIC		0xfee00000u

#endif
