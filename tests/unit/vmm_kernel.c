// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernel files: what is taken, what is refused and with which words; the
 * memory map; whole files through arch_boot() without a KVM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "vmm/arch.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/kernel.h"
#include "vmm/x86_64/layout.h"

#define MIB (UINT64_C(1) << 20)

static struct fail why;
static struct vm vm;
static char dir[32], path[64];

static uint8_t head[X86_HEAD_SIZE];
static struct setup_header header;

/* A good header: 5 sectors of setup, 64 KiB of code. */
static void setup(void)
{
	memset(&why, 0, sizeof(why));
	memset(head, 0, sizeof(head));
	memset(&header, 0, sizeof(header));
	header.setup_sects = 4;
	header.boot_flag = 0xaa55;
	header.header = 0x53726448;
	header.version = 0x20c;
	header.loadflags = 1;
	header.xloadflags = XLF_KERNEL_64;
	header.syssize = 0x1000;
	header.pref_address = 0x1000000;
	header.init_size = 0x200000;
	header.initrd_addr_max = 0x7fffffff;
	header.cmdline_size = 2047;
	header.jump = 0x66eb;
	strcpy(dir, "/tmp/wherry-boot.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/kernel", dir);
}

static void teardown(void)
{
	for (unsigned int i = 0; i < vm.memory.count; i++)
		munmap(vm.memory.region[i].host, vm.memory.region[i].size);
	memset(&vm, 0, sizeof(vm));
	unlink(path);
	rmdir(dir);
}

/* RAM of a machine that has no KVM. */
static void give_memory(uint64_t size)
{
	arch_memory_layout(size, &vm.memory);
	for (unsigned int i = 0; i < vm.memory.count; i++) {
		void *p = mmap(NULL, vm.memory.region[i].size,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

		ck_assert_ptr_ne(p, MAP_FAILED);
		vm.memory.region[i].host = p;
	}
	vm.cpus = 1;
	vm.vcpu[0].vm = &vm;
	vm.vcpu[0].fd = -1;
}

static void write_file(const void *data, size_t len, uint64_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert(!ftruncate(fd, (off_t)size));
	close(fd);
}

/* The reason with which booting fails; the registers need a KVM. */
static const char *boot(const char *initrd, const char *append)
{
	const struct platform_device power = {
		PLATFORM_POWER, ARCH_POWER_BASE, 3, 0,
	};
	const struct arch_boot what = {
		.kernel = path, .initrd = initrd, .append = append,
		.device = &power, .devices = 1,
	};

	ck_assert_int_lt(arch_boot(&vm, &what, &why), 0);
	return why.text;
}

#define LOADED "KVM_GET_SREGS: Bad file descriptor"

static int parse(uint64_t size, struct x86_bzimage *image,
		 struct x86_kernel *kernel)
{
	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	return x86_bzimage_parse(head, sizeof(head), size, "K", image, kernel,
				 &why);
}

static void refuse_bzimage(const char *text)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	ck_assert_int_eq(parse(5 * 512 + 0x10000, &image, &kernel), -EINVAL);
	ck_assert_str_eq(why.text, text);
}

START_TEST(bzimage_header_is_understood)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	ck_assert_msg(!parse(5 * 512 + 0x10000, &image, &kernel), "%s",
		      why.text);
	ck_assert_uint_eq(image.offset, 5 * 512);
	ck_assert_uint_eq(image.size, 0x10000);
	ck_assert_uint_eq(kernel.entry, 0x1000200);
	ck_assert_uint_eq(kernel.end, 0x1200000);
	ck_assert_uint_eq(kernel.initrd_end, 0x80000000);
	ck_assert_uint_eq(kernel.cmdline_max, 2047);
	ck_assert_int_eq(kernel.protocol, X86_LINUX64);
	ck_assert_uint_eq(kernel.header.type_of_loader, 0xff);
	header.setup_sects = 0;
	ck_assert(!parse(5 * 512 + 0x10000, &image, &kernel));
	ck_assert_uint_eq(image.offset, 5 * 512);
}
END_TEST

START_TEST(bzimage_code_behind_the_header_is_not_copied)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	/* The header ends where the jump leads: after init_size. */
	header.handover_offset = 0x1234;
	header.jump = 0x62eb;
	ck_assert(!parse(5 * 512 + 0x10000, &image, &kernel));
	ck_assert_uint_eq(kernel.header.init_size, 0x200000);
	ck_assert_uint_eq(kernel.header.handover_offset, 0);
}
END_TEST

START_TEST(old_boot_protocol_is_refused)
{
	header.version = 0x206;
	refuse_bzimage("K: boot protocol 2.06, expected 2.12 or later");
}
END_TEST

START_TEST(kernel_without_64_bit_entry_is_refused)
{
	header.xloadflags = 0;
	refuse_bzimage("K: no 64-bit entry point (xloadflags 0x0), expected a "
		       "64-bit kernel");
}
END_TEST

