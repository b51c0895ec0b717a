// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF kernels: what is taken, what is refused and with which words; whole
 * files through arch_boot() without a KVM.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "tests/unit/vmm_kernel_bed.h"
#include "vmm/x86_64/kernel.h"

static struct kernel_bed bed;

static void setup(void)
{
	kernel_bed_setup(&bed);
}

static void teardown(void)
{
	kernel_bed_teardown(&bed);
}

static struct {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	struct {
		Elf64_Nhdr n;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[64];
} elf;

static void make_elf(void)
{
	memset(&elf, 0, sizeof(elf));
	memcpy(elf.e.e_ident, ELFMAG, SELFMAG);
	elf.e.e_ident[EI_CLASS] = ELFCLASS64;
	elf.e.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.e.e_type = ET_EXEC;
	elf.e.e_machine = EM_X86_64;
	elf.e.e_phentsize = sizeof(Elf64_Phdr);
	elf.e.e_phnum = 2;
	elf.e.e_phoff = offsetof(__typeof__(elf), p);
	elf.e.e_entry = 0x200010;
	elf.p[0].p_type = PT_LOAD;
	elf.p[0].p_offset = offsetof(__typeof__(elf), code);
	elf.p[0].p_filesz = sizeof(elf.code);
	elf.p[0].p_memsz = 0x1000;
	elf.p[0].p_paddr = 0x200000;
	elf.p[1].p_type = PT_NOTE;
	elf.p[1].p_offset = offsetof(__typeof__(elf), note);
	elf.p[1].p_filesz = sizeof(elf.note);
	elf.note.n.n_type = 18;
	elf.note.n.n_namesz = 4;
	elf.note.n.n_descsz = 4;
	memcpy(elf.note.name, "Xen", 4);
	elf.note.entry = 0x200020;
	memset(elf.code, 0x90, sizeof(elf.code));
}

static const char *boot_elf(void)
{
	kernel_write_file(&bed, &elf, sizeof(elf), sizeof(elf));
	return kernel_boot(&bed, NULL, "");
}

START_TEST(elf_is_loaded_and_its_note_found)
{
	struct x86_file file;
	struct x86_kernel kernel;

	kernel_give_memory(&bed, 16 * MIB);
	make_elf();
	ck_assert_str_eq(boot_elf(), LOADED);
	ck_assert_mem_eq(guest_memory_at(&bed.vm.memory, 0x200000, 64),
			 elf.code, 64);
	ck_assert(!x86_file_open(&file, bed.path, &bed.why));
	ck_assert(!x86_elf_load(&file, (const uint8_t *)&elf, sizeof(elf),
				&bed.vm.memory, &kernel, &bed.why));
	close(file.fd);
	ck_assert_int_eq(kernel.protocol, X86_PVH);
	ck_assert_uint_eq(kernel.entry, 0x200020);
	ck_assert_uint_eq(kernel.end, 0x201000);
}
END_TEST

#define REFUSE(field, value, expected) do { \
	make_elf(); \
	field = (value); \
	ck_assert_msg(strstr(boot_elf(), expected), "'%s', expected '%s'", \
		      bed.why.text, expected); \
} while (0)

START_TEST(elf_fields_out_of_range_are_refused_by_name)
{
	kernel_give_memory(&bed, 16 * MIB);
	REFUSE(elf.e.e_ident[EI_CLASS], ELFCLASS32, "ELF class 1");
	REFUSE(elf.e.e_ident[EI_DATA], ELFDATA2MSB, "ELF byte order 2");
	REFUSE(elf.e.e_machine, EM_AARCH64, "ELF machine 183");
	REFUSE(elf.e.e_type, ET_DYN, "ELF type 3");
	REFUSE(elf.e.e_phentsize, 32, "program headers of 32 bytes");
	REFUSE(elf.e.e_phnum, 0, "0 program headers");
	REFUSE(elf.e.e_phnum, 65, "65 program headers");
	REFUSE(elf.e.e_phnum, 64, "truncated: program headers");
	REFUSE(elf.e.e_phoff, UINT64_MAX, "truncated: program headers");
	REFUSE(elf.p[0].p_type, PT_NULL, "no segment to load");
	REFUSE(elf.p[0].p_offset, UINT64_MAX, "truncated: a segment");
	REFUSE(elf.p[0].p_filesz, UINT64_MAX, "truncated: a segment");
	REFUSE(elf.p[0].p_memsz, 8, "for 8 bytes of memory");
	REFUSE(elf.p[0].p_memsz, UINT64_MAX, "where RAM ends");
	REFUSE(elf.p[0].p_memsz, 32 * MIB, "needs at least 34 MiB");
	REFUSE(elf.p[0].p_paddr, 0x1000, "wants to be loaded at 0x1000");
	REFUSE(elf.p[0].p_paddr, UINT64_MAX - 8, "where RAM ends");
	/* The sum is 0. */
	REFUSE(elf.p[0].p_paddr, UINT64_MAX - 0xfff, "where RAM ends");
	REFUSE(elf.p[1].p_filesz, 65537, "truncated: a segment");
	REFUSE(elf.note.entry, 0x300000, "no segment has code at its entry "
	       "point 0x300000");
	make_elf();
	elf.p[1].p_type = PT_NULL;
	elf.e.e_entry = 0x1fffff;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "entry point 0x1fffff"));
}
END_TEST

