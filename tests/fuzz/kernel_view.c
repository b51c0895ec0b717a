// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel that was accepted, seen from outside: its file read again after the
 * format's text, and memory read as the kernel will.
 *
 * Called by fuzz_kernel.c. Nothing of vmm/ is used to understand either, but
 * the addresses in layout.h. It may be lenient: that the loaders refuse too
 * much is for the unit tests to find.
 */
#include "tests/fuzz/kernel_world.h"

#include <string.h>

#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/layout.h"

#define MAP_RUNS_MAX	128u
/* Documentation/arch/x86/boot.rst: offsets in the file. */
#define HEADER		0x1f1u
#define JUMP_LENGTH	0x201u
#define HEADER_END	0x202u		/* plus the former */
#define VERSION_2_12	0x20cu

/* Layout of xen/include/public/arch-x86/hvm/start_info.h. */
struct view_start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, map;
	uint32_t map_runs, reserved;
};

struct view_map_run {
	uint64_t gpa, size;
	uint32_t type, reserved;
};

void world_file_bytes(const struct world_file *file, uint64_t offset,
		      void *buf, size_t len)
{
	size_t there;

	require(offset <= file->size && len <= file->size - offset);
	memset(buf, 0, len);
	if (offset >= file->len)
		return;
	there = file->len - (size_t)offset;
	memcpy(buf, file->data + offset, there < len ? there : len);
}

/* As the guest reads it; it must not be referred to what is not RAM. */
static void guest_bytes(const struct world *w, uint64_t gpa, void *buf,
			size_t len)
{
	require(gpa <= w->vm.memory.region[0].size &&
		len <= w->vm.memory.region[0].size - gpa);
	memcpy(buf, w->ram + gpa, len);
}

/* The last byte of the setup header that the loader goes by is init_size's. */
static uint64_t header_length(const struct world *w)
{
	uint8_t jump;

	world_file_bytes(&w->kernel, JUMP_LENGTH, &jump, 1);
	require(HEADER_END + jump >=
		HEADER + offsetof(struct setup_header, init_size) + 4);
	return HEADER_END + jump - HEADER;
}

static unsigned int bzimage_parts(const struct world *w,
				  struct world_part *part)
{
	const struct x86_kernel *k = &w->loaded;
	struct setup_header h;
	uint64_t start;

	world_file_bytes(&w->kernel, HEADER, &h, sizeof(h));
	header_length(w);
	require(k->protocol == X86_LINUX64);
	require(h.boot_flag == 0xaa55 && h.header == 0x53726448);
	require(h.version >= VERSION_2_12);
	require(h.loadflags & LOADED_HIGH);
	require(h.xloadflags & XLF_KERNEL_64);
	part->gpa = h.pref_address;
	part->offset = ((h.setup_sects ? h.setup_sects : 4) + 1) * 512u;
	part->filled = h.syssize * UINT64_C(16);
	/* "runtime_start", under init_size in boot.rst. */
	start = h.pref_address;
	if (h.relocatable_kernel) {
		require(h.kernel_alignment &&
			!(h.kernel_alignment & (h.kernel_alignment - 1)));
		start = (start + h.kernel_alignment - 1) &
			~(uint64_t)(h.kernel_alignment - 1);
	}
	part->size = start + h.init_size - h.pref_address;
	require(part->filled <= part->size);
	/* The 64-bit entry point. */
	require(k->entry == part->gpa + 0x200 && part->filled > 0x200);
	require(k->initrd_end <= h.initrd_addr_max + UINT64_C(1));
	require(strlen(w->append) <= h.cmdline_size);
	return 1;
}

/* The 32-bit entry is the value of a note somewhere in the file. */
static bool has_note(const struct world *w, uint32_t entry)
{
	uint32_t note[5] = { 4, 0, 18, 0, entry };
	uint32_t at[5];

	memcpy(&note[3], "Xen", 4);
	if (w->kernel.size < sizeof(note))
		return false;
	/* Zeros behind the data may be the end of one. */
	for (uint64_t i = 0; i < w->kernel.len &&
	     i <= w->kernel.size - sizeof(note); i++) {
		world_file_bytes(&w->kernel, i, at, sizeof(at));
		note[1] = at[1];
		if (at[1] >= 4 && !memcmp(at, note, sizeof(note)))
			return true;
	}
	return false;
}

static void check_elf_entry(const struct world *w, const Elf64_Ehdr *ehdr,
			    const struct world_part *part, unsigned int parts)
{
	const struct x86_kernel *k = &w->loaded;
	unsigned int i;

	switch (k->protocol) {
	case X86_LINUX64:
		require(k->entry == ehdr->e_entry);
		break;
	case X86_PVH:
		require(k->entry <= UINT32_MAX &&
			has_note(w, (uint32_t)k->entry));
		break;
	}
	/* There is code there, not merely memory. */
	for (i = 0; i < parts; i++)
		if (k->entry >= part[i].gpa &&
		    k->entry - part[i].gpa < part[i].filled)
			break;
	require(i < parts);
}

static unsigned int elf_parts(const struct world *w, struct world_part *part)
{
	unsigned int parts = 0;
	Elf64_Ehdr ehdr;
	Elf64_Phdr p;

	world_file_bytes(&w->kernel, 0, &ehdr, sizeof(ehdr));
	require(ehdr.e_ident[EI_CLASS] == ELFCLASS64);
	require(ehdr.e_ident[EI_DATA] == ELFDATA2LSB);
	require(ehdr.e_machine == EM_X86_64 && ehdr.e_type == ET_EXEC);
	require(ehdr.e_phentsize == sizeof(p));
	require(ehdr.e_phnum <= X86_ELF_SEGMENTS_MAX);
	for (unsigned int i = 0; i < ehdr.e_phnum; i++) {
		world_file_bytes(&w->kernel, ehdr.e_phoff + i * sizeof(p), &p,
				 sizeof(p));
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		require(p.p_filesz <= p.p_memsz);
		part[parts++] = (struct world_part){
			p.p_paddr, p.p_memsz, p.p_offset, p.p_filesz,
		};
	}
	check_elf_entry(w, &ehdr, part, parts);
	return parts;
}

