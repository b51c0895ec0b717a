// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's side of the world: a driver that does it right, where the script
 * does not say otherwise. Each queue's table is cut into slots of SLOT_DESCS
 * descriptors, used in turn.
 */
#include "tests/fuzz/vsock_world.h"

#include <string.h>

#define SLOT_DESCS	4u
#define HDR_SIZE	((uint32_t)sizeof(struct vsock_header))
#define RX_ALIGN	64u

void world_write(gpa_t gpa, const void *data, size_t len)
{
	struct world_oracle *o = &world.oracle;
	uint8_t *to = guest_memory_at(&world.guest.mem, gpa, len);

	if (!to)
		return;
	for (unsigned int i = 0; i < world.guest.mem.count; i++) {
		const struct guest_region *r = &world.guest.mem.region[i];

		if (to >= r->host && to < r->host + r->size)
			memcpy(o->shadow[i] + (to - r->host), data, len);
	}
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		const struct virtq *q = &world.dev->vdev.queue[i];

		if (q->ready && to < (uint8_t *)&q->used->ring[q->size] + 2 &&
		    to + len > (uint8_t *)q->used)
			o->tainted = true;
	}
	memcpy(to, data, len);
}

static uint16_t read16(gpa_t gpa)
{
	le16 value = { 0 };

	guest_memory_read(&world.guest.mem, gpa, &value, sizeof(value));
	return le16_get(value);
}

static void write16(gpa_t gpa, uint16_t value)
{
	le16 raw = le16_make(value);

	world_write(gpa, &raw, sizeof(raw));
}

void world_mmio_write(uint32_t offset, uint32_t value)
{
	le32 raw = le32_make(value);

	virtio_mmio_write(&world.dev->vdev, offset, &raw, sizeof(raw));
}

static void setup_queue(unsigned int index, uint16_t size)
{
	static const uint8_t zeros[WORLD_QUEUE_MAX * 8 + 8];
	gpa_t base = WORLD_RING(index);

	world.queue[index] = (struct world_queue){ .size = size };
	/* Rings start from zero; nobody looks at them yet. */
	world_write(base + WORLD_AVAIL, zeros, 4);
	world_write(base + WORLD_USED, zeros, sizeof(zeros));
	world_mmio_write(VIRTIO_MMIO_QUEUE_SEL, index);
	world_mmio_write(VIRTIO_MMIO_QUEUE_SIZE, size);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)base);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DRIVER_LOW,
			 (uint32_t)base + WORLD_AVAIL);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DRIVER_HIGH, 0);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DEVICE_LOW,
			 (uint32_t)base + WORLD_USED);
	world_mmio_write(VIRTIO_MMIO_QUEUE_DEVICE_HIGH, 0);
	world_mmio_write(VIRTIO_MMIO_QUEUE_READY, 1);
}

void world_probe(uint64_t features, uint16_t size)
{
	uint32_t status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	features &= world.dev->vdev.offered;
	features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
	world_mmio_write(VIRTIO_MMIO_STATUS, 0);
	world_mmio_write(VIRTIO_MMIO_STATUS, status);
	world_mmio_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	world_mmio_write(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	world_mmio_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	world_mmio_write(VIRTIO_MMIO_DRIVER_FEATURES,
			 (uint32_t)(features >> 32));
	status |= VIRTIO_STATUS_FEATURES_OK;
	world_mmio_write(VIRTIO_MMIO_STATUS, status);
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++)
		setup_queue(i, size);
	status |= VIRTIO_STATUS_DRIVER_OK;
	world_mmio_write(VIRTIO_MMIO_STATUS, status);
}

/* Where the used index stands, as the guest sees it. */
static uint16_t used_idx(unsigned int queue)
{
	return read16(WORLD_RING(queue) + WORLD_USED + 2);
}

/* Return: the first descriptor of a free slot; size: there is none. */
static uint16_t free_slot(unsigned int queue)
{
	const struct world_queue *q = &world.queue[queue];
	uint16_t slots = q->size < SLOT_DESCS ? 1 : q->size / SLOT_DESCS;
	uint16_t in_flight = (uint16_t)(q->avail - used_idx(queue));

	if (!q->size || in_flight >= slots)
		return q->size;
	return (uint16_t)(q->avail % slots * SLOT_DESCS);
}

static void set_desc(gpa_t at, gpa_t gpa, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	struct virtq_desc desc = {
		.addr = le64_make(gpa),
		.len = le32_make(len),
		.flags = le16_make(flags),
		.next = le16_make(next),
	};

	world_write(at, &desc, sizeof(desc));
}

void world_post(unsigned int queue, uint16_t head)
{
	struct world_queue *q = &world.queue[queue];
	gpa_t avail = WORLD_RING(queue) + WORLD_AVAIL;

	if (!q->size)
		return;
	write16(avail + 4 + q->avail % q->size * 2u, head);
	q->avail++;
	write16(avail + 2, q->avail);
}

