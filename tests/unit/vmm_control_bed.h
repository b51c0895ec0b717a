/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the control socket's tests stand on: a real loop, clients on socket
 * pairs, and a machine that only notes what it is asked.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_CONTROL_BED_H
#define WHERRY_TESTS_UNIT_VMM_CONTROL_BED_H

#include "tests/unit/runner.h"

#include <stdbool.h>
#include <stddef.h>

#include "devices/loop.h"
#include "vmm/commands.h"
#include "vmm/control.h"
#include "vmm/event.h"
#include "vmm/json_stream.h"
#include "vmm/monitor.h"

#define NEGOTIATE "{\"execute\":\"qmp_capabilities\"}\n"
#define STATUS "{\"execute\":\"query-status\"}"

/**
 * struct machine - a stub
 * @running: what it says
 * @stops: calls
 * @conts: calls
 * @quits: calls
 * @presses: calls of machine_powerdown()
 * @saved: path of the last save
 * @save_rc: what a save returns
 * @saving: who waits for the last save or verification; see bed_complete()
 * @has_vsock: whether there is a device
 * @event_in_save: tell clients from within the command
 */
struct machine {
	bool running;
	unsigned int stops;
	unsigned int conts;
	unsigned int quits;
	unsigned int presses;
	char saved[128];
	int save_rc;
	struct control_pending *saving;
	bool has_vsock;
	bool event_in_save;
};

/**
 * struct monitor - a stub around bed.machine
 * @empty: there is no machine yet
 * @loaded: path of the last load
 * @load_rc: what a load returns
 * @resets: calls
 */
struct monitor {
	bool empty;
	char loaded[128];
	int load_rc;
	unsigned int resets;
};

/**
 * struct peer - a client's end
 * @fd: non-blocking
 * @in: lines to become messages
 */
struct peer {
	int fd;
	struct json_stream in;
};

/**
 * struct control_bed - the whole
 * @machine: a stub
 * @monitor: another
 * @loop: the event loop
 * @control: the server
 * @why: the last reason
 * @peers: clients that were
 * @peer_count: how many
 */
struct control_bed {
	struct machine machine;
	struct monitor monitor;
	struct loop *loop;
	struct control *control;
	struct fail why;
	struct peer peers[80];
	unsigned int peer_count;
};

extern struct control_bed bed;

void bed_setup(void);
void bed_teardown(void);
/** bed_pump() - run the loop until it has nothing to do */
void bed_pump(void);
/** bed_complete() - the last save or verification is done, with @rc */
void bed_complete(int rc);
/** bed_event() - something happens to the machine */
void bed_event(enum machine_event kind);

/** peer_join() - Return: a client that has said nothing yet */
struct peer *peer_join(void);
/** peer_join_ready() - Return: a client that has negotiated */
struct peer *peer_join_ready(void);
void peer_leave(struct peer *p);
/** peer_say_bytes() - send, with the loop running meanwhile and after */
void peer_say_bytes(struct peer *p, const char *text, size_t len);
void peer_say(struct peer *p, const char *text);
/** peer_hear() - Return: the next message, NULL: none came, or it is closed */
json_t *peer_hear(struct peer *p);
/** peer_forget() - throw away what came so far */
void peer_forget(struct peer *p);
/** peer_is_closed() - what came is thrown away */
bool peer_is_closed(struct peer *p);

/** expect_return() - the next message is a result that looks like @text */
void expect_return(struct peer *p, const char *text);
/** expect_error() - the next is an error whose description has @desc in it */
void expect_error(struct peer *p, const char *class, const char *desc);
void expect_event(struct peer *p, const char *name);
/** expect_silence() - nothing came, and the connection stands */
void expect_silence(struct peer *p);
/** expect_running() - the next message answers STATUS */
void expect_running(struct peer *p);

#endif
