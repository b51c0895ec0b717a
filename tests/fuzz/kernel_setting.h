/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands before the file in an input of the fuzz target "kernel".
 */
#ifndef WHERRY_TESTS_FUZZ_KERNEL_SETTING_H
#define WHERRY_TESTS_FUZZ_KERNEL_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* More RAM than this is of no interest: some lies above 4 GiB. */
#define KERNEL_RAM_MAX		(UINT64_C(5) << 30)
/* Longer ones take their time: they are cut, unless they fit nowhere. */
#define KERNEL_INITRD_MAX	(UINT64_C(1) << 20)
#define KERNEL_INITRD_NOWHERE	UINT64_C(0xc0000000)

/**
 * struct kernel_setting - the machine that a file is booted in
 * @ram: bytes, a multiple of 4096
 * @initrd_size: bytes; 0: none
 * @append_size: length of the command line
 * @zeros: bytes that the file has behind those in the input
 */
struct kernel_setting {
	uint64_t ram;
	uint64_t initrd_size;
	size_t append_size;
	uint64_t zeros;
};

/**
 * kernel_setting_take() - take the setting off an input
 * @data: the input; moved on to the file
 * @len: its length; the file's
 *
 * Little-endian: RAM in pages (32 bits), length of initrd (32), of command line
 * (16), zeros in units of 16 bytes (16). See make-kernel-corpus.py.
 *
 * Return: was there one?
 */
static inline bool kernel_setting_take(struct kernel_setting *setting,
				       const uint8_t **data, size_t *len)
{
	struct {
		uint32_t ram_pages;
		uint32_t initrd_size;
		uint16_t append_size;
		uint16_t zeros;
	} raw;

	if (*len < sizeof(raw))
		return false;
	memcpy(&raw, *data, sizeof(raw));
	*data += sizeof(raw);
	*len -= sizeof(raw);
	setting->ram = (uint64_t)raw.ram_pages * 4096;
	if (setting->ram < 4096 || setting->ram > KERNEL_RAM_MAX)
		setting->ram = 4096 + setting->ram % KERNEL_RAM_MAX;
	setting->initrd_size = raw.initrd_size;
	if (setting->initrd_size < KERNEL_INITRD_NOWHERE)
		setting->initrd_size %= KERNEL_INITRD_MAX;
	setting->append_size = raw.append_size;
	setting->zeros = raw.zeros * UINT64_C(16);
	return true;
}

#endif
