// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Model-specific registers of saved state: which ones, and both ways.
 *
 * The list is KVM's own (KVM_GET_MSR_INDEX_LIST) and the memory type ranges,
 * which KVM keeps but does not list. The counter and its deadline are in
 * tsc.c. Called by cpu.c and cpu_state.c; vCPUs parked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

#define MSR_HYPERV_FIRST	0x40000000u
#define MSR_HYPERV_LAST		0x400001ffu

/* Memory type ranges, Intel SDM volume 3, 12.11.2. */
static const uint32_t mtrr_fixed[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
	0x26f, MSR_MTRR_DEF_TYPE,
};

#define MSRS_UNLISTED 64u
_Static_assert(sizeof(mtrr_fixed) / sizeof(mtrr_fixed[0]) +
	       MSR_MTRR_PHYS_LAST - MSR_MTRR_PHYS_FIRST + 1 <= MSRS_UNLISTED,
	       "room for all of them");

static bool is_listed(const struct arch_vm *arch, uint32_t index)
{
	for (unsigned int i = 0; i < arch->msrs; i++)
		if (arch->msr[i] == index)
			return true;
	return false;
}

static void list_msr(struct arch_vm *arch, uint32_t index)
{
	/* tsc.c's. */
	if (index == MSR_TSC || index == MSR_TSC_DEADLINE)
		return;
	/* Hyper-V is not shown to the guest; one of them is a running clock. */
	if (index >= MSR_HYPERV_FIRST && index <= MSR_HYPERV_LAST)
		return;
	if (arch->msrs < X86_MSRS_MAX && !is_listed(arch, index))
		arch->msr[arch->msrs++] = index;
}

int x86_msrs_init(struct vm *vm, struct fail *why)
{
	struct arch_vm *arch = vm->arch;
	/* struct kvm_msr_list with room in it. */
	struct {
		uint32_t nmsrs;
		uint32_t index[X86_MSRS_MAX];
	} list;

	_Static_assert(offsetof(__typeof__(list), index) ==
		       sizeof(struct kvm_msr_list),
		       "layout of struct kvm_msr_list");
	memset(&list, 0, sizeof(list));
	/* The rest is for those that are not listed. */
	list.nmsrs = X86_MSRS_MAX - MSRS_UNLISTED;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &list) < 0)
		return fail(why, -errno, "KVM_GET_MSR_INDEX_LIST: %s",
			    strerror(errno));
	for (uint32_t i = 0; i < list.nmsrs; i++)
		list_msr(arch, list.index[i]);
	for (uint32_t i = MSR_MTRR_PHYS_FIRST; i <= MSR_MTRR_PHYS_LAST; i++)
		list_msr(arch, i);
	for (size_t i = 0; i < sizeof(mtrr_fixed) / sizeof(mtrr_fixed[0]); i++)
		list_msr(arch, mtrr_fixed[i]);
	return 0;
}

static int one_msr(struct vcpu *vcpu, unsigned long request,
		   struct kvm_msr_entry *entry)
{
	/* struct kvm_msrs with room for one. */
	struct {
		uint32_t nmsrs;
		uint32_t padding;
		struct kvm_msr_entry entry;
	} msrs;
	int n;

	memset(&msrs, 0, sizeof(msrs));
	msrs.nmsrs = 1;
	msrs.entry = *entry;
	n = ioctl(vcpu->fd, request, &msrs);
	*entry = msrs.entry;
	return n == 1 ? 0 : -EIO;
}

int x86_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct kvm_msr_entry entry = { .index = index };
	int err = one_msr(vcpu, KVM_GET_MSRS, &entry);

	if (!err)
		*value = entry.data;
	return err;
}

int x86_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct kvm_msr_entry entry = { .index = index, .data = value };

	return one_msr(vcpu, KVM_SET_MSRS, &entry);
}

/*
 * Reads all of @list into @out. KVM_GET_MSRS stops at the first that it does
 * not know for this vCPU (the list is of the host, not of the CPU shown to
 * the guest) and returns how many it did: leave that one out and go on.
 */
static int read_all(struct vcpu *vcpu, const uint32_t *list,
		    unsigned int count, struct x86_msrs *batch,
		    struct x86_msrs *out)
{
	unsigned int at = 0;
	int n;

