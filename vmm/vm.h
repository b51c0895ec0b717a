/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a KVM virtual machine, and its end.
 */
#ifndef WHERRY_VMM_VM_H
#define WHERRY_VMM_VM_H

#include "virtio/fail.h"
#include "vmm/kvm.h"

/**
 * vm_create() - open KVM, make the VM, its irqchip and its vCPUs; no RAM yet
 * @vm: zeroed, with event, opaque, clock, force and image.name set
 * @cpus: 1 .. VM_CPUS_MAX
 *
 * Errors name what is missing and what to do (no /dev/kvm: load kvm-intel or
 * kvm-amd; permission: join group kvm; an absent capability by its name).
 *
 * Return: 0 or negative errno with the reason; nothing is left behind then.
 */
int vm_create(struct vm *vm, unsigned int cpus, struct fail *why);
/** vm_destroy() - after vcpus_stop(); safe on a zeroed struct with fds -1 */
void vm_destroy(struct vm *vm);

#endif
