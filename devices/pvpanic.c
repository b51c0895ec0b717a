// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Paravirtual panic device: owns what the guest has told.
 *
 * Written from the port bus on vCPU threads, several at once, without a lock;
 * what happens then is the machine's business. Saved, loaded and forgotten on
 * the loop thread, vCPUs parked.
 */
#include "devices/pvpanic.h"

#include <string.h>

static const struct state_field fields[] = {
	STATE_VALUE(struct pvpanic, told, "told", 0, PVPANIC_ALL),
};
static const struct state_table pvpanic_state = STATE_TABLE(fields, 1);

void pvpanic_read(void *opaque, uint64_t offset, void *data, unsigned int len)
{
	(void)opaque;
	memset(data, 0, len);
	if (offset == 0 && len == PVPANIC_SIZE)
		memset(data, PVPANIC_ALL, PVPANIC_SIZE);
}

void pvpanic_write(void *opaque, uint64_t offset, const void *data,
		   unsigned int len)
{
	struct pvpanic *pvpanic = opaque;
	uint8_t value;
	uint32_t told;

	if (offset != 0 || len != PVPANIC_SIZE)
		return;
	memcpy(&value, data, sizeof(value));
	told = value & PVPANIC_PANICKED ? PVPANIC_PANICKED :
	       value & PVPANIC_CRASH_LOADED;
	told &= ~__atomic_fetch_or(&pvpanic->told, told, __ATOMIC_ACQ_REL);
	if (told & PVPANIC_PANICKED)
		pvpanic->panicked(pvpanic->opaque);
	else if (told)
		pvpanic->crash_loaded(pvpanic->opaque);
}

bool pvpanic_told(const struct pvpanic *pvpanic)
{
	return __atomic_load_n(&pvpanic->told, __ATOMIC_ACQUIRE) &
	       PVPANIC_PANICKED;
}

void pvpanic_forget(struct pvpanic *pvpanic)
{
	__atomic_fetch_and(&pvpanic->told, ~PVPANIC_PANICKED,
			   __ATOMIC_ACQ_REL);
}

void pvpanic_save(const struct pvpanic *pvpanic, struct state_writer *w)
{
	state_put(w, &pvpanic_state, pvpanic);
}

int pvpanic_load(struct pvpanic *pvpanic, struct state_node *node,
		 struct fail *why)
{
	struct pvpanic loaded = { 0 };
	int err = state_get(node, &pvpanic_state, &loaded, why);

	if (!err)
		pvpanic->told = loaded.told;
	return err;
}
