/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a QMP server on the event loop.
 */
#ifndef WHERRY_VMM_CONTROL_H
#define WHERRY_VMM_CONTROL_H

#include <jansson.h>

#include "devices/loop.h"
#include "virtio/fail.h"
#include "vmm/control_message.h"

/* Connections at a time; one more is told so and closed. */
#define CONTROL_CLIENTS_MAX 64u

/* What a client may leave unread, bytes; above it the client is dropped. */
#define CONTROL_OUTPUT_MAX (4u << 20)

struct control;

/**
 * control_new() - open the control socket
 * @loop: serves it
 * @path: where, with mode 0600; NULL: none (see control_adopt())
 * @table: the commands, ended by a row without a name; must stay
 * @opaque: for their run()
 *
 * Return: the server, or NULL with the reason, which names the path.
 * Context: loop thread, as everything here.
 */
struct control *control_new(struct loop *loop, const char *path,
			    const struct control_command *table, void *opaque,
			    struct fail *why);

/**
 * control_free() - close all connections and remove the socket
 *
 * What is still to be sent is sent as far as that goes without waiting. Not
 * from within a command, and not while one goes on (control_complete()).
 */
void control_free(struct control *c);

/**
 * control_adopt() - serve a connection that was made elsewhere
 * @fd: stream socket; taken over, closed after an error as well
 *
 * Return: 0, -EMFILE: CONTROL_CLIENTS_MAX are there, or another negative errno.
 */
int control_adopt(struct control *c, int fd);

/** control_clients() - Return: connections open */
unsigned int control_clients(const struct control *c);

/**
 * control_event() - tell all clients that have negotiated
 * @c: NULL: nobody listens, nothing happens
 * @name: of the event; see machine_event_names
 * @data: its data, or NULL; the reference is taken over
 *
 * May be called from within a command: the event then precedes the reply.
 */
void control_event(struct control *c, const char *name, json_t *data);

/**
 * control_state() - the same, of how something is now
 *
 * As control_event(), but no client is lost for it: one that leaves too much
 * unread is told when it reads again, and of the last one only. There is one
 * such event: another @name would take its place.
 */
void control_state(struct control *c, const char *name, json_t *data);

#endif
