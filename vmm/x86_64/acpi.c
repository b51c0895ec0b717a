// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACPI tables: what machine the guest runs on.
 *
 * Called by boot.c once, before vCPUs run; pure. RSDP, XSDT, FADT, MADT and
 * DSDT, in the hardware-reduced profile: no PM timer, no SCI, no 8259, no PIT.
 * What is not there is said, for Linux otherwise looks for it: tens of
 * thousands of port exits for a missing real-time clock alone.
 * Sections are of ACPI 6.5.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices/ged.h"
#include "devices/power.h"
#include "devices/vmgenid.h"
#include "vmm/x86_64/acpi.h"
#include "vmm/x86_64/acpi_aml.h"
#include "vmm/x86_64/layout.h"

/* 5.2.6, the header that all tables but the RSDP begin with. */
#define HEADER_SIZE	36u
#define HEADER_LENGTH	4u
#define HEADER_CHECKSUM	9u
/* 5.2.5.3 */
#define RSDP_SIZE	36u
#define RSDP_V1_SIZE	20u
/* 5.2.9, FADT; offsets of what we fill in. */
#define FADT_SIZE		276u
#define FADT_BOOT_ARCH		109u
#define FADT_FLAGS		112u
#define FADT_RESET_REG		116u
#define FADT_RESET_VALUE	128u
#define FADT_MINOR_VERSION	131u
#define FADT_X_DSDT		140u
#define FADT_SLEEP_CONTROL	244u
#define FADT_SLEEP_STATUS	256u
#define FADT_HYPERVISOR		268u
#define BOOT_NO_VGA		(1u << 2)
#define BOOT_NO_MSI		(1u << 3)
#define BOOT_NO_ASPM		(1u << 4)
#define BOOT_NO_CMOS_RTC	(1u << 5)
#define FLAG_WBINVD		(1u << 0)
/* No fixed one; whether there is another is said by the DSDT. */
#define FLAG_NO_POWER_BUTTON	(1u << 4)
#define FLAG_NO_SLEEP_BUTTON	(1u << 5)
#define FLAG_RESET_REG		(1u << 10)
#define FLAG_HW_REDUCED		(1u << 20)
/* 5.6.6, notification values: button pressed (5.171); ID changed. */
#define NOTIFY_BUTTON		0x80u
#define NOTIFY_GENERATION	0x80u
/* Tables start on these boundaries. */
#define ALIGN			16u

#define OEM_ID		"WHERRY"
#define OEM_TABLE_ID	"WHERRYVM"
#define CREATOR_ID	"WHRY"

static uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	return (uint8_t)-sum;
}

