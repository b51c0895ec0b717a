/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power switch of a hardware-reduced ACPI machine: three one-byte registers,
 * sleep control, sleep status and reset (ACPI 6.5, 4.8.3.6 and 4.8.3.7).
 */
#ifndef WHERRY_DEVICES_POWER_H
#define WHERRY_DEVICES_POWER_H

#include <stdint.h>

/* Bytes of address space; offsets in it. */
#define POWER_SIZE		3u
#define POWER_SLEEP_CONTROL	0u
#define POWER_SLEEP_STATUS	1u
#define POWER_RESET		2u

/* Section 4.8.3.7, sleep control register: SLP_TYP is bits 2 .. 4. */
#define POWER_SLP_EN		0x20u
#define POWER_SLP_TYP_SHIFT	2u
#define POWER_SLP_TYP_MASK	0x1cu
/* What \_S5 in the guest's tables has to say; free to choose. */
#define POWER_SLP_TYP_S5	5u
/* Section 4.8.3.6: what RESET_VALUE in the FADT has to say; free to choose. */
#define POWER_RESET_VALUE	0x2au

/**
 * struct power - set the members, then put it on the bus
 * @off: the guest switches itself off; vCPU thread, must not block
 * @reset: the guest resets itself; vCPU thread, must not block
 * @opaque: for both
 *
 * There is no state: all registers read 0.
 */
struct power {
	void (*off)(void *opaque);
	void (*reset)(void *opaque);
	void *opaque;
};

/** power_read() - for struct bus_range; @opaque: struct power */
void power_read(void *opaque, uint64_t offset, void *data, unsigned int len);
/**
 * power_write() - for struct bus_range; @opaque: struct power
 *
 * One byte at a time; anything that is neither S5 nor the reset value is
 * ignored, as are wider writes.
 */
void power_write(void *opaque, uint64_t offset, const void *data,
		 unsigned int len);

#endif
