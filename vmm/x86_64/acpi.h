/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables, hardware-reduced profile. Private to x86_64/.
 */
#ifndef WHERRY_VMM_X86_64_ACPI_H
#define WHERRY_VMM_X86_64_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "vmm/arch.h"

/**
 * x86_acpi_build() - describe the machine
 * @device: the machine table
 * @devices: its rows
 * @cpus: how many processors, APIC ids 0 ..
 * @data: where the tables are written, RSDP first
 * @size: room there, bytes
 * @gpa: where the guest will see @data
 *
 * Pure. Return: 0; -ENOSPC; -EINVAL: a row that ACPI cannot express.
 */
int x86_acpi_build(const struct platform_device *device, unsigned int devices,
		   unsigned int cpus, void *data, size_t size, uint64_t gpa,
		   struct fail *why);

#endif
