// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's driver: rings and packets. See guest.h.
 *
 * Runs in the guest process alone, but for the set-up, which the device's
 * process does before it forks the guest off.
 *
 * As in Linux: the RX ring is kept more than half full; each packet sent
 * kicks, if EVENT_IDX says so; both queues want interrupts, except while their
 * handler runs; a CREDIT_UPDATE goes out when less than 64 KiB of the buffer
 * are known to be free to the host, or when the application has emptied it;
 * data is a header and a payload in an indirect table.
 *
 * Unlike Linux, no byte is copied inside the guest: patterns are made in TX
 * buffers and verified in RX buffers.
 */
#include "tests/bench/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/pattern.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25	/* Linux 6.1 */
#endif

#define PAGE		4096u
#define HUGE		(2u << 20)
#define EVENT_BUFFERS	8u	/* as Linux */
#define HDR_SIZE	((uint32_t)sizeof(struct vsock_header))
/* RX buffers in sockets' queues while the ring is full, in rings. */
#define RX_SETS		2u

/*
 * Maps the RAM where huge pages fit, and asks for them, as a monitor does;
 * for shared memory the second request is heard where the first is not.
 */
static void *map_ram(int fd, uint64_t size)
{
	uint8_t *reserved = mmap(NULL, size + HUGE, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = reserved;

	if (reserved == MAP_FAILED)
		return MAP_FAILED;
	at += (HUGE - (uintptr_t)reserved % HUGE) % HUGE;
	at = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		  0);
	if (at == MAP_FAILED)
		return MAP_FAILED;
	(void)madvise(at, size, MADV_HUGEPAGE);
	memset(at, 0, size);
	(void)madvise(at, size, MADV_COLLAPSE);
	return at;
}

void guest_ram_init(struct guest *guest, const struct bench_measure *measure,
		    unsigned int queue_size)
{
	uint64_t rx = (measure->rx_size + PAGE) * (uint64_t)RX_SETS;
	uint64_t tx = BENCH_CHUNK_MAX + 2 * PAGE;
	uint64_t size = queue_size * (rx + tx) + (16u << 20);
	void *host = MAP_FAILED;

	memset(guest, 0, sizeof(*guest));
	guest->measure = measure;
	guest->ram_fd = memfd_create("wherry-bench", MFD_CLOEXEC);
	size = (size + HUGE - 1) / HUGE * HUGE;
	if (guest->ram_fd >= 0 && !ftruncate(guest->ram_fd, (off_t)size))
		host = map_ram(guest->ram_fd, size);
	if (host == MAP_FAILED)
		bench_die("guest memory: %s", strerror(errno));
	guest->ram.mem.count = 1;
	guest->ram.mem.region[0] = (struct guest_region){
		.gpa = 0, .size = size, .host = host,
	};
	guest->ram.next[0] = PAGE;
	guest->irq_fd = -1;
}

uint64_t guest_features(void)
{
	return VIRTIO_BIT(VIRTIO_F_VERSION_1) |
	       VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
	       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
	       VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET);
}

void guest_events_fill(struct guest *guest)
{
	struct fake_queue *q = &guest->driver.queue[VSOCK_QUEUE_EVENT];

	for (unsigned int i = 0; i < EVENT_BUFFERS; i++) {
		struct fake_seg seg = {
			.gpa = fake_guest_alloc(&guest->ram, 4, 64),
			.len = sizeof(struct vsock_event),
		};

		if (fake_add(q, &seg, 0, 1, FAKE_ALL_DIRECT, NULL) < 0)
			bench_die("event queue: full");
	}
	fake_kick(q);
}

static void *get_memory(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		bench_die("out of memory");
	return p;
}

static void make_rx(struct guest *guest)
{
	unsigned int count = RX_SETS * guest->rx->size;
	struct guest_rx *rx = get_memory(count, sizeof(*rx));

	for (unsigned int i = 0; i < count; i++, rx++) {
		rx->seg.len = guest->measure->rx_size;
		rx->seg.gpa = fake_guest_alloc(&guest->ram, rx->seg.len, PAGE);
		rx->host = fake_guest_at(&guest->ram, rx->seg.gpa,
					 rx->seg.len);
		rx->next = guest->rx_pool;
		guest->rx_pool = rx;
	}
}

