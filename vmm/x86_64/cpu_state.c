// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state of one vCPU, both ways.
 *
 * Called by the snapshot code on the loop thread, all vCPUs parked: nothing is
 * half done in KVM. The order of the calls matters, and is said beside them;
 * sources: Documentation/virt/kvm/api.rst, Firecracker's vcpu.rs.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

/* Of a vCPU's node; it holds what msrs.c and tsc.c save, too. */
#define CPU_VERSION 1

/**
 * struct vcpu_blob - state that one ioctl reads into a struct, and one writes
 * @name: the property
 * @size: of the struct, bytes
 * @get: ioctl
 * @set: ioctl
 * @get_name: of the ioctl
 * @set_name: of the ioctl
 */
struct vcpu_blob {
	const char *name;
	size_t size;
	unsigned long get;
	unsigned long set;
	const char *get_name;
	const char *set_name;
};

#define BLOB(n, type, g, s) \
	{ .name = (n), .size = sizeof(type), .get = (g), .set = (s), \
	  .get_name = #g, .set_name = #s }

#define BLOB_MAX 1024u

/* Intel SDM volume 1, 13.4.2: which components an XSAVE area holds. */
#define XSTATE_BV	512u
#define XSTATE_LEGACY	UINT64_C(3)

static const struct vcpu_blob blob_mp_state =
	BLOB("mp-state", struct kvm_mp_state, KVM_GET_MP_STATE,
	     KVM_SET_MP_STATE);
static const struct vcpu_blob blob_regs =
	BLOB("regs", struct kvm_regs, KVM_GET_REGS, KVM_SET_REGS);
static const struct vcpu_blob blob_sregs =
	BLOB("sregs", struct kvm_sregs, KVM_GET_SREGS, KVM_SET_SREGS);
static const struct vcpu_blob blob_debugregs =
	BLOB("debugregs", struct kvm_debugregs, KVM_GET_DEBUGREGS,
	     KVM_SET_DEBUGREGS);
static const struct vcpu_blob blob_lapic =
	BLOB("lapic", struct kvm_lapic_state, KVM_GET_LAPIC, KVM_SET_LAPIC);
static const struct vcpu_blob blob_events =
	BLOB("events", struct kvm_vcpu_events, KVM_GET_VCPU_EVENTS,
	     KVM_SET_VCPU_EVENTS);

static int save_blob(struct vcpu *vcpu, const struct vcpu_blob *blob,
		     struct state_writer *w, struct fail *why)
{
	_Alignas(8) uint8_t buf[BLOB_MAX] = { 0 };

	if (ioctl(vcpu->fd, blob->get, buf) < 0)
		return fail(why, -errno, "%s: %s", blob->get_name,
			    strerror(errno));
	state_put_blob(w, blob->name, buf, blob->size);
	return 0;
}

static int load_blob(struct vcpu *vcpu, const struct vcpu_blob *blob,
		     struct state_node *node, struct fail *why)
{
	_Alignas(8) uint8_t buf[BLOB_MAX] = { 0 };
	int err = state_get_exact(node, blob->name, buf, blob->size, why);

	if (err)
		return err;
	if (ioctl(vcpu->fd, blob->set, buf) < 0)
		return fail(why, -errno, "%s: KVM does not take it: %s: %s",
			    blob->name, blob->set_name, strerror(errno));
	return 0;
}

static size_t xsave_size(const struct vcpu *vcpu)
{
	size_t size = vcpu->vm->arch->xsave_size;

	return size ? size : sizeof(struct kvm_xsave);
}

static int save_xsave(struct vcpu *vcpu, struct state_writer *w,
		      struct fail *why)
{
	size_t size = xsave_size(vcpu);
	void *buf = calloc(1, size);
	int err = 0;

	if (!buf)
		return fail(why, -ENOMEM, "out of memory");
	if (ioctl(vcpu->fd, vcpu->vm->arch->xsave_size ? KVM_GET_XSAVE2 :
		  KVM_GET_XSAVE, buf) < 0)
		err = fail(why, -errno, "KVM_GET_XSAVE: %s", strerror(errno));
	else
		state_put_blob(w, "xsave", buf, size);
	free(buf);
	return err;
}

/*
 * Under --force, on a CPU that has fewer components of XSAVE: the two that all
 * have, x87 and SSE (Intel SDM volume 1, 13.4), without the others.
 */
static int load_legacy_xsave(struct vcpu *vcpu, uint8_t *buf, struct fail *why)
{
	uint64_t present;

	memcpy(&present, buf + XSTATE_BV, sizeof(present));
	present &= XSTATE_LEGACY;
	memcpy(buf + XSTATE_BV, &present, sizeof(present));
	if (ioctl(vcpu->fd, KVM_SET_XSAVE, buf) < 0)
		return fail(why, -errno, "xsave: KVM does not even take x87 "
			    "and SSE: %s", strerror(errno));
	return 0;
}

static int load_xsave(struct vcpu *vcpu, struct state_node *node,
		      struct fail *why)
{
	size_t size = xsave_size(vcpu);
	void *buf = calloc(1, size);
	int err;

	if (!buf)
		return fail(why, -ENOMEM, "out of memory");
	err = state_get_exact(node, "xsave", buf, size, why);
	/* KVM_SET_XSAVE reads as much as KVM_CAP_XSAVE2 says. */
	if (!err && ioctl(vcpu->fd, KVM_SET_XSAVE, buf) < 0) {
		err = fail(why, -errno, "xsave: KVM does not take it: %s",
			   strerror(errno));
		err = x86_forced(vcpu, err, why);
		if (!err)
			err = load_legacy_xsave(vcpu, buf, why);
	}
	free(buf);
	return err;
}

/* A CPU without XSAVE has no XCRs: then none are counted in the struct. */
static int save_xcrs(struct vcpu *vcpu, struct state_writer *w,
		     struct fail *why)
{
	struct kvm_xcrs xcrs;

	memset(&xcrs, 0, sizeof(xcrs));
	if (vcpu->vm->arch->has_xcrs &&
	    ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs) < 0)
		return fail(why, -errno, "KVM_GET_XCRS: %s", strerror(errno));
	state_put_blob(w, "xcrs", &xcrs, sizeof(xcrs));
	return 0;
}

