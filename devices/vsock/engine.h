/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vsock protocol engine: connections, credit, and what each packet means
 * (virtio 1.2, section 5.10.6). See engine.c for the theory.
 *
 * Everything here is for the loop thread. Functions that touch the rings (run
 * and reset) want the device's lock held.
 */
#ifndef WHERRY_DEVICES_VSOCK_ENGINE_H
#define WHERRY_DEVICES_VSOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "devices/loop.h"
#include "devices/vsock/backlog.h"
#include "devices/vsock/capture.h"
#include "devices/vsock/credit.h"
#include "devices/vsock/list.h"
#include "devices/vsock/seqpacket.h"
#include "devices/vsock/unread.h"
#include "virtio/queue.h"
#include "virtio/vsock.h"

struct vsock_backend;
struct vsock_conn;
struct vsock_engine;

/**
 * enum vsock_conn_state - where a connection stands
 * @VSOCK_CONN_REQUESTED: host-initiated; REQUEST is due or was sent
 * @VSOCK_CONN_CONNECTING: guest-initiated; the back-end has not yet answered
 * @VSOCK_CONN_ESTABLISHED: data may flow, as far as not shut down
 * @VSOCK_CONN_CLOSING: SHUTDOWN of both directions is due or was sent; waiting
 *     for the guest's RST, or for the timer
 * @VSOCK_CONN_LINGERING: over for the guest and out of the table; what it had
 *     sent still has to reach the host socket
 */
enum vsock_conn_state {
	VSOCK_CONN_REQUESTED,
	VSOCK_CONN_CONNECTING,
	VSOCK_CONN_ESTABLISHED,
	VSOCK_CONN_CLOSING,
	VSOCK_CONN_LINGERING,
	VSOCK_CONN_STATES,
};

const char *vsock_conn_state_name(enum vsock_conn_state state);

/* Control packets a connection owes the guest, in the order they are sent. */
#define VSOCK_DUE_REQUEST		0x01u
#define VSOCK_DUE_RESPONSE		0x02u
#define VSOCK_DUE_CREDIT_UPDATE		0x04u
#define VSOCK_DUE_CREDIT_REQUEST	0x08u
#define VSOCK_DUE_SHUTDOWN		0x10u

/**
 * struct vsock_conn - one connection, embedded in the back-end's own struct
 * @engine: whose
 * @guest_cid: by what CID the guest called itself, or was called
 * @guest_port: the guest's port
 * @host_port: the host's port
 * @type: VSOCK_TYPE_*
 * @from_guest: the guest opened it
 * @state: see there
 * @due: VSOCK_DUE_* packets not yet sent
 * @guest_shut: VSOCK_SHUTDOWN_* received from the guest
 * @host_shut: VSOCK_SHUTDOWN_* that the guest is to be told, or was
 * @host_shut_sent: those it was told
 * @readable: the host socket may have bytes or EOF for us
 * @at_end: EOF, or something odd, stands behind the bytes there are: a short
 *     read does not mean that the socket is empty
 * @hangup: the host has closed; what it wrote before is still to be read
 * @buf_alloc: our receive buffer, bytes; what the guest is told
 * @fwd_cnt: bytes the host socket took, modulo 2^32
 * @fwd_told: the @fwd_cnt the guest is told; lags behind, see credit.c
 * @rx_cnt: bytes received from the guest, modulo 2^32
 * @peer_buf_alloc: the guest's receive buffer, bytes
 * @peer_fwd_cnt: bytes the guest's application took, modulo 2^32
 * @tx_cnt: bytes sent to the guest, modulo 2^32
 * @credit: its part in engine->credit
 * @unread: its part in engine->unread
 * @read_hint: bytes to ask of the host socket next time
 * @lost: bytes of the guest that will not reach the host, but for the backlog
 * @cut: the guest went, and had not said that it sends no more
 * @bytes_to_host: payload received from the guest
 * @bytes_to_guest: payload sent to the guest
 * @seq: what a seqpacket connection has besides; NULL: a stream
 * @backlog: received, not yet taken by the host socket
 * @held: the chain of the guest's REQUEST while it is not answered, or
 *     VSOCK_HELD_NONE
 * @timer: connect or close timeout
 * @timer_ms: its length, to start over while the VM is paused
 * @ready: in engine->ready while there is something to send
 * @all: in engine->conns
 * @next: hash chain
 */
