// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The time stamp counter across save and load: rate, value, deadline.
 *
 * Called by cpu_state.c, vCPUs parked, ascending; by clock.c for all of them,
 * whenever the guest's clocks are stopped and started.
 *
 * Theory of operation. A guest's counter is the host's plus an offset. The
 * saved values of the vCPUs differ by the time that passed between the calls
 * that read them, so loading each as it is would put them out of step, and a
 * guest that trusts its counters would see time go back. All vCPUs whose
 * saved values lie within a second of the first one's are therefore given the
 * first one's offset. KVM does much the same when the counter is written as an
 * MSR (kvm_synchronize_tsc()), but up to Linux 6.6 also takes a guest younger
 * than a second for one that is in step with the freshly made VM, and moves
 * its counter back. So the offset is set itself where KVM allows it (5.16 and
 * later), and only a KVM without that, or one that scales the rate, has the
 * MSR written.
 *
 * The counters must also keep their distance from the VM's clock, which is
 * saved and loaded a moment later: a guest watches one clock with the other
 * and gives up the one that seems to jump. KVM_GET_CLOCK tells the host's
 * counter of the same instant, so once the clock is set all offsets are
 * moved by what is missing (the procedure of Documentation/virt/kvm/devices/
 * vcpu.rst, 4.1).
 *
 * A deadline is a value of the counter, but KVM's timer for it is one of the
 * host's, made when the deadline is written. So it is written again whenever
 * the counter has been moved. That also has a timer that went off while the
 * guest was stopped go off at its time instead.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

/* Rates this close (parts per million) are one; Firecracker's figure. */
#define TSC_TOLERANCE_PPM 250

static int tsc_khz(struct vcpu *vcpu, struct fail *why)
{
	int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (khz < 0)
		return fail(why, -errno, "KVM_GET_TSC_KHZ: %s",
			    strerror(errno));
	if (khz == 0)
		return fail(why, -EIO, "KVM_GET_TSC_KHZ: 0 kHz");
	return khz;
}

static bool read_counter(struct vcpu *vcpu, uint64_t *tsc, uint64_t *deadline)
{
	/* Without deadline timers there is no deadline. */
	if (x86_msr_get(vcpu, MSR_TSC_DEADLINE, deadline))
		*deadline = 0;
	return !x86_msr_get(vcpu, MSR_TSC, tsc);
}

int x86_tsc_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why)
{
	const struct arch_vm *arch = vcpu->vm->arch;
	uint64_t tsc = arch->tsc[vcpu->id];
	uint64_t deadline = arch->tsc_deadline[vcpu->id];
	int khz = tsc_khz(vcpu, why);

	if (khz < 0)
		return khz;
	if (!arch->clock_stopped && !read_counter(vcpu, &tsc, &deadline))
		return fail(why, -EIO, "KVM does not read the TSC");
	state_put_u32(w, "tsc-khz", (uint32_t)khz);
	state_put_u64(w, "tsc", tsc);
	state_put_u64(w, "tsc-deadline", deadline);
	return 0;
}

int x86_tsc_compare(uint32_t saved, uint32_t host, bool can_scale,
		    struct fail *why)
{
	uint64_t diff = saved > host ? saved - host : host - saved;

	if (diff * 1000000 <= (uint64_t)host * TSC_TOLERANCE_PPM)
		return 0;
	if (can_scale)
		return 1;
	return fail(why, -EOPNOTSUPP, "the guest's time stamp counter runs at %"
		    PRIu32 ".%03" PRIu32 " MHz, this host's at %" PRIu32
		    ".%03" PRIu32 " MHz, and this KVM has no TSC scaling",
		    saved / 1000, saved % 1000, host / 1000, host % 1000);
}

int x86_tsc_load_rate(struct vcpu *vcpu, struct state_node *node,
		      struct fail *why)
{
	uint32_t saved;
	int host = tsc_khz(vcpu, why);
	int err = host < 0 ? host :
		  state_get_u32(node, "tsc-khz", &saved, why);

	if (err)
		return err;
	/* 100 GHz: keeps sums of counters and rates far from overflow. */
	if (saved == 0 || saved > 100000000)
		return fail(why, -ERANGE, "tsc-khz: %" PRIu32 ", expected "
			    "1 .. 100000000", saved);
	err = x86_tsc_compare(saved, (uint32_t)host,
			      vcpu->vm->arch->has_tsc_control, why);
	if (err <= 0)
		return x86_forced(vcpu, err, why);
	if (ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)saved) < 0) {
		int cause = errno;

		x86_tsc_compare(saved, (uint32_t)host, false, why);
		err = fail_within(why, -cause, "KVM_SET_TSC_KHZ: %s",
				  strerror(cause));
		return x86_forced(vcpu, err, why);
	}
	return 0;
}

static bool offset_attr(struct vcpu *vcpu, unsigned long request,
			uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vcpu->fd, request, &attr) == 0;
}

/*
 * Is the guest's counter the host's plus an offset, as far as we can see? Not
 * if KVM scales it, or if we run under a hypervisor that hides an offset or a
 * rate from user space but not from KVM.
 */
static bool is_plain(struct vcpu *vcpu)
{
	uint64_t offset, before, guest;

	if (!offset_attr(vcpu, KVM_GET_DEVICE_ATTR, &offset))
		return false;
	before = __rdtsc();
	if (x86_msr_get(vcpu, MSR_TSC, &guest))
		return false;
	return guest - offset - before <= __rdtsc() - before;
}

