// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Booting: files into guest memory, tables beside them, and the boot
 * processor's registers. The other processors wait for the kernel to wake
 * them (INIT, SIPI), which KVM does by itself.
 *
 * Called by machine.c on the main thread, vCPUs parked and never run.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "devices/power.h"
#include "vmm/arch.h"
#include "vmm/x86_64/acpi.h"
#include "vmm/x86_64/boot.h"
#include "vmm/x86_64/layout.h"

#define PAGE UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)

static int load_kernel(const char *path, const struct guest_memory *memory,
		       struct x86_kernel *kernel, struct fail *why)
{
	uint8_t head[X86_HEAD_SIZE];
	struct x86_file file;
	size_t len;
	int err;

	err = x86_file_open(&file, path, why);
	if (err)
		return fail_within(why, err, "kernel");
	len = file.size < sizeof(head) ? (size_t)file.size : sizeof(head);
	err = x86_file_read(&file, 0, head, len, why);
	if (err)
		goto close;
	if (x86_elf_probe(head, len))
		err = x86_elf_load(&file, head, len, memory, kernel, why);
	else if (x86_bzimage_probe(head, len))
		err = x86_bzimage_load(&file, head, len, memory, kernel, why);
	else
		err = fail(why, -EINVAL, "%s: neither a bzImage nor a 64-bit "
			   "ELF kernel", path);
close:
	close(file.fd);
	return err;
}

/*
 * As high as kernel and RAM allow: the kernel grows upwards from below. More
 * memory is asked for only where that would do.
 */
static int place_initrd(const struct x86_file *file,
			const struct guest_memory *memory,
			const struct x86_kernel *kernel,
			struct x86_start *start, struct fail *why)
{
	const uint64_t ram = memory->region[0].size;
	const uint64_t lowest = (kernel->end + PAGE - 1) & ~(PAGE - 1);
	uint64_t end = ARCH_RAM_LOW_MAX;

	if (end > kernel->initrd_end)
		end = kernel->initrd_end;
	if (lowest > end || file->size > end - lowest)
		return fail(why, -EINVAL, "%s: %" PRIu64 " bytes do not fit "
			    "between the kernel's end at 0x%" PRIx64
			    " and 0x%" PRIx64, file->path, file->size,
			    kernel->end, end);
	if (lowest > ram || file->size > ram - lowest)
		return x86_fail_small(memory, lowest + file->size, file->path,
				      why);
	if (end > ram)
		end = ram;
	start->initrd = (end - file->size) & ~(PAGE - 1);
	start->initrd_size = file->size;
	return 0;
}

static int load_initrd(const char *path, const struct guest_memory *memory,
		       const struct x86_kernel *kernel,
		       struct x86_start *start, struct fail *why)
{
	struct x86_file file;
	int err;

	err = x86_file_open(&file, path, why);
	if (err)
		return fail_within(why, err, "initrd");
	err = place_initrd(&file, memory, kernel, start, why);
	if (!err)
		err = x86_file_read(&file, 0,
				    guest_memory_at(memory, start->initrd,
						    file.size),
				    file.size, why);
	close(file.fd);
	return err;
}

static int write_cmdline(const char *append, const struct guest_memory *memory,
			 const struct x86_kernel *kernel, struct fail *why)
{
	uint32_t max = kernel->cmdline_max;
	size_t len = strlen(append);

	if (max > LAYOUT_CMDLINE_MAX - 1)
		max = LAYOUT_CMDLINE_MAX - 1;
	if (len > max)
		return fail(why, -E2BIG, "kernel command line of %zu bytes: "
			    "this kernel takes at most %" PRIu32, len, max);
	return guest_memory_write(memory, LAYOUT_CMDLINE, append, len + 1);
}

static int write_acpi(struct vm *vm, const struct arch_boot *boot,
		      struct fail *why)
{
	const size_t size = LAYOUT_ACPI_END - LAYOUT_ACPI;
	void *data = guest_memory_at(&vm->memory, LAYOUT_ACPI, size);

	if (!data)
		return -EFAULT;
	return x86_acpi_build(boot->device, boot->devices, vm->cpus, data,
			      size, LAYOUT_ACPI, why);
}

/*
 * Linux does not use the reset register of a hardware-reduced machine: it
 * takes such a machine for one with EFI, and without EFI falls back to jumping
 * to the reset vector in real mode (efi_reboot_required(),
 * machine_real_restart()). So the vector has code that does the reset.
 */
static int write_reset_code(const struct arch_boot *boot,
			    const struct guest_memory *memory)
{
	uint8_t code[] = {
		0xba, 0, 0,			/* mov dx, port */
		0xb0, POWER_RESET_VALUE,	/* mov al, value */
		0xee,				/* out dx, al */
		0xf4,				/* hlt */
		0xeb, 0xfd,			/* jmp to hlt */
	};
	uint64_t port;

	_Static_assert(sizeof(code) <=
		       LAYOUT_FIRMWARE_END - LAYOUT_RESET_VECTOR,
		       "fits above the vector");
	for (unsigned int i = 0; i < boot->devices; i++) {
		if (boot->device[i].kind != PLATFORM_POWER)
			continue;
		port = boot->device[i].base + POWER_RESET;
		code[1] = (uint8_t)port;
		code[2] = (uint8_t)(port >> 8);
		return guest_memory_write(memory, LAYOUT_RESET_VECTOR, code,
					  sizeof(code));
	}
	return 0;
}

int arch_boot(struct vm *vm, const struct arch_boot *boot, struct fail *why)
{
	const struct guest_memory *memory = &vm->memory;
	struct x86_start start = { 0 };
	struct x86_kernel kernel;
	int err;

	if (memory->count == 0 || memory->region[0].size < 2 * MIB)
		return x86_fail_small(memory, 2 * MIB, "the machine", why);
	err = load_kernel(boot->kernel, memory, &kernel, why);
	if (!err && boot->initrd)
		err = load_initrd(boot->initrd, memory, &kernel, &start, why);
	if (!err)
		err = write_cmdline(boot->append, memory, &kernel, why);
	if (!err)
		err = write_acpi(vm, boot, why);
	if (!err)
		err = write_reset_code(boot, memory);
	if (err)
		return err;
	x86_memory_map(memory, &start);
	switch (kernel.protocol) {
	case X86_LINUX64:
		err = x86_write_linux64(memory, &kernel, &start);
		break;
	case X86_PVH:
		err = x86_write_pvh(memory, &start);
		break;
	}
	if (err)
		return fail(why, err, "boot tables: no RAM for them");
	return x86_set_entry(&vm->vcpu[0], &kernel, why);
}
