// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU that a guest is shown: what KVM supports, less what this monitor
 * does not carry through a snapshot, with the topology of this machine.
 *
 * Pure: tables in, tables out. Called by cpu.c, any thread. Which CPU may take
 * over from another is in cpuid_compare.c.
 * Leaves: Intel SDM volume 2 (CPUID), AMD APM volume 3 appendix E,
 * Documentation/virt/kvm/x86/cpuid.rst for 0x4000xxxx.
 */
#include <errno.h>
#include <string.h>

#include "vmm/x86_64/x86.h"

#define BIT(n) (UINT32_C(1) << (n))

/**
 * struct cpuid_mask - feature bits of one register
 * @function: leaf
 * @index: subleaf
 * @reg: register
 * @bits: see the tables
 */
struct cpuid_mask {
	uint32_t function;
	uint32_t index;
	enum x86_reg reg;
	uint32_t bits;
};

/*
 * Taken from every guest. Nested virtualisation: its state is not saved.
 * MONITOR: KVM does not do it for guests. AMX: megabytes of state behind a
 * permission of its own. PMU: counters do not survive a change of host.
 */
static const struct cpuid_mask hidden[] = {
	{ 0x1, 0, X86_ECX, BIT(3) | BIT(5) },	/* MONITOR, VMX */
	{ 0x1, 0, X86_ECX, BIT(15) },		/* PDCM */
	{ 0x5, 0, X86_EAX, UINT32_MAX },		/* MWAIT */
	{ 0x5, 0, X86_EBX, UINT32_MAX },
	{ 0x5, 0, X86_ECX, UINT32_MAX },
	{ 0x5, 0, X86_EDX, UINT32_MAX },
	{ 0x7, 0, X86_EDX, BIT(22) | BIT(24) | BIT(25) },	/* AMX */
	{ 0x7, 1, X86_EAX, BIT(21) },			/* AMX-FP16 */
	{ 0x7, 1, X86_EDX, BIT(8) },			/* AMX-COMPLEX */
	{ 0xa, 0, X86_EAX, UINT32_MAX },		/* PMU */
	{ 0xa, 0, X86_EBX, UINT32_MAX },
	{ 0xa, 0, X86_ECX, UINT32_MAX },
	{ 0xa, 0, X86_EDX, UINT32_MAX },
	{ 0xd, 0, X86_EAX, BIT(17) | BIT(18) },	/* AMX tiles */
	{ 0xd, 1, X86_EAX, BIT(4) },		/* XFD */
	{ 0x80000001, 0, X86_ECX, BIT(2) },		/* SVM */
	{ 0x80000001, 0, X86_ECX, BIT(23) | BIT(24) | BIT(28) },	/* PMU */
	{ 0x8000000a, 0, X86_EAX, UINT32_MAX },	/* SVM */
	{ 0x8000000a, 0, X86_EBX, UINT32_MAX },
	{ 0x8000000a, 0, X86_ECX, UINT32_MAX },
	{ 0x8000000a, 0, X86_EDX, UINT32_MAX },
	{ 0x80000022, 0, X86_EAX, UINT32_MAX },	/* PMU */
	{ 0x80000022, 0, X86_EBX, UINT32_MAX },
};

static void reg_clear(struct kvm_cpuid_entry2 *e, enum x86_reg reg,
		      uint32_t bits)
{
	switch (reg) {
	case X86_EAX:
		e->eax &= ~bits;
		break;
	case X86_EBX:
		e->ebx &= ~bits;
		break;
	case X86_ECX:
		e->ecx &= ~bits;
		break;
	case X86_EDX:
		e->edx &= ~bits;
		break;
	}
}

const struct kvm_cpuid_entry2 *x86_cpuid_find(const struct x86_cpuid *c,
					      uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entry[i];

		if (e->function != function)
			continue;
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		    e->index == index)
			return e;
	}
	return NULL;
}

static uint32_t max_leaf(const struct x86_cpuid *c, uint32_t base)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, base, 0);

	return e ? e->eax : 0;
}

