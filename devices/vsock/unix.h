/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AF_UNIX back-end of the vsock device: the hybrid protocol.
 *
 * Host to guest: connect to PATH, write "CONNECT <port>\n"; when the guest has
 * accepted, "OK <host port>\n" comes back, and bytes flow. A refusal closes the
 * connection; one that is not the guest's says "ERROR <why>\n" before it does. Guest to host: a connect to port N of CID 2 arrives as a
 * connection at PATH_N.
 */
#ifndef WHERRY_DEVICES_VSOCK_UNIX_H
#define WHERRY_DEVICES_VSOCK_UNIX_H

#include "devices/loop.h"
#include "devices/unix_socket.h"
#include "devices/vsock/engine.h"
#include "virtio/fail.h"

/* Clients that have not said CONNECT yet; more wait in the listen backlog. */
#define VSOCK_UNIX_CLIENTS_MAX	128u
/* How long such a client may take, ms. */
#define VSOCK_UNIX_HELLO_TIMEOUT	10000u
/* For how long it keeps its place when others want it, ms. */
#define VSOCK_UNIX_GRACE	1000u
/* How long accepting rests when there are no descriptors or memory left, ms. */
#define VSOCK_UNIX_REST		100u

/**
 * struct vsock_port_range - host ports that the guest may connect to
 * @first: smallest
 * @last: largest
 */
struct vsock_port_range {
	uint32_t first;
	uint32_t last;
};

/**
 * struct vsock_unix_options - how the host is to be met
 * @path: where clients connect; must leave room for "_4294967295" in its last
 *     component
 * @seqpacket: where clients of seqpacket sockets connect; NULL: none can, and
 *     the guest is offered no such sockets
 * @mode: permissions of both
 * @clients_max: clients that have not said CONNECT yet; more wait in the
 *     listen backlog, until the oldest of these has had its grace; 0:
 *     VSOCK_UNIX_CLIENTS_MAX
 * @fds_max: no descriptor as large as this one is taken: those are kept for
 *     others; 0: any
 * @ports: host ports the guest may connect to; others are refused
 * @port_count: ranges in @ports; 0: all ports
 */
struct vsock_unix_options {
	const char *path;
	const char *seqpacket;
	mode_t mode;
	unsigned int clients_max;
	unsigned int fds_max;
	const struct vsock_port_range *ports;
	unsigned int port_count;
};

/**
 * struct vsock_unix_door - where clients of one socket type come in
 * @unx: whose; NULL: there is no such door
 * @type: VSOCK_TYPE_*
 * @listener: the socket
 * @source: watches it while the gate is open and there is room for clients
 */
struct vsock_unix_door {
	struct vsock_unix *unx;
	uint16_t type;
	struct unix_listener listener;
	struct loop_source source;
};

#define VSOCK_UNIX_DOORS 2u

/**
 * struct vsock_unix - one back-end
 * @backend: as the engine sees it
 * @loop: where it runs
 * @options: what vsock_unix_init() was given; outlives the back-end
 * @clients_max: see there
 * @door: for streams, for seqpacket
 * @rest: armed while accepting rests
 * @short_of: it was said that descriptors or memory are short
 * @open: the gate is open
 * @hello_timeout: VSOCK_UNIX_HELLO_TIMEOUT; tests shorten it
 * @grace: VSOCK_UNIX_GRACE; tests shorten it
 * @clients: those that have not said CONNECT, the oldest first
 * @count: how many
 * @refused: clients turned away for what they said, or did not say
 * @ports_refused: guest connects to ports it may not connect to
 * @untold: losses that looked like an orderly end: nothing short that the
 *     host's program had sent stayed unread
 */
struct vsock_unix {
	struct vsock_backend backend;
	struct loop *loop;
	const struct vsock_unix_options *options;
	unsigned int clients_max;
	struct vsock_unix_door door[VSOCK_UNIX_DOORS];
	struct loop_timer rest;
	bool short_of;
	bool open;
	uint32_t hello_timeout;
	uint32_t grace;
	struct list_node clients;
	unsigned int count;
	uint64_t refused;
	uint64_t ports_refused;
	uint64_t untold;
};

/**
 * vsock_unix_init() - bind and listen; nobody is accepted yet
 * @unx: zeroed
 *
 * Return: 0 or negative errno with the reason (see unix_socket_listen()).
 */
int vsock_unix_init(struct vsock_unix *unx, struct loop *loop,
		    const struct vsock_unix_options *options,
		    struct fail *why);
/**
 * vsock_unix_init_heir() - the same, but listen nowhere: another back-end with
 * the same options does, and vsock_unix_inherit() follows
 */
int vsock_unix_init_heir(struct vsock_unix *unx, struct loop *loop,
			 const struct vsock_unix_options *options,
			 struct fail *why);
/**
 * vsock_unix_inherit() - take over listeners, clients that have not said
 * CONNECT, and connections that linger; who waits in a backlog does not notice
 * @old: its engine has been reset
 */
void vsock_unix_inherit(struct vsock_unix *unx, struct vsock_unix *old);
/** vsock_unix_destroy() - after the device is gone; safe on a zeroed struct */
void vsock_unix_destroy(struct vsock_unix *unx);

/* Of unix_stream.c, for unix.c. */

/**
 * vsock_unix_affords() - is there a descriptor to be had, below
 * options->fds_max?
 *
 * The lowest free one is what the next call that makes one gets, so no leak,
 * whosever it is, can have us take what is kept.
 */
bool vsock_unix_affords(const struct vsock_unix *unx);

/**
 * vsock_unix_adopt() - a client has said CONNECT: make it a connection
 * @fd: its socket, taken over in any case
 * @given: bytes of the CONNECT that are still to be read: its newline, or all
 *     of the message
 */
void vsock_unix_adopt(struct vsock_unix *unx, int fd, uint32_t given,
		      uint32_t guest_port, uint16_t type);
/**
 * vsock_unix_inherit_streams() - take over connections that linger
 * @old: of an engine that has been reset
 */
void vsock_unix_inherit_streams(struct vsock_unix *unx, struct vsock_unix *old);
extern const struct vsock_backend_ops vsock_unix_ops;

#endif