struct vsock_conn {
	struct vsock_engine *engine;
	uint64_t guest_cid;
	uint32_t guest_port;
	uint32_t host_port;
	uint16_t type;
	bool from_guest;
	enum vsock_conn_state state;
	unsigned int due;
	unsigned int guest_shut;
	unsigned int host_shut;
	unsigned int host_shut_sent;
	bool readable;
	bool at_end;
	bool hangup;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
	uint32_t fwd_told;
	uint32_t rx_cnt;
	uint32_t peer_buf_alloc;
	uint32_t peer_fwd_cnt;
	uint32_t tx_cnt;
	struct vsock_conn_credit credit;
	struct vsock_conn_unread unread;
	uint32_t read_hint;
	uint32_t lost;
	bool cut;
	uint64_t bytes_to_host;
	uint64_t bytes_to_guest;
	struct vsock_seq *seq;
	struct vsock_backlog backlog;
	int32_t held;
	struct loop_timer timer;
	uint64_t timer_ms;
	struct list_node ready;
	struct list_node all;
	struct vsock_conn *next;
};

#define VSOCK_HELD_NONE	(-1)

/**
 * struct vsock_reply - an RST that is due and belongs to no connection
 * @hdr: the packet
 * @held: the chain of the REQUEST that it answers, or VSOCK_HELD_NONE
 */
struct vsock_reply {
	struct vsock_header hdr;
	int32_t held;
};

/* ops->send: the message ends with MSG_EOR. */
#define VSOCK_SEND_EOR	1u

/**
 * struct vsock_backend_ops - the host side of connections
 * @request: the guest wants to connect to @host_port. Return a zeroed
 *     connection object; NULL: refused. @connected: false if it will take
 *     time, up to @patience ms, and vsock_conn_accepted() or
 *     vsock_conn_abort() follows.
 * @established: the guest answered a host-initiated connection
 * @send: hand bytes to the host socket; on seqpacket: one message, whole.
 *     @flags: VSOCK_SEND_EOR. Return: how many it took; -EAGAIN (want_send()
 *     will be asked for), or another error: it takes no more
 * @recv: get bytes; on seqpacket: one message, and whether MSG_EOR ended it
 *     (@eor may be NULL on streams). Return: how many; 0 at the end; -EAGAIN;
 *     other errors are as the end, in both directions
 * @message: length of the message that recv() would get. Return: bytes, 0 for
 *     an empty one; -ENODATA at the end; -EAGAIN or as recv(); NULL: no
 *     seqpacket here
 * @want_send: call vsock_conn_writable() when the socket takes bytes again
 * @shut: VSOCK_SHUTDOWN_SEND: the guest's data is all out, half-close;
 *     VSOCK_SHUTDOWN_RECEIVE: the guest reads no more
 * @enlarge: have the host socket take as much at once as it can be made to
 * @release: the engine is done with the object: close and free. @lost: not all
 *     that the guest sent was taken, or it went before it had sent all, and the
 *     host is not to take this for an orderly end
 * @gate: packets may pass (accept clients), or not (leave them be)
 */
struct vsock_backend_ops {
	struct vsock_conn *(*request)(struct vsock_backend *backend,
				      uint32_t host_port, uint16_t type,
				      uint32_t patience, bool *connected);
	void (*established)(struct vsock_conn *conn);
	ssize_t (*send)(struct vsock_conn *conn, const struct iovec *iov,
			unsigned int count, unsigned int flags);
	ssize_t (*recv)(struct vsock_conn *conn, const struct iovec *iov,
			unsigned int count, bool *eor);
	ssize_t (*message)(struct vsock_conn *conn);
	void (*want_send)(struct vsock_conn *conn, bool want);
	void (*shut)(struct vsock_conn *conn, unsigned int directions);
	void (*enlarge)(struct vsock_conn *conn);
	void (*release)(struct vsock_conn *conn, bool lost);
	void (*gate)(struct vsock_backend *backend, bool open);
};

struct vsock_backend {
	const struct vsock_backend_ops *ops;
	struct vsock_engine *engine;
};

/**
 * struct vsock_stats - counters since the process started
 * @connects_host: host-initiated connections begun
 * @connects_guest: guest-initiated connections begun
 * @established: of both
 * @refused: connects that came to nothing
 * @resets_sent: RST packets sent
 * @resets_received: RST packets received
 * @packets_to_host: packets taken from the TX ring
 * @packets_to_guest: packets put into the RX ring
 * @bytes_to_host: payload taken from the guest
 * @bytes_to_guest: payload given to the guest
 * @malformed: packets dropped for their form
 * @credit_overruns: connections the guest lost for sending beyond its credit
 * @limit_hits: connects refused because of the connection limit
 * @timeouts: connect and close timeouts that fired
 * @losses: connections of which the host did not get all that the guest sent
 * @bytes_lost: payload that the host did not get
 */
