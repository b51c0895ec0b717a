// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: a save in the midst of traffic. A running guest is stopped between any
 * two instructions; what its last doorbells ask for is then done, so the rings
 * are run by the save itself.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	5000u

static uint8_t chunk[64 << 10];

static void save(void)
{
	struct vbed_snapshot snapshot = vbed_save();

	free(snapshot.data);
}

START_TEST(what_waits_in_the_tx_ring_reaches_the_host)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	/* The doorbell rings, and nobody has heard it yet. */
	ck_assert_int_eq(fake_sock_send(sock, "last words", 10), 10);
	vbed_restore();
	vbed_expect(fd, "last words");
	vbed_expect_eof(fd);
	close(fd);
	vbed_expect_gate(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(paused_guest_is_saved_as_it_stands)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	uint16_t before = fake_used_idx(vbed.v.tx);

	vsock_device_set_running(&vbed.d->dev, false);
	ck_assert_int_eq(fake_sock_send(sock, "later", 5), 5);
	save();
	vbed_expect_nothing(fd);
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), before);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_run();
	vbed_expect(fd, "later");
	close(fd);
	vbed_run();
}
END_TEST

/* More than one turn of the device takes: no work is left when it is saved. */
START_TEST(work_of_several_turns_is_done)
{
	const struct fake_vsock_config config = { .tx_slots = 256,
						  .tx_payload = 64 };
	const unsigned int packets = 200;
	struct vsock_header hdr;

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	for (unsigned int i = 0; i < packets; i++) {
		hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW, GUEST_PORT + i,
					9);
		ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, NULL, 0), 0);
	}
	fake_vsock_kick(&vbed.v);
	save();
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), packets);
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), packets);
	ck_assert_uint_ne(fake_isr(&vbed.v.driver) & VIRTIO_INT_USED, 0);
	for (unsigned int i = 0; i < packets; i++)
		vbed_expect_op(VSOCK_OP_RST, GUEST_PORT + i, 9);
}
END_TEST

/* As many batches as a turn takes, and no look behind the last of them. */
START_TEST(tx_ring_as_long_as_a_turn_is_armed_again)
{
	const struct fake_vsock_config config = {
		.queue_size = 1024, .tx_slots = 1024, .tx_payload = 64,
	};
	const struct vbed_options options = { .device.queue_size = 1024 };
	struct vsock_header hdr;
	int fd;

	vbed_start_with(&config, &options);
	vbed.raw = true;
	vbed_probe();
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	vbed_settle();
	fake_vsock_reap(&vbed.v);
	hdr = fake_vsock_header(&vbed.v, VSOCK_OP_CREDIT_UPDATE, GUEST_PORT,
				VBED_HOST_PORT);
	while (!fake_vsock_add(&vbed.v, &hdr, NULL, 0))
		;
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 1024);
	fake_vsock_kick(&vbed.v);
	/* Not saved: that would look once more. */
	vbed_run_device();
	fake_vsock_reap(&vbed.v);
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 0);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "more", 4);
	vbed_expect(fd, "more");
	close(fd);
	vbed_run();
}
END_TEST

/* Buffers came while the vCPUs ran their last: the host's bytes go there. */
START_TEST(bytes_for_the_guest_are_in_the_ring_that_is_saved)
{
	const struct fake_vsock_config config = { .rx_count = 4 };
	struct fake_sock *sock;
	uint64_t before;
	int fd;

	vbed_start(&config);
	vbed_probe();
	fd = vbed_connect(&sock);
	vbed_send(fd, chunk, sizeof(chunk));
	vbed_run_device();
	before = vbed_stats()->bytes_to_guest;
	ck_assert_uint_lt(before, sizeof(chunk));
	fake_sockets_work(&vbed.set);
	save();
	ck_assert_uint_gt(vbed_stats()->bytes_to_guest, before);
	/* The source goes on with the rest. */
	vbed_run();
	ck_assert_uint_eq(vbed_stats()->bytes_to_guest, sizeof(chunk));
	ck_assert_uint_eq(sock->ring_used, sizeof(chunk));
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(driver_that_has_reset_the_device_is_saved_without_connections)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	ck_assert_int_eq(fake_sock_send(sock, "dropped", 7), 7);
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	save();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 0);
	vbed_expect_eof(fd);
	close(fd);
	vbed_expect_gate(VSOCK_GATE_OPEN);
}
END_TEST

/**
 * struct stream - one direction of a connection
 * @sent: bytes
 * @got: of them
 */
struct stream {
	uint64_t sent;
	uint64_t got;
};

static size_t some(void)
{
	return (size_t)(rand() % 20000 + 1);
}

