/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads: run, park, resume, stop.
 *
 * Park and resume are for the loop thread (or the main thread before the loop
 * runs). Once vcpus_park() has returned no vCPU is in KVM_RUN, every exit is
 * completed, and vCPU state may be read and written with KVM ioctls.
 */
#ifndef WHERRY_VMM_VCPU_H
#define WHERRY_VMM_VCPU_H

#include "virtio/fail.h"
#include "vmm/kvm.h"

/**
 * vcpu_create() - make vCPU @id of @vm; from vm_create()
 * Return: 0 or negative errno with the reason; vcpu_destroy() is safe after.
 */
int vcpu_create(struct vm *vm, unsigned int id, struct fail *why);
/** vcpu_destroy() - after vcpus_stop(); from vm_destroy() */
void vcpu_destroy(struct vcpu *vcpu);

/** vcpus_start() - start all threads, parked */
int vcpus_start(struct vm *vm, struct fail *why);
/** vcpus_resume() - let all vCPUs run */
void vcpus_resume(struct vm *vm);
/**
 * vcpus_park() - stop all vCPUs, wait until each is parked
 *
 * A half-done port or MMIO exit completes first, without a guest instruction
 * being run after it (KVM api.rst, KVM_RUN, immediate_exit).
 */
void vcpus_park(struct vm *vm);
/**
 * vcpus_hold() - the guest is not to go on from here
 *
 * For a bus handler: the instruction that called it is the last that its vCPU
 * executes, also if all are parked and resumed meanwhile; other vCPUs stop at
 * their next exit. Until vcpus_release(). Context: vCPU thread, must not block.
 */
void vcpus_hold(struct vm *vm);
/** vcpus_release() - the opposite: vcpus_resume(), which follows, counts again.
 *  Context: loop thread, vCPUs parked */
void vcpus_release(struct vm *vm);
/** vcpus_stop() - end and join all threads; no-op when none was started */
void vcpus_stop(struct vm *vm);

#endif
