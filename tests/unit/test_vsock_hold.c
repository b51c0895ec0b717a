// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: what waits while the gate is shut, what opens it and what does not,
 * and that nothing that waited is lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

/* Restored, the driver has not looked yet. */
static void restore_and_hold(void)
{
	vbed_restore();
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
}

static uint16_t take_event(void)
{
	uint16_t slot;
	bool valid;

	ck_assert_int_eq(fake_vsock_event_take(&vbed.v, &slot, &valid), 1);
	ck_assert(valid);
	return slot;
}

static void expect_shut(void)
{
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
}

static void expect_open(void)
{
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}

START_TEST(spurious_doorbells_open_nothing)
{
	uint16_t slot;

	restore_and_hold();
	for (int i = 0; i < 5; i++) {
		fake_notify(vbed.v.rx);
		fake_notify(vbed.v.tx);
		fake_notify(vbed.v.event);
		expect_shut();
	}
	slot = take_event();
	fake_vsock_read_cid(&vbed.v);
	fake_notify(vbed.v.event);
	expect_shut();
	fake_vsock_event_refill(&vbed.v, slot);
	fake_notify(vbed.v.event);
	expect_open();
}
END_TEST

START_TEST(cid_read_alone_opens_nothing)
{
	restore_and_hold();
	take_event();
	fake_vsock_read_cid(&vbed.v);
	expect_shut();
	fake_notify(vbed.v.event);
	expect_shut();
}
END_TEST

/* As Windows' driver does it: the buffer, then the CID. */
START_TEST(refill_before_the_cid_read_opens_at_the_cid_read)
{
	uint16_t slot;

	restore_and_hold();
	slot = take_event();
	fake_vsock_event_refill(&vbed.v, slot);
	fake_notify(vbed.v.event);
	expect_shut();
	fake_vsock_read_cid(&vbed.v);
	expect_open();
}
END_TEST

START_TEST(answer_is_found_in_the_ring_not_by_kicks)
{
	uint16_t slot;

	restore_and_hold();
	slot = take_event();
	fake_vsock_read_cid(&vbed.v);
	fake_vsock_event_refill(&vbed.v, slot);
	/* Another queue's doorbell says "look" as well as any. */
	fake_notify(vbed.v.tx);
	expect_open();
}
END_TEST

/* Hook: whatever the host does before the sweep is over, nothing passes. */
static void host_tries(struct fake_vsock *v, enum fake_vsock_step step)
{
	int *fd = v->hook_opaque;

	if (step >= FAKE_VSOCK_REFILLED)
		return;
	fd[step] = vbed_client();
	vbed_hello(fd[step], VBED_PORT);
	expect_shut();
	ck_assert_uint_eq(fake_used_idx(v->rx), 0);
}

START_TEST(no_connection_gets_in_before_the_sweep_is_over)
{
	int fd[FAKE_VSOCK_REFILLED];
	struct fake_sock *sock;

	vbed.v.hook = host_tries;
	vbed.v.hook_opaque = fd;
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	vbed.v.hook = NULL;
	for (unsigned int i = 0; i < FAKE_VSOCK_REFILLED; i++) {
		vbed_ok(fd[i]);
		sock = fake_sock_accept(&vbed.set, VBED_PORT);
		ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
		ck_assert_int_eq(sock->err, 0);
		close(fd[i]);
	}
	vbed_run();
}
END_TEST

/* Hook: a device that only looks is told the truth at each step. */
static void look_at_each_step(struct fake_vsock *v, enum fake_vsock_step step)
{
	(void)v;
	fake_notify(vbed.v.tx);
	if (step < FAKE_VSOCK_REFILLED)
		expect_shut();
	else
		expect_open();
}

START_TEST(refill_opens_not_the_steps_before)
{
	vbed.v.hook = look_at_each_step;
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	vbed.v.hook = NULL;
}
END_TEST