/**
 * struct part - a segment of a chain
 */
struct part {
	gpa_t gpa;
	uint32_t len;
};

/* A chain of @count parts in a slot's descriptors, or in a table of its own. */
static void post_parts(unsigned int queue, const struct part *part,
		       unsigned int count, uint16_t flags, bool indirect)
{
	uint16_t head = free_slot(queue);
	gpa_t ring = WORLD_RING(queue);
	gpa_t table = WORLD_TABLES + (queue * 64u + head / SLOT_DESCS) * 64u;
	gpa_t at = indirect ? table : ring + head * 16u;
	uint16_t first = indirect ? 0 : head;

	if (head == world.queue[queue].size)
		return;
	/* Too small a queue for more than one descriptor. */
	if (!indirect && head + count > world.queue[queue].size)
		count = 1;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int next = i + 1 < count ? VIRTQ_DESC_F_NEXT : 0;

		set_desc(at + i * 16u, part[i].gpa, part[i].len,
			 (uint16_t)(flags | next), (uint16_t)(first + i + 1));
	}
	if (indirect)
		set_desc(ring + head * 16u, table, count * 16u,
			 VIRTQ_DESC_F_INDIRECT, 0);
	world_post(queue, head);
}

void world_post_rx(uint32_t len, unsigned int shape)
{
	uint32_t at = world.rx_at;
	uint32_t cut = shape & 1 ? HDR_SIZE : 20;
	struct part part[2];

	if (len > WORLD_RX_SIZE - at)
		at = 0;
	world.rx_at = (at + len + RX_ALIGN - 1) / RX_ALIGN * RX_ALIGN;
	if (world.rx_at >= WORLD_RX_SIZE)
		world.rx_at = 0;
	at += WORLD_RX;
	if (!(shape & 2) || len <= cut) {
		part[0] = (struct part){ at, len };
		post_parts(VSOCK_QUEUE_RX, part, 1, VIRTQ_DESC_F_WRITE,
			   shape & 4);
		return;
	}
	part[0] = (struct part){ at, cut };
	part[1] = (struct part){ at + cut, len - cut };
	post_parts(VSOCK_QUEUE_RX, part, 2, VIRTQ_DESC_F_WRITE, shape & 4);
}

void world_post_event(uint32_t len)
{
	uint16_t slot = world.queue[VSOCK_QUEUE_EVENT].avail % 64;
	struct part part = { WORLD_EVENTS + slot * 64u, len };

	post_parts(VSOCK_QUEUE_EVENT, &part, 1, VIRTQ_DESC_F_WRITE, false);
}

void world_send(const struct vsock_header *hdr, unsigned int shape)
{
	uint16_t slot = world.queue[VSOCK_QUEUE_TX].avail % 64;
	gpa_t at = WORLD_TX + slot * 64u;
	uint32_t len = le32_get(hdr->len);
	gpa_t payload = WORLD_RX + slot;
	struct part part[3];
	unsigned int count = 0;

	world_write(at, hdr, sizeof(*hdr));
	if (len > VSOCK_PAYLOAD_MAX + 64)
		len = VSOCK_PAYLOAD_MAX + 64;
	switch (shape & 3) {
	case 0:
		/* In one piece; the payload is what follows, whatever it is. */
		part[count++] = (struct part){ at, HDR_SIZE + len };
		break;
	case 1:
		part[count++] = (struct part){ at, 20 };
		part[count++] = (struct part){ at + 20, HDR_SIZE - 20 };
		part[count++] = (struct part){ payload, len };
		break;
	case 2:
		part[count++] = (struct part){ at, HDR_SIZE };
		part[count++] = (struct part){ payload, len / 2 };
		part[count++] = (struct part){ payload + 99, len - len / 2 };
		break;
	default:
		part[count++] = (struct part){ at, HDR_SIZE };
		part[count++] = (struct part){ payload, len };
		break;
	}
	post_parts(VSOCK_QUEUE_TX, part, count, 0, shape & 4);
}

struct vsock_header world_header(const struct world_sock *sock, unsigned int op,
				 uint32_t len, uint32_t flags)
{
	return (struct vsock_header){
		.src_cid = le64_make(world.dev->guest_cid),
		.dst_cid = le64_make(VSOCK_CID_HOST),
		.src_port = le32_make(sock->guest_port),
		.dst_port = le32_make(sock->host_port),
		.len = le32_make(len),
		.type = le16_make(sock->type ? sock->type : VSOCK_TYPE_STREAM),
		.op = le16_make((uint16_t)op),
		.flags = le32_make(flags),
		.buf_alloc = le32_make(world.buf_alloc),
		.fwd_cnt = le32_make(sock->fwd_cnt),
	};
}

