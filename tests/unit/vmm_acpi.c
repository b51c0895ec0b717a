// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AML byte for byte, and the ACPI tables made of it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/ged.h"
#include "devices/power.h"
#include "tests/unit/runner.h"
#include "vmm/x86_64/acpi.h"
#include "vmm/x86_64/acpi_aml.h"

#define GPA UINT64_C(0xe0000)

static uint8_t buffer[1 << 16];
static struct aml aml;
static struct fail why;

static void setup(void)
{
	memset(buffer, 0xee, sizeof(buffer));
	aml_init(&aml, buffer, sizeof(buffer));
}

#define EXPECT(...) do { \
	static const uint8_t want[] = { __VA_ARGS__ }; \
	ck_assert_uint_eq(aml.len, sizeof(want)); \
	ck_assert_mem_eq(buffer, want, sizeof(want)); \
} while (0)

START_TEST(integers_take_their_shortest_form)
{
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 2);
	aml_integer(&aml, 0xff);
	aml_integer(&aml, 0x100);
	aml_integer(&aml, 0x10000);
	aml_integer(&aml, UINT64_C(0x100000000));
	EXPECT(0x00, 0x01, 0x0a, 2, 0x0a, 0xff, 0x0b, 0x00, 0x01,
	       0x0c, 0, 0, 1, 0, 0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}
END_TEST

START_TEST(names_are_padded_and_prefixed)
{
	aml_path(&aml, "A");
	aml_path(&aml, "\\_SB");
	aml_path(&aml, "\\_SB_.COM1");
	aml_path(&aml, "A.B.C");
	EXPECT('A', '_', '_', '_', '\\', '_', 'S', 'B', '_',
	       '\\', 0x2e, '_', 'S', 'B', '_', 'C', 'O', 'M', '1',
	       0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_',
	       'C', '_', '_', '_');
}
END_TEST

START_TEST(eisa_ids_are_the_integers_that_iasl_makes)
{
	aml_eisa_id(&aml, "PNP0501");
	aml_eisa_id(&aml, "PNP0A03");
	EXPECT(0x0c, 0x41, 0xd0, 0x05, 0x01, 0x0c, 0x41, 0xd0, 0x0a, 0x03);
}
END_TEST

/* A scope with @content bytes after its name. */
static void scope_of(size_t content)
{
	size_t mark = aml_begin_scope(&aml, "S");

	for (size_t i = 0; i < content - 4; i++)
		aml_u8(&aml, 0);
	aml_end(&aml, mark);
}

START_TEST(package_length_counts_its_own_bytes)
{
	const struct { size_t content; uint8_t lead[4]; size_t len; } rows[] = {
		{ 4, { 5 }, 1 },
		{ 62, { 63 }, 1 },
		{ 63, { 0x41, 0x04 }, 2 },
		{ 4093, { 0x4f, 0xff }, 2 },
		{ 4094, { 0x81, 0x00, 0x01 }, 3 },
		{ 60000, { 0x83, 0xa6, 0x0e }, 3 },
	};
	const size_t n = sizeof(rows) / sizeof(rows[0]);

	for (size_t i = 0; i < n; i++) {
		setup();
		scope_of(rows[i].content);
		ck_assert_uint_eq(aml.len, 1 + rows[i].len + rows[i].content);
		ck_assert_uint_eq(buffer[0], 0x10);
		ck_assert_mem_eq(buffer + 1, rows[i].lead, rows[i].len);
		ck_assert_mem_eq(buffer + 1 + rows[i].len, "S___", 4);
	}
}
END_TEST

START_TEST(inner_package_grows_the_outer_one)
{
	size_t outer = aml_begin_scope(&aml, "\\_SB_");
	size_t inner = aml_begin_device(&aml, "D");

	aml_name(&aml, "_UID");
	aml_integer(&aml, 7);
	aml_end(&aml, inner);
	aml_end(&aml, outer);
	EXPECT(0x10, 20, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 12,
	       'D', '_', '_', '_', 0x08, '_', 'U', 'I', 'D', 0x0a, 7);
}
END_TEST

START_TEST(resource_template_counts_its_bytes)
{
	size_t mark = aml_begin_template(&aml);

	aml_memory32(&aml, 0xd0000000, 0x1000);
	aml_interrupt(&aml, 5);
	aml_io(&aml, 0x3f8, 8);
	aml_end_template(&aml, mark);
	EXPECT(0x11, 0x22, 0x0a, 0x1f,
	       0x86, 9, 0, 1, 0, 0, 0, 0xd0, 0, 0x10, 0, 0,
	       0x89, 6, 0, 3, 1, 5, 0, 0, 0,
	       0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8,
	       0x79, 0);
}
END_TEST

