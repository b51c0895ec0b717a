/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vsock-storm, on the host, and vsock-insist, in the guest, agree on: the
 * host says GREETING, the guest BYTES of its own, the host the same, the guest
 * whether they were, and the host closes.
 */
#ifndef GUEST_VSOCK_STORM_H
#define GUEST_VSOCK_STORM_H

#include "vsock.h"

#define BYTES		600	/* of one exchange */
#define GREETING	'H'
#define GOOD		'K'
#define BAD		'B'

/* Data that no other exchange has. */
static inline void fill(char *data, uint64_t id)
{
	for (size_t i = 0; i < BYTES; i += 8) {
		uint64_t word = (id * 1024 + i + 1) * 0x9e3779b97f4a7c15ull;

		word ^= word >> 29;
		memcpy(data + i, &word, 8);
	}
}

#endif
