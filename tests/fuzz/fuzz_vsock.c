// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: the vsock device between a guest and a host that both do as
 * they like.
 *
 * The input is a script: two bytes about the device, then steps, each a byte
 * that says which and a few that say how (make-vsock-corpus.py writes the
 * same language). Anything goes: registers, rings and guest memory at will,
 * but also short cuts that do it right, so that there is something to break.
 * The rules that are checked are in vsock_oracle.c.
 */
#include "tests/fuzz/target.h"

#include <errno.h>
#include <string.h>

#include "tests/fuzz/vsock_world.h"

#define TIGHT		0x80	/* of the second byte of an input */
#define STEPS_MAX	400u

const char fuzz_target[] = "vsock";

/* What is left of the input; behind its end there are zeros. */
struct script {
	const uint8_t *at;
	size_t left;
};

static uint8_t u8(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->at++;
}

static uint32_t u16(struct script *s)
{
	uint32_t low = u8(s);

	return low | (uint32_t)u8(s) << 8;
}

static uint32_t u32(struct script *s)
{
	uint32_t low = u16(s);

	return low | u16(s) << 16;
}

/* Small numbers in one byte, larger ones by steps. */
static uint32_t length(struct script *s)
{
	uint32_t code = u8(s);

	if (code < 192)
		return code;
	return code < 255 ? (code - 191) * 1100u : VSOCK_PAYLOAD_MAX + 44;
}

static uint64_t address(struct script *s)
{
	uint32_t low = u16(s) * 4;

	/* Into either region, just behind them, nowhere. */
	switch (u8(s) & 7) {
	case 0:
		return FAKE_GUEST_HIGH + low % (WORLD_HIGH + 64);
	case 1:
		return WORLD_LOW - 32 + low % 64;
	case 2:
		return UINT64_MAX - low;
	case 3:
		return WORLD_RING(0) + low % (WORLD_RING(3) - WORLD_RING(0));
	default:
		return low;
	}
}

static void step_register(struct script *s)
{
	uint32_t offset = u8(s) * 4u;
	unsigned int how = u8(s);
	uint8_t data[8];
	uint32_t value;

	offset += how >> 2 & 3;
	if (how & 0x20) {
		memset(data, 0xa5, sizeof(data));
		if (offset >= VIRTIO_MMIO_CONFIG)
			oracle_cid_read();
		virtio_mmio_read(&world.dev->vdev, offset, data,
				 how & 0x40 ? 1u << (how & 3) : 4);
		return;
	}
	/* A queue alone is not to be started anew: what it says is stale. */
	if (offset == VIRTIO_MMIO_QUEUE_READY)
		world.oracle.tainted = true;
	value = how & 0x80 ? u32(s) : u8(s);
	memcpy(data, &value, sizeof(value));
	memcpy(data + 4, &value, sizeof(value));
	virtio_mmio_write(&world.dev->vdev, offset, data,
			  how & 0x40 ? 1u << (how & 3) : 4);
}

static void step_probe(struct script *s)
{
	unsigned int bits = u8(s);
	uint64_t features = 0;

	if (bits & 1)
		features |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (bits & 2)
		features |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	features |= bits >> 2 & 7;
	world_probe(features, (uint16_t)(1u << u8(s) % 9));
}

static void step_memory(struct script *s)
{
	uint64_t at = address(s);
	uint8_t data[64];
	size_t len = u8(s) % sizeof(data) + 1;

	for (size_t i = 0; i < len; i++)
		data[i] = u8(s);
	world_write(at, data, len);
	/* An index may have gone back: what was announced is no more. */
	memset(world.oracle.kicked, 0, sizeof(world.oracle.kicked));
}

/* A descriptor with anything in it, and perhaps made available. */
static void step_descriptor(struct script *s)
{
	unsigned int how = u8(s);
	unsigned int queue = how % VSOCK_QUEUES;
	uint16_t index = u8(s);
	struct virtq_desc desc = {
		.addr = le64_make(address(s)),
		.len = le32_make(how & 8 ? u32(s) : length(s)),
		.flags = le16_make(u8(s) & 7),
		.next = le16_make(u8(s)),
	};

	if (how & 0x10)
		world_write(WORLD_TABLES + index * 16u, &desc, sizeof(desc));
	else
		world_write(WORLD_RING(queue) + index * 16u, &desc,
			    sizeof(desc));
	if (how & 0x20)
		world_post(queue, index);
}

static void step_avail(struct script *s)
{
	unsigned int queue = u8(s) % VSOCK_QUEUES;
	le16 idx = le16_make((uint16_t)(world.queue[queue].avail +
					(int8_t)u8(s)));

	world.queue[queue].avail = le16_get(idx);
	world_write(WORLD_RING(queue) + WORLD_AVAIL + 2, &idx, sizeof(idx));
	world.oracle.kicked[queue] = false;
}

/* What the driver wants to hear of: flags, used_event. */
static void step_wanted(struct script *s)
{
	unsigned int how = u8(s), queue = how % VSOCK_QUEUES;
	struct world_queue *q = &world.queue[queue];
	gpa_t avail = WORLD_RING(queue) + WORLD_AVAIL;
	le16 flags = le16_make(how >> 4 & 1);
	le16 event = le16_make((uint16_t)(q->seen + (int8_t)u8(s)));

	world_write(avail, &flags, sizeof(flags));
	world_write(avail + 4 + q->size * 2u, &event, sizeof(event));
}