START_TEST(elf_segments_that_overlap_are_refused)
{
	kernel_give_memory(&bed, 16 * MIB);
	make_elf();
	elf.p[2] = elf.p[0];
	elf.e.e_phnum = 3;
	elf.p[2].p_paddr = 0x201000;
	ck_assert_str_eq(boot_elf(), LOADED);
	elf.p[2].p_paddr = 0x200fff;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "segments overlap: 4096 bytes "
				     "at 0x200000 reach into 4096 bytes at "
				     "0x200fff"));
	elf.p[2].p_paddr = 0x1ff001;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "segments overlap: 4096 bytes "
				     "at 0x1ff001 reach into 4096 bytes at "
				     "0x200000"));
	/* The lower one reaches beyond the upper one's end. */
	elf.p[2].p_paddr = 0x180000;
	elf.p[2].p_memsz = 8 * MIB;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "segments overlap"));
	elf.p[2].p_memsz = 0;
	elf.p[2].p_filesz = 0;
	elf.p[2].p_paddr = 0x200000;
	ck_assert_str_eq(boot_elf(), LOADED);
}
END_TEST

START_TEST(elf_entry_point_in_zeros_is_refused)
{
	kernel_give_memory(&bed, 16 * MIB);
	make_elf();
	elf.note.entry = 0x200000 + sizeof(elf.code) - 1;
	ck_assert_str_eq(boot_elf(), LOADED);
	elf.note.entry++;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "no segment has code at its "
				     "entry point 0x200040"));
}
END_TEST

START_TEST(elf_cut_anywhere_is_refused)
{
	kernel_give_memory(&bed, 16 * MIB);
	make_elf();
	for (size_t len = 1; len < offsetof(__typeof__(elf), code) +
	     sizeof(elf.code); len++) {
		kernel_write_file(&bed, &elf, len, len);
		ck_assert_str_ne(kernel_boot(&bed, NULL, ""), LOADED);
	}
}
END_TEST

START_TEST(lying_notes_are_not_followed)
{
	make_elf();
	ck_assert_uint_eq(x86_elf_pvh_entry((uint8_t *)&elf.note,
					    sizeof(elf.note), 4), 0x200020);
	for (size_t len = 0; len < sizeof(elf.note); len++)
		ck_assert_uint_eq(x86_elf_pvh_entry((uint8_t *)&elf.note, len,
						    4), 0);
	elf.note.n.n_descsz = UINT32_MAX;
	ck_assert_uint_eq(x86_elf_pvh_entry((uint8_t *)&elf.note,
					    sizeof(elf.note), 4), 0);
	elf.note.n.n_descsz = 4;
	elf.note.n.n_namesz = UINT32_MAX;
	ck_assert_uint_eq(x86_elf_pvh_entry((uint8_t *)&elf.note,
					    sizeof(elf.note), 4), 0);
	elf.note.n.n_namesz = 0;
	ck_assert_uint_eq(x86_elf_pvh_entry((uint8_t *)&elf.note,
					    sizeof(elf.note), 4), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(elf_is_loaded_and_its_note_found),
		UNIT_TEST(elf_fields_out_of_range_are_refused_by_name),
		UNIT_TEST(elf_segments_that_overlap_are_refused),
		UNIT_TEST(elf_entry_point_in_zeros_is_refused),
		UNIT_TEST(elf_cut_anywhere_is_refused),
		UNIT_TEST(lying_notes_are_not_followed),
	};

	return UNIT_RUN("vmm_elf", cases, setup, teardown);
}