struct vsock_stats {
	uint64_t connects_host;
	uint64_t connects_guest;
	uint64_t established;
	uint64_t refused;
	uint64_t resets_sent;
	uint64_t resets_received;
	uint64_t packets_to_host;
	uint64_t packets_to_guest;
	uint64_t bytes_to_host;
	uint64_t bytes_to_guest;
	uint64_t malformed;
	uint64_t credit_overruns;
	uint64_t limit_hits;
	uint64_t timeouts;
	uint64_t losses;
	uint64_t bytes_lost;
};

#define VSOCK_HASH_SIZE		1024u
#define VSOCK_REPLIES_MAX	256u
#define VSOCK_BATCH_CHAINS	256u
#define VSOCK_BATCH_IOV		1024u	/* UIO_MAXIOV: one system call's worth */

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
 * struct vsock_engine - all connections of one device
 * @loop: for timers
 * @backend: the host side
 * @rx: queue to the guest
 * @tx: queue from the guest
 * @guest_cid: the guest's CID now
 * @buf_alloc: receive buffer of new connections, bytes
 * @conns_max: how many connections the host's clients may have open, and how
 *     many the guest: neither can shut out the other
 * @connect_timeout: for the guest to answer a REQUEST, ms
 * @close_timeout: for the guest to answer a full SHUTDOWN, ms
 * @running: the VM is not paused; while it is, timers start over
 * @stream: STREAM sockets may be used, by the features negotiated
 * @seqpacket: SEQPACKET sockets may be used
 * @ending: the guest is over: its REQUESTs come to nothing
 * @unheard: the driver wants to hear of TX buffers that went back; cleared by
 *     whoever interrupts it
 * @wake: have vsock_engine_run() called soon
 * @capture: every packet is written down there; NULL: none is
 * @next_host_port: where the search for a free host port starts
 * @opened: connections of the host's clients, and of the guest (true), the
 *     lingering ones too: each has a host socket
 * @count: connections in the table
 * @lingering: connections out of the table but not yet released
 * @conns: all connections, the lingering ones too
 * @ready: those with something to send, served round-robin
 * @credit: what the guest may send, of all connections
 * @unread: what the guest has not read, of all connections
 * @clogged: connections with too many empty messages for the host waiting: the
 *     TX ring waits as well
 * @hash: by host and guest port
 * @hurry: a load was, and the TX ring was not found empty since
 * @replies: RSTs without a connection, a ring of @replies_size
 * @replies_size: VSOCK_REPLIES_MAX + 2 * conns_max + VIRTQ_SIZE_MAX: TX stops
 *     at the first, only then can there be one more for each connection; and
 *     one for each answer recalled at a load
 * @replies_head: index of the first
 * @replies_count: how many
 * @stats: counters
 * @iov: scratch for one batch: TX chains, or payload parts of RX chains
 * @out: scratch for one batch: payload parts of TX chains, or RX chains
 */
struct vsock_engine {
	struct loop *loop;
	struct vsock_backend *backend;
	struct virtq *rx;
	struct virtq *tx;
	uint64_t guest_cid;
	uint32_t buf_alloc;
	uint32_t conns_max;
	uint32_t connect_timeout;
	uint32_t close_timeout;
	bool running;
	bool stream;
	bool seqpacket;
	bool ending;
	bool unheard;
	void (*wake)(struct vsock_engine *engine);
	struct vsock_capture *capture;
	uint32_t next_host_port;
	uint32_t opened[2];
	uint32_t count;
	uint32_t lingering;
	struct list_node conns;
	struct list_node ready;
	struct vsock_credit credit;
	bool hurry;
	struct vsock_unread unread;
	uint32_t clogged;
	struct vsock_conn *hash[VSOCK_HASH_SIZE];
	struct vsock_reply *replies;
	unsigned int replies_size;
	unsigned int replies_head;
	unsigned int replies_count;
	struct vsock_stats stats;
	struct iovec iov[VSOCK_BATCH_IOV];
	struct iovec out[VSOCK_BATCH_IOV];
};

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

/**
 * vsock_engine_blocked() - TX waits, for room for replies in the RX ring or for
 * host sockets to take empty messages
 */
bool vsock_engine_blocked(const struct vsock_engine *engine);

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
/** vsock_conn_due() - owe the guest a control packet */
void vsock_conn_due(struct vsock_conn *conn, unsigned int due);
/** vsock_conn_schedule() - put it on the ready list if there is anything due */
void vsock_conn_schedule(struct vsock_conn *conn);
/** vsock_conn_shut() - tell the guest of the host's shutdown, cumulative */
void vsock_conn_shut(struct vsock_conn *conn, unsigned int directions);
/** vsock_conn_discard() - out of the table, released; nothing more is said */
void vsock_conn_discard(struct vsock_conn *conn);
/** vsock_conn_can_send() - may the host's bytes be read for the guest now? */
bool vsock_conn_can_send(struct vsock_conn *conn);
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