/* Each side writes and reads a little; nothing runs in between. */
static void step(int fd, struct fake_sock *sock, struct stream *to_guest,
		 struct stream *to_host)
{
	size_t len = some();
	ssize_t n;

	vbed_fill(chunk, len, 1, to_guest->sent);
	n = send(fd, chunk, len, MSG_NOSIGNAL);
	to_guest->sent += n > 0 ? (uint64_t)n : 0;
	len = some();
	vbed_fill(chunk, len, 2, to_host->sent);
	n = fake_sock_send(sock, chunk, len);
	to_host->sent += n > 0 ? (uint64_t)n : 0;
	n = fake_sock_recv(sock, chunk, some());
	if (n > 0) {
		vbed_check(chunk, (size_t)n, 1, to_guest->got);
		to_guest->got += (uint64_t)n;
	}
	n = vbed_read(fd, chunk, some());
	if (n > 0) {
		vbed_check(chunk, (size_t)n, 2, to_host->got);
		to_host->got += (uint64_t)n;
	}
}

/* A turn of the loop, some work of the driver's, or a save. */
static void disturb(void)
{
	switch (rand() % 4) {
	case 0:
		loop_run_once(vbed.loop, 0);
		break;
	case 1:
		fake_sockets_interrupt(&vbed.set);
		break;
	case 2:
		save();
		break;
	default:
		break;
	}
	ck_assert_msg(!vbed.v.violation, "%s", vbed.v.violation);
}

static const struct fake_vsock_config makes[] = {
	{ 0 },
	{ .rx_count = 3 },
	{ .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) },
	{ .tx_slots = 2, .tx_payload = 700 },
};

START_TEST(source_of_many_saves_loses_nothing)
{
	struct stream to_guest = { 0 }, to_host = { 0 };
	struct fake_sock *sock;
	int fd;

	srand((unsigned int)_i);
	vbed_start(&makes[_i]);
	vbed_probe();
	fd = vbed_connect(&sock);
	for (unsigned int i = 0; i < 2000; i++) {
		step(fd, sock, &to_guest, &to_host);
		disturb();
	}
	for (unsigned int i = 0; to_guest.got < to_guest.sent ||
				 to_host.got < to_host.sent; i++) {
		ssize_t n;

		ck_assert_uint_lt(i, 10000);
		vbed_run();
		while ((n = fake_sock_recv(sock, chunk, sizeof(chunk))) > 0) {
			vbed_check(chunk, (size_t)n, 1, to_guest.got);
			to_guest.got += (uint64_t)n;
		}
		while ((n = vbed_read(fd, chunk, sizeof(chunk))) > 0) {
			vbed_check(chunk, (size_t)n, 2, to_host.got);
			to_host.got += (uint64_t)n;
		}
	}
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
	close(fd);
	vbed_run();
}
END_TEST

/* Whatever was under way: no buffer is lost, and what comes next works. */
START_TEST(restored_guest_has_all_its_buffers)
{
	struct stream to_guest = { 0 }, to_host = { 0 };
	struct fake_sock *sock;
	int fd;

	srand((unsigned int)_i);
	vbed_start(&makes[(unsigned int)_i % UNIT_COUNT(makes)]);
	vbed_probe();
	fd = vbed_connect(&sock);
	for (int i = rand() % 50; i >= 0; i--) {
		step(fd, sock, &to_guest, &to_host);
		disturb();
	}
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	close(fd);
	fake_sock_close(sock);
	/* The driver may not yet have heard of the last of them. */
	vbed_settle();
	fake_vsock_reap(&vbed.v);
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 0);
	ck_assert_uint_eq(fake_in_flight(vbed.v.rx), vbed.v.rx_num);
	ck_assert_uint_eq(vbed.v.rx_num + vbed.v.rx_free_num,
			  vbed.v.config.rx_count);
	fake_sockets_flush(&vbed.set);
	vbed_settle();
	fd = vbed_connect(&sock);
	vbed_send(fd, "well", 4);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, chunk, 8), 4);
	close(fd);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(what_waits_in_the_tx_ring_reaches_the_host),
		UNIT_TEST(paused_guest_is_saved_as_it_stands),
		UNIT_TEST(driver_that_has_reset_the_device_is_saved_without_connections),
	};
	const struct unit_case other[] = {
		UNIT_TEST(work_of_several_turns_is_done),
		UNIT_TEST(tx_ring_as_long_as_a_turn_is_armed_again),
		UNIT_TEST(bytes_for_the_guest_are_in_the_ring_that_is_saved),
		UNIT_LOOP(source_of_many_saves_loses_nothing,
			  UNIT_COUNT(makes)),
		UNIT_LOOP(restored_guest_has_all_its_buffers, 60),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
	};

	return unit_run("vsock_save", groups, UNIT_COUNT(groups));
}