static void make_tx(struct guest *guest, struct guest_tx **pool, bool data)
{
	struct guest_tx *tx = get_memory(guest->tx->size, sizeof(*tx));

	for (unsigned int i = 0; i < guest->tx->size; i++, tx++) {
		tx->seg[0].gpa = fake_guest_alloc(&guest->ram, HDR_SIZE, 64);
		tx->seg[0].len = HDR_SIZE;
		tx->hdr = fake_guest_at(&guest->ram, tx->seg[0].gpa, HDR_SIZE);
		if (data) {
			tx->seg[1].gpa = fake_guest_alloc(&guest->ram,
							  BENCH_CHUNK_MAX,
							  PAGE);
			tx->data = fake_guest_at(&guest->ram, tx->seg[1].gpa,
						 BENCH_CHUNK_MAX);
		}
		tx->next = *pool;
		*pool = tx;
	}
}

/* virtio_vsock_rx_fill() */
static void rx_fill(struct guest *guest)
{
	struct guest_rx *rx;

	while ((rx = guest->rx_pool) && guest->rx->free_num) {
		guest->rx_pool = rx->next;
		fake_add(guest->rx, &rx->seg, 0, 1, FAKE_ALL_DIRECT, rx);
		guest->rx_given++;
	}
	fake_kick(guest->rx);
}

void guest_start(struct guest *guest)
{
	guest->rx = &guest->driver.queue[VSOCK_QUEUE_RX];
	guest->tx = &guest->driver.queue[VSOCK_QUEUE_TX];
	guest->direct = guest->driver.features &
			VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) ?
			0 : FAKE_ALL_DIRECT;
	make_rx(guest);
	make_tx(guest, &guest->tx_data, true);
	make_tx(guest, &guest->tx_control, false);
	fake_interrupts_on(guest->rx);
	fake_interrupts_on(guest->tx);
	rx_fill(guest);
}

uint32_t guest_credit(const struct guest_sock *s)
{
	uint32_t window = s->peer_buf_alloc, flying;

	/* virtio_transport_tx_buf_size() */
	if (window > GUEST_BUF_ALLOC)
		window = GUEST_BUF_ALLOC;
	flying = s->tx_cnt - s->peer_fwd_cnt;
	return flying < window ? window - flying : 0;
}

static struct vsock_header make_header(struct guest_sock *s, enum vsock_op op,
				       uint32_t len, uint32_t flags)
{
	/* virtio_transport_inc_tx_pkt() */
	s->told = s->fwd_cnt;
	return (struct vsock_header){
		.src_cid = le64_make(BENCH_CID),
		.dst_cid = le64_make(VSOCK_CID_HOST),
		.src_port = le32_make(s->port),
		.dst_port = le32_make(s->host_port),
		.len = le32_make(len),
		.type = le16_make(VSOCK_TYPE_STREAM),
		.op = le16_make((uint16_t)op),
		.flags = le32_make(flags),
		.buf_alloc = le32_make(GUEST_BUF_ALLOC),
		.fwd_cnt = le32_make(s->fwd_cnt),
	};
}

struct guest_tx *guest_tx_get(struct guest *guest)
{
	/* One more for the CREDIT_UPDATE that may come between. */
	unsigned int needed = guest->direct ? 3 : 2;
	struct guest_tx *tx = guest->tx_data;

	/* Packets leave in order: those that wait go first. */
	if (!tx || guest->tx->free_num < needed || guest->waiting_count)
		return NULL;
	guest->tx_data = tx->next;
	return tx;
}

void guest_tx_send(struct guest *guest, struct guest_sock *s,
		   struct guest_tx *tx, uint32_t len)
{
	*tx->hdr = make_header(s, VSOCK_OP_RW, len, 0);
	tx->seg[1].len = len;
	s->tx_cnt += len;
	s->sent += len;
	if (fake_add(guest->tx, tx->seg, 2, 0, guest->direct, tx) < 0)
		bench_die("TX ring: no room");
	fake_kick(guest->tx);
}

static bool put_control(struct guest *guest, const struct vsock_header *hdr)
{
	struct guest_tx *tx = guest->tx_control;

	if (!tx || !guest->tx->free_num)
		return false;
	guest->tx_control = tx->next;
	*tx->hdr = *hdr;
	fake_add(guest->tx, tx->seg, 1, 0, FAKE_ALL_DIRECT, tx);
	fake_kick(guest->tx);
	return true;
}

