/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the vsock tests stand on: the device as production has it - event
 * loop, struct virtio_host, AF_UNIX back-end - with the fake Linux driver and
 * its sockets on the other side, all on one thread.
 */
#ifndef WHERRY_TESTS_UNIT_TEST_VSOCK_BED_H
#define WHERRY_TESTS_UNIT_TEST_VSOCK_BED_H

#include "tests/unit/runner.h"

#include "devices/virtio_host.h"
#include "devices/vsock/device.h"
#include "devices/vsock/unix.h"
#include "tests/fake/vsock_sock.h"

#define VBED_CID	3u
/* A guest port that is listened on, and a host port that may be. */
#define VBED_PORT	1024u
#define VBED_HOST_PORT	77u
#define VBED_GATES_MAX	64u
/* The same for seqpacket. */
#define VBED_SEQ_PORT	1025u

/**
 * struct vbed_device - one life of the device, from start or load to its end
 * @unx: the host side, listening at vbed.path
 * @dev: the device
 * @host: on the loop
 * @gates: states of the gate, as announced
 * @gates_num: how many
 */
struct vbed_device {
	struct vsock_unix unx;
	struct vsock_device dev;
	struct virtio_host host;
	enum vsock_gate_state gates[VBED_GATES_MAX];
	unsigned int gates_num;
};

/**
 * struct vbed_options - what a device is to be like
 * @host: of its host side
 * @device: of itself; with seqpacket set there is a socket for messages
 */
struct vbed_options {
	struct vsock_unix_options host;
	struct vsock_device_options device;
};

/**
 * struct vbed - the whole
 * @guest: RAM
 * @loop: the event loop
 * @d: the device; another one after vbed_load()
 * @v: the driver
 * @set: its sockets; VBED_PORT is listened on
 * @raw: no sockets: packets stay in the RX used ring for vbed_packet()
 * @dir: directory of its own
 * @path: the vsock socket in it
 * @seqpacket: the vsock socket for messages in it
 * @options: of the next device; the paths and the CID are filled in
 * @fds: descriptors that were open before
 * @loose: the test leaves the device in a state that teardown must not check
 */
struct vbed {
	struct fake_guest guest;
	struct loop *loop;
	struct vbed_device *d;
	struct fake_vsock v;
	struct fake_sockets set;
	bool raw;
	char dir[64];
	char path[96];
	char seqpacket[96];
	struct vbed_options options;
	unsigned int fds;
	bool loose;
};

extern struct vbed vbed;

/* Fixtures. */

/** vbed_setup() - a device, no driver */
void vbed_setup(void);
/** vbed_setup_live() - probed, gate open */
void vbed_setup_live(void);
/** vbed_setup_raw() - probed, no sockets */
void vbed_setup_raw(void);
/** vbed_setup_seq() - as vbed_setup_live(), and messages can be sent */
void vbed_setup_seq(void);
/**
 * vbed_teardown() - the rules that always hold: the driver saw nothing wrong,
 * rings are at rest, no descriptor and no path is left
 */
void vbed_teardown(void);

/** vbed_start() - as vbed_setup(), with a driver of another make */
void vbed_start(const struct fake_vsock_config *config);
/** vbed_start_with() - the same, with a device that has options */
void vbed_start_with(const struct fake_vsock_config *config,
		     const struct vbed_options *options);
/** vbed_start_seq() - the same, with messages, and the driver has probed */
void vbed_start_seq(const struct fake_vsock_config *config);
/** vbed_probe() - let the driver probe, run until all is quiet */
void vbed_probe(void);

/** vbed_run() - run loop and driver until neither has anything to do */
void vbed_run(void);
/** vbed_run_device() - run the loop only */
void vbed_run_device(void);
/** vbed_wait() - run loop and driver for @ms milliseconds */
void vbed_wait(unsigned int ms);

/** vbed_settle() - run until what may come a little later has come */
void vbed_settle(void);
/** vbed_wait_until() - run until @done() says so; ten seconds at most */
void vbed_wait_until(bool (*done)(void));
/** vbed_now_ms() - Return: monotonic milliseconds */
uint64_t vbed_now_ms(void);

/** vbed_gate() - Return: where the gate stands */
enum vsock_gate_state vbed_gate(void);
/** vbed_expect_gate() - run, then the gate has to stand there */
void vbed_expect_gate(enum vsock_gate_state state);

/* Save, load. */

/**
 * struct vbed_snapshot - a saved device; guest memory is shared with it
 * @data: as state_writer_finish() gave it
 * @len: bytes
 */
struct vbed_snapshot {
	void *data;
	size_t len;
};

/**
 * vbed_save() - as the machine saves: doorbells heard and what they ask for
 * done, rings run, then saved; the device goes on unless dropped
 */
struct vbed_snapshot vbed_save(void);
/** vbed_drop() - the process that has the device ends */
void vbed_drop(void);
/**
 * vbed_load() - a new process: new device, @snapshot loaded, not yet run
 * @cid: of the guest from now on
 * Frees the snapshot.
 */