static int set_tsc(struct vcpu *vcpu, uint64_t saved, struct fail *why)
{
	struct arch_vm *arch = vcpu->vm->arch;
	int khz = tsc_khz(vcpu, why);
	uint64_t offset, apart, second;

	if (khz < 0)
		return khz;
	if (!is_plain(vcpu)) {
		if (x86_msr_set(vcpu, MSR_TSC, saved))
			return fail(why, -EIO, "KVM does not take the TSC");
		return 0;
	}
	second = (uint64_t)khz * 1000;
	offset = saved - __rdtsc();
	apart = offset - arch->tsc_offset;
	if (arch->tsc_loaded && (apart < second || -apart < second))
		offset = arch->tsc_offset;
	if (!offset_attr(vcpu, KVM_SET_DEVICE_ATTR, &offset))
		return fail(why, -errno, "KVM_VCPU_TSC_OFFSET: %s",
			    strerror(errno));
	if (!arch->tsc_loaded)
		arch->tsc_offset = offset;
	arch->tsc_loaded = true;
	return 0;
}

static int set_deadline(struct vcpu *vcpu, struct fail *why)
{
	const struct arch_vm *arch = vcpu->vm->arch;
	uint64_t deadline = arch->tsc_deadline[vcpu->id];

	if (x86_msr_set(vcpu, MSR_TSC_DEADLINE, deadline) &&
	    arch->has_tsc_deadline)
		return fail(why, -EIO, "KVM does not take the TSC deadline 0x%"
			    PRIx64, deadline);
	return 0;
}

int x86_tsc_load(struct vcpu *vcpu, struct state_node *node, struct fail *why)
{
	uint64_t tsc, deadline;
	int err = state_get_u64(node, "tsc", &tsc, why);

	if (!err)
		err = state_get_u64(node, "tsc-deadline", &deadline, why);
	if (!err)
		err = set_tsc(vcpu, tsc, why);
	if (err)
		return err;
	vcpu->vm->arch->tsc[vcpu->id] = tsc;
	/*
	 * A deadline of 0 is a timer that has fired, whose interrupt may not
	 * have been delivered yet: have it fire again at once. A spurious tick
	 * is harmless, a lost one is a hang (seen by Firecracker in the
	 * field). KVM ignores the write unless the guest's timer is in
	 * deadline mode, so it costs the others nothing.
	 */
	vcpu->vm->arch->tsc_deadline[vcpu->id] = deadline ? deadline : tsc;
	return set_deadline(vcpu, why);
}

uint64_t x86_tsc_at(struct vm *vm, uint64_t host_tsc)
{
	uint64_t offset;

	if (!is_plain(&vm->vcpu[0]) ||
	    !offset_attr(&vm->vcpu[0], KVM_GET_DEVICE_ATTR, &offset))
		return 0;
	return host_tsc + offset;
}

/* How far the first vCPU's counter is from where it should be; 0: fine. */
static uint64_t find_shift(const struct x86_clock *to,
			   const struct x86_clock *now, uint64_t khz)
{
	if (!now->tsc || now->clock < to->clock)
		return 0;
	/* Under VM_CLOCK_HOST years may lie between: more than 64 bits. */
	return to->tsc + (uint64_t)((unsigned __int128)
				    (now->clock - to->clock) * khz / 1000000) -
	       now->tsc;
}

int x86_tsc_align(struct vm *vm, const struct x86_clock *to,
		  const struct x86_clock *now, struct fail *why)
{
	int khz = tsc_khz(&vm->vcpu[0], why);
	uint64_t shift, offset;

	if (khz < 0)
		return khz;
	if (to->tsc == 0 || !offset_attr(&vm->vcpu[0], KVM_GET_DEVICE_ATTR,
				     &offset))
		return 0;
	shift = find_shift(to, now, (uint64_t)khz);
	for (unsigned int i = 0; shift && i < vm->cpus; i++) {
		struct vcpu *vcpu = &vm->vcpu[i];

		if (!offset_attr(vcpu, KVM_GET_DEVICE_ATTR, &offset))
			return fail(why, -errno, "KVM_VCPU_TSC_OFFSET: %s",
				    strerror(errno));
		offset += shift;
		if (!offset_attr(vcpu, KVM_SET_DEVICE_ATTR, &offset))
			return fail(why, -errno, "KVM_VCPU_TSC_OFFSET: %s",
				    strerror(errno));
	}
	vm->arch->tsc_offset += shift;
	return 0;
}

void x86_tsc_stop(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cpus; i++)
		read_counter(&vm->vcpu[i], &vm->arch->tsc[i],
			     &vm->arch->tsc_deadline[i]);
}

void x86_tsc_rewind(struct vm *vm)
{
	uint64_t offset;

	if (offset_attr(&vm->vcpu[0], KVM_GET_DEVICE_ATTR, &offset))
		return;
	/* The best that can be had: see x86_tsc_align() for the good way. */
	for (unsigned int i = 0; i < vm->cpus; i++)
		if (x86_msr_set(&vm->vcpu[i], MSR_TSC, vm->arch->tsc[i]))
			log_debug("vCPU %u: KVM does not take the TSC", i);
}

int x86_tsc_start(struct vm *vm, struct fail *why)
{
	int err = 0;

	for (unsigned int i = 0; i < vm->cpus && !err; i++)
		err = set_deadline(&vm->vcpu[i], why);
	return err;
}
