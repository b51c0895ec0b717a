/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest sockets on top of the fake vsock driver: the states, the credit and
 * the answers of Linux (net/vmw_vsock/virtio_transport_common.c), streams and
 * seqpacket.
 *
 * Received bytes wait in the socket until fake_sock_recv(), or go straight to
 * a callback; messages wait for fake_sock_recv_message(). Nothing is allocated
 * but one ring per socket, when it is first used, and one for messages.
 */
#ifndef WHERRY_TESTS_FAKE_VSOCK_SOCK_H
#define WHERRY_TESTS_FAKE_VSOCK_SOCK_H

#include "tests/fake/vsock_driver.h"

#define FAKE_SOCK_LISTENERS	16u
#define FAKE_SOCK_HASH		256u
/* Messages that wait in a seqpacket socket. */
#define FAKE_SOCK_MESSAGES	1024u
/* SKB_TRUESIZE(0): what each packet costs, Linux 6.12 and later. */
#define FAKE_SOCK_SKB		576u
/* Packets that are told apart in a socket; more than 256 KiB pay for. */
#define FAKE_SOCK_SKBS		512u
/* Control packets that wait for room in the TX ring. */
#define FAKE_SOCK_PENDING	4096u

/**
 * enum fake_sock_state - sk_state
 * @FAKE_SOCK_FREE: not in use
 * @FAKE_SOCK_SYN_SENT: REQUEST is out
 * @FAKE_SOCK_ESTABLISHED: connected; also half closed, also after the peer's
 *     RST while bytes wait to be read
 * @FAKE_SOCK_CLOSED: over; @err says how
 */
enum fake_sock_state {
	FAKE_SOCK_FREE,
	FAKE_SOCK_SYN_SENT,
	FAKE_SOCK_ESTABLISHED,
	FAKE_SOCK_CLOSED,
};

/**
 * struct fake_message - a message in a seqpacket socket
 * @len: bytes, so far
 * @packets: it came in
 * @flags: VSOCK_SEQ_*; without EOM more is to come
 */
struct fake_message {
	uint32_t len;
	uint32_t packets;
	uint32_t flags;
};

/**
 * struct fake_sock - a guest socket
 * @set: whose
 * @type: VSOCK_TYPE_*
 * @state: see there
 * @err: 0, ECONNRESET, EPROTO, ENOBUFS
 * @guest_port: its own port
 * @host_port: the peer's
 * @shut: VSOCK_SHUTDOWN_* sent
 * @peer_shut: VSOCK_SHUTDOWN_* received
 * @done: SOCK_DONE: RST came; out of the table
 * @listed: in the table of connected sockets
 * @released: the application has closed it; it only waits for the RST
 * @accepted: fake_sock_accept() has returned it
 * @buf_alloc: receive buffer, bytes
 * @fwd_cnt: bytes the application took
 * @fwd_told: what the device knows of it
 * @rx_cnt: bytes received
 * @tx_cnt: bytes sent
 * @peer_buf_alloc: the device's receive buffer, bytes
 * @peer_fwd_cnt: bytes taken off it
 * @ring: received bytes, @buf_alloc of them fit; NULL: on_data takes them
 * @ring_head: offset of the first
 * @ring_used: how many
 * @message: @message_num of them wait, the last may not be complete; a ring
 * @message_head: the first of them
 * @message_num: how many
 * @skb: bytes of each packet that was not read to its end, a ring; streams
 *     of kernels that count them
 * @skb_head: the first of them
 * @packets: how many there are, or that all messages came in
 * @skb_read: bytes read of the first
 * @sent: bytes sent
 * @received: bytes received
 * @on_data: takes received bytes at once; NULL: they wait in @ring
 * @opaque: the test's
 * @next: hash chain, or free list
 */
