// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/vsock/gate.c on its own: a gate, an event queue in fake memory and
 * a driver of that queue; no device, no loop. Each transition of the gate's
 * theory, with and without EVENT_IDX.
 */
#include "devices/vsock/gate.h"

#include <errno.h>
#include <string.h>

#include "tests/fake/vsock_driver.h"
#include "tests/fake/host.h"
#include "tests/unit/runner.h"

#define SIZE	16u

static struct fake_guest guest;
static struct virtio_device vdev;
static struct fake_host host;
static struct fake_driver driver;
static struct fake_queue *dq;
static struct virtq *q;
static struct vsock_gate gate;
static struct fail why;
static gpa_t page;

static void notify(struct virtio_device *dev, unsigned int queue)
{
	(void)dev;
	(void)queue;
}

/* A device that is nothing but an event queue, number 0. */
static const struct virtio_device_ops box_ops = {
	.name = "box", .id = 1, .queues = 1, .queue_notify = notify,
};

static void setup(uint64_t features)
{
	fake_guest_init(&guest, 1u << 20, 0);
	page = fake_guest_alloc(&guest, 4096, 4096);
	virtio_device_init(&vdev, &box_ops, &guest.mem, 0, SIZE, NULL);
	fake_host_init(&host, &vdev);
	fake_driver_init(&driver, &guest, &vdev);
	q = &vdev.queue[0];
	dq = &driver.queue[0];
	memset(&gate, 0, sizeof(gate));
	ck_assert_int_eq(fake_probe(&driver, features, SIZE), 0);
}

static void setup_event_idx(void)
{
	setup(UINT64_MAX);
}