static void restore_answered_by_doorbell(uint64_t features)
{
	const struct fake_vsock_config config = { .features = features };

	vbed_start(&config);
	vbed_probe();
	for (int i = 0; i < 20; i++) {
		vbed_restore();
		/* Nothing but its doorbell tells of the answer. */
		vbed_expect_gate(VSOCK_GATE_OPEN);
	}
	ck_assert_uint_eq(vbed.v.resets_seen, 20);
}

START_TEST(event_idx_doorbell_is_armed_before_publishing)
{
	restore_answered_by_doorbell(UINT64_MAX);
	ck_assert(vbed.v.event->event_idx);
}
END_TEST

START_TEST(doorbell_rings_without_event_idx)
{
	restore_answered_by_doorbell(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	ck_assert(!vbed.v.event->event_idx);
}
END_TEST

static bool is_open(void)
{
	return vbed_gate() == VSOCK_GATE_OPEN;
}

START_TEST(cid_read_without_refill_opens_after_the_bounded_wait)
{
	uint64_t start;

	restore_and_hold();
	vbed.d->dev.patience_ms = 50;
	/* All news of a status are long told when the CID is read. */
	fake_notify(vbed.v.tx);
	expect_shut();
	take_event();
	vbed.raw = true;
	start = vbed_now_ms();
	fake_vsock_read_cid(&vbed.v);
	vbed_wait_until(is_open);
	ck_assert_uint_ge(vbed_now_ms() - start, 50);
	ck_assert_uint_eq(vbed.d->dev.gate_forced, 1);
	ck_assert_int_eq(vbed.d->gates[vbed.d->gates_num - 1],
			 VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(neither_cid_read_nor_refill_stays_shut)
{
	vbed_restore();
	vbed.d->dev.patience_ms = 20;
	vbed_run_device();
	take_event();
	vbed.raw = true;
	vbed_wait(60);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	ck_assert_uint_eq(vbed.d->dev.gate_forced, 0);
}
END_TEST

START_TEST(paused_guest_gets_no_impatience)
{
	vbed_restore();
	vbed.d->dev.patience_ms = 20;
	vbed_run_device();
	vbed.raw = true;
	take_event();
	fake_vsock_read_cid(&vbed.v);
	vbed_run_device();
	vsock_device_set_running(&vbed.d->dev, false);
	vbed_wait(60);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_wait_until(is_open);
	ck_assert_uint_eq(vbed.d->dev.gate_forced, 1);
}
END_TEST

START_TEST(forced_gate_still_owes_after_the_next_load)
{
	uint16_t slot;

	vbed_restore();
	vbed.d->dev.patience_ms = 1;
	vbed.raw = true;
	slot = take_event();
	fake_vsock_read_cid(&vbed.v);
	vbed_wait_until(is_open);
	vbed_restore();
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 2);
	/* The late answer to the first does not open for the second. */
	fake_vsock_event_refill(&vbed.v, slot);
	fake_notify(vbed.v.event);
	expect_shut();
	vbed.raw = false;
	vbed_expect_gate(VSOCK_GATE_OPEN);
}
END_TEST

/* Restored, the driver has read its CID and is waited for. */
static uint16_t make_impatient(void)
{
	uint16_t slot;

	restore_and_hold();
	slot = take_event();
	vbed.raw = true;
	fake_vsock_read_cid(&vbed.v);
	expect_shut();
	ck_assert_uint_ne(vbed.d->dev.patience.slot, 0);
	return slot;
}

/* The timer comes before what the loop has not yet heard of. */
static void patience_is_over(void)
{
	loop_timer_cancel(vbed.loop, &vbed.d->dev.patience);
	vbed.d->dev.patience.fn(&vbed.d->dev.patience);
}

START_TEST(patience_with_a_driver_that_has_gone_is_not_over)
{
	make_impatient();
	/* Reset and probed anew, on a vCPU: nothing is owed any more. */
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	patience_is_over();
	ck_assert_uint_eq(vbed.d->dev.gate_forced, 0);
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 0);
	expect_open();
}
END_TEST

START_TEST(patience_is_not_over_when_the_answer_has_come)
{
	uint16_t slot = make_impatient();

	fake_vsock_event_refill(&vbed.v, slot);
	patience_is_over();
	ck_assert_uint_eq(vbed.d->dev.gate_forced, 0);
	expect_open();
}
END_TEST

START_TEST(host_clients_wait_in_the_backlog_while_shut)
{
	struct fake_sock *sock;
	int fd[20];
	char buf[8];

	restore_and_hold();
	for (int i = 0; i < 20; i++) {
		fd[i] = vbed_client();
		vbed_hello(fd[i], VBED_PORT);
		vbed_send(fd[i], "early", 5);
	}
	expect_shut();
	ck_assert_uint_eq(vbed.d->unx.count, 0);
	ck_assert_uint_eq(vbed_stats()->connects_host, 0);
	for (int i = 0; i < 20; i++)
		vbed_expect_nothing(fd[i]);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	for (int i = 0; i < 20; i++) {
		vbed_ok(fd[i]);
		sock = fake_sock_accept(&vbed.set, VBED_PORT);
		ck_assert_int_eq(fake_sock_recv(sock, buf, 8), 5);
		close(fd[i]);
	}
	vbed_run();
	ck_assert_uint_eq(vbed_stats()->established, 20);
}
END_TEST

START_TEST(host_clients_wait_before_the_driver_is_there)
{
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect_nothing(fd);
	vbed_probe();
	vbed_ok(fd);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(client_that_left_the_backlog_leaves_no_trace)
{
	int fd;

	restore_and_hold();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	close(fd);
	close(vbed_client());
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.d->unx.count, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
}
END_TEST

START_TEST(tx_packets_wait_while_shut_and_are_run_when_it_opens)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4), fd;
	struct fake_sock *sock;
	uint16_t slot;

	restore_and_hold();
	/* A connect; its kick comes and goes while the gate is shut. */
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	expect_shut();
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 0);
	slot = take_event();
	fake_vsock_read_cid(&vbed.v);
	fake_vsock_event_refill(&vbed.v, slot);
	fake_kick(vbed.v.event);
	expect_open();
	/* No kick of the TX queue since. */
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 1);
	vbed_run();
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	fd = vbed_accept(listener);
	ck_assert_int_ge(fd, 0);
	close(fd);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(packets_saved_in_the_tx_ring_are_run_after_the_load)
{
	struct fake_sock *sock;

	/* The vCPUs stop, the loop has not come to the kick yet. */
	vsock_device_set_running(&vbed.d->dev, false);
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	/* Refused promptly, not left to its timeout of two seconds. */
	ck_assert_int_eq(sock->state, FAKE_SOCK_CLOSED);
	ck_assert_int_eq(sock->err, ECONNRESET);
	/* And the TX queue's doorbell is armed again. */
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	ck_assert_int_eq(sock->state, FAKE_SOCK_CLOSED);
}
END_TEST