static bool is_elf(const struct world *w)
{
	uint8_t magic[SELFMAG];

	world_file_bytes(&w->kernel, 0, magic, sizeof(magic));
	return memcmp(magic, ELFMAG, SELFMAG) == 0;
}

unsigned int world_parts(const struct world *w, struct world_part *part)
{
	return is_elf(w) ? elf_parts(w, part) : bzimage_parts(w, part);
}

/* Some line of the memory map, no other than RAM, covers the run. */
static bool is_usable(const struct view_map_run *map, unsigned int runs,
		      uint64_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < runs; i++)
		if (map[i].type == X86_MEMORY_RAM && gpa >= map[i].gpa &&
		    gpa - map[i].gpa <= map[i].size &&
		    size <= map[i].size - (gpa - map[i].gpa))
			return true;
	return false;
}

static void check_map(const struct world *w, const struct view_map_run *map,
		      unsigned int runs, const struct world_part *part,
		      unsigned int parts)
{
	const struct world_run initrd = world_initrd(w);

	for (unsigned int i = 0; i < runs; i++) {
		require(map[i].size);
		require(!i || map[i].gpa >= map[i - 1].gpa + map[i - 1].size);
		require(map[i].type != X86_MEMORY_RAM ||
			guest_memory_at(&w->vm.memory, map[i].gpa,
					map[i].size));
	}
	for (unsigned int i = 0; i < parts; i++)
		require(is_usable(map, runs, part[i].gpa, part[i].size));
	if (initrd.size)
		require(is_usable(map, runs, initrd.gpa, initrd.size));
}

/* The file's header, with what a boot loader writes into it. */
static void check_header(const struct world *w, const struct setup_header *got)
{
	struct setup_header want;
	uint64_t len;

	world_file_bytes(&w->kernel, HEADER, &want, sizeof(want));
	len = header_length(w);
	if (len < sizeof(want))
		memset((uint8_t *)&want + len, 0, sizeof(want) - len);
	want.type_of_loader = 0xff;
	want.vid_mode = 0xffff;
	want.cmd_line_ptr = LAYOUT_CMDLINE;
	want.ramdisk_image = got->ramdisk_image;
	want.ramdisk_size = got->ramdisk_size;
	require(!memcmp(got, &want, sizeof(want)));
}

static unsigned int linux64_map(const struct world *w,
				struct view_map_run *map)
{
	struct boot_params params;

	guest_bytes(w, LAYOUT_ZERO_PAGE, &params, sizeof(params));
	require(params.hdr.cmd_line_ptr == LAYOUT_CMDLINE);
	require(params.acpi_rsdp_addr == LAYOUT_ACPI);
	require(params.sentinel == 0);
	require(params.e820_entries <= E820_MAX_ENTRIES_ZEROPAGE);
	if (!is_elf(w))
		check_header(w, &params.hdr);
	for (unsigned int i = 0; i < params.e820_entries; i++)
		map[i] = (struct view_map_run){
			params.e820_table[i].addr, params.e820_table[i].size,
			params.e820_table[i].type, 0,
		};
	return params.e820_entries;
}

static unsigned int pvh_map(const struct world *w, struct view_map_run *map)
{
	struct view_start_info info;

	guest_bytes(w, LAYOUT_PVH_INFO, &info, sizeof(info));
	require(info.magic == 0x336ec578 && info.version == 1);
	require(info.cmdline == LAYOUT_CMDLINE && info.rsdp == LAYOUT_ACPI);
	require(info.map_runs <= MAP_RUNS_MAX);
	guest_bytes(w, info.map, map, info.map_runs * sizeof(*map));
	return info.map_runs;
}

void world_check_parameters(const struct world *w,
			    const struct world_part *part, unsigned int parts)
{
	const size_t size = strlen(w->append) + 1;
	struct view_map_run map[MAP_RUNS_MAX];
	unsigned int runs = 0;

	require(size <= LAYOUT_CMDLINE_MAX);
	require(!memcmp(w->ram + LAYOUT_CMDLINE, w->append, size));
	require(!memcmp(w->ram + LAYOUT_ACPI, "RSD PTR ", 8));
	switch (w->loaded.protocol) {
	case X86_LINUX64:
		runs = linux64_map(w, map);
		break;
	case X86_PVH:
		runs = pvh_map(w, map);
		break;
	}
	require(runs);
	check_map(w, map, runs, part, parts);
}

struct world_run world_initrd(const struct world *w)
{
	struct world_run run = { 0, 0 };
	struct view_start_info info;
	struct boot_params params;

	switch (w->loaded.protocol) {
	case X86_LINUX64:
		guest_bytes(w, LAYOUT_ZERO_PAGE, &params, sizeof(params));
		run.gpa = params.hdr.ramdisk_image;
		run.size = params.hdr.ramdisk_size;
		break;
	case X86_PVH:
		guest_bytes(w, LAYOUT_PVH_INFO, &info, sizeof(info));
		require(info.modules <= 1);
		/* Address and size come first. */
		if (info.modules)
			guest_bytes(w, info.module_list, &run, sizeof(run));
		break;
	}
	return run;
}