START_TEST(level_interrupt_differs_from_edge)
{
	aml_interrupt_level(&aml, 9);
	EXPECT(0x89, 6, 0, 1, 1, 9, 0, 0, 0);
}
END_TEST

START_TEST(event_method_reads_once_and_notifies_by_bit)
{
	size_t method, branch;

	aml_register(&aml, "R", "F", 0xd0004000);
	method = aml_begin_method(&aml, "_EVT", 1);
	aml_load(&aml, "F");
	branch = aml_begin_if(&aml, 2);
	aml_notify(&aml, "D", 0x80);
	aml_end(&aml, branch);
	aml_end(&aml, method);
	EXPECT(0x5b, 0x80, 'R', '_', '_', '_', 0,
	       0x0c, 0, 0x40, 0, 0xd0, 0x0a, 4,
	       0x5b, 0x81, 11, 'R', '_', '_', '_', 3, 'F', '_', '_', '_', 32,
	       0x14, 26, '_', 'E', 'V', 'T', 9,
	       0x70, 'F', '_', '_', '_', 0x60,
	       0xa0, 13, 0x7b, 0x60, 0x0a, 2, 0,
	       0x86, 'D', '_', '_', '_', 0x0a, 0x80);
}
END_TEST

START_TEST(running_out_of_room_is_remembered)
{
	size_t mark;

	aml_init(&aml, buffer, 12);
	mark = aml_begin_scope(&aml, "S");
	aml_string(&aml, "too long");
	ck_assert(aml.overflow);
	aml_integer(&aml, 1);
	aml_end(&aml, mark);
	ck_assert(aml.overflow);
	ck_assert_uint_le(aml.len, 12);
	ck_assert_uint_eq(buffer[12], 0xee);
}
END_TEST

static const struct platform_device machine[] = {
	{ PLATFORM_SERIAL, 0x3f8, 8, 4 },
	{ PLATFORM_POWER, 0x600, POWER_SIZE, 0 },
	{ PLATFORM_VIRTIO_MMIO, 0xd0000000, 0x1000, 5 },
	{ PLATFORM_VIRTIO_MMIO, 0xd0001000, 0x1000, 6 },
	{ PLATFORM_GED, 0xd0002000, 4, 7 },
	{ PLATFORM_VMGENID, 0xfe000, 16, 0 },
	{ PLATFORM_PVPANIC, 0x505, 1, 0 },
};

static int build(unsigned int cpus, size_t size)
{
	memset(buffer, 0, sizeof(buffer));
	return x86_acpi_build(machine, UNIT_COUNT(machine), cpus, buffer, size,
			      GPA, &why);
}

static uint8_t sum(const uint8_t *data, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *data++);
	return s;
}

static uint64_t get(const uint8_t *at, unsigned int len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | at[len];
	return value;
}

/* The table at @gpa, its length and checksum found right. */
static const uint8_t *table(uint64_t gpa, const char *signature, size_t *len)
{
	const uint8_t *at = buffer + (gpa - GPA);

	ck_assert_mem_eq(at, signature, 4);
	*len = get(at + 4, 4);
	ck_assert_uint_eq(sum(at, *len), 0);
	return at;
}

/* FADT and MADT, through RSDP and XSDT. */
static void find(const uint8_t **fadt, const uint8_t **madt)
{
	const uint8_t *xsdt;
	size_t len;

	ck_assert_mem_eq(buffer, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(buffer, 20), 0);
	ck_assert_uint_eq(sum(buffer, 36), 0);
	ck_assert_uint_eq(buffer[15], 2);
	xsdt = table(get(buffer + 24, 8), "XSDT", &len);
	ck_assert_uint_eq(len, 36 + 2 * 8);
	*fadt = table(get(xsdt + 36, 8), "FACP", &len);
	ck_assert_uint_eq(len, 276);
	*madt = table(get(xsdt + 44, 8), "APIC", &len);
}

START_TEST(tables_lead_to_each_other_with_right_checksums)
{
	const uint8_t *fadt, *madt;
	size_t len;

	ck_assert(!build(2, sizeof(buffer)));
	find(&fadt, &madt);
	table(get(fadt + 140, 8), "DSDT", &len);
}
END_TEST

