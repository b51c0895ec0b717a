/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world around the vsock device under fuzzing: a guest (vsock_guest.c), a
 * host with a loop whose clock is a number (vsock_host.c) and programs at its
 * sockets (vsock_backend.c), and the rules that the device is held to
 * (vsock_oracle.c, vsock_rules.c). What happens in it is up to fuzz_vsock.c.
 *
 * The rules are watched where chains change hands: virtq_pop(), virtq_push() and
 * their like are wrapped by the linker (--wrap), so that what was lent to
 * the device is known exactly, whatever the script writes into guest memory.
 *
 * One world at a time, one thread, no system call.
 */
#ifndef WHERRY_TESTS_FUZZ_VSOCK_WORLD_H
#define WHERRY_TESTS_FUZZ_VSOCK_WORLD_H

#include "devices/vsock/device.h"
#include "tests/fake/guest.h"
#include "virtio/mmio.h"

#define WORLD_CID	3u

/* Guest memory: where a well-behaved driver has its things. */
#define WORLD_RING(q)	(0x1000u + (q) * 0x2000u)
#define WORLD_AVAIL	0x1000u	/* in a ring, behind descriptors */
#define WORLD_USED	0x1400u
#define WORLD_TABLES	0x7000u	/* 64 bytes a slot, as below */
#define WORLD_EVENTS	0xa000u
#define WORLD_TX	0xb000u	/* headers */
#define WORLD_RX	0xd000u	/* RX buffers, and payload of TX */
#define WORLD_RX_SIZE	0x11000u
#define WORLD_LOW	(WORLD_RX + WORLD_RX_SIZE)
#define WORLD_HIGH	0x1000u		/* bytes at FAKE_GUEST_HIGH */
#define WORLD_QUEUE_MAX	256u
#define WORLD_SOCKS	16u
#define WORLD_TIMERS	512u

