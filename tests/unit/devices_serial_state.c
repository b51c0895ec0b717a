// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/serial.c: what of a port survives a save, and what a load refuses.
 */
#include "tests/unit/devices_serial_bed.h"

#include <errno.h>
#include <libfdt.h>

#include "tests/unit/virtio_state_bed.h"

/* What a file may say, and what serial_load() has to say to it. */
struct edit {
	const char *name;
	uint32_t value;
	int err;
};

/* Save @serial, change the file, load it into a fresh one. */
static int reload(const struct edit *edit)
{
	struct state_node node;
	int err;

	state_bed_setup();
	state_begin(&writer, "serial");
	serial_save(&serial, &writer);
	state_end(&writer);
	enter_well(&node, "serial");
	if (edit)
		ck_assert_int_eq(fdt_setprop_inplace_u32(writer.fdt,
			node.offset, edit->name, edit->value), 0);
	ck_assert_int_eq(state_check(root.fdt, fdt_totalsize(root.fdt), &why),
			 0);
	serial_bed_replace();
	err = serial_load(&serial, &node, &why);
	if (!err)
		err = state_leave(&node, &why);
	state_bed_teardown();
	return err;
}

START_TEST(all_registers_survive_a_save)
{
	guest_out(SERIAL_LCR, SERIAL_LCR_DLAB);
	guest_out(SERIAL_DLL, 1);
	guest_out(SERIAL_DLM, 2);
	guest_out(SERIAL_LCR, 0x1b);
	guest_out(SERIAL_SCR, 0x77);
	guest_out(SERIAL_FCR, 0xc1);
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP | SERIAL_MCR_RTS);
	for (unsigned int i = 0; i < 20; i++)
		guest_out(SERIAL_THR, 'a' + i);
	guest_out(SERIAL_IER, 0x0f);
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(guest_in(SERIAL_SCR), 0x77);
	ck_assert_uint_eq(guest_in(SERIAL_LCR), 0x1b);
	ck_assert_uint_eq(guest_in(SERIAL_MCR),
			  SERIAL_MCR_LOOP | SERIAL_MCR_RTS);
	ck_assert_uint_eq(guest_in(SERIAL_IER), 0x0f);
	ck_assert_uint_eq(guest_in(SERIAL_IIR),
			  SERIAL_IIR_FIFO | SERIAL_IIR_RLSI);
	ck_assert_uint_eq(guest_in(SERIAL_LSR), 0x63);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), SERIAL_MSR_CTS | 0x0a);
	for (unsigned int i = 0; i < SERIAL_FIFO; i++)
		ck_assert_uint_eq(guest_in(SERIAL_RBR), 'a' + i);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	guest_out(SERIAL_LCR, SERIAL_LCR_DLAB);
	ck_assert_uint_eq(guest_in(SERIAL_DLL), 1);
	ck_assert_uint_eq(guest_in(SERIAL_DLM), 2);
}
END_TEST

START_TEST(load_repeats_the_edge_of_a_pending_condition)
{
	guest_out(SERIAL_IER, SERIAL_IER_RDI);
	line_type("a");
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(guest_edges(), 1);
	guest_in(SERIAL_RBR);
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(guest_edges(), 0);
}
END_TEST

START_TEST(load_unblocks_a_driver_that_waited_for_room)
{
	line.sent_room = 1;
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	guest_cause();
	guest_out(SERIAL_THR, 'x');
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(guest_edges(), 1);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert(guest_in(SERIAL_LSR) & SERIAL_LSR_THRE);
}
END_TEST

static const struct edit bad[] = {
	{ "rx-count", SERIAL_FIFO + 1, -ERANGE },
	{ "ier", 0x10, -ERANGE },
	{ "mcr", 0x20, -ERANGE },
	{ "thr-empty", 2, -ERANGE },
	{ "fcr", 0x02, -EINVAL },
	{ "lsr-errors", 0x01, -EINVAL },
};

START_TEST(impossible_state_is_refused_and_leaves_the_port_alone)
{
	guest_out(SERIAL_SCR, 0x77);
	ck_assert_int_eq(reload(&bad[_i]), bad[_i].err);
	ck_says(&why, bad[_i].name);
	ck_assert_uint_eq(guest_in(SERIAL_SCR), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(all_registers_survive_a_save),
		UNIT_TEST(load_repeats_the_edge_of_a_pending_condition),
		UNIT_TEST(load_unblocks_a_driver_that_waited_for_room),
		UNIT_LOOP(impossible_state_is_refused_and_leaves_the_port_alone,
			  UNIT_COUNT(bad)),
	};

	return UNIT_RUN("devices_serial_state", cases,
			serial_bed_setup, serial_bed_teardown);
}