static void send_or_wait(struct guest *guest, const struct vsock_header *hdr)
{
	unsigned int at;

	if (!guest->waiting_count && put_control(guest, hdr))
		return;
	if (guest->waiting_count == GUEST_WAITING_MAX)
		bench_die("too many control packets wait");
	at = (guest->waiting_head + guest->waiting_count) % GUEST_WAITING_MAX;
	guest->waiting[at] = *hdr;
	guest->waiting_count++;
}

void guest_control(struct guest *guest, struct guest_sock *s,
		   enum vsock_op op, uint32_t flags)
{
	struct vsock_header hdr = make_header(s, op, 0, flags);

	send_or_wait(guest, &hdr);
}

static void send_waiting(struct guest *guest)
{
	while (guest->waiting_count &&
	       put_control(guest, &guest->waiting[guest->waiting_head])) {
		guest->waiting_head = (guest->waiting_head + 1) %
				      GUEST_WAITING_MAX;
		guest->waiting_count--;
	}
}

void guest_connect(struct guest *guest, struct guest_sock *s, uint32_t port)
{
	*s = (struct guest_sock){
		.state = GUEST_CONNECTING,
		.port = port,
		.host_port = BENCH_PORT,
		.seed = s->seed,
	};
	guest_control(guest, s, VSOCK_OP_REQUEST, 0);
}

/* One piece of a socket's queue. Return: bytes. */
static uint32_t take_piece(struct guest *guest, struct guest_sock *s,
			   uint8_t *to, uint32_t len)
{
	struct guest_rx *rx = s->first;

	if (len > rx->left)
		len = rx->left;
	if (to)
		memcpy(to, rx->at, len);
	else if (!pattern_check(rx->at, len, s->seed, s->received))
		bench_die("guest: wrong bytes near offset %ju",
			  (uintmax_t)s->received);
	s->received += len;
	rx->at += len;
	rx->left -= len;
	if (!rx->left) {
		s->first = rx->next;
		rx->next = guest->rx_pool;
		guest->rx_pool = rx;
	}
	return len;
}

uint32_t guest_take(struct guest *guest, struct guest_sock *s, uint8_t *to,
		    uint32_t len)
{
	uint32_t done = 0, known;

	if (len > s->rx_bytes)
		len = s->rx_bytes;
	while (done < len)
		done += take_piece(guest, s, to ? to + done : NULL,
				   len - done);
	s->rx_bytes -= done;
	s->fwd_cnt += done;
	/* virtio_transport_stream_do_dequeue() */
	known = GUEST_BUF_ALLOC - (s->fwd_cnt - s->told);
	if (s->fwd_cnt != s->told &&
	    (known < VSOCK_PAYLOAD_MAX || !s->rx_bytes))
		guest_control(guest, s, VSOCK_OP_CREDIT_UPDATE, 0);
	return done;
}

static void recv_data(struct guest_sock *s, struct guest_rx *rx, uint32_t len)
{
	rx->at = rx->host + HDR_SIZE;
	rx->left = len;
	rx->next = NULL;
	if (s->rx_bytes)
		s->last->next = rx;
	else
		s->first = rx;
	s->last = rx;
	s->rx_bytes += len;
	if (s->rx_bytes > GUEST_BUF_ALLOC)
		bench_die("guest: the host overran its credit");
}

/* A host's connect; the only listener is at BENCH_PORT. */
static struct guest_sock *recv_request(struct guest *guest,
				       const struct vsock_header *hdr)
{
	uint32_t port = le32_get(hdr->src_port);
	struct guest_sock *s = &guest->sock[port % BENCH_CONNS_MAX];

	*s = (struct guest_sock){
		.state = GUEST_OPEN,
		.port = le32_get(hdr->dst_port),
		.host_port = port,
		.seed = s->seed,
	};
	guest->accepted++;
	guest_control(guest, s, VSOCK_OP_RESPONSE, 0);
	return s;
}

static void sock_closed(struct guest *guest, struct guest_sock *s)
{
	s->state = GUEST_CLOSED;
	guest->closed++;
	bench_progress(1);
}