static void setup_plain(void)
{
	setup(VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void teardown(void)
{
	virtio_device_destroy(&vdev);
	fake_guest_destroy(&guest);
}

static void add(unsigned int count)
{
	static unsigned int next;

	for (unsigned int i = 0; i < count; i++) {
		const struct fake_seg seg = { page + 4 * (next++ % 1024), 4 };
		void *buf = fake_guest_at(&guest, seg.gpa, 4);

		memset(buf, 0xff, 4);
		ck_assert_int_ge(fake_add(dq, &seg, 0, 1, FAKE_ALL_DIRECT,
					  buf), 0);
	}
}

/* The first fill, as event_fill() does it. */
static void fill(void)
{
	add(8);
	ck_assert(fake_kick(dq));
	ck_assert(q->notified);
}

static int load(void)
{
	return vsock_gate_loaded(&gate, q, true, &why);
}

static int look(void)
{
	return vsock_gate_look(&gate, q, true, &why);
}

static void expect(enum vsock_gate_state state)
{
	ck_assert_str_eq(vsock_gate_state_name(vsock_gate_state(&gate, true)),
			 vsock_gate_state_name(state));
}

static void read_cid(void)
{
	vsock_gate_cid_read(&gate);
}

/* The driver takes an event off the ring. */
static void take(void)
{
	struct fake_used used;
	uint32_t id;

	ck_assert_int_eq(fake_harvest(dq, &used), 1);
	ck_assert_uint_eq(used.len, 4);
	memcpy(&id, used.token, 4);
	ck_assert_uint_eq(id, VSOCK_EVENT_TRANSPORT_RESET);
}

START_TEST(without_a_driver_it_is_closed)
{
	ck_assert_int_eq(vsock_gate_state(&gate, false), VSOCK_GATE_CLOSED);
}
END_TEST

START_TEST(driver_ok_with_nothing_due_opens)
{
	expect(VSOCK_GATE_OPEN);
	ck_assert_int_eq(look(), 0);
	expect(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(fake_used_idx(dq), 0);
}
END_TEST

START_TEST(event_is_delivered_by_the_load_itself)
{
	fill();
	ck_assert_int_eq(load(), 1);
	expect(VSOCK_GATE_RESET_SENT);
	ck_assert_uint_eq(fake_used_idx(dq), 1);
	take();
}
END_TEST

START_TEST(load_without_a_driver_stays_pending)
{
	ck_assert_int_eq(vsock_gate_loaded(&gate, q, false, &why), 0);
	ck_assert_int_eq(vsock_gate_state(&gate, false),
			 VSOCK_GATE_RESET_PENDING);
	/* And so does one whose event queue is not there yet. */
	virtq_disable(q);
	ck_assert_int_eq(vsock_gate_loaded(&gate, q, true, &why), 0);
	expect(VSOCK_GATE_RESET_PENDING);
	ck_assert_int_eq(look(), 0);
	expect(VSOCK_GATE_RESET_PENDING);
}
END_TEST

START_TEST(no_event_buffer_at_load_delivers_when_one_comes)
{
	add(1);
	fake_notify(dq);
	ck_assert_int_eq(load(), 1);
	/* The only buffer is under way: the next reset finds none. */
	ck_assert_int_eq(load(), 0);
	expect(VSOCK_GATE_RESET_PENDING);
	take();
	add(1);
	ck_assert(fake_kick(dq));
	ck_assert_int_eq(look(), 1);
	expect(VSOCK_GATE_RESET_SENT);
	take();
	read_cid();
	add(1);
	ck_assert(fake_kick(dq));
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(first_fill_is_waited_for_until_its_doorbell)
{
	add(3);
	ck_assert_int_eq(load(), 0);
	expect(VSOCK_GATE_RESET_PENDING);
	add(5);
	ck_assert_int_eq(look(), 0);
	expect(VSOCK_GATE_RESET_PENDING);
	ck_assert(fake_kick(dq));
	ck_assert_int_eq(look(), 1);
	expect(VSOCK_GATE_RESET_SENT);
}
END_TEST

START_TEST(first_fill_with_a_doorbell_for_each_buffer_opens_nothing)
{
	add(1);
	fake_notify(dq);
	ck_assert_int_eq(load(), 1);
	read_cid();
	for (unsigned int i = 1; i < 8; i++) {
		add(1);
		fake_notify(dq);
		ck_assert_int_eq(look(), 0);
		expect(VSOCK_GATE_RESET_SENT);
	}
	take();
	add(1);
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(same_buffer_in_another_descriptor_is_the_answer)
{
	const struct fake_seg seg = { page, 4 };
	struct fake_used used;
	int head;

	fake_add(dq, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
	fake_notify(dq);
	load();
	read_cid();
	ck_assert_int_eq(fake_harvest(dq, &used), 1);
	/* Its descriptor goes to another buffer first. */
	add(1);
	head = fake_add(dq, &seg, 0, 1, FAKE_ALL_DIRECT, NULL);
	ck_assert_int_ne(head, used.head);
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

/* Windows' driver: the buffer first, then the CID, then the sweep. */
START_TEST(buffer_that_comes_back_before_the_cid_is_read_opens_nothing)
{
	fill();
	load();
	take();
	add(1);
	look();
	expect(VSOCK_GATE_RESET_SENT);
	ck_assert(vsock_gate_cid_read(&gate));
	expect(VSOCK_GATE_RESET_SENT);
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(force_helps_a_driver_that_only_returned_the_buffer)
{
	fill();
	load();
	take();
	add(1);
	look();
	ck_assert(vsock_gate_half_way(&gate));
	ck_assert(vsock_gate_force(&gate));
	expect(VSOCK_GATE_OPEN);
	ck_assert(!vsock_gate_half_way(&gate));
}
END_TEST

START_TEST(jump_of_the_index_while_the_answer_is_due_is_refused)
{
	fill();
	load();
	fake_avail_idx_set(dq, 1000);
	ck_assert_int_eq(look(), -EINVAL);
	ck_says(&why, "available index jumped");
}
END_TEST

START_TEST(buffer_that_comes_back_opens)
{
	fill();
	load();
	take();
	read_cid();
	add(1);
	ck_assert(fake_kick(dq));
	ck_assert_int_eq(look(), 0);
	expect(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(gate.owed, 0);
}
END_TEST

/* facts.md 0: avail_event left behind, and the doorbell never rings. */
START_TEST(doorbell_is_armed_before_publishing)
{
	fill();
	/* As if the driver answered at once: all it needs is in place. */
	ck_assert_int_eq(load(), 1);
	if (dq->event_idx)
		ck_assert_uint_eq(fake_avail_event(dq), 8);
	else
		ck_assert_uint_eq(le16_get(dq->used->flags), 0);
	take();
	add(1);
	ck_assert(fake_kick(dq));
}
END_TEST

/* Whatever else comes first, and is heard of. */
START_TEST(doorbell_rings_for_each_buffer_until_the_answer)
{
	fill();
	load();
	read_cid();
	for (unsigned int i = 0; i < 3; i++) {
		add(1);
		ck_assert(fake_kick(dq));
		look();
		expect(VSOCK_GATE_RESET_SENT);
	}
	take();
	add(1);
	ck_assert(fake_kick(dq));
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(doorbell_rings_for_the_last_answer)
{
	fill();
	load();
	load();
	load();
	take();
	take();
	take();
	read_cid();
	add(3);
	ck_assert(fake_kick(dq));
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(each_load_owes_another_answer)
{
	fill();
	for (unsigned int i = 1; i <= 3; i++) {
		ck_assert_int_ge(load(), 0);
		ck_assert_uint_eq(gate.owed, i);
		ck_assert_uint_eq(fake_used_idx(dq), i);
	}
	for (unsigned int i = 0; i < 3; i++) {
		expect(VSOCK_GATE_RESET_SENT);
		take();
		read_cid();
		add(1);
		look();
	}
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(resets_are_owed_over_a_save_until_the_last_is_answered)
{
	struct vsock_gate after = { 0 };

	fill();
	load();
	load();
	take();
	read_cid();
	add(1);
	look();
	ck_assert_uint_eq(gate.owed, 2);
	/* What the table saves is @owed alone. */
	ck_assert_uint_eq(vsock_gate_table.count, 1);
	after.owed = gate.owed;
	gate = after;
	ck_assert_int_ge(load(), 0);
	ck_assert_uint_eq(gate.owed, 3);
	take();
	read_cid();
	add(1);
	look();
	expect(VSOCK_GATE_RESET_SENT);
	take();
	add(1);
	look();
	expect(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(gate.owed, 0);
}
END_TEST

START_TEST(answers_are_found_across_the_wrap_of_the_index)
{
	struct fake_used used;

	fill();
	/* Use up buffers until avail.idx stands right before the wrap. */
	while (dq->avail_idx != 65535) {
		struct iovec iov[1];
		struct virtq_chain chain;

		ck_assert_int_eq(virtq_pop(q, iov, 1, &chain, &why), 1);
		virtq_push(q, chain.head, 4);
		virtq_flush(q);
		ck_assert_int_eq(fake_harvest(dq, &used), 1);
		add(1);
	}
	fake_kick(dq);
	load();
	load();
	take();
	add(1);
	read_cid();
	look();
	expect(VSOCK_GATE_RESET_SENT);
	take();
	add(1);
	ck_assert_uint_eq(dq->avail_idx, 1);
	ck_assert(fake_kick(dq));
	look();
	expect(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(spurious_looks_open_nothing)
{
	fill();
	load();
	for (unsigned int i = 0; i < 10; i++)
		ck_assert_int_eq(look(), 0);
	expect(VSOCK_GATE_RESET_SENT);
	take();
	fake_notify(dq);
	look();
	expect(VSOCK_GATE_RESET_SENT);
	ck_assert_uint_eq(fake_used_idx(dq), 1);
}
END_TEST

START_TEST(cid_read_alone_opens_nothing)
{
	fill();
	load();
	ck_assert(vsock_gate_cid_read(&gate));
	expect(VSOCK_GATE_RESET_SENT);
	look();
	expect(VSOCK_GATE_RESET_SENT);
}
END_TEST

START_TEST(force_needs_half_an_answer)
{
	fill();
	load();
	ck_assert(!vsock_gate_force(&gate));
	expect(VSOCK_GATE_RESET_SENT);
	ck_assert(vsock_gate_cid_read(&gate));
	ck_assert(vsock_gate_force(&gate));
	expect(VSOCK_GATE_OPEN);
	/* Once is enough. */
	ck_assert(!vsock_gate_cid_read(&gate));
}
END_TEST

START_TEST(cid_read_before_the_event_counts_for_nothing)
{
	fill();
	ck_assert(!vsock_gate_cid_read(&gate));
	load();
	ck_assert(!vsock_gate_force(&gate));
	vsock_gate_cid_read(&gate);
	load();
	ck_assert(!vsock_gate_force(&gate));
	expect(VSOCK_GATE_RESET_SENT);
}
END_TEST

START_TEST(force_does_not_help_a_pending_reset)
{
	add(1);
	fake_notify(dq);
	load();
	vsock_gate_cid_read(&gate);
	ck_assert_int_eq(load(), 0);
	ck_assert(!vsock_gate_cid_read(&gate));
	ck_assert(!vsock_gate_force(&gate));
	expect(VSOCK_GATE_RESET_PENDING);
}
END_TEST

START_TEST(answer_after_force_settles_the_debt)
{
	fill();
	load();
	vsock_gate_cid_read(&gate);
	vsock_gate_force(&gate);
	take();
	add(1);
	look();
	expect(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(gate.owed, 0);
	load();
	expect(VSOCK_GATE_RESET_SENT);
}
END_TEST

START_TEST(device_reset_owes_nothing)
{
	fill();
	load();
	load();
	vsock_gate_reset(&gate);
	ck_assert_int_eq(vsock_gate_state(&gate, false), VSOCK_GATE_CLOSED);
	expect(VSOCK_GATE_OPEN);
	vsock_gate_loaded(&gate, q, false, &why);
	vsock_gate_reset(&gate);
	expect(VSOCK_GATE_OPEN);
}
END_TEST

/* One buffer, @out readable and @in writable segments, as the driver likes. */
static void offer(const struct fake_seg *seg, unsigned int out, unsigned int in)
{
	fake_add(dq, seg, out, in, FAKE_ALL_DIRECT,
		 fake_guest_at(&guest, page, 4));
	fake_notify(dq);
}

START_TEST(longer_buffer_is_used_with_length_4)
{
	const struct fake_seg seg = { page, 64 };

	offer(&seg, 0, 1);
	ck_assert_int_eq(load(), 1);
	take();
}
END_TEST

START_TEST(buffer_in_pieces_is_filled)
{
	struct fake_seg seg[4];

	for (unsigned int i = 0; i < 4; i++)
		seg[i] = (struct fake_seg){ page + i, 1 };
	offer(seg, 0, 4);
	ck_assert_int_eq(load(), 1);
	take();
}
END_TEST

START_TEST(buffer_too_short_is_refused)
{
	const struct fake_seg seg = { page, 3 };

	offer(&seg, 0, 1);
	ck_assert_int_eq(load(), -EINVAL);
	ck_says(&why, "3 writable");
}
END_TEST

START_TEST(readable_buffer_is_refused)
{
	const struct fake_seg seg = { page, 4 };

	offer(&seg, 1, 0);
	ck_assert_int_eq(load(), -EINVAL);
}
END_TEST

/* An event buffer is for the device to write to; with room or without. */
START_TEST(partly_readable_buffer_is_refused)
{
	const struct fake_seg seg[] = { { page, 4 }, { page + 4, 4 } };

	offer(seg, 1, 1);
	ck_assert_int_eq(load(), -EINVAL);
	ck_says(&why, "4 readable");
	ck_assert_uint_eq(fake_used_idx(dq), 0);
}
END_TEST

START_TEST(malformed_ring_is_refused)
{
	fill();
	fake_avail_idx_set(dq, 1000);
	ck_assert_int_eq(load(), -EINVAL);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(without_a_driver_it_is_closed),
		UNIT_TEST(driver_ok_with_nothing_due_opens),
		UNIT_TEST(event_is_delivered_by_the_load_itself),
		UNIT_TEST(load_without_a_driver_stays_pending),
		UNIT_TEST(no_event_buffer_at_load_delivers_when_one_comes),
		UNIT_TEST(first_fill_is_waited_for_until_its_doorbell),
		UNIT_TEST(first_fill_with_a_doorbell_for_each_buffer_opens_nothing),
		UNIT_TEST(same_buffer_in_another_descriptor_is_the_answer),
		UNIT_TEST(buffer_that_comes_back_before_the_cid_is_read_opens_nothing),
		UNIT_TEST(force_helps_a_driver_that_only_returned_the_buffer),
		UNIT_TEST(jump_of_the_index_while_the_answer_is_due_is_refused),
		UNIT_TEST(buffer_that_comes_back_opens),
		UNIT_TEST(doorbell_is_armed_before_publishing),
		UNIT_TEST(doorbell_rings_for_each_buffer_until_the_answer),
		UNIT_TEST(doorbell_rings_for_the_last_answer),
		UNIT_TEST(each_load_owes_another_answer),
		UNIT_TEST(resets_are_owed_over_a_save_until_the_last_is_answered),
		UNIT_TEST(answers_are_found_across_the_wrap_of_the_index),
		UNIT_TEST(spurious_looks_open_nothing),
		UNIT_TEST(cid_read_alone_opens_nothing),
		UNIT_TEST(force_needs_half_an_answer),
		UNIT_TEST(cid_read_before_the_event_counts_for_nothing),
		UNIT_TEST(force_does_not_help_a_pending_reset),
		UNIT_TEST(answer_after_force_settles_the_debt),
		UNIT_TEST(device_reset_owes_nothing),
		UNIT_TEST(longer_buffer_is_used_with_length_4),
		UNIT_TEST(buffer_in_pieces_is_filled),
		UNIT_TEST(buffer_too_short_is_refused),
		UNIT_TEST(readable_buffer_is_refused),
		UNIT_TEST(partly_readable_buffer_is_refused),
		UNIT_TEST(malformed_ring_is_refused),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("event_idx", cases, setup_event_idx, teardown),
		UNIT_GROUP("plain", cases, setup_plain, teardown),
	};

	return unit_run("vsock_gate", groups, UNIT_COUNT(groups));
}
