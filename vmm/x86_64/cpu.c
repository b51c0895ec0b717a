// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making the VM and its vCPUs: interrupt controllers and their routing, the
 * CPU that the guest is shown.
 *
 * Owns struct arch_vm. Called by vm_create() and vm_destroy() on the main
 * thread, before any vCPU thread exists and after all have ended.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/x86_64/layout.h"
#include "vmm/x86_64/x86.h"

/* Pins of the IOAPIC; ARCH_GSI_LAST is the last of them. */
#define IOAPIC_PINS 24u
_Static_assert(ARCH_GSI_LAST < IOAPIC_PINS, "each GSI is an IOAPIC pin");

static const struct vm_capability needed[] = {
	VM_CAPABILITY(KVM_CAP_SET_TSS_ADDR),
	VM_CAPABILITY(KVM_CAP_SET_IDENTITY_MAP_ADDR),
	VM_CAPABILITY(KVM_CAP_EXT_CPUID),
	VM_CAPABILITY(KVM_CAP_XSAVE),
	VM_CAPABILITY(KVM_CAP_VCPU_EVENTS),
	VM_CAPABILITY(KVM_CAP_DEBUGREGS),
	VM_CAPABILITY(KVM_CAP_ADJUST_CLOCK),
	VM_CAPABILITY(KVM_CAP_GET_TSC_KHZ),
};

static int extension(struct vm *vm, int cap)
{
	return ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);
}

static void probe(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	int size = extension(vm, KVM_CAP_XSAVE2);

	arch->xsave_size = size > (int)sizeof(struct kvm_xsave) ?
			   (size_t)size : 0;
	arch->has_xcrs = extension(vm, KVM_CAP_XCRS) > 0;
	arch->has_tsc_control = extension(vm, KVM_CAP_TSC_CONTROL) > 0;
	arch->has_tsc_deadline =
		extension(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
}

static int read_cpuid(struct vm *vm, struct fail *why)
{
	struct x86_cpuid *c = &vm->arch->cpuid;

	c->nent = X86_CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return fail(why, -errno, "KVM_GET_SUPPORTED_CPUID: %s",
			    strerror(errno));
	return 0;
}

/*
 * Every GSI goes to the IOAPIC alone. KVM's own table also leads 0 .. 15 to
 * the two PICs, which a guest that was told it has none (ACPI hardware-reduced)
 * never masks: they would inject exception vectors.
 */
static int route_interrupts(struct vm *vm, struct fail *why)
{
	/* struct kvm_irq_routing with room in it. */
	struct {
		uint32_t nr;
		uint32_t flags;
		struct kvm_irq_routing_entry entry[IOAPIC_PINS];
	} table = { .nr = IOAPIC_PINS };

	_Static_assert(offsetof(__typeof__(table), entry) ==
		       sizeof(struct kvm_irq_routing),
		       "layout of struct kvm_irq_routing");
	for (uint32_t i = 0; i < IOAPIC_PINS; i++)
		table.entry[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {
				.irqchip = KVM_IRQCHIP_IOAPIC,
				.pin = i,
			},
		};
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table) < 0)
		return fail(why, -errno, "KVM_SET_GSI_ROUTING: %s",
			    strerror(errno));
	return 0;
}

int arch_vm_init(struct vm *vm, struct fail *why)
{
	uint64_t identity = LAYOUT_IDENTITY_MAP;
	int err;

	err = vm_require(vm, needed, sizeof(needed) / sizeof(needed[0]), why);
	if (!err)
		err = x86_clock_check(vm, why);
	if (err)
		return err;
	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return fail(why, -ENOMEM, "out of memory");
	probe(vm);
	err = read_cpuid(vm, why);
	if (err)
		return err;
	err = x86_msrs_init(vm, why);
	if (err)
		return err;
	/* Both before the first vCPU. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return fail(why, -errno, "KVM_SET_IDENTITY_MAP_ADDR: %s",
			    strerror(errno));
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_TSS) < 0)
		return fail(why, -errno, "KVM_SET_TSS_ADDR: %s",
			    strerror(errno));
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return fail(why, -errno, "KVM_CREATE_IRQCHIP: %s",
			    strerror(errno));
	return route_interrupts(vm, why);
}

void arch_vm_destroy(struct vm *vm)
{
	free(vm->arch);
	vm->arch = NULL;
}

/* Hints of the firmware that we stand in for: a KVM without them is fine. */
static void set_firmware_msrs(struct vcpu *vcpu)
{
	if (x86_msr_set(vcpu, MSR_MISC_ENABLE, MSR_MISC_ENABLE_FAST_STRING))
		log_debug("vCPU %u: no MISC_ENABLE", vcpu->id);
	/* All memory write-back; Linux wants MTRRs before it turns PAT on. */
	if (x86_msr_set(vcpu, MSR_MTRR_DEF_TYPE,
			MSR_MTRR_DEF_TYPE_ENABLE | MSR_MTRR_WRITE_BACK))
		log_debug("vCPU %u: no MTRRs", vcpu->id);
}

int arch_vcpu_init(struct vcpu *vcpu, struct fail *why)
{
	struct arch_vm *arch = vcpu->vm->arch;
	struct x86_cpuid *c = &arch->shown[vcpu->id];

	*c = arch->cpuid;
	if (x86_cpuid_filter(c, vcpu->id, vcpu->vm->cpus,
			     arch->has_tsc_deadline))
		return fail(why, -E2BIG, "vCPU %u: CPUID has more than %u "
			    "entries", vcpu->id, X86_CPUID_MAX);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, c) < 0)
		return fail(why, -errno, "vCPU %u: KVM_SET_CPUID2: %s",
			    vcpu->id, strerror(errno));
	set_firmware_msrs(vcpu);
	return 0;
}

void arch_vcpu_paused(struct vcpu *vcpu)
{
	/* EINVAL: the guest does not use the clock (yet). */
	if (ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0) < 0 && errno != EINVAL)
		log_debug("vCPU %u: KVM_KVMCLOCK_CTRL: %s", vcpu->id,
			  strerror(errno));
}
