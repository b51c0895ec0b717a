/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of `wherry connect` stand on: it runs on a thread, between two
 * pipes and a listening socket that the test plays the host's side of.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_CONNECT_BED_H
#define WHERRY_TESTS_UNIT_VMM_CONNECT_BED_H

#include "tests/unit/runner.h"

#include "devices/unix_socket.h"
#include "vmm/connect.h"

/**
 * struct connect_bed - the whole
 * @path: of the socket
 * @why: the reason that connect_run() gave
 * @listener: at @path
 * @options: of the run; the test may change them before it starts
 * @in: the test's end of its input; -1: closed
 * @out: the test's end of its output; -1: closed
 * @guest: the test's end of its connection; -1: none
 */
struct connect_bed {
	char path[64];
	struct fail why;
	struct unix_listener listener;
	struct connect_options options;
	int in;
	int out;
	int guest;
};

extern struct connect_bed bed;

/* Fixtures. */
void connect_setup(void);
void connect_teardown(void);

/** connect_start() - run it, on a thread */
void connect_start(void);
/** connect_finish() - wait for its end. Return: the exit status. */
int connect_finish(void);
/** connect_answer_call() - start it, accept it, take its CONNECT */
void connect_answer_call(void);
/** connect_establish() - the same, and answer OK */
void connect_establish(void);

/** connect_close() - close it and forget it, if it is open */
void connect_close(int *fd);
/** connect_read() - just so many bytes come */
void connect_read(int fd, char *data, size_t len);
/** connect_expect() - the next bytes are @text */
void connect_expect(int fd, const char *text);
/** connect_expect_end() - nothing is left to be read, nor will be */
void connect_expect_end(int fd);
/** connect_put() - write all of @text */
void connect_put(int fd, const char *text);

#endif