START_TEST(fadt_says_what_is_not_there)
{
	const uint8_t *fadt, *madt;
	uint32_t flags, boot;

	ck_assert(!build(1, sizeof(buffer)));
	find(&fadt, &madt);
	boot = (uint32_t)get(fadt + 109, 2);
	ck_assert_uint_eq(boot & 0x3, 0);		/* 8042, legacy */
	ck_assert_uint_eq(boot & 0x24, 0x24);		/* VGA, CMOS clock */
	flags = (uint32_t)get(fadt + 112, 4);
	ck_assert(flags & 1u << 20);			/* hardware-reduced */
	ck_assert(flags & 1u << 10);			/* reset register */
}
END_TEST

START_TEST(fadt_tells_the_power_registers)
{
	static const uint8_t gas[] = { 1, 8, 0, 1 };
	const uint8_t *fadt, *madt;

	ck_assert(!build(1, sizeof(buffer)));
	find(&fadt, &madt);
	ck_assert_mem_eq(fadt + 116, gas, sizeof(gas));
	ck_assert_uint_eq(get(fadt + 120, 8), 0x600 + POWER_RESET);
	ck_assert_uint_eq(fadt[128], POWER_RESET_VALUE);
	ck_assert_mem_eq(fadt + 244, gas, sizeof(gas));
	ck_assert_uint_eq(get(fadt + 248, 8), 0x600 + POWER_SLEEP_CONTROL);
	ck_assert_uint_eq(get(fadt + 260, 8), 0x600 + POWER_SLEEP_STATUS);
}
END_TEST

START_TEST(machine_without_power_switch_promises_none)
{
	const uint8_t *fadt, *madt;

	memset(buffer, 0, sizeof(buffer));
	ck_assert(!x86_acpi_build(machine, 1, 1, buffer, sizeof(buffer), GPA,
				  &why));
	find(&fadt, &madt);
	ck_assert_uint_eq(get(fadt + 112, 4) & 1u << 10, 0);
	ck_assert_uint_eq(get(fadt + 120, 8), 0);
}
END_TEST

START_TEST(madt_lists_each_processor_and_the_ioapic)
{
	const uint8_t *fadt, *madt;

	ck_assert(!build(8, sizeof(buffer)));
	find(&fadt, &madt);
	ck_assert_uint_eq(get(madt + 4, 4), 44 + 12 + 8 * 8);
	ck_assert_uint_eq(get(madt + 36, 4), 0xfee00000);
	ck_assert_uint_eq(get(madt + 40, 4), 0);	/* no 8259 */
	ck_assert_uint_eq(madt[44], 1);
	ck_assert_uint_eq(get(madt + 48, 4), 0xfec00000);
	for (unsigned int i = 0; i < 8; i++) {
		const uint8_t *cpu = madt + 56 + 8 * i;
		const uint8_t want[] = { 0, 8, (uint8_t)i, (uint8_t)i,
					 1, 0, 0, 0 };

		ck_assert_mem_eq(cpu, want, sizeof(want));
	}
}
END_TEST

START_TEST(no_room_is_an_error_at_every_size)
{
	size_t need = 0;

	while (build(8, need) == -ENOSPC)
		need++;
	ck_assert_uint_gt(need, 500);
	ck_assert(!build(8, need));
}
END_TEST

START_TEST(device_beyond_32_bits_is_refused)
{
	const struct platform_device far[] = {
		{ PLATFORM_VIRTIO_MMIO, UINT64_C(0xfffff001), 0x1000, 5 },
		{ PLATFORM_VIRTIO_MMIO, UINT64_C(0x100000000), 0x1000, 5 },
		{ PLATFORM_VIRTIO_MMIO, UINT64_MAX, 0x1000, 5 },
		{ PLATFORM_VIRTIO_MMIO, 0xd0000000, 0, 5 },
		{ PLATFORM_SERIAL, 0xfff9, 8, 4 },
		{ PLATFORM_PVPANIC, 0x10000, 1, 0 },
	};

	for (size_t i = 0; i < UNIT_COUNT(far); i++)
		ck_assert_int_eq(x86_acpi_build(&far[i], 1, 1, buffer,
						sizeof(buffer), GPA, &why),
				 -EINVAL);
}
END_TEST

static void write_file(const char *name, const uint8_t *data, size_t len)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

