/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of the socket device, as Linux does it
 * (net/vmw_vsock/virtio_transport.c): rings, packets, TRANSPORT_RESET. The
 * sockets on top of it are in vsock_sock.h.
 *
 * Fast: all buffers are laid out once, nothing is allocated per packet, and
 * no system call is made that the host ops do not make. One thread.
 */
#ifndef WHERRY_TESTS_FAKE_VSOCK_DRIVER_H
#define WHERRY_TESTS_FAKE_VSOCK_DRIVER_H

#include "tests/fake/driver.h"
#include "virtio/vsock.h"

/* SKB_WITH_OVERHEAD(4096): what Linux 6.1.192 and later posts. */
#define FAKE_VSOCK_RX_LINUX	3776u
#define FAKE_VSOCK_EVENTS	8u
#define FAKE_VSOCK_HDR		((uint32_t)sizeof(struct vsock_header))

/**
 * enum fake_linux - which kernel's sockets these are
 * @FAKE_LINUX_6_12: from 6.12.9x on without those of it that join packets: each
 *     unread packet counts, and too many end the connection; what was read is
 *     told by whole packets, once nothing is left or 192 KiB were read
 * @FAKE_LINUX_6_1: packets do not count; told of once 192 KiB were read
 * @FAKE_LINUX_5_10: the same, and a CREDIT_REQUEST is not answered
 */
enum fake_linux {
	FAKE_LINUX_6_12,
	FAKE_LINUX_6_1,
	FAKE_LINUX_5_10,
};

/**
 * struct fake_vsock_config - how the driver goes about it; 0: as Linux
 * @queue_size: entries of each queue (256)
 * @rx_seg: descriptors of each RX buffer, bytes (3776, none)
 * @rx_count: RX buffers (as many as the ring takes)
 * @events: event buffers (8)
 * @event_len: bytes of each (4)
 * @tx_slots: TX packets under way (64)
 * @tx_payload: the longest payload, bytes (64 KiB)
 * @tx_direct: header and payload in two direct descriptors, no indirect table
 * @features: wanted where offered (all; VIRTIO_F_VERSION_1 is a must)
 * @buf_alloc: receive buffer of each socket, bytes (256 KiB)
 * @socks: sockets that may exist (64)
 * @kernel: see there (the newest)
 */
struct fake_vsock_config {
	uint16_t queue_size;
	uint32_t rx_seg[2];
	unsigned int rx_count;
	unsigned int events;
	uint32_t event_len;
	unsigned int tx_slots;
	uint32_t tx_payload;
	bool tx_direct;
	uint64_t features;
	uint32_t buf_alloc;
	unsigned int socks;
	enum fake_linux kernel;
};

/**
 * enum fake_vsock_step - what the driver has just done about an event
 * @FAKE_VSOCK_EVENT_TAKEN: took it off the used ring
 * @FAKE_VSOCK_CID_READ: read guest_cid
 * @FAKE_VSOCK_SWEPT: reset its connected sockets
 * @FAKE_VSOCK_REFILLED: made the buffer available again
 * @FAKE_VSOCK_KICKED: rang the doorbell, if it was wanted
 */
enum fake_vsock_step {
	FAKE_VSOCK_EVENT_TAKEN,
	FAKE_VSOCK_CID_READ,
	FAKE_VSOCK_SWEPT,
	FAKE_VSOCK_REFILLED,
	FAKE_VSOCK_KICKED,
};

/**
 * struct fake_vsock_packet - a packet from the device
 * @hdr: a copy
 * @used: what the used ring says, bytes; below FAKE_VSOCK_HDR there is no
 *     packet, the buffer just came back
 * @data: payload, in guest memory until the packet is released
 * @len: of @data, bytes
 * @slot: the buffer
 */
struct fake_vsock_packet {
	struct vsock_header hdr;
	uint32_t used;
	const uint8_t *data;
	uint32_t len;
	uint16_t slot;
};

struct fake_sock;
struct fake_sockets;

/**
 * struct fake_vsock - the driver
 * @driver: transport and queues
 * @rx: RX queue; @tx: TX queue; @event: event queue
 * @config: all filled in
 * @cid: guest_cid, as last read
 * @rx_gpa: RX buffers; a guard behind each tells an overrun
 * @rx_mem: the host's view of them
 * @rx_stride: from one to the next, bytes
 * @rx_free: those not in the ring
 * @rx_free_num: how many
 * @rx_num: how many there are
 * @event_gpa: event buffers; @event_mem: the host's view of them
 * @event_free: those not in the ring; @event_free_num: how many
 * @tx_gpa: TX slots: header, then payload; @tx_mem: the host's view of them
 * @tx_stride: from one to the next, bytes
 * @tx_free: those not in the ring; @tx_free_num: how many
 * @violation: the first rule that the device broke; NULL: none
 * @hook: called after each step that fake_vsock_event_work() makes
 * @hook_opaque: for @hook
 * @resets_seen: TRANSPORT_RESET events handled
 * @rx_empty: RX buffers that came back without a packet
 * @sockets: see vsock_sock.h; NULL: none, packets are only looked at
 */
