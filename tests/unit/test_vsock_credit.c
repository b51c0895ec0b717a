// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: credit, both ways (virtio 1.2, section 5.10.6.3; V13 to V15), and
 * rings that are too short for what there is to say (V11).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	5000u
#define MIB		(1u << 20)

static uint8_t chunk[256 << 10];

/* V13: the driver checks each packet against its buffer. */
START_TEST(guest_buffer_is_never_exceeded)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	size_t sent = 0;
	ssize_t n;

	/* Until neither the guest nor the socket takes any more. */
	do {
		n = write(fd, chunk, sizeof(chunk));
		if (n > 0)
			sent += (size_t)n;
		vbed_run();
	} while (n > 0);
	ck_assert_uint_eq(sock->ring_used, sock->buf_alloc);
	ck_assert_uint_gt(sent, sock->buf_alloc);
	/* The rest is in the host's socket, not in our memory. */
	ck_assert_uint_eq(vbed_stats()->bytes_to_guest, sock->buf_alloc);
	/* Linux never asks; but the device may, once. */
	ck_assert_uint_le(vbed.set.credit_requests, 1);
	fake_sock_abort(sock);
	vbed_run();
	close(fd);
}
END_TEST

START_TEST(small_guest_buffer_does_not_stall)
{
	static const uint32_t sizes[] = { 1, 128, 3732, 4096, 65536, 262144 };
	const struct fake_vsock_config config = { .buf_alloc = sizes[_i] };
	uint32_t total = sizes[_i] == 1 ? 300 : sizes[_i] * 20;
	uint32_t in = 0, out = 0, back = 0, got = 0;
	struct fake_sock *sock;
	ssize_t n;
	int fd;

	vbed_start(&config);
	vbed_probe();
	fd = vbed_connect(&sock);
	while (got < total || back < total) {
		vbed_fill(chunk, sizeof(chunk), 1, in);
		n = write(fd, chunk, total - in < 5000 ? total - in : 5000);
		in += n > 0 ? (uint32_t)n : 0;
		vbed_fill(chunk, sizeof(chunk), 2, out);
		n = fake_sock_send(sock, chunk, total - out < 7000 ?
				   total - out : 7000);
		out += n > 0 ? (uint32_t)n : 0;
		vbed_run();
		n = fake_sock_recv(sock, chunk, sizeof(chunk));
		if (n > 0) {
			vbed_check(chunk, (size_t)n, 1, got);
			got += (uint32_t)n;
		}
		n = vbed_read(fd, chunk, sizeof(chunk));
		if (n > 0) {
			vbed_check(chunk, (size_t)n, 2, back);
			back += (uint32_t)n;
		}
	}
	close(fd);
	vbed_run();
}
END_TEST

