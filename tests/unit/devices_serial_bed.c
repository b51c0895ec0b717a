// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the serial port's tests. See devices_serial_bed.h.
 */
#include "tests/unit/devices_serial_bed.h"

#include <string.h>
#include <unistd.h>

struct serial serial;
struct serial_bed_line line;

static bool on_put(void *opaque, uint8_t byte)
{
	(void)opaque;
	ck_assert_uint_lt(line.sent_count, sizeof(line.sent));
	line.sent[line.sent_count++] = byte;
	return line.sent_count < line.sent_room;
}

static void on_room(void *opaque)
{
	(void)opaque;
	line.rooms++;
}

static const struct serial_line callbacks = { .put = on_put, .room = on_room };

static void new_port(void)
{
	struct fail why = { "" };

	ck_assert_msg(!serial_init(&serial, &why), "%s", why.text);
	serial_connect(&serial, &callbacks, NULL);
}

void serial_bed_setup(void)
{
	memset(&line, 0, sizeof(line));
	line.sent_room = sizeof(line.sent);
	new_port();
}

void serial_bed_teardown(void)
{
	serial_destroy(&serial);
}

void serial_bed_replace(void)
{
	serial_destroy(&serial);
	new_port();
}

uint8_t guest_in(unsigned int reg)
{
	uint8_t byte;

	serial_read(&serial, reg, &byte, 1);
	return byte;
}

void guest_out(unsigned int reg, unsigned int value)
{
	uint8_t byte = (uint8_t)value;

	serial_write(&serial, reg, &byte, 1);
}

uint8_t guest_cause(void)
{
	return guest_in(SERIAL_IIR) & 0x0f;
}

uint64_t guest_edges(void)
{
	uint64_t n;

	return read(serial.irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

size_t line_type(const char *text)
{
	return serial_receive(&serial, (const uint8_t *)text, strlen(text));
}