static int load_xcrs(struct vcpu *vcpu, struct state_node *node,
		     struct fail *why)
{
	struct kvm_xcrs xcrs;
	int err = state_get_exact(node, "xcrs", &xcrs, sizeof(xcrs), why);

	if (err)
		return err;
	if (xcrs.nr_xcrs > KVM_MAX_XCRS)
		return fail(why, -ERANGE, "xcrs: %" PRIu32 " registers, "
			    "expected 0 .. %u", xcrs.nr_xcrs, KVM_MAX_XCRS);
	if (xcrs.nr_xcrs == 0)
		return 0;
	if (!vcpu->vm->arch->has_xcrs)
		err = fail(why, -EOPNOTSUPP, "xcrs: saved on a CPU with "
			   "XSAVE, this KVM has no KVM_CAP_XCRS");
	else if (ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs) < 0)
		err = fail(why, -errno, "xcrs: KVM does not take it: %s",
			   strerror(errno));
	return x86_forced(vcpu, err, why);
}

/*
 * What was shown, not KVM_GET_CPUID2: that one mixes in bits computed from the
 * vCPU's state, and a software KVM answers with its host's features, which it
 * then does not list as supported.
 */
static void save_cpuid(struct vcpu *vcpu, struct state_writer *w)
{
	const struct x86_cpuid *c = &vcpu->vm->arch->shown[vcpu->id];

	state_put_blob(w, "cpuid", c->entry, c->nent * sizeof(c->entry[0]));
}

static int read_cpuid(struct state_node *node, struct x86_cpuid *c,
		      struct fail *why)
{
	const size_t each = sizeof(c->entry[0]);
	const void *data;
	size_t len;
	int err = state_get_blob(node, "cpuid", &data, &len, why);

	if (err)
		return err;
	if (len == 0 || len % each || len / each > X86_CPUID_MAX)
		return fail(why, -EINVAL, "cpuid: %zu bytes, expected 1 .. %u "
			    "entries of %zu", len, X86_CPUID_MAX, each);
	memset(c, 0, sizeof(*c));
	c->nent = (uint32_t)(len / each);
	memcpy(c->entry, data, len);
	return 0;
}