START_TEST(zimage_is_refused)
{
	header.loadflags = 0;
	refuse_bzimage("K: a zImage (loadflags 0x0), expected a bzImage");
}
END_TEST

START_TEST(truncated_bzimage_is_refused)
{
	header.syssize = 0x1001;
	refuse_bzimage("K: truncated: 68096 bytes, its header promises 68112");
	header.syssize = UINT32_MAX;
	refuse_bzimage("K: truncated: 68096 bytes, its header promises "
		       "68719479280");
}
END_TEST

START_TEST(bzimage_without_code_is_refused)
{
	header.syssize = 0x20;
	refuse_bzimage("K: 512 bytes of code (syssize), expected more than "
		       "512");
}
END_TEST

START_TEST(init_size_below_the_code_is_refused)
{
	header.init_size = 0xffff;
	refuse_bzimage("K: init_size 65535 is less than its 65536 bytes of "
		       "code");
}
END_TEST

START_TEST(short_file_is_no_bzimage)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	for (size_t len = 0; len < X86_HEADER_OFFSET + sizeof(header); len++)
		ck_assert_int_eq(x86_bzimage_parse(head, len, len, "K", &image,
						   &kernel, &why), -EINVAL);
}
END_TEST

static void write_bzimage(void)
{
	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	write_file(head, sizeof(head), 5 * 512 + 0x10000);
}

START_TEST(bzimage_is_loaded_with_parameters_and_map)
{
	struct boot_params params;

	give_memory(64 * MIB);
	write_bzimage();
	ck_assert_str_eq(boot(NULL, "some words"), LOADED);
	ck_assert(!guest_memory_read(&vm.memory, LAYOUT_ZERO_PAGE, &params,
				     sizeof(params)));
	ck_assert_uint_eq(params.hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	ck_assert_uint_eq(params.acpi_rsdp_addr, LAYOUT_ACPI);
	ck_assert_uint_eq(params.e820_entries, 5);
	ck_assert_uint_eq(params.sentinel, 0);
	ck_assert_str_eq((char *)guest_memory_at(&vm.memory, LAYOUT_CMDLINE,
						 16), "some words");
}
END_TEST

START_TEST(kernel_that_does_not_fit_says_how_much_would_do)
{
	char want[128];

	give_memory(17 * MIB);
	write_bzimage();
	snprintf(want, sizeof(want), "guest memory of 17 MiB is too small: %s "
		 "needs at least 18 MiB", path);
	ck_assert_str_eq(boot(NULL, ""), want);
	teardown();
	setup();
	give_memory(MIB);
	write_bzimage();
	ck_assert_str_eq(boot(NULL, ""), "guest memory of 1 MiB is too small: "
			 "the machine needs at least 2 MiB");
}
END_TEST

START_TEST(load_address_outside_of_ram_is_refused)
{
	give_memory(64 * MIB);
	header.pref_address = 0x1000;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""),
				     "wants to be loaded at 0x1000"));
	header.pref_address = UINT64_MAX - 10;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "where RAM ends"));
	header.pref_address = 0xbfffffff;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "where RAM ends"));
}
END_TEST

START_TEST(command_line_beyond_the_limit_is_refused)
{
	char append[4096];

	give_memory(64 * MIB);
	write_bzimage();
	memset(append, 'a', sizeof(append));
	append[2047] = '\0';
	ck_assert_str_eq(boot(NULL, append), LOADED);
	append[2047] = 'a';
	append[2048] = '\0';
	ck_assert_str_eq(boot(NULL, append), "kernel command line of 2048 "
			 "bytes: this kernel takes at most 2047");
	/* A limit that is none. */
	header.cmdline_size = UINT32_MAX;
	write_bzimage();
	ck_assert_str_eq(boot(NULL, append), LOADED);
}
END_TEST

START_TEST(initrd_lies_as_high_as_allowed)
{
	struct boot_params params;

	give_memory(64 * MIB);
	write_bzimage();
	ck_assert_str_eq(boot(path, ""), LOADED);
	guest_memory_read(&vm.memory, LAYOUT_ZERO_PAGE, &params,
			  sizeof(params));
	ck_assert_uint_eq(params.hdr.ramdisk_size, 5 * 512 + 0x10000);
	ck_assert_uint_eq(params.hdr.ramdisk_image,
			  (64 * MIB - 5 * 512 - 0x10000) & ~UINT64_C(0xfff));
	header.initrd_addr_max = 32 * MIB - 1;
	write_bzimage();
	ck_assert_str_eq(boot(path, ""), LOADED);
	guest_memory_read(&vm.memory, LAYOUT_ZERO_PAGE, &params,
			  sizeof(params));
	ck_assert_uint_lt(params.hdr.ramdisk_image +
			  params.hdr.ramdisk_size, 32 * MIB);
}
END_TEST

