// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/vmgenid.c: a new ID for each life, in guest memory.
 */
#include "devices/vmgenid.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/virtio_state_bed.h"

#define GPA 0x800u

static uint8_t ram[4096];
static struct guest_memory mem;
static struct vmgenid gen;

static void setup(void)
{
	memset(ram, 0, sizeof(ram));
	mem = (struct guest_memory){ .count = 1 };
	mem.region[0] = (struct guest_region){
		.gpa = 0, .size = sizeof(ram), .host = ram,
	};
	ck_assert(!vmgenid_init(&gen, &mem, GPA, &why));
}

/* Saves, lets @gen be at @gpa, loads. */
static int reload(uint64_t gpa)
{
	struct state_node node;
	int err;

	state_bed_setup();
	state_begin(&writer, "vmgenid");
	vmgenid_save(&gen, &writer);
	state_end(&writer);
	gen.gpa = gpa;
	enter_well(&node, "vmgenid");
	err = vmgenid_load(&gen, &node, &why);
	if (!err)
		ck_assert(!state_leave(&node, &why));
	state_bed_teardown();
	return err;
}

START_TEST(id_is_in_guest_memory_and_nothing_beside_it)
{
	static const uint8_t none[sizeof(ram)];

	ck_assert_mem_eq(ram + GPA, gen.id, VMGENID_SIZE);
	ck_assert_mem_ne(gen.id, none, VMGENID_SIZE);
	ck_assert_mem_eq(ram, none, GPA);
	ck_assert_mem_eq(ram + GPA + VMGENID_SIZE, none,
			 sizeof(ram) - GPA - VMGENID_SIZE);
}
END_TEST

START_TEST(every_boot_has_another_id)
{
	uint8_t first[VMGENID_SIZE];

	memcpy(first, gen.id, sizeof(first));
	ck_assert(!vmgenid_init(&gen, &mem, GPA, &why));
	ck_assert_mem_ne(gen.id, first, sizeof(first));
}
END_TEST

START_TEST(every_load_has_another_id)
{
	uint8_t saved[VMGENID_SIZE], second[VMGENID_SIZE];

	memcpy(saved, gen.id, sizeof(saved));
	ck_assert(!reload(GPA));
	memcpy(second, gen.id, sizeof(second));
	ck_assert_mem_ne(second, saved, sizeof(saved));
	ck_assert_mem_eq(ram + GPA, second, sizeof(second));
	ck_assert(!reload(GPA));
	ck_assert_mem_ne(gen.id, second, sizeof(second));
	ck_assert_mem_ne(gen.id, saved, sizeof(saved));
	ck_assert_mem_eq(ram + GPA, gen.id, VMGENID_SIZE);
}
END_TEST

START_TEST(other_address_is_refused_at_load)
{
	ck_assert_int_eq(reload(GPA + 8), -EINVAL);
	ck_says(&why, "address");
}
END_TEST

START_TEST(no_ram_there_is_an_error)
{
	ck_assert_int_eq(vmgenid_init(&gen, &mem, sizeof(ram) - 8, &why),
			 -EFAULT);
	ck_says(&why, "0xff8");
}
END_TEST

START_TEST(text_is_a_guid)
{
	char text[VMGENID_TEXT + 1];

	for (unsigned int i = 0; i < VMGENID_SIZE; i++)
		gen.id[i] = (uint8_t)(0x10 * i + i);
	vmgenid_text(&gen, text);
	ck_assert_str_eq(text, "33221100-5544-7766-8899-aabbccddeeff");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(id_is_in_guest_memory_and_nothing_beside_it),
		UNIT_TEST(every_boot_has_another_id),
		UNIT_TEST(every_load_has_another_id),
		UNIT_TEST(other_address_is_refused_at_load),
		UNIT_TEST(no_ram_there_is_an_error),
		UNIT_TEST(text_is_a_guid),
	};
	const struct unit_group group = {
		"vmgenid", cases, UNIT_COUNT(cases), setup, NULL,
	};

	return unit_run("devices_vmgenid", &group, 1);
}
