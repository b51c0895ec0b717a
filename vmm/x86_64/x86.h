/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of x86_64/ share. Nothing outside includes it but the tests.
 */
#ifndef WHERRY_VMM_X86_64_X86_H
#define WHERRY_VMM_X86_64_X86_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/state.h"
#include "vmm/kvm.h"

/* KVM_MAX_CPUID_ENTRIES of the kernel. */
#define X86_CPUID_MAX 256u
/* Several times what any kernel lists. */
#define X86_MSRS_MAX 1024u

/* struct kvm_cpuid2 with room in it. */
struct x86_cpuid {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entry[X86_CPUID_MAX];
};
_Static_assert(offsetof(struct x86_cpuid, entry) == sizeof(struct kvm_cpuid2),
	       "layout of struct kvm_cpuid2");

/* struct kvm_msrs with room in it. */
struct x86_msrs {
	uint32_t nmsrs;
	uint32_t padding;
	struct kvm_msr_entry entry[X86_MSRS_MAX];
};
_Static_assert(offsetof(struct x86_msrs, entry) == sizeof(struct kvm_msrs),
	       "layout of struct kvm_msrs");

/**
 * struct x86_clock - the guest's clocks at one instant
 * @clock: the VM's clock (kvmclock), ns
 * @tsc: the first vCPU's time stamp counter; 0: not known
 * @realtime: the host's wall clock, ns since 1970
 */
struct x86_clock {
	uint64_t clock;
	uint64_t tsc;
	uint64_t realtime;
};

/**
 * struct arch_vm - what x86_64 keeps about a VM
 * @cpuid: what this KVM supports, as it says; constant
 * @shown: what each vCPU was given, by its id
 * @msr: the MSRs that saved state is made of; constant
 * @msrs: how many of @msr
 * @xsave_size: bytes of KVM_GET_XSAVE2, or 0: use KVM_GET_XSAVE
 * @has_xcrs: KVM_CAP_XCRS
 * @has_tsc_control: KVM_CAP_TSC_CONTROL: another clock rate can be had
 * @has_tsc_deadline: KVM_CAP_TSC_DEADLINE_TIMER
 * @tsc_loaded: loading has set the first vCPU's time stamp counter
 * @tsc_offset: guest minus host counter, the first vCPU's
 * @clock_stopped: the guest's clocks stand still; they show what follows
 * @clock: the VM's clock and its company
 * @tsc: each vCPU's counter, by its id
 * @tsc_deadline: its deadline, by its id
 */
struct arch_vm {
	struct x86_cpuid cpuid;
	struct x86_cpuid shown[VM_CPUS_MAX];
	uint32_t msr[X86_MSRS_MAX];
	unsigned int msrs;
	size_t xsave_size;
	bool has_xcrs;
	bool has_tsc_control;
	bool has_tsc_deadline;
	bool tsc_loaded;
	uint64_t tsc_offset;
	bool clock_stopped;
	struct x86_clock clock;
	uint64_t tsc[VM_CPUS_MAX];
	uint64_t tsc_deadline[VM_CPUS_MAX];
};

/* MSRs, Intel SDM volume 4 and AMD APM volume 2; not in user headers. */
#define MSR_TSC			0x10u
#define MSR_MISC_ENABLE		0x1a0u
#define MSR_MISC_ENABLE_FAST_STRING	1u
#define MSR_MTRR_PHYS_FIRST	0x200u
#define MSR_MTRR_PHYS_LAST	0x20fu
#define MSR_MTRR_DEF_TYPE	0x2ffu
#define MSR_MTRR_DEF_TYPE_ENABLE	(1u << 11)
#define MSR_MTRR_WRITE_BACK	6u
#define MSR_TSC_DEADLINE	0x6e0u

/* cpuid.c */

/**
 * x86_cpuid_filter() - turn what KVM supports into what a guest is shown
 * @c: KVM_GET_SUPPORTED_CPUID's answer, changed in place
 * @id: APIC id of the vCPU, 0 ..
 * @cpus: vCPUs of the machine
 * @tsc_deadline: KVM_CAP_TSC_DEADLINE_TIMER
 *
 * Return: 0, or -E2BIG: no room for the leaves that are added.
 */
int x86_cpuid_filter(struct x86_cpuid *c, unsigned int id, unsigned int cpus,
		     bool tsc_deadline);

/**
 * x86_cpuid_compare() - can a vCPU that saw @saved go on with @host?
 * @saved: features the saved guest was shown
 * @host: x86_cpuid_filter() of what this KVM supports
 *
 * Pure. Return: 0, or -EINVAL naming the vendors, or all features by their
 * names in /proc/cpuinfo (leaf, register and bit where there is none).
 */
int x86_cpuid_compare(const struct x86_cpuid *saved,
		      const struct x86_cpuid *host, struct fail *why);

