/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that differs between architectures, and the only place with an #ifdef.
 *
 * vmm/<arch>/ implements these functions; nothing else in vmm/ knows them.
 */
#ifndef WHERRY_VMM_ARCH_H
#define WHERRY_VMM_ARCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "virtio/fail.h"
#include "virtio/state.h"
#include "vmm/kvm.h"

#if defined(__x86_64__)
#define ARCH_NAME "x86_64"
/* Below it RAM, above it (to 4 GiB) devices. */
#define ARCH_RAM_LOW_MAX	UINT64_C(0xc0000000)
#define ARCH_RAM_HIGH_BASE	UINT64_C(0x100000000)
/* virtio-mmio windows: one each ARCH_WINDOW_SIZE from here. */
#define ARCH_WINDOW_BASE	UINT64_C(0xd0000000)
#define ARCH_WINDOW_SIZE	UINT64_C(0x1000)
/* First GSI for devices without a traditional one (IOAPIC pins 5 .. 23). */
#define ARCH_GSI_FIRST		5u
#define ARCH_GSI_LAST		23u
#define ARCH_SERIAL_BASE	UINT64_C(0x3f8)
#define ARCH_SERIAL_GSI		4u
/* ACPI sleep control, sleep status and reset registers, one byte each. */
#define ARCH_POWER_BASE		UINT64_C(0x600)
/* Where the guest says that it has panicked; as in other monitors. */
#define ARCH_PVPANIC_BASE	UINT64_C(0x505)
/* Where the guest finds its generation ID; in RAM that is reserved for it. */
#define ARCH_VMGENID_BASE	UINT64_C(0xfe000)
#else
#error "this architecture is not supported: x86_64 expected"
#endif

/**
 * enum platform_kind - what the guest is told about a device
 * @PLATFORM_VIRTIO_MMIO: a virtio-mmio window
 * @PLATFORM_SERIAL: 16550A at port I/O
 * @PLATFORM_POWER: ACPI hardware-reduced sleep and reset registers
 * @PLATFORM_GED: register and interrupt of the ACPI generic event device, and
 *     with it a power button
 * @PLATFORM_VMGENID: generation ID in RAM; its changes are told by the former
 * @PLATFORM_PVPANIC: the port where the guest tells of a panic
 */
enum platform_kind {
	PLATFORM_VIRTIO_MMIO,
	PLATFORM_SERIAL,
	PLATFORM_POWER,
	PLATFORM_GED,
	PLATFORM_VMGENID,
	PLATFORM_PVPANIC,
};

/**
 * struct platform_device - one row of the machine table, as the guest's
 * description (ACPI, device tree) needs it
 * @kind: see there
 * @base: address: guest physical, or port for PLATFORM_SERIAL, _POWER
 *     and _PVPANIC
 * @size: bytes
 * @gsi: interrupt; 0: none
 */
struct platform_device {
	enum platform_kind kind;
	uint64_t base;
	uint64_t size;
	unsigned int gsi;
};

/**
 * struct arch_boot - what to start the guest with
 * @kernel: path: bzImage or ELF vmlinux
 * @initrd: path, or NULL
 * @append: kernel command line, never NULL
 * @device: the machine table
 * @devices: its rows
 */
struct arch_boot {
	const char *kernel;
	const char *initrd;
	const char *append;
	const struct platform_device *device;
	unsigned int devices;
};

/** arch_memory_layout() - where @size bytes of RAM lie; host fields unset */
void arch_memory_layout(uint64_t size, struct guest_memory *memory);

/**
 * arch_vm_init() - irqchip and whatever comes before vCPUs; from vm_create()
 *
 * Return: 0 or negative errno with the reason; arch_vm_destroy() follows in
 * either case.
 */
int arch_vm_init(struct vm *vm, struct fail *why);
/** arch_vm_destroy() - from vm_destroy(); safe when arch_vm_init() never ran */
void arch_vm_destroy(struct vm *vm);
/** arch_vcpu_init() - CPU features shown to the guest; from vm_create() */
int arch_vcpu_init(struct vcpu *vcpu, struct fail *why);

/**
 * arch_boot() - load kernel and initrd, write tables, set vCPU registers
 *
 * Errors name the file, what is wrong with it and what was expected; or how
 * much memory would be needed.
 */
int arch_boot(struct vm *vm, const struct arch_boot *boot, struct fail *why);

/**
 * arch_vcpu_paused() - tell the guest's clock that it was stopped on purpose
 *
 * Without it the guest's soft-lockup watchdog takes the pause for a hang.
 * From vcpus_park(), the vCPU parked.
 */
void arch_vcpu_paused(struct vcpu *vcpu);

/**
 * arch_clock_stop() - the guest's clocks stand still from now on
 *
 * They show the same until arch_clock_start(), and that is what is saved
 * meanwhile. After vcpus_park(); no-op when they do already, as after
 * arch_vm_load(). Loop thread.
 */
void arch_clock_stop(struct vm *vm);
/**
 * arch_clock_start() - they go on, from where they were or, as vm->clock asks,
 * from where they would be
 *
 * Before vcpus_resume(); no-op when they go already. What fails is logged: the
 * clocks then have run on.
 */
void arch_clock_start(struct vm *vm);

/** arch_vcpu_dump() - registers and code bytes, for a person; vCPU parked or
 *  on its own thread */
void arch_vcpu_dump(struct vcpu *vcpu, FILE *out);

/**
 * arch_vcpu_save() - all state of a parked vCPU, as properties of the node
 * open in @w
 *
 * Return: 0 or negative errno with the reason. Errors of @w itself stay there
 * until state_writer_finish().
 */
int arch_vcpu_save(struct vcpu *vcpu, struct state_writer *w,
		   struct fail *why);
/**
 * arch_vcpu_load() - the opposite, into a vCPU that never ran
 *
 * vCPUs ascending, then arch_vm_load(): the first one's time stamp counter is
 * what the others are kept in step with. A host that cannot do what the saved
 * vCPU could (CPU features, clock rate) is refused, naming the difference, or
 * warned of if vm->force.
 */
int arch_vcpu_load(struct vcpu *vcpu, struct state_node *node,
		   struct fail *why);
/**
 * arch_vm_save() - irqchip and clock. vCPUs parked.
 */
int arch_vm_save(struct vm *vm, struct state_writer *w, struct fail *why);
/** arch_vm_load() - after all arch_vcpu_load(), before devices; the clocks
 *  stand still afterwards */
int arch_vm_load(struct vm *vm, struct state_node *node, struct fail *why);

#endif
