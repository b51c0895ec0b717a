/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vsock protocol engine: connections, credit, and what each packet means
 * (virtio 1.2, section 5.10.6). See engine.c for the theory. Its types are in
 * conn.h, what it asks of a back-end in backend.h.
 *
 * Everything here is for the loop thread. Functions that touch the rings (run
 * and reset) want the device's lock held.
 */
#ifndef WHERRY_DEVICES_VSOCK_ENGINE_H
#define WHERRY_DEVICES_VSOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/loop.h"
#include "devices/vsock/backend.h"
#include "devices/vsock/capture.h"
#include "devices/vsock/conn.h"
#include "devices/vsock/credit.h"
#include "devices/vsock/seqpacket.h"
#include "devices/vsock/unread.h"
#include "virtio/fail.h"
#include "virtio/vsock.h"

const char *vsock_conn_state_name(enum vsock_conn_state state);

/* Defaults; tests shorten them. */
#define VSOCK_BUF_ALLOC		(256u << 10)	/* Linux: no more is used */
#define VSOCK_CONNS_MAX		1023u
#define VSOCK_CONNECT_TIMEOUT	10000u		/* ms */
#define VSOCK_CLOSE_TIMEOUT	8000u		/* ms, as Linux */
/* For the host to accept a guest's connect. Linux gives up after 2 s
 * (VSOCK_DEFAULT_CONNECT_TIMEOUT); one that was under way when a snapshot was
 * taken has waited before, and is to hear within a second. */
#define VSOCK_ACCEPT_PATIENCE	2000u		/* ms */
#define VSOCK_ACCEPT_HURRY	800u		/* ms */

/**
 * vsock_engine_init() - no connections, limits and timeouts at their defaults
 * @engine: zeroed
 * @conns_max: how many connections may be opened from each side at a time
 * @first_host_port: where host ports start: a random number (it is brought
 *     into range), so that a tuple that lingers in a restored guest is not met
 *
 * Return: 0 or -ENOMEM.
 */
int vsock_engine_init(struct vsock_engine *engine, struct loop *loop,
		      struct vsock_backend *backend, uint32_t conns_max,
		      uint32_t first_host_port);
/** vsock_engine_destroy() - drops all connections, the lingering ones too */
void vsock_engine_destroy(struct vsock_engine *engine);

/**
 * vsock_engine_reset() - end all connections at once, without a word to the
 * guest: its driver is gone, or knows
 *
 * What the guest has sent still reaches the host sockets, as far as they take
 * it: such connections linger.
 */
void vsock_engine_reset(struct vsock_engine *engine);

/**
 * vsock_engine_to_host() - take packets from the TX ring
 * @interrupt: set when the driver wants to hear of used buffers now; of packets
 *     without payload it is not in a hurry to: engine->unheard
 *
 * Takes a bounded number of batches, or until no reply could be queued.
 * Return: 1 when more waits and could be taken now; 0 when the ring is empty
 * (its notification is armed) or has to wait for the RX ring; -EINVAL when the
 * ring is malformed.
 */
int vsock_engine_to_host(struct vsock_engine *engine, bool *interrupt,
			 struct fail *why);

/**
 * vsock_engine_to_guest() - put packets into the RX ring
 *
 * Replies, then ready connections round-robin, until nothing is left to send
 * or no RX buffer is. Arguments and return as vsock_engine_to_host(); what the
 * driver gets here it always wants to hear of now.
 */
int vsock_engine_to_guest(struct vsock_engine *engine, bool *interrupt,
			  struct fail *why);

/**
 * vsock_engine_loaded() - a snapshot was loaded: see to connects under way
 *
 * Context: before any vCPU runs; with the RX ring as loaded. Every RESPONSE
 * that the driver may not have looked at is taken back by an RST behind it,
 * due as soon as packets may pass. See recall.c.
 */
void vsock_engine_loaded(struct vsock_engine *engine);
/**
 * vsock_engine_finish() - the guest is over: take all that it has sent, then
 * end as vsock_engine_reset()
 * @ring: its TX ring is valid, and belongs to this life of the guest
 *
 * Context: no vCPU runs any more.
 */
void vsock_engine_finish(struct vsock_engine *engine, bool ring);
/**
 * vsock_engine_hand_over() - give host sockets all that they can be made to
 * take at once; there may be no later
 *
 * After vsock_engine_finish(). What remains lingers on.
 */