	out->nmsrs = 0;
	while (at < count) {
		memset(batch, 0, sizeof(*batch));
		batch->nmsrs = count - at;
		for (unsigned int i = at; i < count; i++)
			batch->entry[i - at].index = list[i];
		n = ioctl(vcpu->fd, KVM_GET_MSRS, batch);
		if (n < 0)
			return -errno;
		memcpy(&out->entry[out->nmsrs], batch->entry,
		       (size_t)n * sizeof(batch->entry[0]));
		out->nmsrs += (uint32_t)n;
		at += (unsigned int)n + 1;
	}
	return 0;
}

int x86_msrs_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why)
{
	const struct arch_vm *arch = vcpu->vm->arch;
	struct x86_msrs *batch = malloc(2 * sizeof(*batch));
	int err;

	if (!batch)
		return fail(why, -ENOMEM, "out of memory");
	err = read_all(vcpu, arch->msr, arch->msrs, &batch[0], &batch[1]);
	if (err)
		err = fail(why, err, "KVM_GET_MSRS: %s", strerror(-err));
	else
		state_put_blob(w, "msrs", batch[1].entry,
			       batch[1].nmsrs * sizeof(batch[1].entry[0]));
	free(batch);
	return err;
}

/*
 * KVM refused to set @entry. No harm if the vCPU holds that value already, or
 * if it is a register that this KVM does not have and that the guest left 0.
 */
static int judge_refused(struct vcpu *vcpu, const struct kvm_msr_entry *entry,
			 struct fail *why)
{
	uint64_t value = 0;

	if (x86_msr_get(vcpu, entry->index, &value))
		value = 0;
	if (value == entry->data)
		return 0;
	return fail(why, -EINVAL, "MSR 0x%" PRIx32 ": this KVM does not take "
		    "the saved value 0x%" PRIx64 " (it holds 0x%" PRIx64 ")",
		    entry->index, (uint64_t)entry->data, value);
}

static int write_all(struct vcpu *vcpu, const struct x86_msrs *in,
		     struct x86_msrs *batch, struct fail *why)
{
	uint32_t at = 0;
	int n, err;

	while (at < in->nmsrs) {
		memset(batch, 0, sizeof(*batch));
		batch->nmsrs = in->nmsrs - at;
		memcpy(batch->entry, &in->entry[at],
		       batch->nmsrs * sizeof(batch->entry[0]));
		n = ioctl(vcpu->fd, KVM_SET_MSRS, batch);
		if (n < 0)
			return fail(why, -errno, "KVM_SET_MSRS: %s",
				    strerror(errno));
		at += (uint32_t)n;
		if (at >= in->nmsrs)
			break;
		err = x86_forced(vcpu, judge_refused(vcpu, &in->entry[at],
						     why), why);
		if (err)
			return err;
		at++;
	}
	return 0;
}

/* Registers that this KVM does not have hold no state if they are 0. */
static int judge_unknown(const struct vcpu *vcpu,
			 const struct kvm_msr_entry *entry, struct fail *why)
{
	int err;

	if (!entry->data)
		return 0;
	err = fail(why, -EINVAL, "MSR 0x%" PRIx32 ": this KVM does not have "
		   "it, the saved value is 0x%" PRIx64, entry->index,
		   (uint64_t)entry->data);
	return x86_forced(vcpu, err, why);
}

static int read_saved(const struct vcpu *vcpu, struct state_node *node,
		      struct x86_msrs *out, struct fail *why)
{
	const size_t each = sizeof(out->entry[0]);
	struct kvm_msr_entry entry;
	const void *data;
	size_t len;
	int err = state_get_blob(node, "msrs", &data, &len, why);

	if (err)
		return err;
	if (len == 0 || len % each || len / each > X86_MSRS_MAX)
		return fail(why, -EINVAL, "msrs: %zu bytes, expected 1 .. %u "
			    "entries of %zu", len, X86_MSRS_MAX, each);
	out->nmsrs = 0;
	for (size_t i = 0; i < len / each && !err; i++) {
		memcpy(&entry, (const uint8_t *)data + i * each, each);
		entry.reserved = 0;
		if (is_listed(vcpu->vm->arch, entry.index))
			out->entry[out->nmsrs++] = entry;
		else
			err = judge_unknown(vcpu, &entry, why);
	}
	return err;
}

int x86_msrs_load(struct vcpu *vcpu, struct state_node *node, struct fail *why)
{
	struct x86_msrs *msrs = malloc(2 * sizeof(*msrs));
	int err;

	if (!msrs)
		return fail(why, -ENOMEM, "out of memory");
	err = read_saved(vcpu, node, &msrs[0], why);
	if (!err)
		err = write_all(vcpu, &msrs[0], &msrs[1], why);
	free(msrs);
	return err;
}
