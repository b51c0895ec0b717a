// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state of the VM as a whole: clock and interrupt controllers.
 *
 * Called by the snapshot code on the loop thread, all vCPUs parked, devices
 * quiet (none may raise an interrupt between the calls).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

/* The controllers of KVM_GET_IRQCHIP, in the order both ways take. */
static const struct chip {
	const char *name;
	uint32_t id;
	size_t size;
} chips[] = {
	{ "pic-master", KVM_IRQCHIP_PIC_MASTER, sizeof(struct kvm_pic_state) },
	{ "pic-slave", KVM_IRQCHIP_PIC_SLAVE, sizeof(struct kvm_pic_state) },
	{ "ioapic", KVM_IRQCHIP_IOAPIC, sizeof(struct kvm_ioapic_state) },
};

int arch_vm_save(struct vm *vm, struct state_writer *w, struct fail *why)
{
	struct kvm_clock_data clock;
	struct kvm_irqchip chip;

	memset(&clock, 0, sizeof(clock));
	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock) < 0)
		return fail(why, -errno, "KVM_GET_CLOCK: %s", strerror(errno));
	state_put_u64(w, "clock", clock.clock);
	/* The guest's counter at that instant; 0: not known. */
	state_put_u64(w, "clock-tsc", clock.flags & KVM_CLOCK_HOST_TSC ?
		      x86_tsc_at(vm, clock.host_tsc) : 0);
	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = chips[i].id;
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) < 0)
			return fail(why, -errno, "%s: KVM_GET_IRQCHIP: %s",
				    chips[i].name, strerror(errno));
		state_put_blob(w, chips[i].name, &chip.chip, chips[i].size);
	}
	return 0;
}

int arch_vm_load(struct vm *vm, struct state_node *node, struct fail *why)
{
	struct kvm_clock_data clock;
	struct kvm_irqchip chip;
	uint64_t value, tsc;
	int err = state_get_u64(node, "clock", &value, why);

	if (!err)
		err = state_get_u64(node, "clock-tsc", &tsc, why);
	if (err)
		return err;
	/*
	 * No flags: the guest's clock goes on from where it was saved, in step
	 * with its time stamp counter, which does the same.
	 */
	memset(&clock, 0, sizeof(clock));
	clock.clock = value;
	if (ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
		return fail(why, -errno, "clock: KVM_SET_CLOCK of %" PRIu64
			    " ns: %s", value, strerror(errno));
	err = x86_tsc_align(vm, value, tsc, why);
	if (err)
		return err;
	/* The IOAPIC last: setting it delivers what was pending in it. */
	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = chips[i].id;
		err = state_get_exact(node, chips[i].name, &chip.chip,
				      chips[i].size, why);
		if (err)
			return err;
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) < 0)
			return fail(why, -errno, "%s: KVM_SET_IRQCHIP: %s",
				    chips[i].name, strerror(errno));
	}
	return 0;
}
