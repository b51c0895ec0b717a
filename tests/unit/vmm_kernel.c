// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bzImage, initrd, command line and memory map: what is taken, what is refused
 * and with which words; whole files through arch_boot() without a KVM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "tests/unit/vmm_kernel_bed.h"
#include "vmm/arch.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/kernel.h"
#include "vmm/x86_64/layout.h"

static struct kernel_bed bed;
static uint8_t head[X86_HEAD_SIZE];
static struct setup_header header;

/* A good header: 5 sectors of setup, 64 KiB of code. */
static void setup(void)
{
	kernel_bed_setup(&bed);
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
}

static void teardown(void)
{
	kernel_bed_teardown(&bed);
}

static const char *boot(const char *initrd, const char *append)
{
	return kernel_boot(&bed, initrd, append);
}

static int parse(uint64_t size, struct x86_bzimage *image,
		 struct x86_kernel *kernel)
{
	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	return x86_bzimage_parse(head, sizeof(head), size, "K", image, kernel,
				 &bed.why);
}

static void refuse_bzimage(const char *text)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	ck_assert_int_eq(parse(5 * 512 + 0x10000, &image, &kernel), -EINVAL);
	ck_assert_str_eq(bed.why.text, text);
}

START_TEST(bzimage_header_is_understood)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	ck_assert_msg(!parse(5 * 512 + 0x10000, &image, &kernel), "%s",
		      bed.why.text);
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

START_TEST(init_size_counts_from_where_the_kernel_aligns_itself)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	header.kernel_alignment = 0x200000;
	header.pref_address = 0x1000010;
	ck_assert(!parse(5 * 512 + 0x10000, &image, &kernel));
	ck_assert_uint_eq(kernel.end, 0x1200010);
	header.relocatable_kernel = 1;
	ck_assert(!parse(5 * 512 + 0x10000, &image, &kernel));
	ck_assert_uint_eq(image.address, 0x1000010);
	ck_assert_uint_eq(kernel.end, 0x1400000);
	header.pref_address = 0x1000000;
	ck_assert(!parse(5 * 512 + 0x10000, &image, &kernel));
	ck_assert_uint_eq(kernel.end, 0x1200000);
}
END_TEST

START_TEST(alignment_that_is_no_power_of_2_is_refused)
{
	header.relocatable_kernel = 1;
	header.kernel_alignment = 0;
	refuse_bzimage("K: kernel_alignment 0x0, expected a power of 2");
	header.kernel_alignment = 3;
	refuse_bzimage("K: kernel_alignment 0x3, expected a power of 2");
}
END_TEST

START_TEST(setup_header_without_init_size_is_refused)
{
	header.jump = 0x61eb;
	refuse_bzimage("K: setup header of 114 bytes, boot protocol 2.12 has "
		       "at least 115");
}
END_TEST

START_TEST(short_file_is_no_bzimage)
{
	struct x86_bzimage image;
	struct x86_kernel kernel;

	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	for (size_t len = 0; len < X86_HEADER_OFFSET + sizeof(header); len++)
		ck_assert_int_eq(x86_bzimage_parse(head, len, len, "K", &image,
						   &kernel, &bed.why), -EINVAL);
}
END_TEST

static void write_bzimage(void)
{
	memcpy(head + X86_HEADER_OFFSET, &header, sizeof(header));
	kernel_write_file(&bed, head, sizeof(head), 5 * 512 + 0x10000);
}

