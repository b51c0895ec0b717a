// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernels' files without a KVM: RAM for a machine, a file to boot from.
 */
#include "tests/unit/vmm_kernel_bed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/runner.h"
#include "vmm/arch.h"

void kernel_bed_setup(struct kernel_bed *bed)
{
	memset(bed, 0, sizeof(*bed));
	strcpy(bed->dir, "/tmp/wherry-boot.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(bed->dir));
	snprintf(bed->path, sizeof(bed->path), "%s/kernel", bed->dir);
}

void kernel_bed_teardown(struct kernel_bed *bed)
{
	const struct guest_memory *memory = &bed->vm.memory;

	for (unsigned int i = 0; i < memory->count; i++)
		munmap(memory->region[i].host, memory->region[i].size);
	unlink(bed->path);
	rmdir(bed->dir);
}

void kernel_give_memory(struct kernel_bed *bed, uint64_t size)
{
	struct guest_memory *memory = &bed->vm.memory;

	arch_memory_layout(size, memory);
	for (unsigned int i = 0; i < memory->count; i++) {
		void *p = mmap(NULL, memory->region[i].size,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);

		ck_assert_ptr_ne(p, MAP_FAILED);
		memory->region[i].host = p;
	}
	bed->vm.cpus = 1;
	bed->vm.vcpu[0].vm = &bed->vm;
	bed->vm.vcpu[0].fd = -1;
}

void kernel_write_file(const struct kernel_bed *bed, const void *data,
		       size_t len, uint64_t size)
{
	int fd = open(bed->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert(!ftruncate(fd, (off_t)size));
	close(fd);
}

const char *kernel_boot(struct kernel_bed *bed, const char *initrd,
			const char *append)
{
	const struct platform_device power = {
		PLATFORM_POWER, ARCH_POWER_BASE, 3, 0,
	};
	const struct arch_boot what = {
		.kernel = bed->path, .initrd = initrd, .append = append,
		.device = &power, .devices = 1,
	};

	ck_assert_int_lt(arch_boot(&bed->vm, &what, &bed->why), 0);
	return bed->why.text;
}