/* V15: Linux never sends CREDIT_REQUEST, so updates have to come unasked. */
START_TEST(credit_updates_come_unasked)
{
	struct fake_sock *sock;
	uint32_t sent = 0;
	int fd;

	sock = vbed_connect_guest_once(&fd);
	while (sent < 4 * MIB) {
		ssize_t n = fake_sock_send(sock, chunk, sizeof(chunk));

		vbed_run();
		while (vbed_read(fd, chunk, sizeof(chunk)) > 0)
			vbed_run();
		ck_assert_int_gt(n, 0);
		sent += (uint32_t)n;
	}
	ck_assert_uint_gt(vbed.set.credit_updates, 0);
	/* At half the window, not at each packet. */
	ck_assert_uint_le(vbed.set.credit_updates, 4 * MIB / (64u << 10));
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(host_that_does_not_read_stops_the_guest)
{
	struct fake_sock *sock;
	uint32_t sent = 0, got = 0;
	ssize_t n;
	int fd;

	sock = vbed_connect_guest_once(&fd);
	do {
		vbed_fill(chunk, sizeof(chunk), 3, sent);
		n = fake_sock_send(sock, chunk, sizeof(chunk));
		sent += n > 0 ? (uint32_t)n : 0;
		vbed_run();
	} while (n > 0);
	ck_assert_uint_eq(fake_sock_room(sock), 0);
	/* The backlog is bounded by the credit given. */
	ck_assert_uint_le(vbed_conn(VBED_HOST_PORT, sock->guest_port)
			  ->backlog.used, VSOCK_BUF_ALLOC);
	ck_assert_uint_gt(vbed_conn(VBED_HOST_PORT, sock->guest_port)
			  ->backlog.used, 0);
	/* One slow reader: a little at a time, in odd pieces. */
	while (got < sent) {
		n = vbed_read(fd, chunk, 4099);
		ck_assert_int_gt(n, 0);
		vbed_check(chunk, (size_t)n, 3, got);
		got += (uint32_t)n;
		vbed_run();
	}
	ck_assert_uint_eq(fake_sock_room(sock), VSOCK_BUF_ALLOC);
	ck_assert_ptr_null(vbed_conn(VBED_HOST_PORT, sock->guest_port)
			   ->backlog.data);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(credit_overrun_loses_only_that_connection)
{
	static const uint8_t zeros[65536];
	struct fake_vsock_packet packet;
	uint32_t sent = 0;
	int fd, other;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	vbed_raw_connect(GUEST_PORT + 1, 1000, &other);
	while (vbed_conn(VBED_HOST_PORT, GUEST_PORT)) {
		ck_assert_uint_lt(sent, 4 * MIB);
		vbed_rw(GUEST_PORT, VBED_HOST_PORT, zeros, sizeof(zeros));
		sent += sizeof(zeros);
	}
	do {
		ck_assert(vbed_packet(&packet));
		ck_assert_uint_eq(le32_get(packet.hdr.dst_port), GUEST_PORT);
		fake_vsock_release(&vbed.v, &packet);
	} while (le16_get(packet.hdr.op) == VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_eq(le16_get(packet.hdr.op), VSOCK_OP_RST);
	ck_assert_uint_eq(vbed_stats()->credit_overruns, 1);
	vbed_rw(GUEST_PORT + 1, VBED_HOST_PORT, "fine", 4);
	vbed_expect(other, "fine");
	close(fd);
	close(other);
}
END_TEST

/* V13: u32 arithmetic, whatever the counters stand at. */
START_TEST(counters_wrap)
{
	struct fake_sock *sock;
	struct vsock_conn *conn;
	uint32_t in = 0, out = 0;
	ssize_t n;
	int fd;

	sock = vbed_connect_guest_once(&fd);
	conn = vbed_conn(VBED_HOST_PORT, sock->guest_port);
	sock->tx_cnt = conn->rx_cnt = conn->fwd_cnt = conn->fwd_told =
		sock->peer_fwd_cnt = UINT32_MAX - 100000;
	sock->rx_cnt = sock->fwd_cnt = sock->fwd_told = conn->tx_cnt =
		conn->peer_fwd_cnt = UINT32_MAX - 200000;
	while (in < MIB || out < MIB) {
		vbed_fill(chunk, 30000, 4, out);
		n = fake_sock_send(sock, chunk, 30000);
		ck_assert_int_gt(n, 0);
		vbed_run();
		n = vbed_read(fd, chunk, sizeof(chunk));
		vbed_check(chunk, (size_t)n, 4, out);
		out += (uint32_t)n;
		vbed_fill(chunk, 30000, 5, in);
		vbed_send(fd, chunk, 30000);
		vbed_run();
		n = fake_sock_recv(sock, chunk, sizeof(chunk));
		vbed_check(chunk, (size_t)n, 5, in);
		in += (uint32_t)n;
	}
	ck_assert_uint_lt(conn->rx_cnt, 2 * MIB);
	ck_assert_uint_lt(conn->tx_cnt, 2 * MIB);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(guest_that_takes_credit_back_is_left_alone)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v,
						    VSOCK_OP_CREDIT_UPDATE,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	struct fake_vsock_packet packet;
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	/* Readable bytes and the bad news in the same turn of the loop. */
	vbed_send(fd, chunk, 500);
	hdr.buf_alloc = le32_make(0);
	fake_vsock_add(&vbed.v, &hdr, NULL, 0);
	fake_vsock_kick(&vbed.v);
	/* Now nothing may be sent, and the device must not spin on it. */
	vbed_expect_op(VSOCK_OP_CREDIT_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_silence();
	/* A lie about fwd_cnt is its own loss, too. */
	hdr.buf_alloc = le32_make(1000);
	hdr.fwd_cnt = le32_make(5000);
	vbed_tx(&hdr);
	vbed_expect_silence();
	hdr.fwd_cnt = le32_make(0);
	vbed_tx(&hdr);
	ck_assert(vbed_packet(&packet));
	ck_assert_uint_eq(packet.len, 500);
	fake_vsock_release(&vbed.v, &packet);
	close(fd);
}
END_TEST

/* Sends unknown packets until the device takes no more. */
static unsigned int flood(void)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT + 7, 9);
	unsigned int taken = 0;

	for (unsigned int i = 0; i < 2000; i++) {
		if (fake_vsock_add(&vbed.v, &hdr, NULL, 0))
			break;
		fake_vsock_kick(&vbed.v);
		vbed_run();
		taken += fake_vsock_reap(&vbed.v);
	}
	return taken;
}

/* V11: a MUST. */
START_TEST(tx_is_processed_while_the_rx_ring_is_full)
{
	const struct fake_vsock_config config = { .rx_count = 4 };
	int fd;

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	vbed_raw_connect(GUEST_PORT, 1u << 20, &fd);
	/* The guest is silent, the host talks: the RX ring fills up. */
	for (int i = 0; i < 10; i++) {
		vbed_send(fd, chunk, 8192);
		vbed_run();
	}
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), vbed.v.rx->avail_idx);
	for (int i = 0; i < 100; i++) {
		vbed_rw(GUEST_PORT, VBED_HOST_PORT, "go", 2);
		vbed_expect(fd, "go");
	}
	close(fd);
}
END_TEST

