/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One KVM virtual machine: descriptors, RAM, vCPUs, buses.
 */
#ifndef WHERRY_VMM_KVM_H
#define WHERRY_VMM_KVM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/bus.h"
#include "virtio/fail.h"
#include "virtio/memory.h"
#include "vmm/image.h"

#define KVM_PATH "/dev/kvm"

#define VM_CPUS_MAX 8

/**
 * enum vm_event - what is reported about the guest as a whole
 * @VM_EVENT_RESET: the guest asked for a reset
 * @VM_EVENT_POWEROFF: the guest powered itself off
 * @VM_EVENT_CRASH: triple fault or KVM internal error; vCPU dumped to the log
 * @VM_EVENT_MEMORY: part of its memory is gone: vm.image is not what it was, or
 *     cannot be read
 * @VM_EVENT_PANIC: the guest's kernel says that it has panicked; held
 * @VM_EVENT_CRASH_LOADED: it says so, and goes on into a kernel for that
 *
 * The last two are no end by themselves: vm_tell() has them, not vm_report().
 */
enum vm_event {
	VM_EVENT_RESET,
	VM_EVENT_POWEROFF,
	VM_EVENT_CRASH,
	VM_EVENT_MEMORY,
	VM_EVENT_PANIC,
	VM_EVENT_CRASH_LOADED,
};

/**
 * enum vm_clock - what the guest's clocks do about time in which it does not
 * run: stopped, or saved
 * @VM_CLOCK_CONTINUE: it has not passed
 * @VM_CLOCK_HOST: it has, by the host's wall clock
 */
enum vm_clock { VM_CLOCK_CONTINUE, VM_CLOCK_HOST };

struct arch_vm;
struct kvm_run;
struct vm;

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
 * struct vm - one guest
 * @kvm_fd: /dev/kvm
 * @fd: the VM's descriptor
 * @memory: RAM as the devices see it
 * @memory_fd: what all RAM maps, regions in order: a memfd, or an image
 * @memory_private: it is an image: what the guest writes does not go there
 * @image: which one, if so
 * @cpus: how many vCPUs
 * @vcpu: the vCPUs
 * @mmio: who answers KVM_EXIT_MMIO
 * @pio: who answers KVM_EXIT_IO
 * @arch: what the architecture keeps, its own
 * @clock: --clock
 * @force: --force: load onto a CPU that is not what the guest was told
 * @held: vCPUs stay where they are, whatever else they are told; atomic,
 *     vcpus_hold()
 * @reported: an event was reported; atomic, vm_report() alone
 * @event: any thread, and in a signal handler: something happened to the guest;
 *     must not block
 * @opaque: handed to @event
 */
struct vm {
	int kvm_fd;
	int fd;
	struct guest_memory memory;
	int memory_fd;
	bool memory_private;
	struct image image;
	unsigned int cpus;
	struct vcpu vcpu[VM_CPUS_MAX];
	struct bus mmio;
	struct bus pio;
	struct arch_vm *arch;
	enum vm_clock clock;
	bool force;
	bool held;
	bool reported;
	void (*event)(void *opaque, enum vm_event event);
	void *opaque;
};

/**
 * struct vm_capability - something KVM must offer
 * @cap: KVM_CAP_*
 * @name: the same, for the message
 */
struct vm_capability {
	int cap;
	const char *name;
};
#define VM_CAPABILITY(c) { .cap = (c), .name = #c }

/**
 * vm_require() - refuse a KVM that lacks a capability, by its name
 * @list: what is needed
 * @count: how many
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int vm_require(struct vm *vm, const struct vm_capability *list,
	       unsigned int count, struct fail *why);

/** vm_tell() - tell vm->event, each time. Context: any thread */
void vm_tell(struct vm *vm, enum vm_event event);
/**
 * vm_report() - tell vm->event what became of the guest, the first time only
 *
 * Whatever follows (other vCPUs failing because one did, a guest that writes
 * the power register twice) is dropped. Context: any thread, signal handlers.
 */
void vm_report(struct vm *vm, enum vm_event event);

/**
 * vm_add_ioeventfd() - a guest write of @value (4 bytes) at @addr writes @fd
 */
int vm_add_ioeventfd(struct vm *vm, uint64_t addr, uint32_t value, int fd,
		     struct fail *why);
/**
 * vm_set_irq() - the level of an interrupt line
 *
 * For level-triggered interrupts. Context: any thread.
 */
void vm_set_irq(struct vm *vm, unsigned int gsi, bool high);
/** vm_add_irqfd() - a write to eventfd @fd sends an edge on @gsi */
int vm_add_irqfd(struct vm *vm, unsigned int gsi, int fd, struct fail *why);

#endif
