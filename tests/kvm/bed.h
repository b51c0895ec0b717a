/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for the bare-metal guest (tiny.S): RAM, one vCPU, a serial port
 * that is recorded, the power switch, and a few windows to look at. Built of
 * libvmm directly, without main program, loop or virtio devices.
 */
#ifndef WHERRY_TESTS_KVM_BED_H
#define WHERRY_TESTS_KVM_BED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/power.h"
#include "vmm/arch.h"
#include "vmm/ram.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* As in tiny.S. */
#define BED_MMIO	UINT64_C(0xd0100000)
#define BED_MMIO_VALUE	0x1234abcdu
#define BED_PORT	0x700u
#define BED_GSI		5u

/**
 * struct bed - a machine
 * @vm: the VM
 * @why: of the last failure
 * @power: the power switch
 * @lock: guards what follows
 * @changed: signalled when any of it changes
 * @serial: what the guest printed
 * @serial_len: bytes of it
 * @ended: an event was reported
 * @events: how many
 * @event: the first
 * @mmio_reads: reads of BED_MMIO
 * @mmio_writes: writes to BED_MMIO
 * @mmio_hold: a read waits until this is false
 * @port_out: bytes written to BED_PORT
 * @port_outs: how many
 * @port_ins: bytes read from BED_PORT, which counts 'a', 'b', ...
 */
struct bed {
	struct vm vm;
	struct fail why;
	struct power power;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char serial[4096];
	unsigned int serial_len;
	bool ended;
	unsigned int events;
	enum vm_event event;
	unsigned int mmio_reads;
	unsigned int mmio_writes;
	bool mmio_hold;
	uint8_t port_out[64];
	unsigned int port_outs;
	unsigned int port_ins;
};

/** bed_skip() - Return: why these tests cannot run here, or NULL. */
const char *bed_skip(void);

/** bed_make() - a machine with @memory MiB; @image_fd as in vm_map_memory() */
void bed_make(struct bed *bed, unsigned int memory, int image_fd);
/** bed_boot() - load a guest of tests/kvm/, parked; aborts the test if not */
void bed_boot(struct bed *bed, const char *name, const char *append);
/** bed_free() - safe on a zeroed struct */
void bed_free(struct bed *bed);

/** bed_run() - start the threads if need be, let them run */
void bed_run(struct bed *bed);
/** bed_await_text() - until the guest printed @text, or the test fails */
void bed_await_text(struct bed *bed, const char *text);
/** bed_await_end() - until an event is reported; Return: which. */
enum vm_event bed_await_end(struct bed *bed);
/** bed_await_read() - until a read of BED_MMIO is being served */
void bed_await_read(struct bed *bed);
/** bed_await_out() - until a byte was written to a port */
void bed_await_out(struct bed *bed);

/**
 * bed_save() - all of a parked machine's state
 * @data: malloc()ed by us, checked by state_check()
 * Return: bytes.
 */
size_t bed_save(struct bed *bed, void **data);
/** bed_load() - the opposite; Return: 0 or negative errno, reason in @bed */
int bed_load(struct bed *bed, const void *data);
/** bed_image() - the parked machine's RAM as a file to map */
int bed_image(const struct bed *bed);

#endif
