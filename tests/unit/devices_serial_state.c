// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/serial.c: what of a port survives a save, and what a load refuses.
 */
#include "devices/serial.h"

#include <errno.h>
#include <libfdt.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/runner.h"

static struct serial serial;
static struct fail why;
static unsigned int sent_count;
static unsigned int sent_room;

static bool on_put(void *opaque, uint8_t byte)
{
	(void)opaque;
	(void)byte;
	return ++sent_count < sent_room;
}

static void on_room(void *opaque)
{
	(void)opaque;
}

static const struct serial_line line = { .put = on_put, .room = on_room };

static void setup(void)
{
	ck_assert_int_eq(serial_init(&serial, &why), 0);
	serial_connect(&serial, &line, NULL);
	sent_count = 0;
	sent_room = 1000;
	why.text[0] = '\0';
}

static void teardown(void)
{
	serial_destroy(&serial);
}

static uint8_t in(unsigned int reg)
{
	uint8_t value;

	serial_read(&serial, reg, &value, 1);
	return value;
}

static void out(unsigned int reg, unsigned int value)
{
	uint8_t byte = (uint8_t)value;

	serial_write(&serial, reg, &byte, 1);
}

/* Edges since the last call. */
static uint64_t edges(void)
{
	uint64_t n;

	return read(serial.irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static size_t type(const char *text)
{
	return serial_receive(&serial, (const uint8_t *)text, strlen(text));
}

static uint8_t cause(void)
{
	return in(SERIAL_IIR) & 0x0f;
}

/* What a file may say, and what serial_load() has to say to it. */
struct edit {
	const char *name;
	uint32_t value;
	int err;
};

/* Save @serial, change the file, load it into a fresh one. */
static int reload(const struct edit *edit)
{
	struct state_writer w;
	struct state_node root, node;
	const void *data;
	size_t len;
	int err;

	ck_assert_int_eq(state_writer_init(&w), 0);
	state_begin(&w, "serial");
	serial_save(&serial, &w);
	state_end(&w);
	ck_assert_int_eq(state_writer_finish(&w, &data, &len, &why), 0);
	if (edit)
		ck_assert_int_eq(fdt_setprop_inplace_u32(w.fdt,
			fdt_path_offset(w.fdt, "/serial"), edit->name,
			edit->value), 0);
	ck_assert_int_eq(state_check(data, len, &why), 0);
	teardown();
	ck_assert_int_eq(serial_init(&serial, &why), 0);
	serial_connect(&serial, &line, NULL);
	state_root(&root, data);
	ck_assert_int_eq(state_enter(&root, &node, &why, "serial"), 0);
	err = serial_load(&serial, &node, &why);
	if (!err)
		err = state_leave(&node, &why);
	state_writer_free(&w);
	return err;
}

START_TEST(all_registers_survive_a_save)
{
	out(SERIAL_LCR, SERIAL_LCR_DLAB);
	out(SERIAL_DLL, 1);
	out(SERIAL_DLM, 2);
	out(SERIAL_LCR, 0x1b);
	out(SERIAL_SCR, 0x77);
	out(SERIAL_FCR, 0xc1);
	out(SERIAL_MCR, SERIAL_MCR_LOOP | SERIAL_MCR_RTS);
	for (unsigned int i = 0; i < 20; i++)
		out(SERIAL_THR, 'a' + i);
	out(SERIAL_IER, 0x0f);
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(in(SERIAL_SCR), 0x77);
	ck_assert_uint_eq(in(SERIAL_LCR), 0x1b);
	ck_assert_uint_eq(in(SERIAL_MCR), SERIAL_MCR_LOOP | SERIAL_MCR_RTS);
	ck_assert_uint_eq(in(SERIAL_IER), 0x0f);
	ck_assert_uint_eq(in(SERIAL_IIR), SERIAL_IIR_FIFO | SERIAL_IIR_RLSI);
	ck_assert_uint_eq(in(SERIAL_LSR), 0x63);
	ck_assert_uint_eq(in(SERIAL_MSR), SERIAL_MSR_CTS | 0x0a);
	for (unsigned int i = 0; i < SERIAL_FIFO; i++)
		ck_assert_uint_eq(in(SERIAL_RBR), 'a' + i);
	ck_assert_uint_eq(cause(), SERIAL_IIR_THRI);
	out(SERIAL_LCR, SERIAL_LCR_DLAB);
	ck_assert_uint_eq(in(SERIAL_DLL), 1);
	ck_assert_uint_eq(in(SERIAL_DLM), 2);
}
END_TEST

START_TEST(load_repeats_the_edge_of_a_pending_condition)
{
	out(SERIAL_IER, SERIAL_IER_RDI);
	type("a");
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(edges(), 1);
	in(SERIAL_RBR);
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(edges(), 0);
}
END_TEST

START_TEST(load_unblocks_a_driver_that_waited_for_room)
{
	sent_room = 1;
	out(SERIAL_IER, SERIAL_IER_THRI);
	cause();
	out(SERIAL_THR, 'x');
	ck_assert_int_eq(reload(NULL), 0);
	ck_assert_uint_eq(edges(), 1);
	ck_assert_uint_eq(cause(), SERIAL_IIR_THRI);
	ck_assert(in(SERIAL_LSR) & SERIAL_LSR_THRE);
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
	out(SERIAL_SCR, 0x77);
	ck_assert_int_eq(reload(&bad[_i]), bad[_i].err);
	ck_says(&why, bad[_i].name);
	ck_assert_uint_eq(in(SERIAL_SCR), 0);
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

	return UNIT_RUN("devices_serial_state", cases, setup, teardown);
}