START_TEST(bzimage_is_loaded_with_parameters_and_map)
{
	struct boot_params params;

	kernel_give_memory(&bed, 64 * MIB);
	write_bzimage();
	ck_assert_str_eq(boot(NULL, "some words"), LOADED);
	ck_assert(!guest_memory_read(&bed.vm.memory, LAYOUT_ZERO_PAGE, &params,
				     sizeof(params)));
	ck_assert_uint_eq(params.hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	ck_assert_uint_eq(params.acpi_rsdp_addr, LAYOUT_ACPI);
	ck_assert_uint_eq(params.e820_entries, 5);
	ck_assert_uint_eq(params.sentinel, 0);
	ck_assert_str_eq((char *)guest_memory_at(&bed.vm.memory, LAYOUT_CMDLINE,
						 16), "some words");
}
END_TEST

START_TEST(kernel_that_does_not_fit_says_how_much_would_do)
{
	char want[128];

	kernel_give_memory(&bed, 17 * MIB);
	write_bzimage();
	snprintf(want, sizeof(want), "guest memory of 17 MiB is too small: %s "
		 "needs at least 18 MiB", bed.path);
	ck_assert_str_eq(boot(NULL, ""), want);
	teardown();
	setup();
	kernel_give_memory(&bed, MIB);
	write_bzimage();
	ck_assert_str_eq(boot(NULL, ""), "guest memory of 1 MiB is too small: "
			 "the machine needs at least 2 MiB");
}
END_TEST

START_TEST(load_address_outside_of_ram_is_refused)
{
	kernel_give_memory(&bed, 64 * MIB);
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

	kernel_give_memory(&bed, 64 * MIB);
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

	kernel_give_memory(&bed, 64 * MIB);
	write_bzimage();
	ck_assert_str_eq(boot(bed.path, ""), LOADED);
	guest_memory_read(&bed.vm.memory, LAYOUT_ZERO_PAGE, &params,
			  sizeof(params));
	ck_assert_uint_eq(params.hdr.ramdisk_size, 5 * 512 + 0x10000);
	ck_assert_uint_eq(params.hdr.ramdisk_image,
			  (64 * MIB - 5 * 512 - 0x10000) & ~UINT64_C(0xfff));
	header.initrd_addr_max = 32 * MIB - 1;
	write_bzimage();
	ck_assert_str_eq(boot(bed.path, ""), LOADED);
	guest_memory_read(&bed.vm.memory, LAYOUT_ZERO_PAGE, &params,
			  sizeof(params));
	ck_assert_uint_lt(params.hdr.ramdisk_image +
			  params.hdr.ramdisk_size, 32 * MIB);
}
END_TEST

START_TEST(initrd_that_does_not_fit_is_refused)
{
	kernel_give_memory(&bed, 18 * MIB);
	header.initrd_addr_max = 0x100000;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(bed.path, ""), "do not fit between"));
	ck_assert_str_eq(boot("/nonexistent", ""),
			 "initrd: /nonexistent: No such file or directory");
}
END_TEST

START_TEST(initrd_asks_for_memory_only_where_that_would_do)
{
	kernel_give_memory(&bed, 18 * MIB);
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(bed.path, ""),
				     "guest memory of 18 MiB is too small"));
	ck_assert_ptr_nonnull(strstr(bed.why.text, "needs at least 19 MiB"));
	/* All of 19 MiB, but the kernel wants it lower. */
	header.initrd_addr_max = 18 * MIB + 0x8000;
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(bed.path, ""),
				     "do not fit between the kernel's end at "
				     "0x1200000 and 0x1208001"));
}
END_TEST

START_TEST(initrd_is_never_sought_a_place_above_low_ram)
{
	char initrd[80];

	snprintf(initrd, sizeof(initrd), "%s.initrd", bed.path);
	kernel_give_memory(&bed, 4096 * MIB);
	header.initrd_addr_max = UINT32_MAX;
	write_bzimage();
	ck_assert(!rename(bed.path, initrd));
	ck_assert(!truncate(initrd, (off_t)ARCH_RAM_LOW_MAX));
	write_bzimage();
	ck_assert_ptr_nonnull(strstr(boot(initrd, ""),
				     "do not fit between the kernel's end at "
				     "0x1200000 and 0xc0000000"));
	unlink(initrd);
}
END_TEST

START_TEST(file_that_is_no_kernel_is_refused_by_name)
{
	char want[128];

	kernel_give_memory(&bed, 64 * MIB);
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "No such file"));
	kernel_write_file(&bed, "", 0, 0);
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "kernel: empty"));
	kernel_write_file(&bed, "hello", 5, 5);
	snprintf(want, sizeof(want), "%s: neither a bzImage nor a 64-bit ELF "
		 "kernel", bed.path);
	ck_assert_str_eq(boot(NULL, ""), want);
	unlink(bed.path);
	ck_assert(!mkfifo(bed.path, 0600));
	ck_assert_ptr_nonnull(strstr(boot(NULL, ""), "not a regular file"));
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
		UNIT_TEST(init_size_counts_from_where_the_kernel_aligns_itself),
		UNIT_TEST(alignment_that_is_no_power_of_2_is_refused),
		UNIT_TEST(setup_header_without_init_size_is_refused),
		UNIT_TEST(short_file_is_no_bzimage),
		UNIT_TEST(bzimage_is_loaded_with_parameters_and_map),
		UNIT_TEST(kernel_that_does_not_fit_says_how_much_would_do),
		UNIT_TEST(load_address_outside_of_ram_is_refused),
		UNIT_TEST(command_line_beyond_the_limit_is_refused),
		UNIT_TEST(initrd_lies_as_high_as_allowed),
		UNIT_TEST(initrd_that_does_not_fit_is_refused),
		UNIT_TEST(initrd_asks_for_memory_only_where_that_would_do),
		UNIT_TEST(initrd_is_never_sought_a_place_above_low_ram),
		UNIT_TEST(file_that_is_no_kernel_is_refused_by_name),
		UNIT_TEST(memory_map_keeps_the_tables_out_of_ram),
	};

	return UNIT_RUN("vmm_kernel", cases, setup, teardown);
}