/* V11: "so long as there are additional resources" */
START_TEST(replies_are_bounded_and_none_is_lost)
{
	const struct fake_vsock_config config = { .rx_count = 4,
						  .tx_slots = 200,
						  .tx_payload = 4096 };
	struct fake_vsock_packet packet;
	unsigned int taken, sent, answers = 0;

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	taken = flood();
	ck_assert_uint_ge(taken, VSOCK_REPLIES_MAX);
	ck_assert_uint_le(taken, VSOCK_REPLIES_MAX + 4);
	sent = vbed.v.tx->avail_idx;
	ck_assert_uint_gt(sent, taken);
	while (vbed_packet(&packet)) {
		ck_assert_uint_eq(le16_get(packet.hdr.op), VSOCK_OP_RST);
		fake_vsock_release(&vbed.v, &packet);
		answers++;
	}
	/* The TX ring went on by itself as soon as the RX ring did. */
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), sent);
	ck_assert_uint_eq(answers, sent);
	fake_vsock_reap(&vbed.v);
	/* And its doorbell is armed. */
	vbed_op(VSOCK_OP_RW, GUEST_PORT, 9);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, 9);
}
END_TEST

START_TEST(blocked_tx_is_taken_up_after_a_load)
{
	const struct fake_vsock_config config = {
		.rx_count = 4, .tx_slots = 200, .tx_payload = 4096,
		.features = _i ? UINT64_MAX : VIRTIO_BIT(VIRTIO_F_VERSION_1),
	};

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	flood();
	vbed_restore();
	vbed.raw = false;
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), vbed.v.tx->avail_idx);
	fake_sock_connect(&vbed.set, 9);
	vbed_run();
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), vbed.v.tx->avail_idx);
}
END_TEST

START_TEST(device_reset_forgets_the_replies)
{
	const struct fake_vsock_config config = { .rx_count = 4,
						  .tx_slots = 200,
						  .tx_payload = 4096 };

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	flood();
	vbed_probe();
	vbed_expect_silence();
	vbed_op(VSOCK_OP_RW, GUEST_PORT, 9);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, 9);
}
END_TEST

/* 5.10.6.1.2: a reply that found a buffer makes room for another packet. */
START_TEST(tx_goes_on_when_replies_have_found_room)
{
	const struct fake_vsock_config config = {
		.queue_size = 512, .rx_count = 50, .tx_slots = 400,
		.tx_payload = 64,
	};
	const struct vbed_options options = { .device.queue_size = 512 };
	const unsigned int packets = VSOCK_REPLIES_MAX + 40;
	struct vsock_header hdr;

	vbed_start_with(&config, &options);
	vbed.raw = true;
	vbed_probe();
	for (unsigned int i = 0; i < packets; i++) {
		hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW, GUEST_PORT + i,
					9);
		ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, NULL, 0), 0);
	}
	fake_vsock_kick(&vbed.v);
	vbed_run_device();
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), 50);
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), packets);
	for (unsigned int i = 0; i < packets; i++)
		vbed_expect_op(VSOCK_OP_RST, GUEST_PORT + i, 9);
}
END_TEST

/*
 * The guest has no more under way than its own buffer holds, so that is when it
 * has to hear that some of it was taken. Nothing goes its way that tells it.
 */
START_TEST(sender_with_a_small_buffer_is_told_in_time)
{
	static const uint32_t sizes[] = { 128, 4096, 65536, 200000 };
	const struct fake_vsock_config config = { .buf_alloc = sizes[_i] };
	uint32_t total = 8 * sizes[_i], sent = 0;
	struct fake_sock *sock;
	ssize_t n;
	int fd;

	vbed_start(&config);
	vbed_probe();
	sock = vbed_connect_guest_once(&fd);
	while (sent < total) {
		n = fake_sock_send(sock, chunk, total - sent < sizeof(chunk) ?
				   total - sent : sizeof(chunk));
		ck_assert_msg(n > 0, "stuck after %u bytes", sent);
		sent += (uint32_t)n;
		vbed_run();
		while (vbed_read(fd, chunk, sizeof(chunk)) > 0)
			vbed_run();
	}
	close(fd);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(guest_buffer_is_never_exceeded),
		UNIT_TEST(credit_updates_come_unasked),
		UNIT_TEST(host_that_does_not_read_stops_the_guest),
		UNIT_TEST(counters_wrap),
	};
	const struct unit_case raw[] = {
		UNIT_TEST(credit_overrun_loses_only_that_connection),
		UNIT_TEST(guest_that_takes_credit_back_is_left_alone),
	};
	const struct unit_case other[] = {
		UNIT_LOOP(small_guest_buffer_does_not_stall, 6),
		UNIT_TEST(tx_goes_on_when_replies_have_found_room),
		UNIT_LOOP(sender_with_a_small_buffer_is_told_in_time, 4),
		UNIT_TEST(tx_is_processed_while_the_rx_ring_is_full),
		UNIT_TEST(replies_are_bounded_and_none_is_lost),
		UNIT_LOOP(blocked_tx_is_taken_up_after_a_load, 2),
		UNIT_TEST(device_reset_forgets_the_replies),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("raw", raw, vbed_setup_raw, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
	};

	return unit_run("vsock_credit", groups, UNIT_COUNT(groups));
}