void vbed_load(struct vbed_snapshot snapshot, uint64_t cid);
/** vbed_try_load() - the same. Return: what virtio_device_load() said. */
int vbed_try_load(struct vbed_snapshot snapshot, uint64_t cid,
		  struct fail *why);
/** vbed_restore() - save, drop, load with the same CID */
void vbed_restore(void);
/** vbed_restore_in_place() - the same in one process: who waits stays */
void vbed_restore_in_place(void);

/* The host's programs. */

/** vbed_client() - Return: connected to the vsock socket, non-blocking */
int vbed_client(void);
/** vbed_client_seq() - the same, to the socket for messages */
int vbed_client_seq(void);
/** vbed_hello() - say CONNECT */
void vbed_hello(int fd, uint32_t port);
/**
 * vbed_connect() - a whole host-initiated connection to VBED_PORT
 * @sock: the guest's end
 * Return: the host's end, OK already read
 */
int vbed_connect(struct fake_sock **sock);
/** vbed_connect_seq() - the same for messages, to VBED_SEQ_PORT */
int vbed_connect_seq(struct fake_sock **sock);
/** vbed_ok_seq() - run, read the OK message. Return: the host port. */
uint32_t vbed_ok_seq(int fd);
/** vbed_ok() - run, read the OK line. Return: the host port. */
uint32_t vbed_ok(int fd);
/** vbed_listen() - Return: listening at PATH_@port, non-blocking */
int vbed_listen(uint32_t port, int backlog);
/** vbed_listen_type() - the same with SOCK_* @type */
int vbed_listen_type(uint32_t port, int type, int backlog);
/** vbed_accept() - Return: accepted, non-blocking; or -1 */
int vbed_accept(int listener);
/** vbed_connect_guest() - a whole guest-initiated connection */
struct fake_sock *vbed_connect_guest(uint32_t port, int listener, int *fd);
/** vbed_connect_guest_once() - the same, to a listener that goes again */
struct fake_sock *vbed_connect_guest_once(int *fd);
/** vbed_send() - write all of it at once */
void vbed_send(int fd, const void *data, size_t len);
/** vbed_read() - Return: bytes; 0 at the end; -EAGAIN, -ECONNRESET, ... */
ssize_t vbed_read(int fd, void *buf, size_t len);
/** vbed_expect() - the next bytes are @text, exactly */
void vbed_expect(int fd, const char *text);
/** vbed_expect_eof() - the end, orderly or not, and nothing before */
void vbed_expect_eof(int fd);
/** vbed_expect_nothing() - neither bytes nor the end */
void vbed_expect_nothing(int fd);

/** vbed_pattern() - byte number @at of stream @seed */
uint8_t vbed_pattern(uint32_t seed, uint64_t at);
void vbed_fill(uint8_t *buf, size_t len, uint32_t seed, uint64_t at);
void vbed_check(const uint8_t *buf, size_t len, uint32_t seed, uint64_t at);

/**
 * vbed_fill_up() - the guest sends stream 2 until nothing goes any more, and
 * some of it waits in the device
 * Return: bytes.
 */
size_t vbed_fill_up(struct fake_sock *sock);

/* Raw packets (vbed.raw). */

/** vbed_tx() - send a header-only packet, run */
void vbed_tx(const struct vsock_header *hdr);
/** vbed_op() - the same, made up from op and ports */
void vbed_op(enum vsock_op op, uint32_t guest_port, uint32_t host_port);
/** vbed_rw() - send payload, run */
void vbed_rw(uint32_t guest_port, uint32_t host_port, const void *data,
	     uint32_t len);
/** vbed_packet() - the next packet for the guest. Return: is there one? */
bool vbed_packet(struct fake_vsock_packet *packet);
/** vbed_expect_op() - the next packet has this op and belongs to these ports */
struct vsock_header vbed_expect_op(enum vsock_op op, uint32_t guest_port,
				   uint32_t host_port);
/** vbed_expect_silence() - no packet */
void vbed_expect_silence(void);
/**
 * vbed_raw_connect() - a guest-initiated connection, by hand
 * @buf_alloc: what the guest announces
 */
void vbed_raw_connect(uint32_t guest_port, uint32_t buf_alloc, int *fd);

/** vbed_conn() - the engine's connection of that tuple, or NULL */
struct vsock_conn *vbed_conn(uint32_t host_port, uint32_t guest_port);
/** vbed_conn_of() - the engine's connection of that guest's socket, or NULL */
struct vsock_conn *vbed_conn_of(const struct fake_sock *sock);
/** vbed_expect_no_connection() - not even one that lingers */
void vbed_expect_no_connection(void);
const struct vsock_stats *vbed_stats(void);
/** vbed_fds() - Return: how many descriptors are open */
unsigned int vbed_fds(void);

#endif
