// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: a buffer that the driver makes available at the worst moment. It does
 * so between two instructions of the device, at each of the device's stores to
 * the used ring in turn, and rings only if that is asked for just then. Nobody
 * rings later, so one that is overlooked stays so.
 */
#include <string.h>
#include <unistd.h>

#include "tests/fake/watch.h"
#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	5000u
/* More stores than the device makes in any of these. */
#define MOMENTS		24

/**
 * struct moment - when the driver acts, and what it does
 * @store: right before this one of the device's; later, if there are fewer
 * @act: it makes a buffer available
 * @queue: there
 * @done: it has
 * @rings: the device had asked for a doorbell
 */
struct moment {
	unsigned int store;
	void (*act)(void);
	struct fake_queue *queue;
	bool done;
	bool rings;
};

/* As fake_kick(), but that the doorbell rings when the device is at rest. */
static void act(struct moment *m)
{
	const struct fake_queue *q = m->queue;
	uint16_t before = q->avail_idx;

	m->act();
	m->done = true;
	__sync_synchronize();
	if (q->event_idx)
		m->rings = fake_avail_event(q) == before;
	else
		m->rings = !(le16_get(q->used->flags) & VIRTQ_USED_F_NO_NOTIFY);
	m->queue->kicked = q->avail_idx;
}

static void on_store(void *opaque, unsigned int store)
{
	struct moment *m = opaque;

	if (store == m->store)
		act(m);
}

/* Runs the device; at the moment the driver acts. */
static void run_to(struct moment *m)
{
	fake_watch_start(m->queue->used, 8u * m->queue->size, on_store, m);
	vbed_run_device();
	ck_assert_uint_lt(fake_watch_stop(), MOMENTS);
	if (!m->done)
		act(m);
	if (m->rings)
		fake_notify(m->queue);
	vbed_run_device();
}

/* Features of the driver: half of the tests each. */
static void start(int i)
{
	const struct fake_vsock_config config = {
		.rx_count = 4, .events = 1,
		.features = i < MOMENTS ? UINT64_MAX :
			    ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
	};

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
}

static void post_rx(void)
{
	struct fake_vsock *v = &vbed.v;
	const struct fake_seg seg = {
		v->rx_gpa + (gpa_t)v->rx_free[0] * v->rx_stride,
		FAKE_VSOCK_RX_LINUX,
	};

	ck_assert_uint_eq(v->rx_free_num, 1);
	ck_assert_int_ge(fake_add(v->rx, &seg, 0, 1, FAKE_ALL_DIRECT,
				  NULL),
			 0);
}

START_TEST(rx_buffer_that_slips_in_is_used)
{
	struct moment m = {
		.store = (unsigned int)_i % MOMENTS, .act = post_rx,
	};
	static const uint8_t bytes[4 * FAKE_VSOCK_RX_LINUX];
	struct fake_used used;
	unsigned int count = 0;
	int fd;

	start(_i);
	m.queue = vbed.v.rx;
	/* Its RESPONSE has emptied a buffer, and there are three. */
	vbed_raw_connect(GUEST_PORT, sizeof(bytes), &fd);
	vbed_send(fd, bytes, sizeof(bytes));
	run_to(&m);
	while (fake_harvest(vbed.v.rx, &used) > 0)
		count++;
	ck_assert_uint_eq(count, 4);
	close(fd);
}
END_TEST

static void send_more(void)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);

	hdr.len = le32_make(4);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "more", 4), 0);
}

START_TEST(tx_packet_that_slips_in_is_taken)
{
	struct moment m = {
		.store = (unsigned int)_i % MOMENTS, .act = send_more,
	};
	int fd;

	start(_i);
	m.queue = vbed.v.tx;
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	send_more();
	fake_vsock_kick(&vbed.v);
	run_to(&m);
	vbed_expect(fd, "moremore");
	close(fd);
}
END_TEST

static uint16_t event_slot;

static void refill(void)
{
	fake_vsock_event_refill(&vbed.v, event_slot);
}

START_TEST(event_buffer_that_slips_in_is_used)
{
	struct moment m = {
		.store = (unsigned int)_i % MOMENTS, .act = refill,
	};
	bool valid;

	start(_i);
	m.queue = vbed.v.event;
	vbed_restore();
	ck_assert_int_eq(fake_vsock_event_take(&vbed.v, &event_slot, &valid),
			 1);
	/* The only one: the next reset has none. */
	vbed_restore();
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_PENDING);
	fake_notify(vbed.v.tx);
	run_to(&m);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(rx_buffer_that_slips_in_is_used, 2 * MOMENTS),
		UNIT_LOOP(tx_packet_that_slips_in_is_taken, 2 * MOMENTS),
		UNIT_LOOP(event_buffer_that_slips_in_is_used, 2 * MOMENTS),
	};

	return UNIT_RUN("vsock_race", cases, NULL, vbed_teardown);
}