/* dsdt.aml and facp.aml in a folder of their own, @dir, to work in. */
static void write_tables(char *dir, unsigned int cpus)
{
	const uint8_t *fadt, *madt, *dsdt;
	size_t len;

	ck_assert(!build(cpus, sizeof(buffer)));
	find(&fadt, &madt);
	dsdt = table(get(fadt + 140, 8), "DSDT", &len);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(!chdir(dir));
	write_file("dsdt.aml", dsdt, len);
	write_file("facp.aml", fadt, 276);
}

static void remove_tables(const char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert(!chdir("/") && !system(command));
}

/* acpica-tools, where installed, is the judge of our encoding. */
START_TEST(iasl_takes_the_dsdt_apart)
{
	char dir[] = "/tmp/wherry-acpi.XXXXXX";

	write_tables(dir, 4);
	ck_assert_msg(system("iasl -d dsdt.aml >log 2>&1 "
			     "&& iasl -d facp.aml >>log 2>&1 "
			     "&& iasl -p again dsdt.dsl >>log 2>&1 "
			     "&& cmp dsdt.aml again.aml -i 36 >>log") == 0,
		      "see %s/log", dir);
	ck_assert(!system("grep -q LNRO0005 dsdt.dsl"));
	ck_assert(!system("grep -A 12 'Device (PEVT)' dsdt.dsl >pevt"));
	ck_assert(!system("grep -q QEMU0001 pevt"));
	ck_assert(!system("test $(grep -c 0x0505, pevt) -eq 2"));
	ck_assert(!system("grep -qi 'CMOS RTC Not Present.*1' facp.dsl"));
	remove_tables(dir);
}
END_TEST

/* What ACPICA's interpreter makes of @method, the register reading @value. */
static void interpret(const char *method, unsigned int value)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "acpiexec -fv %u -b 'evaluate %s' dsdt.aml >said 2>&1", value,
		 method);
	(void)!system(command);
	ck_assert(system("grep -q AE_ said"));
}

START_TEST(acpiexec_notifies_by_bit_and_finds_the_id)
{
	char dir[] = "/tmp/wherry-acpi.XXXXXX";

	write_tables(dir, 2);
	for (unsigned int events = 0; events < 4; events++) {
		interpret("\\_SB.GED._EVT 7", events);
		ck_assert_msg(!system("grep -q 'Notify on .PWRB.*0x80' said") ==
			      !!(events & GED_POWER_BUTTON), "%u", events);
		ck_assert_msg(!system("grep -q 'Notify on .VGEN.*0x80' said") ==
			      !!(events & GED_NEW_GENERATION), "%u", events);
	}
	interpret("\\_SB.VGEN.ADDR", 0);
	ck_assert(!system("grep -q 'Integer. = 00000000000FE000' said"));
	remove_tables(dir);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(integers_take_their_shortest_form),
		UNIT_TEST(names_are_padded_and_prefixed),
		UNIT_TEST(eisa_ids_are_the_integers_that_iasl_makes),
		UNIT_TEST(package_length_counts_its_own_bytes),
		UNIT_TEST(inner_package_grows_the_outer_one),
		UNIT_TEST(resource_template_counts_its_bytes),
		UNIT_TEST(level_interrupt_differs_from_edge),
		UNIT_TEST(event_method_reads_once_and_notifies_by_bit),
		UNIT_TEST(running_out_of_room_is_remembered),
		UNIT_TEST(tables_lead_to_each_other_with_right_checksums),
		UNIT_TEST(fadt_says_what_is_not_there),
		UNIT_TEST(fadt_tells_the_power_registers),
		UNIT_TEST(machine_without_power_switch_promises_none),
		UNIT_TEST(madt_lists_each_processor_and_the_ioapic),
		UNIT_TEST(no_room_is_an_error_at_every_size),
		UNIT_TEST(device_beyond_32_bits_is_refused),
		/* The last, left out where there are no acpica-tools. */
		UNIT_TEST(iasl_takes_the_dsdt_apart),
		UNIT_TEST(acpiexec_notifies_by_bit_and_finds_the_id),
	};
	bool tools = system("iasl -v >/dev/null 2>&1") == 0 &&
		     system("acpiexec -v >/dev/null 2>&1") == 0;
	const struct unit_group group = {
		"vmm_acpi", cases, UNIT_COUNT(cases) - (tools ? 0 : 2), setup, NULL,
	};

	return unit_run("vmm_acpi", &group, 1);
}
