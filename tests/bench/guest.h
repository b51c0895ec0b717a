/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest process: a driver that behaves like that of Linux
 * (net/vmw_vsock/virtio_transport*.c), and the applications on top of it.
 *
 * guest.c: memory, rings, packets. guest_app.c: what applications do.
 */
#ifndef WHERRY_TESTS_BENCH_GUEST_H
#define WHERRY_TESTS_BENCH_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/bench.h"
#include "tests/fake/driver.h"
#include "virtio/vsock.h"

/* VIRTIO_VSOCK_DEFAULT_BUF_SIZE. */
#define GUEST_BUF_ALLOC		(256u << 10)
#define GUEST_PORT_FIRST	10000u

/**
 * struct guest_rx - an RX buffer
 * @seg: where it is
 * @host: the same
 * @at: first payload byte not yet taken
 * @left: payload bytes not yet taken
 * @next: in the pool, or in a socket's queue
 */
struct guest_rx {
	struct fake_seg seg;
	uint8_t *host;
	uint8_t *at;
	uint32_t left;
	struct guest_rx *next;
};

/**
 * struct guest_tx - a TX buffer
 * @seg: header, payload
 * @hdr: the header
 * @data: BENCH_CHUNK_MAX bytes of payload; NULL: for control packets
 * @next: in its pool
 */
struct guest_tx {
	struct fake_seg seg[2];
	struct vsock_header *hdr;
	uint8_t *data;
	struct guest_tx *next;
};

enum guest_state {
	GUEST_CLOSED,
	GUEST_CONNECTING,
	GUEST_OPEN,
	GUEST_CLOSING,
};

/**
 * struct guest_sock - a socket
 * @state: where it stands
 * @port: the guest's port
 * @host_port: the host's
 * @seed: of its pattern
 * @tx_cnt: bytes sent, modulo 2^32
 * @peer_fwd_cnt: bytes the host took
 * @peer_buf_alloc: what the host has room for
 * @fwd_cnt: bytes the application took
 * @told: the @fwd_cnt the host knows of
 * @rx_bytes: bytes in the queue
 * @first: the queue
 * @last: its end
 * @sent: stream offset of the next byte to send
 * @received: stream offset of the next byte to take
 * @to_send: bytes to go in this round
 * @to_take: bytes to go in this round
 */
struct guest_sock {
	enum guest_state state;
	uint32_t port;
	uint32_t host_port;
	uint32_t seed;
	uint32_t tx_cnt;
	uint32_t peer_fwd_cnt;
	uint32_t peer_buf_alloc;
	uint32_t fwd_cnt;
	uint32_t told;
	uint32_t rx_bytes;
	struct guest_rx *first;
	struct guest_rx *last;
	uint64_t sent;
	uint64_t received;
	uint64_t to_send;
	uint64_t to_take;
};

/* Control packets that wait for room in the TX ring. */
#define GUEST_WAITING_MAX 1024u

/**
 * struct guest - the whole guest
 * @measure: what its applications do
 * @ram: its memory, shared with the device
 * @ram_fd: the memfd behind it
 * @driver: the rings
 * @rx: the RX ring
 * @tx: the TX ring
 * @direct: for fake_add(): no indirect tables were negotiated
 * @irq_fd: eventfd that the device writes
 * @rx_buf: all RX buffers
 * @rx_pool: those that are nowhere
 * @rx_given: how many the device has
 * @tx_data: free TX buffers with room for data, the last used first
 * @tx_control: free ones without
 * @waiting: control packets that found no room
 * @waiting_head: the first
 * @waiting_count: how many
 * @sock: the sockets
 * @sock_count: how many
 * @accepted: connections the guest's listener took
 * @closed: connections that ended
 * @device_pid: told with the first answer: the device's process, if it is not
 *     ours
 */
struct guest {
	const struct bench_measure *measure;
	struct fake_guest ram;
	int ram_fd;
	struct fake_driver driver;
	struct fake_queue *rx;
	struct fake_queue *tx;
	unsigned int direct;
	int irq_fd;
	struct guest_rx *rx_pool;
	unsigned int rx_given;
	struct guest_tx *tx_data;
	struct guest_tx *tx_control;
	struct vsock_header waiting[GUEST_WAITING_MAX];
	unsigned int waiting_head;
	unsigned int waiting_count;
	struct guest_sock sock[BENCH_CONNS_MAX];
	unsigned int sock_count;
	uint64_t accepted;
	uint64_t closed;
	pid_t device_pid;
};

/** guest_ram_init() - shared memory for rings and buffers */
void guest_ram_init(struct guest *guest, const struct bench_measure *measure,
		    unsigned int queue_size);
/** guest_features() - what a Linux driver takes where it is offered */
uint64_t guest_features(void);
/** guest_events_fill() - give the event buffers, before G is a process */
void guest_events_fill(struct guest *guest);
/** guest_start() - after the probe: make the buffers, fill the RX ring */
void guest_start(struct guest *guest);
/** guest_main() - a worker_fn; @arg: struct guest, probed */
void guest_main(int ctl, void *arg);

/* Between guest.c and guest_app.c. */

/** guest_poll() - do what interrupt handlers do. Return: was there anything? */
bool guest_poll(struct guest *guest);
/** guest_sleep() - until an interrupt comes, if nothing is there already */
void guest_sleep(struct guest *guest);
/** guest_control() - send a packet without payload, now or later */
void guest_control(struct guest *guest, struct guest_sock *s,
		   enum vsock_op op, uint32_t flags);
/** guest_tx_get() - Return: a TX buffer for data; NULL: the ring is full */
struct guest_tx *guest_tx_get(struct guest *guest);
/** guest_tx_send() - send @len bytes of its data */
void guest_tx_send(struct guest *guest, struct guest_sock *s,
		   struct guest_tx *tx, uint32_t len);
/** guest_credit() - Return: bytes the socket may send */
uint32_t guest_credit(const struct guest_sock *s);
/**
 * guest_take() - take up to @len bytes off the queue, as recv() does
 * @to: where they go; NULL: they are verified, and go nowhere
 */
uint32_t guest_take(struct guest *guest, struct guest_sock *s, uint8_t *to,
		    uint32_t len);
/** guest_connect() - send a REQUEST */
void guest_connect(struct guest *guest, struct guest_sock *s, uint32_t port);

#endif
