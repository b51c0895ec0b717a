// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all that deals with KVM stands on: what it must offer, what is reported,
 * the VM's event descriptors.
 *
 * Owns vm->reported. vm_tell(), vm_report() and vm_set_irq() come from any
 * thread, the others from the main thread, before the vCPUs run. No locks.
 */
#include "vmm/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "devices/log.h"

int vm_require(struct vm *vm, const struct vm_capability *list,
	       unsigned int count, struct fail *why)
{
	for (unsigned int i = 0; i < count; i++) {
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, list[i].cap) > 0)
			continue;
		return fail(why, -EOPNOTSUPP,
			    KVM_PATH ": this KVM has no %s, which is needed",
			    list[i].name);
	}
	return 0;
}

void vm_tell(struct vm *vm, enum vm_event event)
{
	vm->event(vm->opaque, event);
}

void vm_report(struct vm *vm, enum vm_event event)
{
	if (__atomic_exchange_n(&vm->reported, true, __ATOMIC_ACQ_REL))
		return;
	vm_tell(vm, event);
}

int vm_add_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd,
		     struct fail *why)
{
	struct kvm_ioeventfd io = {
		.datamatch = value,
		.addr = addr,
		.len = sizeof(value),
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0)
		return fail(why, -errno, "KVM_IOEVENTFD of %u at 0x%" PRIx64
			    ": %s", value, addr, strerror(errno));
	return 0;
}

void vm_set_irq(struct vm *vm, unsigned int gsi, bool high)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = high };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &irq) < 0)
		log_guest(LOG_LEVEL_ERROR, "KVM_IRQ_LINE of GSI %u: %s", gsi,
			  strerror(errno));
}

int vm_add_irqfd(struct vm *vm, unsigned int gsi, int fd, struct fail *why)
{
	struct kvm_irqfd irq = { .fd = (uint32_t)fd, .gsi = gsi };

	if (ioctl(vm->fd, KVM_IRQFD, &irq) < 0)
		return fail(why, -errno, "KVM_IRQFD of GSI %u: %s", gsi,
			    strerror(errno));
	return 0;
}
