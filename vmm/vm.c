// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One KVM virtual machine: opens /dev/kvm, puts VM and vCPUs together, takes
 * them apart.
 *
 * Owns the descriptors of struct vm. Called by machine.c on the main thread,
 * before the vCPUs run and after they have ended. No locks: what is here is
 * constant while the guest runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/ram.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static const struct vm_capability needed[] = {
	VM_CAPABILITY(KVM_CAP_USER_MEMORY),
	VM_CAPABILITY(KVM_CAP_IRQCHIP),
	VM_CAPABILITY(KVM_CAP_IRQ_ROUTING),
	VM_CAPABILITY(KVM_CAP_IRQFD),
	VM_CAPABILITY(KVM_CAP_IOEVENTFD),
	VM_CAPABILITY(KVM_CAP_IMMEDIATE_EXIT),
	VM_CAPABILITY(KVM_CAP_MP_STATE),
};

static int fail_open(int err, struct fail *why)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return fail(why, -err, KVM_PATH ": not there: enable "
			    "virtualisation in the firmware and load kvm-intel "
			    "or kvm-amd");
	case EACCES:
	case EPERM:
		return fail(why, -err, KVM_PATH ": permission denied: join "
			    "group kvm or run as root");
	default:
		return fail(why, -err, KVM_PATH ": %s", strerror(err));
	}
}

static int open_kvm(struct vm *vm, unsigned int cpus, struct fail *why)
{
	int n, err;

	vm->kvm_fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return fail_open(errno, why);
	n = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (n < 0)
		return fail(why, -errno, KVM_PATH ": not a KVM device: %s",
			    strerror(errno));
	if (n != KVM_API_VERSION)
		return fail(why, -EOPNOTSUPP,
			    KVM_PATH ": API version %d, expected %d", n,
			    KVM_API_VERSION);
	err = vm_require(vm, needed, sizeof(needed) / sizeof(needed[0]), why);
	if (err)
		return err;
	n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (n > 0 && cpus > (unsigned int)n)
		return fail(why, -EINVAL,
			    "%u vCPUs: this KVM takes at most %d", cpus, n);
	return 0;
}

static int create_vm(struct vm *vm, struct fail *why)
{
	/* Interrupted while it waits for other CPUs: try again. */
	do {
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd >= 0)
		return 0;
	return fail(why, -errno, KVM_PATH ": KVM_CREATE_VM: %s%s",
		    strerror(errno), errno == EBUSY ?
		    " (another hypervisor holds the CPU's virtualisation)" :
		    "");
}

int vm_create(struct vm *vm, unsigned int cpus, struct fail *why)
{
	int err;

	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->memory_fd = -1;
	vm->cpus = 0;
	if (cpus < 1 || cpus > VM_CPUS_MAX)
		return fail(why, -EINVAL, "%u vCPUs: expected 1 .. %u", cpus,
			    VM_CPUS_MAX);
	err = open_kvm(vm, cpus, why);
	if (err)
		goto destroy;
	err = create_vm(vm, why);
	if (err)
		goto destroy;
	vm->cpus = cpus;
	for (unsigned int i = 0; i < cpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].id = i;
		vm->vcpu[i].fd = -1;
	}
	err = arch_vm_init(vm, why);
	for (unsigned int i = 0; !err && i < cpus; i++) {
		err = vcpu_create(vm, i, why);
		if (!err)
			err = arch_vcpu_init(&vm->vcpu[i], why);
	}
	if (!err)
		return 0;
destroy:
	vm_destroy(vm);
	return err;
}

void vm_destroy(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->cpus; i++)
		vcpu_destroy(&vm->vcpu[i]);
	vm->cpus = 0;
	arch_vm_destroy(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	vm->kvm_fd = -1;
	/* Last: the VM's page tables pointed into it. */
	vm_unmap_memory(vm);
}
