// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's clocks and the time in which it does not run: across `stop` and
 * `cont`, a save and a load, and the wait of --paused in between.
 *
 * Called on the loop thread (or the main thread before the loop runs), vCPUs
 * parked.
 *
 * Theory of operation. Two things tell a guest the time: the VM's clock
 * (kvmclock) and the time stamp counters, whose deadline timers go off by
 * them. Neither can be halted: KVM computes both from the host's. So to stop
 * them is to note what they show, and to start them is to set them to that
 * again, all moved by the same amount: Linux watches one with the other and
 * gives up the one that leaps. What is noted is also what a snapshot of a
 * stopped guest holds, and loading a snapshot leaves a stopped guest.
 *
 * Under VM_CLOCK_HOST they are started with the time added that has passed by
 * the host's wall clock (KVM_CLOCK_REALTIME), the only clock that two boots or
 * two hosts share. A guest cannot be given the wall time alone: Linux keeps it
 * as its monotonic clock plus a number that only the guest can set.
 *
 * Source: Documentation/virt/kvm/api.rst, KVM_GET_CLOCK; devices/vcpu.rst, 4.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "devices/log.h"
#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

#define NSEC UINT64_C(1000000000)

static uint64_t wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

int x86_clock_read(struct vm *vm, struct x86_clock *out, struct fail *why)
{
	struct kvm_clock_data now;

	memset(&now, 0, sizeof(now));
	if (ioctl(vm->fd, KVM_GET_CLOCK, &now) < 0)
		return fail(why, -errno, "KVM_GET_CLOCK: %s", strerror(errno));
	out->clock = now.clock;
	out->tsc = now.flags & KVM_CLOCK_HOST_TSC ?
		   x86_tsc_at(vm, now.host_tsc) : 0;
	/* Not of the same instant, but a microsecond later at most. */
	if (!out->tsc && x86_msr_get(&vm->vcpu[0], MSR_TSC, &out->tsc))
		out->tsc = 0;
	out->realtime = now.flags & KVM_CLOCK_REALTIME ? now.realtime :
			wall_clock();
	return 0;
}

static int set_clock(struct vm *vm, const struct x86_clock *to,
		     struct fail *why)
{
	struct kvm_clock_data clock;
	struct x86_clock now = { 0 };

	memset(&clock, 0, sizeof(clock));
	clock.clock = to->clock;
	if (vm->clock == VM_CLOCK_HOST) {
		clock.flags = KVM_CLOCK_REALTIME;
		clock.realtime = to->realtime;
	}
	if (ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
		return fail(why, -errno, "clock: KVM_SET_CLOCK of %" PRIu64
			    " ns: %s", to->clock, strerror(errno));
	/* If it cannot be read the counters stay as they are. */
	(void)x86_clock_read(vm, &now, NULL);
	return x86_tsc_align(vm, to, &now, why);
}

int x86_clock_check(const struct vm *vm, struct fail *why)
{
	int flags = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK);

	if (vm->clock == VM_CLOCK_HOST &&
	    (flags < 0 || !(flags & KVM_CLOCK_REALTIME)))
		return fail(why, -EOPNOTSUPP, "--clock host: this KVM has no "
			    "KVM_CLOCK_REALTIME (Linux 5.16 or later "
			    "expected)");
	return 0;
}

int x86_clock_save(struct vm *vm, struct state_writer *w, struct fail *why)
{
	struct x86_clock now;
	int err = 0;

	if (vm->arch->clock_stopped)
		now = vm->arch->clock;
	else
		err = x86_clock_read(vm, &now, why);
	if (err)
		return err;
	state_put_u64(w, "clock", now.clock);
	state_put_u64(w, "clock-tsc", now.tsc);
	state_put_u64(w, "realtime", now.realtime);
	return 0;
}

/* A host whose wall clock is behind cannot say how long it has been. */
static void check_realtime(const struct vm *vm)
{
	uint64_t now = wall_clock(), then = vm->arch->clock.realtime;

	if (vm->clock == VM_CLOCK_HOST && then > now)
		log_warn("--clock host: the snapshot is from %" PRIu64 " s "
			 "after the host's wall time: the guest's clocks go on "
			 "from where they were", (then - now + NSEC - 1) / NSEC);
}

int x86_clock_load(struct vm *vm, struct state_node *node, struct fail *why)
{
	struct x86_clock *clock = &vm->arch->clock;
	int err = state_get_u64(node, "clock", &clock->clock, why);

	if (!err)
		err = state_get_u64(node, "clock-tsc", &clock->tsc, why);
	if (!err)
		err = state_get_u64(node, "realtime", &clock->realtime, why);
	if (err)
		return err;
	check_realtime(vm);
	/* Once now, while a refusal can still be heard, once to start. */
	err = set_clock(vm, clock, why);
	if (!err)
		vm->arch->clock_stopped = true;
	return err;
}

void arch_clock_stop(struct vm *vm)
{
	struct fail why = { .text = "" };

	if (vm->arch->clock_stopped)
		return;
	if (x86_clock_read(vm, &vm->arch->clock, &why)) {
		log_warn("the guest's clock runs on: %s", why.text);
		return;
	}
	x86_tsc_stop(vm);
	vm->arch->clock_stopped = true;
}

void arch_clock_start(struct vm *vm)
{
	struct fail why = { .text = "" };
	int err;

	if (!vm->arch->clock_stopped)
		return;
	vm->arch->clock_stopped = false;
	x86_tsc_rewind(vm);
	err = set_clock(vm, &vm->arch->clock, &why);
	if (!err)
		err = x86_tsc_start(vm, &why);
	if (err)
		log_warn("the guest's clock has run on: %s", why.text);
}