static struct world_sock *find_sock(uint32_t host_port, uint32_t guest_port)
{
	for (unsigned int i = 0; i < WORLD_SOCKS; i++)
		if (world.sock[i].host_port == host_port &&
		    world.sock[i].guest_port == guest_port)
			return &world.sock[i];
	return NULL;
}

struct world_sock *world_sock_new(uint32_t host_port, uint32_t guest_port,
				  uint16_t type)
{
	struct world_sock *sock = find_sock(host_port, guest_port);

	if (!sock)
		sock = &world.sock[world.sock_next++ % WORLD_SOCKS];
	*sock = (struct world_sock){
		.host_port = host_port,
		.guest_port = guest_port,
		.type = type,
	};
	return sock;
}

/* What Linux would say to a packet. */
static void answer_packet(const struct vsock_header *hdr)
{
	uint32_t host_port = le32_get(hdr->src_port);
	uint32_t guest_port = le32_get(hdr->dst_port);
	unsigned int op = le16_get(hdr->op), reply = 0;
	uint16_t type = le16_get(hdr->type);
	struct world_sock *sock = find_sock(host_port, guest_port);
	struct vsock_header out;

	if (op == VSOCK_OP_REQUEST) {
		sock = world_sock_new(host_port, guest_port, type);
		reply = VSOCK_OP_RESPONSE;
	} else if (op == VSOCK_OP_RW) {
		if (sock)
			sock->fwd_cnt += le32_get(hdr->len);
		reply = sock ? VSOCK_OP_CREDIT_UPDATE : VSOCK_OP_RST;
	} else if (op == VSOCK_OP_CREDIT_REQUEST) {
		reply = VSOCK_OP_CREDIT_UPDATE;
	} else if (op == VSOCK_OP_SHUTDOWN &&
		   le32_get(hdr->flags) == VSOCK_SHUTDOWN_BOTH) {
		reply = VSOCK_OP_RST;
	}
	if (!reply)
		return;
	out = world_header(sock ? sock : &(struct world_sock){
				.host_port = host_port,
				.guest_port = guest_port,
				.type = type,
			   }, reply, 0, 0);
	world_send(&out, 3);
}

/* The chain's first segment, as the descriptors now say. */
static bool read_packet(uint16_t head, struct vsock_header *hdr)
{
	struct virtq_desc desc;
	gpa_t at = WORLD_RING(VSOCK_QUEUE_RX) + head * 16u;

	if (guest_memory_read(&world.guest.mem, at, &desc, sizeof(desc)))
		return false;
	if (le16_get(desc.flags) & VIRTQ_DESC_F_INDIRECT) {
		at = le64_get(desc.addr);
		if (guest_memory_read(&world.guest.mem, at, &desc,
				      sizeof(desc)))
			return false;
	}
	/* Our own buffers are in one piece, however they are described. */
	return !guest_memory_read(&world.guest.mem, le64_get(desc.addr), hdr,
				  sizeof(*hdr));
}

static void serve_rx(bool answer)
{
	struct world_queue *q = &world.queue[VSOCK_QUEUE_RX];
	gpa_t used = WORLD_RING(VSOCK_QUEUE_RX) + WORLD_USED;
	unsigned int left = q->size;

	while (q->size && q->seen != used_idx(VSOCK_QUEUE_RX) && left--) {
		gpa_t elem = used + 4 + q->seen % q->size * 8u;
		struct vsock_header hdr;

		q->seen++;
		if (read16(elem + 4) >= HDR_SIZE && answer &&
		    read_packet(read16(elem), &hdr))
			answer_packet(&hdr);
	}
}

static void serve_events(void)
{
	struct world_queue *q = &world.queue[VSOCK_QUEUE_EVENT];
	uint8_t cid[8];

	while (q->size && q->seen != used_idx(VSOCK_QUEUE_EVENT)) {
		/* An index that ran away: no driver would follow. */
		if ((uint16_t)(used_idx(VSOCK_QUEUE_EVENT) - q->seen) > q->size)
			return;
		q->seen++;
		virtio_mmio_read(&world.dev->vdev, VIRTIO_MMIO_CONFIG, cid,
				 sizeof(cid));
		oracle_cid_read();
		for (unsigned int i = 0; i < WORLD_SOCKS; i++)
			world.sock[i] = (struct world_sock){ 0 };
		world_post_event(4);
		world_mmio_write(VIRTIO_MMIO_QUEUE_NOTIFY, VSOCK_QUEUE_EVENT);
	}
}

void world_serve(bool answer)
{
	serve_events();
	serve_rx(answer);
	world_mmio_write(VIRTIO_MMIO_INTERRUPT_ACK,
			 VIRTIO_INT_USED | VIRTIO_INT_CONFIG);
}
