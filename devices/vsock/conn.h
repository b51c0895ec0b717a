/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the protocol engine's files share: a connection, and all of them. Types
 * only.
 *
 * Loop thread.
 */
#ifndef WHERRY_DEVICES_VSOCK_CONN_H
#define WHERRY_DEVICES_VSOCK_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/loop.h"
#include "devices/vsock/backlog.h"
#include "devices/vsock/list.h"
#include "virtio/queue.h"
#include "virtio/vsock.h"

struct vsock_backend;
struct vsock_capture;
struct vsock_engine;
struct vsock_seq;

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

/* Control packets a connection owes the guest, in the order they are sent. */
#define VSOCK_DUE_REQUEST		0x01u
#define VSOCK_DUE_RESPONSE		0x02u
#define VSOCK_DUE_CREDIT_UPDATE		0x04u
#define VSOCK_DUE_CREDIT_REQUEST	0x08u
#define VSOCK_DUE_SHUTDOWN		0x10u

/**
 * struct vsock_credit - the busy connections
 * @budget: VSOCK_CREDIT_BUDGET; tests change it
 * @clock: bytes of data received, of all connections
 * @busy: who sent within the last VSOCK_CREDIT_MEMORY, the longest ago first
 * @busy_count: how many
 * @out: bytes of the shares in @given
 * @given: who has a share not yet used, the longest ago first
 * @line: who waits for one, the longest first
 * @yielded: @clock when vsock_credit_should_yield() said so last
 * @patience: armed while somebody waits
 * @patience_clock: @clock when it was armed
 */
struct vsock_credit {
	uint32_t budget;
	uint64_t clock;
	struct list_node busy;
	unsigned int busy_count;
	uint64_t out;
	struct list_node given;
	struct list_node line;
	uint64_t yielded;
	struct loop_timer patience;
	uint64_t patience_clock;
};

/**
 * struct vsock_conn_credit - a connection's part in it
 * @last: credit->clock when it sent last
 * @busy: in credit->busy, or in no list
 * @out: bytes it was told of last and has not used, as counted in credit->out
 * @since: credit->clock when it was told
 * @given: in credit->given while @out is not 0
 * @line: in credit->line while it waits to be told
 * @asked: it sent a CREDIT_REQUEST, and no data since
 */
struct vsock_conn_credit {
	uint64_t last;
	struct list_node busy;
	uint32_t out;
	uint64_t since;
	struct list_node given;
	struct list_node line;
	bool asked;
};

/* Packets that a guest may have unread on one connection. */
#define VSOCK_UNREAD_MAX	256u

/**
 * struct vsock_unread - the connections that wait for the guest to read packets
 * @hungry: the host has bytes, the guest has too many packets as far as is
 *     known, though it has credit
 * @timer: armed while there are any
 * @wait: its length, ms
 * @patience: VSOCK_ASK_PATIENCE; tests shorten it
 * @mute: the guest answers no CREDIT_REQUEST, and counts no packets
 */
struct vsock_unread {
	struct list_node hungry;
	struct loop_timer timer;
	uint32_t wait;
	uint32_t patience;
	bool mute;
};

/**
 * struct vsock_unread_packet - a packet the guest has not read
 * @end: tx_cnt behind it
 * @empty: a message without a byte
 */
struct vsock_unread_packet {
	uint32_t end;
	bool empty;
};

/**
 * struct vsock_conn_unread - a connection's part in it
 * @packet: those unread, a ring
 * @head: index of the first
 * @count: how many
 * @asked: a CREDIT_REQUEST is out, and not answered
 * @asked_at: the used index of the RX ring behind it
 * @waited: for its answer, ms
 * @vain: requests in a row that got none
 * @waits: for news of credit or of packets read
 * @hungry: in unread->hungry, or in no list
 */
struct vsock_conn_unread {
	struct vsock_unread_packet packet[VSOCK_UNREAD_MAX];
	uint32_t head;
	uint32_t count;
	bool asked;
	uint16_t asked_at;
	uint32_t waited;
	uint32_t vain;
	bool waits;
	struct list_node hungry;
};

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

#endif
