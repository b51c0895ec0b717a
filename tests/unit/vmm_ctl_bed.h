/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control socket's server for the tests of vmm/ctl.c: the real one, or a
 * thread that recites a script.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_CTL_BED_H
#define WHERRY_TESTS_UNIT_VMM_CTL_BED_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/unix_socket.h"
#include "vmm/control.h"
#include "vmm/ctl.h"

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\n"
#define NEGOTIATED GREETING "{\"return\":{},\"id\":1}\n"

/**
 * struct ctl_bed - what a test works on
 * @dir: a fresh folder
 * @path: of the socket, in it
 * @o: what ctl_try() starts from; for tests to change
 * @output: of the last ctl_try(); free() it
 * @why: the last reason
 * @script_stays: set before ctl_start_script(): it does not close
 * @listener: of the script, or of a test's own server
 * @thread: of the server
 * @threaded: there is one, to be joined
 */
struct ctl_bed {
	char dir[32];
	char path[64];
	struct ctl_options o;
	char *output;
	struct fail why;
	bool script_stays;
	struct unix_listener listener;
	pthread_t thread;
	bool threaded;
};

extern struct ctl_bed ctl;

void ctl_setup(void);
void ctl_teardown(void);

/**
 * ctl_start_server() - the real one
 *
 * Commands: `echo` gives back its arguments, after an event STOP; `refuse`
 * fails; `quit` ends the server, after an event SHUTDOWN.
 */
void ctl_start_server(void);

/**
 * ctl_start_talk() - one that talks to one client, and stays until that closes
 * @to_client: talks to it, on the server's thread
 */
void ctl_start_talk(void (*to_client)(int fd));
/** ctl_start_script() - one that says @text to one client, and closes */
void ctl_start_script(const char *text);

/**
 * ctl_try() - ctl_run()
 * @execute: NULL: no command
 * @words: its arguments, ended by NULL; NULL: none
 *
 * Return: the exit status; there is a reason unless it is 0: asserted.
 */
int ctl_try(const char *execute, const char **words);
#define CTL_TRY(execute, ...) \
	ctl_try(execute, (const char *[]){ __VA_ARGS__, NULL })

/** ctl_expect_output() - asserts what was printed, and frees it */
void ctl_expect_output(const char *text);

#endif
