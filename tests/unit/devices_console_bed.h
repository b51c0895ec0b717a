/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the console stand on: a loop, the serial port of
 * devices_serial_bed.h, and standard input, output and error that can be
 * replaced and come back.
 */
#ifndef WHERRY_TESTS_UNIT_DEVICES_CONSOLE_BED_H
#define WHERRY_TESTS_UNIT_DEVICES_CONSOLE_BED_H

#include "devices/console.h"
#include "tests/unit/devices_serial_bed.h"

/**
 * struct console_bed - the whole
 * @loop: where the console works
 * @console: the console, once console_bed_open() made it
 * @why: reason of the last failure
 * @quits: how often the user asked to quit
 * @far: the far ends of what console_bed_pipe() and _socket() put in place of
 *     standard input, output and error; -1: not replaced
 */
struct console_bed {
	struct loop *loop;
	struct console *console;
	struct fail why;
	unsigned int quits;
	int far[3];
};

extern struct console_bed bed;

/** console_bed_setup() - fixture: nothing connected, nothing replaced */
void console_bed_setup(void);
void console_bed_teardown(void);

/** console_bed_pipe() - replace standard descriptor @fd by a pipe */
void console_bed_pipe(int fd);
/** console_bed_socket() - replace standard descriptor @fd by a socket */
void console_bed_socket(int fd);
/** console_bed_file() - replace standard descriptor @fd by a file */
void console_bed_file(int fd, const char *path, int flags);
/** console_bed_open() - console_new() that has to succeed */
void console_bed_open(const char *spec);

/** console_bed_run() - let the loop do all it has to do now */
void console_bed_run(void);

/* The guest. */

/** guest_ready() - Return: whether THRE is set */
bool guest_ready(void);
/** guest_print() - send, never looking at THRE */
void guest_print(const char *text);
/** guest_read() - Return: how many bytes there were, at most @max */
size_t guest_read(char *text, size_t max);

#endif