START_TEST(old_cid_packets_get_rst_to_the_old_cid)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_REQUEST,
						    5000, VBED_HOST_PORT);
	int listener = vbed_listen(VBED_HOST_PORT, 4);
	struct vbed_snapshot snapshot;

	vsock_device_set_running(&vbed.d->dev, false);
	fake_vsock_add(&vbed.v, &hdr, NULL, 0);
	snapshot = vbed_save();
	vbed_drop();
	vbed_load(snapshot, 42);
	vbed.v.driver.vdev = &vbed.d->dev.vdev;
	vbed.raw = true;
	vbed_run();
	ck_assert_uint_eq(fake_vsock_event_work(&vbed.v), 1);
	ck_assert_uint_eq(vbed.v.cid, 42);
	hdr = vbed_expect_op(VSOCK_OP_RST, 5000, VBED_HOST_PORT);
	ck_assert_uint_eq(le64_get(hdr.dst_cid), VBED_CID);
	ck_assert_uint_eq(le64_get(hdr.src_cid), VSOCK_CID_HOST);
	vbed_expect_silence();
	ck_assert_int_lt(vbed_accept(listener), 0);
	close(listener);
}
END_TEST

START_TEST(old_connections_are_reset_in_the_guest)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	struct vbed_snapshot snapshot = vbed_save();
	char byte;

	vbed_drop();
	/* The host's end learns of it as of any process that ends. */
	vbed_expect_eof(fd);
	close(fd);
	vbed_load(snapshot, VBED_CID);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, &byte, 1), -ECONNRESET);
	fake_sock_close(sock);
	fd = vbed_connect(&sock);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(data_of_an_old_connection_in_the_tx_ring_gets_rst)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	vsock_device_set_running(&vbed.d->dev, false);
	fake_sock_send(sock, "lost", 4);
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_BOTH);
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	/* Two packets that belong to nothing, two answers to a corpse. */
	ck_assert_uint_eq(vbed_stats()->resets_sent, 2);
	ck_assert_uint_eq(vbed.set.resets_unmatched, 2);
	close(fd);
}
END_TEST

