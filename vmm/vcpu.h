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

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "virtio/fail.h"

struct vm;
struct kvm_run;

/**
 * enum vcpu_want - what the vCPU thread is told to do
 * @VCPU_PARK: stay out of KVM_RUN (after completing a half-done exit)
 * @VCPU_RUN: run the guest
 * @VCPU_STOP: leave the thread
 */
enum vcpu_want { VCPU_PARK, VCPU_RUN, VCPU_STOP };

/**
 * struct vcpu - one vCPU and its thread
 * @vm: whose
 * @id: APIC id / MPIDR index, 0 ..
 * @fd: the vCPU's descriptor
 * @run: the shared page(s)
 * @run_size: bytes mapped at @run
 * @thread: valid while @started
 * @started: thread exists
 * @tid: its id for the host's kernel; 0: there is none
 * @lock: guards @want and @parked
 * @changed: signalled when either changes
 * @want: told by the loop thread
 * @parked: the thread is out of KVM_RUN with nothing half done
 * @dead: the guest is beyond running (triple fault, KVM error): it stays
 *     parked whatever @want says, until VCPU_STOP
 */
struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started;
	pid_t tid;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum vcpu_want want;
	bool parked;
	bool dead;
};

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
