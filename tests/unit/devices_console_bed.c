// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the console tests. See devices_console_bed.h.
 */
#include "tests/unit/devices_console_bed.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct console_bed bed;

/* The standard descriptors as they were. */
static int saved[3];

void console_bed_setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	memset(&bed, 0, sizeof(bed));
	for (int i = 0; i < 3; i++) {
		bed.far[i] = -1;
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	}
	bed.loop = loop_new(&bed.why);
	ck_assert_ptr_nonnull(bed.loop);
	ck_assert_int_eq(serial_init(&serial, &bed.why), 0);
}

void console_bed_teardown(void)
{
	console_free(bed.console);
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
		if (bed.far[i] >= 0)
			close(bed.far[i]);
	}
	serial_destroy(&serial);
	loop_free(bed.loop);
}

/* @near takes the place of @fd. */
static void replace(int fd, int near)
{
	ck_assert_int_ge(near, 0);
	ck_assert_int_eq(dup2(near, fd), fd);
	close(near);
}

void console_bed_pipe(int fd)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	bed.far[fd] = ends[fd ? 0 : 1];
	replace(fd, ends[fd ? 1 : 0]);
}

void console_bed_socket(int fd)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	bed.far[fd] = ends[0];
	replace(fd, ends[1]);
}

void console_bed_file(int fd, const char *path, int flags)
{
	replace(fd, open(path, flags, 0600));
}

static void on_quit(void *opaque)
{
	(void)opaque;
	bed.quits++;
}

void console_bed_open(const char *spec)
{
	bed.console = console_new(bed.loop, &serial, spec, on_quit, NULL,
				  &bed.why);
	ck_assert_msg(bed.console, "%s", bed.why.text);
}

void console_bed_run(void)
{
	while (loop_run_once(bed.loop, 0) > 0)
		;
}

bool guest_ready(void)
{
	return guest_in(SERIAL_LSR) & SERIAL_LSR_THRE;
}

void guest_print(const char *text)
{
	while (*text)
		guest_out(SERIAL_THR, (unsigned char)*text++);
}

size_t guest_read(char *text, size_t max)
{
	size_t n = 0;

	while (n < max && (guest_in(SERIAL_LSR) & SERIAL_LSR_DR))
		text[n++] = (char)guest_in(SERIAL_RBR);
	return n;
}
