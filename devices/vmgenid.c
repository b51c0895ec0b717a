// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VM generation ID: owns the ID, and a place for it in guest memory.
 *
 * Called by the machine on the loop thread while no vCPU runs. The ID is drawn
 * for each boot and each load, never saved and never loaded: a snapshot that
 * is restored twice has two. It is in guest memory, with the old one gone,
 * before the guest's first instruction.
 */
#include "devices/vmgenid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const struct state_field fields[] = {
	STATE_SAME(struct vmgenid, gpa, "address"),
};
static const struct state_table vmgenid_state = STATE_TABLE(fields, 1);

static int draw(struct vmgenid *gen, struct fail *why)
{
	ssize_t n;

	/* Up to 256 bytes come whole, and at once but before the first seed. */
	do {
		n = getrandom(gen->id, sizeof(gen->id), 0);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(gen->id))
		return fail(why, n < 0 ? -errno : -EIO, "generation ID: "
			    "no random bytes from the kernel: %s",
			    n < 0 ? strerror(errno) : "too few");
	if (guest_memory_write(gen->mem, gen->gpa, gen->id, sizeof(gen->id)))
		return fail(why, -EFAULT, "generation ID: no RAM at 0x%"
			    PRIx64, gen->gpa);
	return 0;
}

int vmgenid_init(struct vmgenid *gen, const struct guest_memory *mem,
		 uint64_t gpa, struct fail *why)
{
	gen->mem = mem;
	gen->gpa = gpa;
	return draw(gen, why);
}

void vmgenid_text(const struct vmgenid *gen, char text[VMGENID_TEXT + 1])
{
	/* The order of bytes in memory: RFC 4122's fields, little-endian. */
	static const uint8_t order[VMGENID_SIZE] = {
		3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15,
	};
	char *to = text;

	for (unsigned int i = 0; i < VMGENID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		to += snprintf(to, 3, "%02x", gen->id[order[i]]);
	}
}

void vmgenid_save(const struct vmgenid *gen, struct state_writer *w)
{
	state_put(w, &vmgenid_state, gen);
}

int vmgenid_load(struct vmgenid *gen, struct state_node *node,
		 struct fail *why)
{
	int err = state_get(node, &vmgenid_state, gen, why);

	return err ? err : draw(gen, why);
}