void vsock_engine_hand_over(struct vsock_engine *engine);
/**
 * vsock_engine_inherit() - take over the connections of @old, all of which
 * linger; the back-end's part is its own affair
 */
void vsock_engine_inherit(struct vsock_engine *engine,
			  struct vsock_engine *old);

/* For back-ends. */

/**
 * vsock_conn_request() - a host client wants to connect to @guest_port
 * @conn: zeroed, embedded in the back-end's object
 *
 * Return: 0; -ENOBUFS at the limit, -EPROTONOSUPPORT: the guest knows no such
 * sockets, -ENOMEM (nothing was done with @conn).
 */
int vsock_conn_request(struct vsock_engine *engine, struct vsock_conn *conn,
		       uint32_t guest_port, uint16_t type);
/** vsock_conn_accepted() - the host side of a guest's connect is there */
void vsock_conn_accepted(struct vsock_conn *conn);
/** vsock_conn_readable() - bytes or EOF came on the host socket */
void vsock_conn_readable(struct vsock_conn *conn);
/** vsock_conn_hangup() - the host closed its socket, both directions */
void vsock_conn_hangup(struct vsock_conn *conn);
/** vsock_conn_writable() - the host socket takes bytes again */
void vsock_conn_writable(struct vsock_conn *conn);
/**
 * vsock_conn_abort() - the host side is gone, or refused: RST to the guest if
 * it knows of the connection; the object is released before this returns
 */
void vsock_conn_abort(struct vsock_conn *conn);

/* Between the engine's files. */

struct vsock_conn *vsock_engine_find(struct vsock_engine *engine,
				     uint32_t host_port, uint32_t guest_port);
/** vsock_engine_knows() - may sockets of this type be used? */
bool vsock_engine_knows(const struct vsock_engine *engine, uint16_t type);
/**
 * vsock_engine_full() - has this side as many connections as it may?
 * @from_guest: the guest asks, not a client of the host
 *
 * One that is turned away for it is counted.
 */
bool vsock_engine_full(struct vsock_engine *engine, bool from_guest);
/** vsock_engine_insert() - Return: 0 or -ENOMEM, with nothing done */
int vsock_engine_insert(struct vsock_engine *engine, struct vsock_conn *conn);
/**
 * vsock_conn_deaf() - the host socket takes no more: drop what waits for it,
 * tell the guest
 */
void vsock_conn_deaf(struct vsock_conn *conn);
/** vsock_conn_pending() - bytes or messages wait for the host socket */
bool vsock_conn_pending(const struct vsock_conn *conn);
/** vsock_conn_shut() - tell the guest of the host's shutdown, cumulative */
void vsock_conn_shut(struct vsock_conn *conn, unsigned int directions);
/** vsock_conn_discard() - out of the table, released; nothing more is said */
void vsock_conn_discard(struct vsock_conn *conn);
/** vsock_conn_linger() - over for the guest; release when the backlog is out */
void vsock_conn_linger(struct vsock_conn *conn);
/** vsock_conn_say_rst() - RST to the guest; nothing else changes */
void vsock_conn_say_rst(struct vsock_conn *conn);
/** vsock_conn_reset() - RST to the guest, then discard */
void vsock_conn_reset(struct vsock_conn *conn);
/** vsock_conn_timer() - (re)start its one timer */
void vsock_conn_timer(struct vsock_conn *conn, uint64_t ms);
/**
 * vsock_conn_header() - a header for this connection, credit news included
 */
void vsock_conn_header(struct vsock_conn *conn, enum vsock_op op,
		       uint32_t len, uint32_t flags, struct vsock_header *hdr);
/**
 * vsock_header_copy() - copy a header that may lie across segments
 * @iov: @count segments, at the front of which it stands
 * Return: whether it is all there; else @hdr is half written.
 */
bool vsock_header_copy(struct vsock_header *hdr, const struct iovec *iov,
		       unsigned int count);
/**
 * vsock_conn_give_back() - the guest's REQUEST is answered: its chain goes back
 */
void vsock_conn_give_back(struct vsock_conn *conn);
/**
 * vsock_engine_reply_rst() - answer a packet that belongs to nothing
 * @held: its chain, if that is to go back with the answer, or VSOCK_HELD_NONE
 */
void vsock_engine_reply_rst(struct vsock_engine *engine,
			    const struct vsock_header *to, int32_t held);
/** vsock_engine_take_back() - an RST for whoever was sent @hdr */
void vsock_engine_take_back(struct vsock_engine *engine,
			    const struct vsock_header *hdr);

#endif