static void step_post_rx(struct script *s)
{
	unsigned int how = u8(s);
	uint32_t len = length(s);

	for (unsigned int i = how >> 4; i < 16; i++)
		world_post_rx(len, how);
}

static void step_post_event(struct script *s)
{
	unsigned int how = u8(s);

	for (unsigned int i = 0; i <= how >> 4; i++)
		world_post_event(how & 8 ? how & 7 : 4);
}

static void step_send(struct script *s)
{
	unsigned int op = u8(s), how = u8(s), which = u8(s);
	struct world_sock *sock = &world.sock[which % WORLD_SOCKS];
	struct vsock_header hdr;
	uint32_t len, flags;

	if (which & 0x80)
		sock = world_sock_new(u8(s), which & 0x3f,
				      which & 0x40 ? VSOCK_TYPE_SEQPACKET :
						     VSOCK_TYPE_STREAM);
	len = how & 8 ? length(s) : 0;
	flags = how & 0x10 ? u8(s) : 0;
	hdr = world_header(sock, op & 7, len, flags);
	if (op & 8)
		hdr.src_cid = le64_make(u8(s));
	if (op & 0x10)
		hdr.dst_cid = le64_make(u8(s));
	if (op & 0x20)
		hdr.type = le16_make(u8(s));
	if (op & 0x40)
		hdr.buf_alloc = le32_make(u32(s));
	if (op & 0x80)
		hdr.fwd_cnt = le32_make(u32(s));
	world_send(&hdr, how);
	/* The length in the header need not be that of the chain. */
	if (how & 0x20) {
		hdr.len = le32_make(u32(s));
		world_write(WORLD_TX +
			    (world.queue[VSOCK_QUEUE_TX].avail - 1u) % 64 * 64,
			    &hdr, sizeof(hdr));
	}
}

static void step_kick(struct script *s)
{
	unsigned int how = u8(s);

	/* The event queue has no ioeventfd. */
	if ((how & 0x10) && (how & 3) < VSOCK_QUEUE_EVENT)
		world_ring(how & 3);
	else
		world_mmio_write(VIRTIO_MMIO_QUEUE_NOTIFY, how & 7);
}

/* Something happens on a host socket. */
static void step_host(struct script *s)
{
	unsigned int how = u8(s);
	struct world_conn *wc = world_conn_at(how >> 4);
	uint32_t len = length(s);

	if (!wc)
		return;
	switch (how & 7) {
	case 0:
		if (wc->seq)
			world_message(wc, len, how & 8);
		else
			wc->in_left += len;
		vsock_conn_readable(&wc->conn);
		break;
	case 1:
		wc->in_error = 0;
		wc->conn.at_end = true;
		vsock_conn_readable(&wc->conn);
		break;
	case 2:
		wc->in_error = -ECONNRESET;
		wc->conn.at_end = true;
		vsock_conn_readable(&wc->conn);
		break;
	case 3:
		wc->in_error = 0;
		wc->excused = true;
		vsock_conn_hangup(&wc->conn);
		break;
	case 4:
		wc->out_room = len;
		vsock_conn_writable(&wc->conn);
		break;
	case 5:
		wc->out_error = how & 8 ? -EMSGSIZE : -EPIPE;
		vsock_conn_writable(&wc->conn);
		break;
	case 6:
		wc->excused = true;
		vsock_conn_abort(&wc->conn);
		break;
	default:
		if (!wc->undecided ||
		    wc->conn.state != VSOCK_CONN_CONNECTING)
			break;
		wc->undecided = false;
		wc->established = true;
		vsock_conn_accepted(&wc->conn);
		break;
	}
}

static void step_policy(struct script *s)
{
	unsigned int how = u8(s);

	world.answer = how & 3;
	world.fresh_room = how & 4 ? u8(s) : UINT32_MAX;
}

static void step_reload(struct script *s)
{
	unsigned int how = u8(s);
	uint64_t cid = 0;

	if (how & 1)
		cid = how & 2 ? VSOCK_CID_GUEST_MAX : WORLD_CID;
	world_reload(cid, how & 4);
}

static void step_connect(struct script *s)
{
	unsigned int port = u8(s);

	world_connect(port & 0x7f, port & 0x80 ? VSOCK_TYPE_SEQPACKET :
						 VSOCK_TYPE_STREAM);
}

static void run_step(struct script *s)
{
	static void (*const steps[])(struct script *s) = {
		step_register, step_probe, step_memory, step_descriptor,
		step_avail, step_wanted, step_post_rx, step_post_event,
		step_send, step_kick, step_host, step_policy, step_reload,
	};
	const unsigned int count = sizeof(steps) / sizeof(steps[0]);
	unsigned int step = u8(s) % (count + 7);

	if (step < count) {
		steps[step](s);
		return;
	}
	switch (step - count) {
	case 0:
		world_turn();
		break;
	case 1:
		world_idle();
		break;
	case 2:
		world_serve(true);
		break;
	case 3:
		world_serve(false);
		break;
	case 4:
		step_connect(s);
		break;
	case 5:
		world_advance(u8(s) * 100u);
		break;
	default:
		/* Bit 0, not a toggle: a step that is dropped changes less. */
		vsock_device_set_running(world.dev, u8(s) & 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct script s = { data, len };
	uint32_t buf_alloc = 64u << u8(&s) % 13;
	uint8_t limits = u8(&s);

	world_begin(buf_alloc, 1u + limits % 64, limits & TIGHT);
	for (unsigned int i = 0; i < STEPS_MAX && s.left; i++)
		run_step(&s);
	world_idle();
	world_end();
	return 0;
}