/* What this KVM shows a fresh vCPU is the most that it can do. */
static int load_cpuid(struct vcpu *vcpu, struct state_node *node,
		      struct fail *why)
{
	struct x86_cpuid *shown = &vcpu->vm->arch->shown[vcpu->id];
	struct x86_cpuid *c = malloc(sizeof(*c));
	int err;

	if (!c)
		return fail(why, -ENOMEM, "out of memory");
	err = read_cpuid(node, c, why);
	if (!err)
		err = x86_forced(vcpu, x86_cpuid_compare(c, shown, why), why);
	if (!err && ioctl(vcpu->fd, KVM_SET_CPUID2, c) < 0)
		err = fail(why, -errno, "cpuid: KVM does not take it: %s",
			   strerror(errno));
	if (!err)
		*shown = *c;
	free(c);
	return err;
}

static int save(struct vcpu *vcpu, struct state_writer *w, struct fail *why)
{
	int err;

	state_put_version(w, CPU_VERSION);
	/*
	 * First: reading it has KVM accept a pending INIT or SIPI, which
	 * changes CS, RIP and the LAPIC.
	 */
	err = save_blob(vcpu, &blob_mp_state, w, why);
	if (!err)
		err = save_blob(vcpu, &blob_regs, w, why);
	if (!err)
		err = save_blob(vcpu, &blob_sregs, w, why);
	if (!err)
		err = save_xsave(vcpu, w, why);
	if (!err)
		err = save_xcrs(vcpu, w, why);
	if (!err)
		err = save_blob(vcpu, &blob_debugregs, w, why);
	if (!err)
		err = save_blob(vcpu, &blob_lapic, w, why);
	if (!err)
		err = x86_tsc_save(vcpu, w, why);
	if (!err) {
		save_cpuid(vcpu, w);
		err = x86_msrs_save(vcpu, w, why);
	}
	/* Last: all that came before may have left an event pending. */
	if (!err)
		err = save_blob(vcpu, &blob_events, w, why);
	return err;
}

int arch_vcpu_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why)
{
	int err = save(vcpu, w, why);

	return err ? fail_within(why, err, "vCPU %u", vcpu->id) : 0;
}

static int load(struct vcpu *vcpu, struct state_node *node, struct fail *why)
{
	int err = state_get_version(node, 0, CPU_VERSION, why);

	/* What the CPU is decides what all later calls accept. */
	if (!err)
		err = x86_tsc_load_rate(vcpu, node, why);
	if (!err)
		err = load_cpuid(vcpu, node, why);
	if (!err)
		err = load_blob(vcpu, &blob_mp_state, node, why);
	/* KVM_SET_REGS clears pending exceptions: before the events. */
	if (!err)
		err = load_blob(vcpu, &blob_regs, node, why);
	if (!err)
		err = load_blob(vcpu, &blob_sregs, node, why);
	if (!err)
		err = load_xsave(vcpu, node, why);
	if (!err)
		err = load_xcrs(vcpu, node, why);
	if (!err)
		err = load_blob(vcpu, &blob_debugregs, node, why);
	/* After SREGS, which hold the APIC base. */
	if (!err)
		err = load_blob(vcpu, &blob_lapic, node, why);
	if (!err)
		err = x86_msrs_load(vcpu, node, why);
	/* The deadline needs the LAPIC's timer mode and the counter. */
	if (!err)
		err = x86_tsc_load(vcpu, node, why);
	if (!err)
		err = load_blob(vcpu, &blob_events, node, why);
	if (!err)
		arch_vcpu_paused(vcpu);
	return err;
}

int arch_vcpu_load(struct vcpu *vcpu, struct state_node *node,
		   struct fail *why)
{
	int err = load(vcpu, node, why);

	return err ? fail_within(why, err, "vCPU %u", vcpu->id) : 0;
}

_Static_assert(sizeof(struct kvm_lapic_state) <= BLOB_MAX &&
	       sizeof(struct kvm_sregs) <= BLOB_MAX &&
	       sizeof(struct kvm_vcpu_events) <= BLOB_MAX &&
	       sizeof(struct kvm_debugregs) <= BLOB_MAX &&
	       sizeof(struct kvm_regs) <= BLOB_MAX, "BLOB_MAX is too small");
