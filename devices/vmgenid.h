/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual machine generation ID (Microsoft, "Virtual Machine Generation ID"):
 * 128 bits in guest memory that are never the same in two lives of a guest.
 */
#ifndef WHERRY_DEVICES_VMGENID_H
#define WHERRY_DEVICES_VMGENID_H

#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/memory.h"
#include "virtio/state.h"

/* Bytes of the ID, and the alignment that the specification asks for. */
#define VMGENID_SIZE	16u
#define VMGENID_ALIGN	8u
/* Characters of its text form, without the NUL. */
#define VMGENID_TEXT	36u

/**
 * struct vmgenid - the ID of one guest
 * @mem: the guest's RAM
 * @gpa: where the guest finds the ID; in memory that is not the guest's to use
 * @id: as it was written there
 */
struct vmgenid {
	const struct guest_memory *mem;
	uint64_t gpa;
	uint8_t id[VMGENID_SIZE];
};

/**
 * vmgenid_init() - a new ID, in guest memory
 * @gpa: a multiple of VMGENID_ALIGN
 *
 * Context: before any vCPU runs.
 *
 * Return: 0 or negative errno with the reason.
 */
int vmgenid_init(struct vmgenid *gen, const struct guest_memory *mem,
		 uint64_t gpa, struct fail *why);

/** vmgenid_text() - as a GUID, which has its first three fields turned round */
void vmgenid_text(const struct vmgenid *gen, char text[VMGENID_TEXT + 1]);

/** vmgenid_save() - where it is, into the open node; not the ID */
void vmgenid_save(const struct vmgenid *gen, struct state_writer *w);
/**
 * vmgenid_load() - check where it was, write a new ID over the saved one
 *
 * Telling the guest is the caller's. Context: before any vCPU runs, memory
 * loaded.
 *
 * Return: 0 or negative errno with the reason.
 */
int vmgenid_load(struct vmgenid *gen, struct state_node *node,
		 struct fail *why);

#endif