/* How many bits of an APIC id number @cpus of them. */
static uint32_t id_bits(unsigned int cpus)
{
	uint32_t bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static void remove_leaf(struct x86_cpuid *c, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entry[i].function != function)
			c->entry[kept++] = c->entry[i];
	c->nent = kept;
}

static int add_entry(struct x86_cpuid *c, const struct kvm_cpuid_entry2 *e)
{
	if (c->nent >= X86_CPUID_MAX)
		return -E2BIG;
	c->entry[c->nent++] = *e;
	return 0;
}

/* Extended topology: one thread a core, all cores in one package. */
static int put_topology(struct x86_cpuid *c, uint32_t function,
			unsigned int id, unsigned int cpus)
{
	struct kvm_cpuid_entry2 e = {
		.function = function,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ebx = 1,
		.ecx = 1 << 8,			/* level type: thread */
		.edx = id,
	};
	int err;

	remove_leaf(c, function);
	err = add_entry(c, &e);
	if (err)
		return err;
	e.index = 1;
	e.eax = id_bits(cpus);
	e.ebx = cpus;
	e.ecx = 2 << 8 | 1;			/* level type: core */
	err = add_entry(c, &e);
	if (err)
		return err;
	e.index = 2;
	e.eax = 0;
	e.ebx = 0;
	e.ecx = 2;				/* no further level */
	return add_entry(c, &e);
}

/* Leaf 4 and AMD's copy of it: the last-level cache alone is shared. */
static uint32_t cache_eax(uint32_t eax, unsigned int cpus, bool intel)
{
	uint32_t level = eax >> 5 & 7;

	eax &= ~(UINT32_C(0xfff) << 14);
	if (level >= 3)
		eax |= (cpus - 1) << 14;
	if (intel) {
		eax &= ~(UINT32_C(0x3f) << 26);
		eax |= ((1u << id_bits(cpus)) - 1) << 26;
	}
	return eax;
}

static void fix_leaf_1(struct kvm_cpuid_entry2 *e, unsigned int id,
		       unsigned int cpus, bool tsc_deadline)
{
	e->ebx = (e->ebx & 0xffff) | id << 24 | (1u << id_bits(cpus)) << 16;
	e->ecx |= BIT(31);			/* under a hypervisor */
	if (tsc_deadline)
		e->ecx |= BIT(24);
	else
		e->ecx &= ~BIT(24);
	if (cpus > 1)
		e->edx |= BIT(28);		/* HTT: EBX[23:16] counts */
	else
		e->edx &= ~BIT(28);
}

static void fix_entry(struct kvm_cpuid_entry2 *e, unsigned int id,
		      unsigned int cpus, bool tsc_deadline)
{
	switch (e->function) {
	case 0x1:
		fix_leaf_1(e, id, cpus, tsc_deadline);
		break;
	case 0x4:
		if (e->eax & 0x1f)
			e->eax = cache_eax(e->eax, cpus, true);
		break;
	case 0x80000001:
		if (cpus > 1)
			e->ecx |= BIT(1);	/* CMP_LEGACY */
		else
			e->ecx &= ~BIT(1);
		break;
	case 0x80000008:
		e->ecx = (e->ecx & ~UINT32_C(0xf0ff)) | id_bits(cpus) << 12 |
			 (cpus - 1);
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			e->eax = cache_eax(e->eax, cpus, false);
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id;			/* one thread a core */
		e->ecx = 0;			/* one node */
		break;
	default:
		break;
	}
}

int x86_cpuid_filter(struct x86_cpuid *c, unsigned int id, unsigned int cpus,
		     bool tsc_deadline)
{
	uint32_t last = max_leaf(c, 0);
	int err = 0;

	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entry[i];

		for (size_t n = 0; n < sizeof(hidden) / sizeof(hidden[0]); n++)
			if (hidden[n].function == e->function &&
			    hidden[n].index == e->index)
				reg_clear(e, hidden[n].reg, hidden[n].bits);
		fix_entry(e, id, cpus, tsc_deadline);
	}
	if (last >= 0xb)
		err = put_topology(c, 0xb, id, cpus);
	if (!err && last >= 0x1f)
		err = put_topology(c, 0x1f, id, cpus);
	return err;
}
