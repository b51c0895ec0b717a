// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state of the VM as a whole: interrupt controllers, and the clock, for
 * which see clock.c.
 *
 * Called by the snapshot code on the loop thread, all vCPUs parked, devices
 * quiet (none may raise an interrupt between the calls).
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86_64/x86.h"

/* Of the node; it holds what clock.c saves, too. */
#define IRQCHIP_VERSION 1

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
	struct kvm_irqchip chip;
	int err;

	state_put_version(w, IRQCHIP_VERSION);
	err = x86_clock_save(vm, w, why);
	if (err)
		return err;
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
	struct kvm_irqchip chip;
	int err = state_get_version(node, 0, IRQCHIP_VERSION, why);

	if (!err)
		err = x86_clock_load(vm, node, why);
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