/** world_require() - a rule: abort() with its text when it is broken */
#define world_require(rule) \
	((rule) ? (void)0 : world_violated(__FILE__, __LINE__, #rule))
void world_violated(const char *file, int line, const char *rule)
	__attribute__((noreturn));

/* Messages under way in either direction; the device holds 1024 at most. */
#define WORLD_MESSAGES	1100u

/**
 * struct world_messages - boundaries of messages, a ring
 * @head: index of the first
 * @count: how many
 * @len: bytes of each
 * @eor: it ends with MSG_EOR
 */
struct world_messages {
	unsigned int head;
	unsigned int count;
	uint32_t len[WORLD_MESSAGES];
	bool eor[WORLD_MESSAGES];
};

/**
 * struct world_seq - what a seqpacket connection has besides
 * @to_host: complete messages from the guest that the socket has yet to see
 * @open: bytes behind them, of one that is not complete
 * @to_read: messages that can be read
 * @to_show: messages that were read and not yet given to the guest as a whole
 * @shown: bytes of the first of them that were
 */
struct world_seq {
	struct world_messages to_host;
	uint32_t open;
	struct world_messages to_read;
	struct world_messages to_show;
	uint32_t shown;
};

/**
 * struct world_conn - the host end of a connection
 * @conn: the engine's part
 * @link: in world->conns
 * @life: vdev.resets when it began
 * @undecided: guest-initiated, the host has not answered
 * @by_host: host-initiated
 * @seq: NULL: a stream
 * @in_left: bytes that can be read; on streams
 * @in_at: bytes read so far
 * @in_error: what reading says when @in_left is 0; 1: EAGAIN; 0: the end
 * @out_room: bytes that the socket takes before EAGAIN
 * @out_error: what sending says; 0: nothing wrong
 * @out_over: sending has failed, it is not to be tried again
 * @excused: bytes may be lost: host or guest went too far
 * @buf_alloc: the guest's buffer, as the device was told last
 * @fwd_cnt: the same for bytes taken off it
 * @shown: payload bytes put into RX chains
 * @rx: payload bytes taken from TX chains
 * @fwd_told: fwd_cnt as the guest was told last
 * @said: REQUEST or RESPONSE went out
 * @established: the guest has answered, or was
 * @shut_told: VSOCK_SHUTDOWN_* that the guest was told of
 * @fifo: bytes from the guest that the socket has yet to see
 * @fifo_head: first of them
 * @fifo_len: how many
 * @fifo_size: of @fifo
 */
struct world_conn {
	struct vsock_conn conn;
	struct list_node link;
	uint32_t life;
	bool undecided;
	bool by_host;
	struct world_seq *seq;
	uint32_t in_left;
	uint32_t in_at;
	int in_error;
	uint32_t out_room;
	int out_error;
	bool out_over;
	bool excused;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
	uint32_t shown;
	uint32_t rx;
	uint32_t fwd_told;
	bool said;
	bool established;
	unsigned int shut_told;
	uint8_t *fifo;
	uint32_t fifo_head;
	uint32_t fifo_len;
	uint32_t fifo_size;
};

/**
 * struct world_chain - a chain that the device has
 * @head: its first descriptor
 * @in_num: of @in
 * @in_len: bytes it may write
 * @overlaps: another chain has bytes of it, too
 * @overlaps_itself: two of its segments share bytes
 * @in: where
 */
struct world_chain {
	uint16_t head;
	unsigned int in_num;
	uint32_t in_len;
	bool overlaps;
	bool overlaps_itself;
	struct iovec in[WORLD_QUEUE_MAX];
};

/**
 * struct world_lent - chains of a queue between pop and push
 * @count: how many
 * @chain: in the order in which they were popped
 */
struct world_lent {
	unsigned int count;
	struct world_chain chain[WORLD_QUEUE_MAX];
};

/**
 * struct world_before - a queue, before the device was let run
 * @used: its used ring; NULL: not ready
 * @len: bytes of it
 * @flushed: used index
 * @wanted: avail.flags without EVENT_IDX, used_event with
 */
struct world_before {
	uint8_t *used;
	size_t len;
	uint16_t flushed;
	uint16_t wanted;
};

/**
 * struct world_oracle - what the rules need to remember
 * @shadow: guest memory as it should be, region by region
 * @before: queues at the start of a step
 * @kicked: a doorbell was rung for what is in the queue...
 * @kicked_idx: ...up to this available index
 * @kicked_life: vdev.resets then
 * @stepping: the device is being run
 * @interrupts: edges sent before the step
 * @bad_ring: a pop has said -EINVAL in this step
 * @tainted: rings were overwritten, or lie in odd places: what they say is
 *     nothing to go by
 * @blind: a packet could not be read: no more rules about them
 * @lagging: the device may be ahead of what it has told the back-end
 * @owed: resets were published, and the last is not answered
 * @unsent: a load wants one published
 * @forced: the gate was let through
 * @ev_head: the chain of the last one
 * @ev_gpa: where it lies
 * @ev_seen: avail.idx of the event queue when it was looked for last
 * @returned: it was made available again
 * @cid_read: guest_cid was read since the last reset was published
 * @half_at: when the first of the two came
 * @held_life: vdev.resets when held chains were looked at
 * @gate_forced: the device's counter, when looked at last
 * @resets: vdev.resets, the same
 * @packet: the TX packet being dealt with; op 0: none
 * @packet_valid: it is one that the device should look at
 * @packet_in_credit: it does not go beyond what the guest was told
 * @resets_sent: stats, when it came
 * @overruns: the same
 */
struct world_oracle {
	uint8_t *shadow[2];
	struct world_before before[VSOCK_QUEUES];
	bool kicked[VSOCK_QUEUES];
	uint16_t kicked_idx[VSOCK_QUEUES];
	uint32_t kicked_life[VSOCK_QUEUES];
	bool stepping;
	unsigned int interrupts;
	bool bad_ring;
	bool tainted;
	bool blind;
	bool lagging;
	bool owed;
	bool unsent;
	bool forced;
	uint16_t ev_head;
	gpa_t ev_gpa;
	uint16_t ev_seen;
	bool returned;
	bool cid_read;
	uint64_t half_at;
	uint32_t held_life;
	uint64_t gate_forced;
	uint32_t resets;
	struct vsock_header packet;
	bool packet_valid;
	bool packet_in_credit;
	uint64_t resets_sent;
	uint64_t overruns;
};

/**
 * struct loop - devices/loop.h without descriptors, sleep or clock
 * @now: milliseconds
 * @timer: armed, in no order
 * @timers: how many
 * @tasks: deferred, in order
 * @tasks_end: where the next one is hung
 */
struct loop {
	uint64_t now;
	struct loop_timer *timer[WORLD_TIMERS];
	unsigned int timers;
	struct loop_task *tasks;
	struct loop_task **tasks_end;
};

/**
 * struct world_sock - a tuple the guest knows, and its side of the credit
 * @host_port: the device's port
 * @guest_port: the guest's
 * @fwd_cnt: payload bytes the guest took
 * @type: VSOCK_TYPE_*
 */
struct world_sock {
	uint32_t host_port;
	uint32_t guest_port;
	uint32_t fwd_cnt;
	uint16_t type;
};

/**
 * struct world_queue - the driver's side of a queue
 * @size: entries; 0: not set up
 * @avail: free-running index of the next available entry
 * @seen: free-running index of the next used entry
 */
struct world_queue {
	uint16_t size;
	uint16_t avail;
	uint16_t seen;
};

/**
 * struct world - all of it
 * @guest: RAM
 * @loop: the loop
 * @dev: the device; another one after world_reload()
 * @backend: its host side
 * @gate_open: what the back-end was told last
 * @conns: host ends, newest last
 * @conns_num: how many
 * @answer: what the host says to the guest's connects: 0 refused, 1 yes, else
 *     later
 * @fresh_room: out_room of new connections
 * @pending: doorbells rung, as in fake_host
 * @interrupts: edges sent
 * @resets: vdev.resets that the device was told of
 * @status: status that the device was told of
 * @queue: the driver's queues
 * @sock: tuples the guest knows
 * @sock_next: the one to be replaced next
 * @rx_at: where the next RX buffer lies
 * @buf_alloc: buffers of new connections
 * @conns_max: how many there may be
 * @tight: so little may be under way that those who send take turns
 * @ending: the device is going away
 * @oracle: the rules' memory
 */
struct world {
	struct fake_guest guest;
	struct loop loop;
	struct vsock_device *dev;
	struct vsock_backend backend;
	bool gate_open;
	struct list_node conns;
	unsigned int conns_num;
	unsigned int answer;
	uint32_t fresh_room;
	unsigned int pending;
	unsigned int interrupts;
	uint32_t resets;
	uint32_t status;
	struct world_queue queue[VSOCK_QUEUES];
	struct world_sock sock[WORLD_SOCKS];
	unsigned int sock_next;
	uint32_t rx_at;
	uint32_t buf_alloc;
	uint32_t conns_max;
	bool tight;
	bool ending;
	struct world_oracle oracle;
};

extern struct world world;

/* vsock_host.c */

/** world_begin() - RAM, a device without a driver */
void world_begin(uint32_t buf_alloc, uint32_t conns_max, bool tight);
/** world_end() - all gone; nothing may be left */
void world_end(void);
/** world_ring() - an ioeventfd: no register is written */
void world_ring(unsigned int queue);
/** world_turn() - one turn of the loop. Return: was there anything to do? */
bool world_turn(void);
/** world_idle() - turns until nothing is left to do; then all is at rest */
void world_idle(void);
/** world_advance() - @ms milliseconds pass; timers that are due fire */
void world_advance(uint64_t ms);
/**
 * world_reload() - save the device
 * @cid: load it into another one with this CID, in its place; 0: do not
 * @drain: handle doorbells first, as the machine does
 */
void world_reload(uint64_t cid, bool drain);

/* vsock_backend.c */

/* What the device calls. */
extern const struct vsock_backend_ops world_backend_ops;
void world_gate(struct vsock_backend *backend, bool open);
/** world_conn_at() - Return: one of the connections, NULL: there is none */
struct world_conn *world_conn_at(unsigned int i);
/** world_connect() - a host program connects to the guest */
void world_connect(uint32_t guest_port, uint16_t type);
/** world_message() - a host program sends a message */
void world_message(struct world_conn *wc, uint32_t len, bool eor);
/** world_messages_add() - one more behind the others */
void world_messages_add(struct world_messages *m, uint32_t len, bool eor);
/** world_messages_drop() - done with the first */
void world_messages_drop(struct world_messages *m);

/* vsock_guest.c */

/** world_write() - the guest writes to its RAM; outside nothing happens */
void world_write(gpa_t gpa, const void *data, size_t len);
/** world_mmio_write() - a register */
void world_mmio_write(uint32_t offset, uint32_t value);
/** world_probe() - as a driver does; @size: of each queue, a power of two */
void world_probe(uint64_t features, uint16_t size);
/** world_post() - make chain @head available */
void world_post(unsigned int queue, uint16_t head);
/** world_post_rx() - one RX buffer of @len bytes; @shape: how it is cut */
void world_post_rx(uint32_t len, unsigned int shape);
/** world_post_event() - one event buffer of @len bytes */
void world_post_event(uint32_t len);
/** world_send() - a packet; @shape: how it is cut */
void world_send(const struct vsock_header *hdr, unsigned int shape);
/** world_header() - a packet of @sock, honest about its credit */
struct vsock_header world_header(const struct world_sock *sock, unsigned int op,
				 uint32_t len, uint32_t flags);
/** world_sock_new() - the guest knows a tuple */
struct world_sock *world_sock_new(uint32_t host_port, uint32_t guest_port,
				  uint16_t type);
/**
 * world_serve() - the driver looks at its used rings
 * @answer: packets are answered as Linux does; false: only taken
 */
void world_serve(bool answer);

/* vsock_oracle.c */

void oracle_begin(void);
/** oracle_device_new() - world.dev was replaced; false: the first one */
void oracle_device_new(bool loaded);
/** oracle_step_begin() - the device is about to run */
void oracle_step_begin(void);
/** oracle_step_end() - it has run: did it keep the rules? */
void oracle_step_end(void);
/** oracle_memory() - has the device written what was not its own? */
void oracle_memory(void);
/** oracle_at_rest() - the device has nothing to do: is that so? */
void oracle_at_rest(void);
/** oracle_kicked() - what is in queue @queue now has been announced */
void oracle_kicked(unsigned int queue);
/** oracle_cid_read() - the driver read the configuration space */
void oracle_cid_read(void);

/* vsock_rules.c, for vsock_oracle.c */

/** rules_driver() - look for resets, and for answers to TRANSPORT_RESET */
void rules_driver(void);
/** rules_force() - has the gate been let through? */
void rules_force(void);
/** rules_event() - a chain of the event queue was used */
void rules_event(const struct world_chain *chain, uint32_t len);
/** rules_to_host() - a packet was taken from the TX ring */
void rules_to_host(const struct virtq_chain *chain);
/** rules_settle() - it has been dealt with */
void rules_settle(void);
/** rules_to_guest() - a chain of the RX ring is used, @len bytes written */
void rules_to_guest(const struct world_chain *chain, uint32_t len);
/** rules_at_rest() - bytes that could go to the guest are on their way */
void rules_at_rest(void);

/** oracle_pattern() - what host program writes as byte @at of a connection */
static inline uint8_t oracle_pattern(const struct world_conn *wc, uint32_t at)
{
	return (uint8_t)((at ^ at >> 8) * 31u + wc->conn.host_port);
}

#endif