struct fake_sock {
	struct fake_sockets *set;
	uint16_t type;
	enum fake_sock_state state;
	int err;
	uint32_t guest_port;
	uint32_t host_port;
	unsigned int shut;
	unsigned int peer_shut;
	bool done;
	bool listed;
	bool released;
	bool accepted;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
	uint32_t fwd_told;
	uint32_t rx_cnt;
	uint32_t tx_cnt;
	uint32_t peer_buf_alloc;
	uint32_t peer_fwd_cnt;
	uint8_t *ring;
	uint32_t ring_head;
	uint32_t ring_used;
	struct fake_message *message;
	unsigned int message_head;
	unsigned int message_num;
	uint32_t skb[FAKE_SOCK_SKBS];
	unsigned int skb_head;
	unsigned int packets;
	uint32_t skb_read;
	uint64_t sent;
	uint64_t received;
	void (*on_data)(struct fake_sock *sock, const uint8_t *data,
			uint32_t len);
	void *opaque;
	struct fake_sock *next;
};

/**
 * struct fake_sockets - all sockets of a guest
 * @v: the driver
 * @sock: @count of them
 * @count: config.socks
 * @free: those not in use
 * @hash: those in the tables, by both ports
 * @listen: ports listened on, 0: none
 * @listen_type: VSOCK_TYPE_* there
 * @on_accept: called for each connection that comes in; NULL: nothing
 * @next_port: for fake_sock_connect()
 * @pending: control packets that wait for room; a ring
 * @pending_head: the first of them
 * @pending_num: how many
 * @cork: collect packets; fake_sockets_flush() kicks
 * @resets_sent: RST packets sent
 * @resets_received: RST packets received
 * @resets_unmatched: of them, those that met no socket
 * @unmatched: packets that met no socket and were answered by RST
 * @to_corpse: packets that met a socket swept by TRANSPORT_RESET
 * @credit_updates: CREDIT_UPDATE packets received
 * @credit_requests: CREDIT_REQUEST packets received
 */
struct fake_sockets {
	struct fake_vsock *v;
	struct fake_sock *sock;
	unsigned int count;
	struct fake_sock *free;
	struct fake_sock *hash[FAKE_SOCK_HASH];
	uint32_t listen[FAKE_SOCK_LISTENERS];
	uint16_t listen_type[FAKE_SOCK_LISTENERS];
	void (*on_accept)(struct fake_sock *sock);
	uint32_t next_port;
	struct vsock_header pending[FAKE_SOCK_PENDING];
	unsigned int pending_head;
	unsigned int pending_num;
	bool cork;
	uint64_t resets_sent;
	uint64_t resets_received;
	uint64_t resets_unmatched;
	uint64_t unmatched;
	uint64_t to_corpse;
	uint64_t credit_updates;
	uint64_t credit_requests;
};

/** fake_sockets_init() - sockets for @v, whose packets they take from now on */
void fake_sockets_init(struct fake_sockets *set, struct fake_vsock *v);
void fake_sockets_destroy(struct fake_sockets *set);

/**
 * fake_sockets_work() - what the work queues do: events, RX, TX
 * Return: used elements that were there.
 */
unsigned int fake_sockets_work(struct fake_sockets *set);
/**
 * fake_sockets_interrupt() - vm_interrupt(): fake_sockets_work() if
 * InterruptStatus says so
 */
unsigned int fake_sockets_interrupt(struct fake_sockets *set);
/** fake_sockets_take() - RX work for one packet, which stays the caller's */
void fake_sockets_take(struct fake_sockets *set,
		       const struct fake_vsock_packet *packet);
/** fake_sockets_flush() - send what waits, kick */
void fake_sockets_flush(struct fake_sockets *set);
/** fake_sockets_sweep() - virtio_vsock_reset_sock() for all connected ones */
void fake_sockets_sweep(struct fake_sockets *set);

/** fake_sockets_listen() - accept connections to @port */
void fake_sockets_listen(struct fake_sockets *set, uint32_t port);
/** fake_sockets_listen_type() - the same, for sockets of a type */
void fake_sockets_listen_type(struct fake_sockets *set, uint32_t port,
			      uint16_t type);
/** fake_sock_accept() - Return: a connection not yet returned, or NULL */
struct fake_sock *fake_sock_accept(struct fake_sockets *set, uint32_t port);
/** fake_sock_connect() - REQUEST to @host_port. Return: in SYN_SENT. */
struct fake_sock *fake_sock_connect(struct fake_sockets *set,
				    uint32_t host_port);
