/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: connects a serial port to a terminal, pipe, socket or file.
 */
#ifndef WHERRY_DEVICES_CONSOLE_H
#define WHERRY_DEVICES_CONSOLE_H

#include "devices/loop.h"
#include "devices/serial.h"
#include "virtio/fail.h"

struct console;

/**
 * console_new() - connect @serial to what @spec says
 * @spec: "stdio": standard output and input; "none": what the guest sends is
 *     lost; "file=PATH": a file, created with mode 0600 or emptied, to which
 *     output is appended; no input
 *     Must outlive the console
 * @quit: the user typed Ctrl-A x; loop thread; must not free the console
 * @opaque: for @quit
 *
 * Output is written at once, on the vCPU thread, and goes into a bounded
 * buffer while whoever should take it does not. The serial port says "not
 * empty" while that is half full, so that a guest which looks loses nothing,
 * however long it takes. If writing fails there is one warning, and output is
 * dropped from then on (while a disk is full: until it is not).
 *
 * With "stdio" on a terminal in the foreground the terminal is in raw mode
 * until console_free() or console_restore(), all keys go to the guest, and
 * Ctrl-A is the escape key: Ctrl-A x quits, Ctrl-A Ctrl-A sends one Ctrl-A,
 * Ctrl-A and any other key sends both. In the background there is no input.
 * At end of file input just ends. Output of the process itself (standard
 * error) keeps its line ends.
 *
 * The process has to ignore SIGPIPE, and to have something (/dev/null will
 * do) at descriptors 0, 1 and 2 before it opens any other.
 *
 * Return: a console, or NULL with the reason.
 * Context: before the guest runs; afterwards the loop thread.
 */
struct console *console_new(struct loop *loop, struct serial *serial,
			    const char *spec, void (*quit)(void *opaque),
			    void *opaque, struct fail *why);

/**
 * console_connect() - connect it to another serial port, which is connected to
 * nothing yet
 * @opaque: for the quit function from now on
 *
 * Input that waits goes there. Context: loop thread; the port before has no
 * vCPU any more, the new one none yet.
 */
void console_connect(struct console *console, struct serial *serial,
		     void *opaque);

/**
 * console_free() - flush, restore the terminal, disconnect
 *
 * Waits for a reader as long as it takes something at least every second, and
 * five seconds in all. Context: no vCPU runs any more.
 */
void console_free(struct console *console);

/**
 * console_restore() - give the terminal back the way it was
 * @console: NULL is fine
 *
 * For handlers of fatal signals and other hasty exits; console_free() includes
 * it. Context: any thread; async-signal-safe; may be called again.
 */
void console_restore(struct console *console);

#endif
