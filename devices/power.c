// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACPI sleep and reset registers: owns nothing.
 *
 * Called from the port bus on vCPU threads, several at once, without a lock;
 * what happens then is the machine's business.
 */
#include "devices/power.h"

#include <string.h>

void power_read(void *opaque, uint64_t offset, void *data, unsigned int len)
{
	(void)opaque;
	(void)offset;
	/* SLP_EN is write-only, WAK_STS never set: the guest never sleeps. */
	memset(data, 0, len);
}

void power_write(void *opaque, uint64_t offset, const void *data,
		 unsigned int len)
{
	const struct power *power = opaque;
	uint8_t value;

	if (len != 1)
		return;
	memcpy(&value, data, 1);
	if (offset == POWER_SLEEP_CONTROL) {
		unsigned int typ = (value & POWER_SLP_TYP_MASK) >>
				   POWER_SLP_TYP_SHIFT;

		if ((value & POWER_SLP_EN) && typ == POWER_SLP_TYP_S5)
			power->off(power->opaque);
	} else if (offset == POWER_RESET && value == POWER_RESET_VALUE) {
		power->reset(power->opaque);
	}
}