static void put(uint8_t *at, uint64_t value, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* Starts a table; returns where. */
static size_t begin_table(struct aml *out, const char *signature,
			  uint8_t revision)
{
	size_t at;

	while (out->len % ALIGN && !out->overflow)
		aml_u8(out, 0);
	at = out->len;
	aml_bytes(out, signature, 4);
	aml_u32(out, 0);		/* length: end_table() */
	aml_u8(out, revision);
	aml_u8(out, 0);			/* checksum: end_table() */
	aml_bytes(out, OEM_ID, 6);
	aml_bytes(out, OEM_TABLE_ID, 8);
	aml_u32(out, 1);
	aml_bytes(out, CREATOR_ID, 4);
	aml_u32(out, 1);
	return at;
}

static void end_table(struct aml *out, size_t at)
{
	uint8_t *table = out->data + at;
	size_t len = out->len - at;

	if (out->overflow)
		return;
	put(table + HEADER_LENGTH, len, 4);
	table[HEADER_CHECKSUM] = checksum(table, len);
}

static void put_virtio(struct aml *out, const struct platform_device *d,
		       unsigned int number)
{
	char name[5];
	size_t device, template;

	snprintf(name, sizeof(name), "V%03X", number & 0xfffu);
	device = aml_begin_device(out, name);
	aml_name(out, "_HID");
	aml_string(out, "LNRO0005");
	aml_name(out, "_UID");
	aml_integer(out, number);
	aml_name(out, "_CCA");
	aml_integer(out, 1);
	aml_name(out, "_CRS");
	template = aml_begin_template(out);
	aml_memory32(out, (uint32_t)d->base, (uint32_t)d->size);
	aml_interrupt(out, d->gsi);
	aml_end_template(out, template);
	aml_end(out, device);
}

static void put_serial(struct aml *out, const struct platform_device *d,
		       unsigned int number)
{
	char name[5];
	size_t device, template;

	snprintf(name, sizeof(name), "COM%X", (number + 1) & 0xfu);
	device = aml_begin_device(out, name);
	aml_name(out, "_HID");
	aml_eisa_id(out, "PNP0501");
	aml_name(out, "_UID");
	aml_integer(out, number);
	aml_name(out, "_CRS");
	template = aml_begin_template(out);
	aml_io(out, (uint16_t)d->base, (uint8_t)d->size);
	aml_interrupt(out, d->gsi);
	aml_end_template(out, template);
	aml_end(out, device);
}

static void put_processor(struct aml *out, unsigned int number)
{
	char name[5];
	size_t device;

	snprintf(name, sizeof(name), "C%03X", number & 0xfffu);
	device = aml_begin_device(out, name);
	aml_name(out, "_HID");
	aml_string(out, "ACPI0007");
	aml_name(out, "_UID");
	aml_integer(out, number);
	aml_end(out, device);
}

/* 4.8.2.2.1.2, control method power button. */
static void put_power_button(struct aml *out)
{
	size_t device = aml_begin_device(out, "PWRB");

	aml_name(out, "_HID");
	aml_eisa_id(out, "PNP0C0C");
	aml_name(out, "_UID");
	aml_integer(out, 0);
	aml_end(out, device);
}

/*
 * Found by _CID alone. VM_Gen_Counter is Microsoft's specification's, and too
 * long for an ACPI id; VMGENCTR is what Hyper-V has beside it for that reason.
 */
static void put_vmgenid(struct aml *out, const struct platform_device *d)
{
	size_t device = aml_begin_device(out, "VGEN"), package;

	aml_name(out, "_HID");
	aml_string(out, "WHRY0001");
	aml_name(out, "_CID");
	package = aml_begin_package(out, 2);
	aml_string(out, "VM_Gen_Counter");
	aml_string(out, "VMGENCTR");
	aml_end(out, package);
	aml_name(out, "_DDN");
	aml_string(out, "VM_Gen_Counter");
	aml_name(out, "ADDR");
	package = aml_begin_package(out, 2);
	aml_integer(out, (uint32_t)d->base);
	aml_integer(out, d->base >> 32);
	aml_end(out, package);
	aml_end(out, device);
}

/* The id and name that QEMU gave it, which drivers look for. */
static void put_pvpanic(struct aml *out, const struct platform_device *d)
{
	size_t device = aml_begin_device(out, "PEVT"), template;

	aml_name(out, "_HID");
	aml_string(out, "QEMU0001");
	aml_name(out, "_CRS");
	template = aml_begin_template(out);
	aml_io(out, (uint16_t)d->base, (uint8_t)d->size);
	aml_end_template(out, template);
	aml_end(out, device);
}

static void put_event(struct aml *out, uint32_t event, const char *device,
		      uint8_t value)
{
	size_t branch = aml_begin_if(out, event);

	aml_notify(out, device, value);
	aml_end(out, branch);
}

/*
 * 5.6.9: reading the register takes the events, and lowers the interrupt. The
 * devices are found by the search of 5.3: in the scope that the GED is in.
 */
static void put_ged(struct aml *out, const struct platform_device *d,
		    bool vmgenid)
{
	size_t device, part;

	put_power_button(out);
	device = aml_begin_device(out, "GED_");
	aml_name(out, "_HID");
	aml_string(out, "ACPI0013");
	aml_name(out, "_UID");
	aml_integer(out, 0);
	aml_name(out, "_CRS");
	part = aml_begin_template(out);
	aml_interrupt_level(out, d->gsi);
	aml_end_template(out, part);
	aml_register(out, "EREG", "ESEL", (uint32_t)d->base);
	part = aml_begin_method(out, "_EVT", 1);
	aml_load(out, "ESEL");
	put_event(out, GED_POWER_BUTTON, "PWRB", NOTIFY_BUTTON);
	if (vmgenid)
		put_event(out, GED_NEW_GENERATION, "VGEN", NOTIFY_GENERATION);
	aml_end(out, part);
	aml_end(out, device);
}

static const struct platform_device *
find_device(const struct platform_device *device, unsigned int devices,
	    enum platform_kind kind)
{
	for (unsigned int i = 0; i < devices; i++)
		if (device[i].kind == kind)
			return &device[i];
	return NULL;
}

static size_t put_dsdt(struct aml *out, const struct platform_device *device,
		       unsigned int devices, unsigned int cpus)
{
	size_t table = begin_table(out, "DSDT", 2);
	size_t scope, package;
	unsigned int windows = 0, ports = 0;

	scope = aml_begin_scope(out, "_SB_");
	for (unsigned int i = 0; i < cpus; i++)
		put_processor(out, i);
	for (unsigned int i = 0; i < devices; i++) {
		switch (device[i].kind) {
		case PLATFORM_VIRTIO_MMIO:
			put_virtio(out, &device[i], windows++);
			break;
		case PLATFORM_SERIAL:
			put_serial(out, &device[i], ports++);
			break;
		case PLATFORM_GED:
			put_ged(out, &device[i],
				find_device(device, devices, PLATFORM_VMGENID));
			break;
		case PLATFORM_VMGENID:
			put_vmgenid(out, &device[i]);
			break;
		case PLATFORM_PVPANIC:
			put_pvpanic(out, &device[i]);
			break;
		case PLATFORM_POWER:
			break;
		}
	}
	aml_end(out, scope);
	aml_name(out, "_S5_");
	package = aml_begin_package(out, 4);
	for (unsigned int i = 0; i < 4; i++)
		aml_integer(out, i == 0 ? POWER_SLP_TYP_S5 : 0);
	aml_end(out, package);
	end_table(out, table);
	return table;
}

/* 5.2.3.2, generic address structure: a byte in port I/O space. */
static void put_port(uint8_t *at, uint64_t port)
{
	at[0] = 1;		/* system I/O */
	at[1] = 8;		/* bits */
	at[2] = 0;
	at[3] = 1;		/* byte access */
	put(at + 4, port, 8);
}

static size_t put_fadt(struct aml *out, const struct platform_device *power,
		       uint64_t dsdt)
{
	size_t table = begin_table(out, "FACP", 6);
	/* With room for the header, so that offsets are the table's. */
	uint8_t image[FADT_SIZE] = { 0 };
	uint32_t flags = FLAG_WBINVD | FLAG_NO_POWER_BUTTON |
			 FLAG_NO_SLEEP_BUTTON | FLAG_HW_REDUCED;

	/* No 8042 either: that bit would have to be set. */
	put(image + FADT_BOOT_ARCH, BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_ASPM |
	    BOOT_NO_CMOS_RTC, 2);
	if (power) {
		flags |= FLAG_RESET_REG;
		put_port(image + FADT_RESET_REG, power->base + POWER_RESET);
		image[FADT_RESET_VALUE] = POWER_RESET_VALUE;
		put_port(image + FADT_SLEEP_CONTROL,
			 power->base + POWER_SLEEP_CONTROL);
		put_port(image + FADT_SLEEP_STATUS,
			 power->base + POWER_SLEEP_STATUS);
	}
	put(image + FADT_FLAGS, flags, 4);
	image[FADT_MINOR_VERSION] = 5;
	put(image + FADT_X_DSDT, dsdt, 8);
	memcpy(image + FADT_HYPERVISOR, OEM_TABLE_ID, 8);
	aml_bytes(out, image + HEADER_SIZE, sizeof(image) - HEADER_SIZE);
	end_table(out, table);
	return table;
}

/* 5.2.12 */
static size_t put_madt(struct aml *out, unsigned int cpus)
{
	size_t table = begin_table(out, "APIC", 6);

	aml_u32(out, LAYOUT_LAPIC);
	aml_u32(out, 0);		/* flags: no 8259 */
	aml_u8(out, 1);			/* IOAPIC */
	aml_u8(out, 12);
	aml_u8(out, 0);			/* its id */
	aml_u8(out, 0);
	aml_u32(out, LAYOUT_IOAPIC);
	aml_u32(out, 0);		/* its first GSI */
	for (unsigned int i = 0; i < cpus; i++) {
		aml_u8(out, 0);		/* processor local APIC */
		aml_u8(out, 8);
		aml_u8(out, (uint8_t)i);	/* _UID */
		aml_u8(out, (uint8_t)i);	/* APIC id */
		aml_u32(out, 1);	/* enabled */
	}
	end_table(out, table);
	return table;
}

static void put_rsdp(uint8_t *at, uint64_t xsdt)
{
	memcpy(at, "RSD PTR ", 8);
	memcpy(at + 9, OEM_ID, 6);
	at[15] = 2;
	put(at + 20, RSDP_SIZE, 4);
	put(at + 24, xsdt, 8);
	at[8] = checksum(at, RSDP_V1_SIZE);
	at[32] = checksum(at, RSDP_SIZE);
}

static int check_device(const struct platform_device *d, struct fail *why)
{
	bool port = d->kind == PLATFORM_SERIAL || d->kind == PLATFORM_POWER ||
		    d->kind == PLATFORM_PVPANIC;
	uint64_t limit = port ? UINT64_C(0x10000) : UINT64_C(0x100000000);

	if (d->size == 0 || d->size > (port ? 255 : limit) ||
	    d->base > limit - d->size)
		return fail(why, -EINVAL, "device at 0x%" PRIx64 " of %" PRIu64
			    " bytes: ACPI cannot express it", d->base,
			    d->size);
	return 0;
}

int x86_acpi_build(const struct platform_device *device, unsigned int devices,
		   unsigned int cpus, void *data, size_t size, uint64_t gpa,
		   struct fail *why)
{
	static const uint8_t rsdp[RSDP_SIZE];
	const struct platform_device *power;
	size_t dsdt, fadt, madt, xsdt;
	struct aml out;
	int err;

	for (unsigned int i = 0; i < devices; i++) {
		err = check_device(&device[i], why);
		if (err)
			return err;
	}
	power = find_device(device, devices, PLATFORM_POWER);
	aml_init(&out, data, size);
	aml_bytes(&out, rsdp, sizeof(rsdp));
	dsdt = put_dsdt(&out, device, devices, cpus);
	fadt = put_fadt(&out, power, gpa + dsdt);
	madt = put_madt(&out, cpus);
	xsdt = begin_table(&out, "XSDT", 1);
	aml_u64(&out, gpa + fadt);
	aml_u64(&out, gpa + madt);
	end_table(&out, xsdt);
	if (out.overflow)
		return fail(why, -ENOSPC, "ACPI tables of %u devices: more "
			    "than %zu bytes", devices, size);
	put_rsdp(data, gpa + xsdt);
	return 0;
}