/** fake_sock_connect_type() - the same, with a socket of a type */
struct fake_sock *fake_sock_connect_type(struct fake_sockets *set,
					 uint32_t host_port, uint16_t type);
/** fake_sock_find() - Return: the socket in the tables, or NULL */
struct fake_sock *fake_sock_find(struct fake_sockets *set, uint32_t host_port,
				 uint32_t guest_port);

/** fake_sock_room() - Return: bytes that the device's credit allows */
uint32_t fake_sock_room(const struct fake_sock *sock);
/**
 * fake_sock_send() - as many bytes as credit and TX ring have room for
 * Return: how many; -EAGAIN; -EPIPE; -ECONNRESET and the like.
 */
ssize_t fake_sock_send(struct fake_sock *sock, const void *data, size_t len);
/**
 * fake_sock_send_message() - a message, or as much of it as goes now
 * @flags: of its last packet: VSOCK_SEQ_EOM, unless more is to come, and EOR
 *
 * Return: how many bytes, the rest is to be sent later; -EMSGSIZE: longer than
 * the window; or as fake_sock_send().
 */
ssize_t fake_sock_send_message(struct fake_sock *sock, const void *data,
			       size_t len, uint32_t flags);
/**
 * fake_sock_recv() - read
 * Return: how many; 0 at the end; -EAGAIN; -ECONNRESET and the like.
 */
ssize_t fake_sock_recv(struct fake_sock *sock, void *buf, size_t len);
/**
 * fake_sock_recv_message() - read a message; what does not fit is lost
 * @flags: VSOCK_SEQ_EOM, perhaps EOR; 0 at the end
 *
 * Return: its length; 0 at the end as well; -EAGAIN: none is complete;
 * -ECONNRESET and the like.
 */
ssize_t fake_sock_recv_message(struct fake_sock *sock, void *buf, size_t len,
			       uint32_t *flags);
/** fake_sock_shutdown() - @how: VSOCK_SHUTDOWN_* */
void fake_sock_shutdown(struct fake_sock *sock, unsigned int how);
/** fake_sock_close() - the application closes; @sock is not to be used again */
void fake_sock_close(struct fake_sock *sock);
/** fake_sock_abort() - RST out of nowhere, as after a crash; then close */
void fake_sock_abort(struct fake_sock *sock);
/* Between vsock_sock.c, vsock_message.c and vsock_queue.c. */

/** fake_sockets_put() - put waiting packets into the ring, as far as they fit */
void fake_sockets_put(struct fake_sockets *set);
/** fake_sock_header() - of a packet of this socket, with its credit news */
struct vsock_header fake_sock_header(struct fake_sock *sock, enum vsock_op op);
/** fake_sock_control() - send a packet without payload */
void fake_sock_control(struct fake_sock *sock, enum vsock_op op,
		       uint32_t flags);
/** fake_sock_end() - nothing is there to be read. Return: 0, -EAGAIN, ... */
ssize_t fake_sock_end(const struct fake_sock *sock);
/** fake_sock_put_message() - part of a message; its bytes are in the ring */
void fake_sock_put_message(struct fake_sock *sock, uint32_t len,
			   uint32_t flags);
/** fake_sock_copy_out() - copy the first bytes of the ring */
void fake_sock_copy_out(struct fake_sock *sock, void *buf, uint32_t len);
/**
 * fake_sock_enqueue() - account for a packet that came
 * Return: false if there are too many unread for the socket's buffer.
 */
bool fake_sock_enqueue(struct fake_sock *sock, uint32_t len);
/** fake_sock_dequeue() - the application has read @len bytes of a stream */
void fake_sock_dequeue(struct fake_sock *sock, uint32_t len);
/** fake_sock_consumed() - fwd_cnt moved on by @len; tell if it is time */
void fake_sock_consumed(struct fake_sock *sock, uint32_t len);
/** fake_sock_drop() - take the first bytes off the ring */
void fake_sock_drop(struct fake_sock *sock, uint32_t len);

/** fake_sockets_used() - Return: sockets that are not free */
unsigned int fake_sockets_used(const struct fake_sockets *set);

#endif
