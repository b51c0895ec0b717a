/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the serial port stand on: a port, the guest that has it,
 * and a line that notes down what comes. The console's bed builds on the guest.
 */
#ifndef WHERRY_TESTS_UNIT_DEVICES_SERIAL_BED_H
#define WHERRY_TESTS_UNIT_DEVICES_SERIAL_BED_H

#include "devices/serial.h"
#include "tests/unit/runner.h"

/**
 * struct serial_bed_line - the far end
 * @sent: what the port sent
 * @sent_count: bytes of it
 * @sent_room: with so many the line is full; more are taken all the same
 * @rooms: how often the port said that it has room
 */
struct serial_bed_line {
	uint8_t sent[1024];
	unsigned int sent_count;
	unsigned int sent_room;
	unsigned int rooms;
};

extern struct serial serial;
extern struct serial_bed_line line;

/** serial_bed_setup() - fixture: a new port, connected to the line */
void serial_bed_setup(void);
void serial_bed_teardown(void);
/** serial_bed_replace() - another new port instead of this one, same line */
void serial_bed_replace(void);

/* The guest: one byte to or from a register. */
uint8_t guest_in(unsigned int reg);
void guest_out(unsigned int reg, unsigned int value);
/** guest_cause() - Return: which interrupt IIR tells */
uint8_t guest_cause(void);
/** guest_edges() - Return: edges of the interrupt since the last call */
uint64_t guest_edges(void);

/** line_type() - send to the port. Return: how many bytes it took. */
size_t line_type(const char *text);

#endif