/** enum x86_reg - register of a leaf */
enum x86_reg { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

/** x86_reg_get() - Return: that register of an entry. */
static inline uint32_t x86_reg_get(const struct kvm_cpuid_entry2 *e,
				   enum x86_reg reg)
{
	switch (reg) {
	case X86_EAX:
		return e->eax;
	case X86_EBX:
		return e->ebx;
	case X86_ECX:
		return e->ecx;
	case X86_EDX:
		return e->edx;
	}
	return 0;
}

/**
 * x86_cpuid_name() - what Linux calls a feature
 * @bit: 0 .. 31
 * Return: the name in /proc/cpuinfo or, of 0x40000001, in KVM's documentation;
 * NULL: not known here.
 */
const char *x86_cpuid_name(uint32_t function, uint32_t index, enum x86_reg reg,
			   unsigned int bit);

/** x86_cpuid_find() - Return: the entry, or NULL. */
const struct kvm_cpuid_entry2 *x86_cpuid_find(const struct x86_cpuid *c,
					      uint32_t function,
					      uint32_t index);

/* msrs.c */

/** x86_msrs_init() - which MSRs this KVM's guests have, into vm->arch */
int x86_msrs_init(struct vm *vm, struct fail *why);
/** x86_msrs_save() - as property "msrs"; those that do not read are left out */
int x86_msrs_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why);
int x86_msrs_load(struct vcpu *vcpu, struct state_node *node,
		  struct fail *why);
/** x86_msr_get() - Return: 0, or -EIO: KVM does not know it. */
int x86_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value);
/** x86_msr_set() - Return: 0, or -EIO: KVM does not take it. */
int x86_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* tsc.c */

/** x86_tsc_save() - clock rate, counter and deadline */
int x86_tsc_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why);
/**
 * x86_tsc_compare() - can a counter of one rate go on at another? Pure.
 * @saved: the guest's, kHz
 * @host: this host's, kHz
 * @can_scale: KVM_CAP_TSC_CONTROL
 *
 * Return: 0: the same rate, 1: after KVM_SET_TSC_KHZ, -EOPNOTSUPP: no.
 */
int x86_tsc_compare(uint32_t saved, uint32_t host, bool can_scale,
		    struct fail *why);
/** x86_tsc_load_rate() - refuse or set a clock rate; before the CPUID is set */
int x86_tsc_load_rate(struct vcpu *vcpu, struct state_node *node,
		      struct fail *why);
/**
 * x86_tsc_load() - counter, then deadline; after LAPIC and all other MSRs
 */
int x86_tsc_load(struct vcpu *vcpu, struct state_node *node,
		 struct fail *why);
/**
 * x86_tsc_at() - the first vCPU's counter when the host's was @host_tsc
 * Return: the value; 0: KVM does not tell.
 */
uint64_t x86_tsc_at(struct vm *vm, uint64_t host_tsc);
/**
 * x86_tsc_align() - put all counters where the VM's clock says they should be
 * @to: what the VM's clock and first counter showed at one instant, as saved;
 *     tsc 0: not known, leave them
 * @now: what they show now, x86_clock_read(); tsc 0: not known, leave them
 *
 * After all vCPUs' counters and the clock are set; before x86_tsc_start().
 */
int x86_tsc_align(struct vm *vm, const struct x86_clock *to,
		  const struct x86_clock *now, struct fail *why);
/** x86_tsc_stop() - note all counters and deadlines in vm->arch */
void x86_tsc_stop(struct vm *vm);
/**
 * x86_tsc_rewind() - set all counters to what was noted, where KVM has no
 * KVM_VCPU_TSC_OFFSET (before 5.16). Such a KVM ignores it after less than a
 * second.
 */
void x86_tsc_rewind(struct vm *vm);
/** x86_tsc_start() - set all deadlines to what was noted */
int x86_tsc_start(struct vm *vm, struct fail *why);

/* clock.c; see arch_clock_stop() as well */

/** x86_clock_check() - refuse a VM_CLOCK_HOST that this KVM cannot do */
int x86_clock_check(const struct vm *vm, struct fail *why);
/** x86_clock_read() - what KVM says they show now, stopped or not */
int x86_clock_read(struct vm *vm, struct x86_clock *out, struct fail *why);
int x86_clock_save(struct vm *vm, struct state_writer *w, struct fail *why);
/** x86_clock_load() - after all counters; leaves the clocks stopped */
int x86_clock_load(struct vm *vm, struct state_node *node, struct fail *why);

/* compat.c */

/**
 * x86_forced() - is a difference between saved and present CPU to be ignored?
 * @err: as from a comparison; 0 is handed through
 *
 * Under --force it is logged (once, not for each vCPU, as they are alike).
 *
 * Return: 0: go on; else @err.
 */
int x86_forced(const struct vcpu *vcpu, int err, const struct fail *why);

#endif