/* A guest runs on while 1000 packets of its old life wait. */
START_TEST(long_queue_of_the_old_life_drains)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    5000, VBED_HOST_PORT);
	struct fake_sock *sock;
	int fd;

	vbed_restore();
	while (!fake_vsock_add(&vbed.v, &hdr, NULL, 0))
		;
	fake_vsock_kick(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 0);
	fd = vbed_connect(&sock);
	close(fd);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(spurious_doorbells_open_nothing),
		UNIT_TEST(cid_read_alone_opens_nothing),
		UNIT_TEST(refill_before_the_cid_read_opens_at_the_cid_read),
		UNIT_TEST(answer_is_found_in_the_ring_not_by_kicks),
		UNIT_TEST(no_connection_gets_in_before_the_sweep_is_over),
		UNIT_TEST(refill_opens_not_the_steps_before),
		UNIT_TEST(cid_read_without_refill_opens_after_the_bounded_wait),
		UNIT_TEST(neither_cid_read_nor_refill_stays_shut),
		UNIT_TEST(paused_guest_gets_no_impatience),
		UNIT_TEST(forced_gate_still_owes_after_the_next_load),
		UNIT_TEST(patience_with_a_driver_that_has_gone_is_not_over),
		UNIT_TEST(patience_is_not_over_when_the_answer_has_come),
		UNIT_TEST(host_clients_wait_in_the_backlog_while_shut),
		UNIT_TEST(client_that_left_the_backlog_leaves_no_trace),
		UNIT_TEST(tx_packets_wait_while_shut_and_are_run_when_it_opens),
		UNIT_TEST(packets_saved_in_the_tx_ring_are_run_after_the_load),
		UNIT_TEST(old_cid_packets_get_rst_to_the_old_cid),
		UNIT_TEST(old_connections_are_reset_in_the_guest),
		UNIT_TEST(data_of_an_old_connection_in_the_tx_ring_gets_rst),
		UNIT_TEST(long_queue_of_the_old_life_drains),
	};
	const struct unit_case fresh[] = {
		UNIT_TEST(host_clients_wait_before_the_driver_is_there),
	};
	const struct unit_case doorbell[] = {
		UNIT_TEST(event_idx_doorbell_is_armed_before_publishing),
		UNIT_TEST(doorbell_rings_without_event_idx),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("fresh", fresh, vbed_setup, vbed_teardown),
		UNIT_GROUP("doorbell", doorbell, NULL, vbed_teardown),
	};

	return unit_run("vsock_hold", groups, UNIT_COUNT(groups));
}
