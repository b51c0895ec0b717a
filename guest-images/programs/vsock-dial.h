/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vsock-dial, in the guest, and vsock-answer, on the host, agree on.
 *
 * A call: the guest connects to port PORT of the host, which says one byte,
 * the number of the life that the guest is in. A reader closes when it has
 * that; it never writes. A writer sends a word of its own first, and closes when
 * it has had that back as well.
 *
 * A verdict: the host connects to port PORT of the guest, and says the number
 * of the life. The guest finishes the calls that are under way, makes no more,
 * and says in one line what became of them. Whose patience is how long is up
 * to the host, which says LATE while it waits, and then ENOUGH. The guest goes
 * on when the host closes.
 */
#ifndef GUEST_VSOCK_DIAL_H
#define GUEST_VSOCK_DIAL_H

#include "vsock.h"

#define VERDICT_MAX	256	/* bytes, of the line */
#define LATE		'L'	/* what is not answered yet is so too late */
#define ENOUGH		'E'	/* it hangs */

/* The caller's word, which no other call has. */
static inline uint64_t call_word(unsigned int client, unsigned int call)
{
	return ((uint64_t)client << 32 | call) * 0x9e3779b97f4a7c15ull;
}

#endif