static struct guest_sock *find(struct guest *guest,
			       const struct vsock_header *hdr)
{
	uint32_t host_port = le32_get(hdr->src_port);
	uint32_t port = le32_get(hdr->dst_port);
	struct guest_sock *s;

	if (port == BENCH_PORT)
		s = &guest->sock[host_port % BENCH_CONNS_MAX];
	else
		s = &guest->sock[(port - GUEST_PORT_FIRST) %
				 BENCH_CONNS_MAX];
	if (s->state == GUEST_CLOSED || s->port != port ||
	    s->host_port != host_port)
		return NULL;
	return s;
}

/* Return: was the buffer kept? */
static bool recv_packet(struct guest *guest, struct guest_rx *rx,
			uint32_t used)
{
	struct vsock_header hdr;
	struct guest_sock *s;
	uint32_t len;

	memcpy(&hdr, rx->host, HDR_SIZE);
	len = le32_get(hdr.len);
	if (le64_get(hdr.dst_cid) != BENCH_CID ||
	    le16_get(hdr.type) != VSOCK_TYPE_STREAM ||
	    used != HDR_SIZE + len) {
		if (!guest->device_pid)
			bench_die("guest: malformed packet, op %u",
				  le16_get(hdr.op));
		/* The peer is known to send empty headers. */
		return false;
	}
	s = find(guest, &hdr);
	if (!s && le16_get(hdr.op) == VSOCK_OP_REQUEST)
		s = recv_request(guest, &hdr);
	/* Linux would send an RST; here it is just late news of a dead one. */
	if (!s)
		return false;
	s->peer_buf_alloc = le32_get(hdr.buf_alloc);
	s->peer_fwd_cnt = le32_get(hdr.fwd_cnt);
	switch (le16_get(hdr.op)) {
	case VSOCK_OP_RW:
		recv_data(s, rx, len);
		return len;
	case VSOCK_OP_RESPONSE:
		s->state = GUEST_OPEN;
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		guest_control(guest, s, VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	case VSOCK_OP_SHUTDOWN:
		if (le32_get(hdr.flags) != VSOCK_SHUTDOWN_BOTH)
			break;
		guest_control(guest, s, VSOCK_OP_RST, 0);
		sock_closed(guest, s);
		break;
	case VSOCK_OP_RST:
		if (s->state != GUEST_CLOSING)
			bench_die("guest: connection reset");
		sock_closed(guest, s);
		break;
	default:
		break;
	}
	return false;
}

/* virtio_transport_rx_work() */
static bool rx_work(struct guest *guest)
{
	struct fake_used used;
	bool any = false;
	int ret;

	do {
		fake_interrupts_off(guest->rx);
		while ((ret = fake_harvest(guest->rx, &used)) > 0) {
			struct guest_rx *rx = used.token;

			any = true;
			guest->rx_given--;
			if (recv_packet(guest, rx, used.len))
				continue;
			rx->next = guest->rx_pool;
			guest->rx_pool = rx;
		}
		if (ret < 0)
			bench_die("guest: the device broke the RX ring");
	} while (fake_interrupts_on(guest->rx));
	if (guest->rx_given < guest->rx->size / 2u)
		rx_fill(guest);
	return any;
}

/* virtio_transport_tx_work() */
static bool tx_work(struct guest *guest)
{
	struct fake_used used;
	bool any = false;
	int ret;

	do {
		fake_interrupts_off(guest->tx);
		while ((ret = fake_harvest(guest->tx, &used)) > 0) {
			struct guest_tx *tx = used.token;
			struct guest_tx **pool = tx->data ?
				&guest->tx_data : &guest->tx_control;

			any = true;
			tx->next = *pool;
			*pool = tx;
		}
		if (ret < 0)
			bench_die("guest: the device broke the TX ring");
	} while (fake_interrupts_on(guest->tx));
	if (any)
		send_waiting(guest);
	return any;
}

static bool has_used(const struct fake_queue *q)
{
	return fake_used_idx(q) != q->used_seen;
}

bool guest_poll(struct guest *guest)
{
	bool any = false;

	if (has_used(guest->tx))
		any |= tx_work(guest);
	if (has_used(guest->rx))
		any |= rx_work(guest);
	return any;
}

void guest_sleep(struct guest *guest)
{
	uint64_t count;

	if (has_used(guest->tx) || has_used(guest->rx))
		return;
	if (read(guest->irq_fd, &count, sizeof(count)) < 0 && errno != EINTR)
		bench_die("guest: irq: %s", strerror(errno));
}