START_TEST(initrd_that_does_not_fit_is_refused)
{
	give_memory(18 * MIB);
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(path, ""), "guest memory of 18 MiB "
				     "is too small"));
	header.initrd_addr_max = 0x100000;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(path, ""), "do not fit between"));
	ck_assert_str_eq(boot("/nonexistent", ""),
			 "initrd: /nonexistent: No such file or directory");
}
END_TEST

START_TEST(file_that_is_no_kernel_is_refused_by_name)
{
	char want[128];

	give_memory(64 * MIB);
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "No such file"));
	write_file("", 0, 0);
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "kernel: empty"));
	write_file("hello", 5, 5);
	snprintf(want, sizeof(want), "%s: neither a bzImage nor a 64-bit ELF "
		 "kernel", path);
	ck_assert_str_eq(boot(NULL, ""), want);
	unlink(path);
	ck_assert(!mkfifo(path, 0600));
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "not a regular file"));
}
END_TEST

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
	write_file(&elf, sizeof(elf), sizeof(elf));
	return boot(NULL, "");
}

START_TEST(elf_is_loaded_and_its_note_found)
{
	struct x86_file file;
	struct x86_kernel kernel;

	give_memory(16 * MIB);
	make_elf();
	ck_assert_str_eq(boot_elf(), LOADED);
	ck_assert_mem_eq(guest_memory_at(&vm.memory, 0x200000, 64), elf.code,
			 64);
	ck_assert(!x86_file_open(&file, path, &why));
	ck_assert(!x86_elf_load(&file, (const uint8_t *)&elf, sizeof(elf),
				&vm.memory, &kernel, &why));
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
		      why.text, expected); \
} while (0)

START_TEST(elf_fields_out_of_range_are_refused_by_name)
{
	give_memory(16 * MIB);
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
	REFUSE(elf.p[1].p_filesz, 65537, "truncated: a segment");
	REFUSE(elf.note.entry, 0x300000, "entry point 0x300000 lies in none");
	make_elf();
	elf.p[1].p_type = PT_NULL;
	elf.e.e_entry = 0x1fffff;
	ck_assert_ptr_nonnull(strstr(boot_elf(), "entry point 0x1fffff"));
}
END_TEST

START_TEST(elf_cut_anywhere_is_refused)
{
	give_memory(16 * MIB);
	make_elf();
	for (size_t len = 1; len < offsetof(__typeof__(elf), code) +
	     sizeof(elf.code); len++) {
		write_file(&elf, len, len);
		ck_assert_str_ne(boot(NULL, ""), LOADED);
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

START_TEST(memory_map_keeps_the_tables_out_of_ram)
{
	struct x86_start start;
	struct guest_memory memory;
	uint64_t ram = 0;

	arch_memory_layout(UINT64_C(8) << 30, &memory);
	x86_memory_map(&memory, &start);
	for (unsigned int i = 0; i < start.runs; i++) {
		const struct x86_memory_run *r = &start.run[i];

		if (i)
			ck_assert_uint_ge(r->gpa, r[-1].gpa + r[-1].size);
		if (r->type != X86_MEMORY_RAM)
			continue;
		ram += r->size;
		ck_assert(r->gpa >= LAYOUT_FIRMWARE_END ||
			  r->gpa + r->size <= LAYOUT_ACPI);
	}
	ck_assert_uint_eq(ram, (UINT64_C(8) << 30) -
			  (LAYOUT_FIRMWARE_END - LAYOUT_LOW_RAM_END));
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(bzimage_header_is_understood),
		UNIT_TEST(bzimage_code_behind_the_header_is_not_copied),
		UNIT_TEST(old_boot_protocol_is_refused),
		UNIT_TEST(kernel_without_64_bit_entry_is_refused),
		UNIT_TEST(zimage_is_refused),
		UNIT_TEST(truncated_bzimage_is_refused),
		UNIT_TEST(bzimage_without_code_is_refused),
		UNIT_TEST(init_size_below_the_code_is_refused),
		UNIT_TEST(short_file_is_no_bzimage),
		UNIT_TEST(bzimage_is_loaded_with_parameters_and_map),
		UNIT_TEST(kernel_that_does_not_fit_says_how_much_would_do),
		UNIT_TEST(load_address_outside_of_ram_is_refused),
		UNIT_TEST(command_line_beyond_the_limit_is_refused),
		UNIT_TEST(initrd_lies_as_high_as_allowed),
		UNIT_TEST(initrd_that_does_not_fit_is_refused),
		UNIT_TEST(file_that_is_no_kernel_is_refused_by_name),
		UNIT_TEST(elf_is_loaded_and_its_note_found),
		UNIT_TEST(elf_fields_out_of_range_are_refused_by_name),
		UNIT_TEST(elf_cut_anywhere_is_refused),
		UNIT_TEST(lying_notes_are_not_followed),
		UNIT_TEST(memory_map_keeps_the_tables_out_of_ram),
	};

	return UNIT_RUN("vmm_kernel", cases, setup, teardown);
}
