/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paravirtual panic device (QEMU, docs/specs/pvpanic.rst): one byte by which
 * the guest's kernel says that it has crashed.
 */
#ifndef WHERRY_DEVICES_PVPANIC_H
#define WHERRY_DEVICES_PVPANIC_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/state.h"

/* Bytes of address space; the register is all of it. */
#define PVPANIC_SIZE		1u

/* Bits of the register: what can be told, and what is. */
#define PVPANIC_PANICKED	(1u << 0)
/* It goes on into a kernel that deals with the crash (kexec). */
#define PVPANIC_CRASH_LOADED	(1u << 1)
#define PVPANIC_ALL		(PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

/**
 * struct pvpanic - set @panicked, @crash_loaded and @opaque, then put it on the
 * bus
 * @told: PVPANIC_* that the guest has told; atomic
 * @panicked: the guest has panicked; vCPU thread, must not block
 * @crash_loaded: it deals with a crash by itself; likewise
 * @opaque: for both
 *
 * Both are called once for a bit of @told: a guest that goes on telling it is
 * not listened to.
 */
struct pvpanic {
	uint32_t told;
	void (*panicked)(void *opaque);
	void (*crash_loaded)(void *opaque);
	void *opaque;
};

/** pvpanic_read() - for struct bus_range: what can be told */
void pvpanic_read(void *opaque, uint64_t offset, void *data, unsigned int len);
/**
 * pvpanic_write() - for struct bus_range; @opaque: struct pvpanic
 *
 * One byte at a time. Unknown bits are ignored; of two known ones the panic
 * counts.
 */
void pvpanic_write(void *opaque, uint64_t offset, const void *data,
		   unsigned int len);

/** pvpanic_told() - has the guest panicked? Context: any thread */
bool pvpanic_told(const struct pvpanic *pvpanic);
/** pvpanic_forget() - it goes on all the same, and may panic once more */
void pvpanic_forget(struct pvpanic *pvpanic);

/** pvpanic_save() - into the open node. Context: no vCPU runs */
void pvpanic_save(const struct pvpanic *pvpanic, struct state_writer *w);
/**
 * pvpanic_load() - from the node that pvpanic_save() wrote into; nobody is
 * called. Context: before any vCPU runs.
 *
 * Return: 0, or negative errno with the reason and the device as it was.
 */
int pvpanic_load(struct pvpanic *pvpanic, struct state_node *node,
		 struct fail *why);

#endif
