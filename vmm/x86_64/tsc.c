// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The time stamp counter across save and load: rate, value, deadline.
 *
 * Called by cpu_state.c, vCPUs parked, ascending.
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
 * counter of the same instant, so once the clock is loaded all offsets are
 * moved by what is missing (the procedure of Documentation/virt/kvm/devices/
 * vcpu.rst, 4.1), and the deadlines are set once more.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

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

int x86_tsc_save(struct vcpu *vcpu, struct state_writer *w, struct fail *why)
{
	uint64_t tsc, deadline;
	int khz = tsc_khz(vcpu, why);

	if (khz < 0)
		return khz;
	if (x86_msr_get(vcpu, MSR_TSC, &tsc))
		return fail(why, -EIO, "KVM does not read the TSC");
	/* Without deadline timers there is no deadline. */
	if (x86_msr_get(vcpu, MSR_TSC_DEADLINE, &deadline))
		deadline = 0;
	state_put_u32(w, "tsc-khz", (uint32_t)khz);
	state_put_u64(w, "tsc", tsc);
	state_put_u64(w, "tsc-deadline", deadline);
	return 0;
}

static bool same_rate(uint64_t a, uint64_t b)
{
	uint64_t diff = a > b ? a - b : b - a;

	return diff * 1000000 <= a * TSC_TOLERANCE_PPM;
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
	if (same_rate((uint64_t)host, saved))
		return 0;
	if (!vcpu->vm->arch->has_tsc_control)
		return fail(why, -EOPNOTSUPP, "saved with a time stamp counter "
			    "of %" PRIu32 " kHz; this host's runs at %d kHz "
			    "and it has no KVM_CAP_TSC_CONTROL to adapt it",
			    saved, host);
	if (ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)saved) < 0)
		return fail(why, -errno, "saved with a time stamp counter of %"
			    PRIu32 " kHz; this host's runs at %d kHz and "
			    "KVM_SET_TSC_KHZ: %s", saved, host,
			    strerror(errno));
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
static uint64_t find_shift(struct vm *vm, uint64_t clock, uint64_t tsc,
			   uint64_t khz)
{
	struct kvm_clock_data now;
	uint64_t is;

	memset(&now, 0, sizeof(now));
	if (ioctl(vm->fd, KVM_GET_CLOCK, &now) < 0 ||
	    !(now.flags & KVM_CLOCK_HOST_TSC) || now.clock < clock)
		return 0;
	is = x86_tsc_at(vm, now.host_tsc);
	if (!is)
		return 0;
	/* Microseconds have passed: no overflow. */
	return tsc + (now.clock - clock) * khz / 1000000 - is;
}

int x86_tsc_align(struct vm *vm, uint64_t clock, uint64_t tsc,
		  struct fail *why)
{
	int khz = tsc_khz(&vm->vcpu[0], why), err = 0;
	uint64_t shift, offset;

	if (khz < 0)
		return khz;
	if (tsc == 0 || !vm->arch->tsc_loaded)
		return 0;
	shift = find_shift(vm, clock, tsc, (uint64_t)khz);
	for (unsigned int i = 0; shift && i < vm->cpus && !err; i++) {
		struct vcpu *vcpu = &vm->vcpu[i];

		if (!offset_attr(vcpu, KVM_GET_DEVICE_ATTR, &offset))
			return fail(why, -errno, "KVM_VCPU_TSC_OFFSET: %s",
				    strerror(errno));
		offset += shift;
		if (!offset_attr(vcpu, KVM_SET_DEVICE_ATTR, &offset))
			return fail(why, -errno, "KVM_VCPU_TSC_OFFSET: %s",
				    strerror(errno));
		err = set_deadline(vcpu, why);
	}
	vm->arch->tsc_offset += shift;
	return err;
}
