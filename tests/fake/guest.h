/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without a machine: RAM in two regions with a hole between them, as
 * on a PC, and an allocator that only ever moves forward.
 *
 * Test code: what cannot go on ends the process with a message.
 */
#ifndef WHERRY_TESTS_FAKE_GUEST_H
#define WHERRY_TESTS_FAKE_GUEST_H

#include "virtio/memory.h"

/* Where the second region starts; the hole is between the two. */
#define FAKE_GUEST_HIGH UINT64_C(0x100000000)

/**
 * struct fake_guest - guest RAM
 * @mem: what the device gets; region[0] is at 0, region[1] at FAKE_GUEST_HIGH
 * @next: per region, the first byte that was not handed out
 */
struct fake_guest {
	struct guest_memory mem;
	uint64_t next[2];
};

/**
 * fake_guest_init() - allocate zeroed RAM
 * @low: bytes from guest address 0
 * @high: bytes from FAKE_GUEST_HIGH; 0: no such region
 *
 * The regions are allocations of their own, so that AddressSanitizer sees an
 * access behind either.
 */
void fake_guest_init(struct fake_guest *guest, uint64_t low, uint64_t high);
void fake_guest_destroy(struct fake_guest *guest);

/** fake_guest_alloc() - Return: @len bytes of the low region, @align-ed */
gpa_t fake_guest_alloc(struct fake_guest *guest, uint64_t len, uint64_t align);
/** fake_guest_alloc_high() - the same from the high region */
gpa_t fake_guest_alloc_high(struct fake_guest *guest, uint64_t len,
			    uint64_t align);

/** fake_guest_at() - Return: the host's view; outside RAM ends the process */
void *fake_guest_at(const struct fake_guest *guest, gpa_t gpa, uint64_t len);

#endif