struct fake_vsock {
	struct fake_driver driver;
	struct fake_queue *rx;
	struct fake_queue *tx;
	struct fake_queue *event;
	struct fake_vsock_config config;
	uint64_t cid;
	gpa_t rx_gpa;
	uint8_t *rx_mem;
	uint32_t rx_stride;
	uint16_t rx_free[VIRTQ_SIZE_MAX];
	unsigned int rx_free_num;
	unsigned int rx_num;
	gpa_t event_gpa;
	uint8_t *event_mem;
	uint16_t event_free[VIRTQ_SIZE_MAX];
	unsigned int event_free_num;
	gpa_t tx_gpa;
	uint8_t *tx_mem;
	uint32_t tx_stride;
	uint16_t tx_free[VIRTQ_SIZE_MAX];
	unsigned int tx_free_num;
	const char *violation;
	void (*hook)(struct fake_vsock *v, enum fake_vsock_step step);
	void *hook_opaque;
	uint64_t resets_seen;
	uint64_t rx_empty;
	struct fake_sockets *sockets;
};

/**
 * fake_vsock_init() - lay out the buffers; the device is not touched yet
 * @config: NULL: as Linux
 */
void fake_vsock_init(struct fake_vsock *v, struct fake_guest *guest,
		     struct virtio_device *vdev,
		     const struct fake_vsock_config *config);

/**
 * fake_vsock_probe() - virtio_vsock_probe(): all the steps below, in order
 * Return: 0 or as fake_probe().
 */
int fake_vsock_probe(struct fake_vsock *v);

/* Its steps, for tests that stop between them. */

/** fake_vsock_find_vqs() - reset, features, queues */
int fake_vsock_find_vqs(struct fake_vsock *v);
/** fake_vsock_read_cid() - two 32-bit reads, as vm_get() does */
void fake_vsock_read_cid(struct fake_vsock *v);
/* then fake_driver_ok(&v->driver) */
/** fake_vsock_fill_rx() - post all RX buffers there are, kick */
void fake_vsock_fill_rx(struct fake_vsock *v);
/** fake_vsock_add_events() - post @count event buffers, no kick */
void fake_vsock_add_events(struct fake_vsock *v, unsigned int count);
/** fake_vsock_fill_events() - post all event buffers there are, kick */
void fake_vsock_fill_events(struct fake_vsock *v);

/* Packets to the device. */

/** fake_vsock_header() - a header; the source CID is what was read last */
struct vsock_header fake_vsock_header(const struct fake_vsock *v,
				      enum vsock_op op, uint32_t guest_port,
				      uint32_t host_port);
/**
 * fake_vsock_add() - put a packet into the TX ring, no kick
 * @hdr: as it is to be sent; le32 len is not touched
 * @data: payload, copied; NULL: header only
 * @len: of @data, bytes, up to config.tx_payload
 *
 * Return: 0 or -ENOSPC.
 */
int fake_vsock_add(struct fake_vsock *v, const struct vsock_header *hdr,
		   const void *data, uint32_t len);
/**
 * fake_vsock_add_at() - the same; the payload lies in guest memory already
 */
int fake_vsock_add_at(struct fake_vsock *v, const struct vsock_header *hdr,
		      gpa_t data, uint32_t len);
/** fake_vsock_kick() - fake_kick() for the TX ring */
bool fake_vsock_kick(struct fake_vsock *v);
/** fake_vsock_reap() - take used TX packets back. Return: how many. */
unsigned int fake_vsock_reap(struct fake_vsock *v);
/** fake_vsock_tx_room() - Return: packets that would fit into the TX ring */
unsigned int fake_vsock_tx_room(struct fake_vsock *v);

/* Packets from the device. */

/**
 * fake_vsock_recv() - take the next used RX buffer
 *
 * Checks what a device owes every driver; see v->violation.
 * Return: 1, 0 none there.
 */
int fake_vsock_recv(struct fake_vsock *v, struct fake_vsock_packet *packet);
/** fake_vsock_release() - done with it; refills as Linux does, at half */
void fake_vsock_release(struct fake_vsock *v,
			const struct fake_vsock_packet *packet);
/** fake_vsock_guards() - Return: no RX buffer was written beyond its end */
bool fake_vsock_guards(const struct fake_vsock *v);

/* Events: virtio_transport_event_work(), whole or in steps. */

/**
 * fake_vsock_event_work() - handle the events there are
 * Return: how many used elements there were.
 */
unsigned int fake_vsock_event_work(struct fake_vsock *v);
/**
 * fake_vsock_event_take() - take the next event off the used ring
 * @slot: its buffer
 * @valid: it is a TRANSPORT_RESET of 4 bytes
 * Return: 1, 0 none there.
 */
int fake_vsock_event_take(struct fake_vsock *v, uint16_t *slot, bool *valid);
/** fake_vsock_event_refill() - make the buffer available again, no kick */
void fake_vsock_event_refill(struct fake_vsock *v, uint16_t slot);

/** fake_vsock_violate() - the device broke a rule; the first is kept */
void fake_vsock_violate(struct fake_vsock *v, const char *rule);

#endif
