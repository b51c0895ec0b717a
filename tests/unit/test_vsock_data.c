// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: bytes, both ways, over the whole of the device: loop, AF_UNIX
 * back-end, engine, rings of every make.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define MIB	(1u << 20)

static uint8_t chunk[256 << 10];

START_TEST(bytes_pass_both_ways)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	char buf[16];

	vbed_send(fd, "ping", 4);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)), 4);
	ck_assert_mem_eq(buf, "ping", 4);
	ck_assert_int_eq(fake_sock_send(sock, "pong", 4), 4);
	vbed_run();
	vbed_expect(fd, "pong");
	close(fd);
	vbed_run();
}
END_TEST

/**
 * struct flow - both directions of one connection
 * @piece: bytes asked for at a time: host writes, guest reads, guest writes,
 *     host reads
 */
struct flow {
	size_t piece[4];
};

static size_t some(size_t total, size_t done, size_t piece)
{
	return total - done < piece ? total - done : piece;
}

/* One round: each of the four does one system call of its size. */
static void pump(int fd, struct fake_sock *sock, const struct flow *flow,
		 size_t done[4], size_t total)
{
	size_t len = some(total, done[0], flow->piece[0]);
	ssize_t n;

	vbed_fill(chunk, len, 1, done[0]);
	n = len ? send(fd, chunk, len, MSG_NOSIGNAL) : 0;
	done[0] += n > 0 ? (size_t)n : 0;
	n = fake_sock_recv(sock, chunk, flow->piece[1]);
	if (n > 0) {
		vbed_check(chunk, (size_t)n, 1, done[1]);
		done[1] += (size_t)n;
	}
	len = some(total, done[2], flow->piece[2]);
	vbed_fill(chunk, len, 2, done[2]);
	n = len ? fake_sock_send(sock, chunk, len) : 0;
	done[2] += n > 0 ? (size_t)n : 0;
	n = vbed_read(fd, chunk, flow->piece[3]);
	if (n > 0) {
		vbed_check(chunk, (size_t)n, 2, done[3]);
		done[3] += (size_t)n;
	}
	vbed_run();
}

static void transfer(const struct flow *flow, size_t total)
{
	struct fake_sock *sock;
	size_t done[4] = { 0 };
	int fd = vbed_connect(&sock), rounds = 0;

	while (done[1] < total || done[3] < total) {
		pump(fd, sock, flow, done, total);
		ck_assert_int_lt(rounds++, 1000000);
	}
	ck_assert_uint_eq(vbed_stats()->bytes_to_guest, total);
	ck_assert_uint_eq(vbed_stats()->bytes_to_host, total);
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
}

static const struct flow flows[] = {
	{ { 65536, 65536, 65536, 65536 } },
	{ { 262144, 262144, 262144, 262144 } },
	/* Slow readers: the host, the guest, both. */
	{ { 65536, 65536, 65536, 1999 } },
	{ { 65536, 1999, 65536, 65536 } },
	{ { 65536, 1999, 65536, 1999 } },
	/* Odd sizes. */
	{ { 3732, 3733, 3731, 3732 } },
	{ { 997, 100000, 991, 100000 } },
};

START_TEST(a_mebibyte_each_way_arrives_as_sent)
{
	transfer(&flows[_i], MIB);
}
END_TEST

/* Every make of driver: RX buffers, descriptors, features. */
static const struct fake_vsock_config makes[] = {
	/* Linux before 6.1.192 or so, with and without indirect tables. */
	{ .rx_seg = { 44, 4096 } },
	{ .rx_seg = { 44, 4096 }, .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) },
	/* 64 KiB and more; no packet holds more than 64 KiB. */
	{ .rx_seg = { 44 + 65536 }, .rx_count = 16 },
	{ .rx_seg = { 44, 131072 }, .rx_count = 8 },
	{ .rx_seg = { 200000 }, .rx_count = 8 },
	/* As small as can be. */
	{ .rx_seg = { 45 } },
	{ .rx_seg = { 44, 1 } },
	{ .rx_seg = { 100 }, .rx_count = 3 },
	{ .rx_count = 1 },
	/* Framing is the driver's affair: a header in pieces. */
	{ .rx_seg = { 1, 4000 } },
	{ .rx_seg = { 43, 4000 } },
	/* Small queues, direct TX, no EVENT_IDX. */
	{ .queue_size = 8, .tx_slots = 4 },
	{ .queue_size = 2, .tx_slots = 1, .rx_count = 2, .events = 2 },
	{ .tx_direct = true },
	{ .tx_direct = true, .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) },
	{ .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		      VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) },
	{ .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		      VIRTIO_BIT(VIRTIO_F_EVENT_IDX) },
	{ .tx_payload = 4096 },
	{ .tx_payload = 1 },
};

START_TEST(every_make_of_driver_is_served)
{
	bool slow = makes[_i].tx_payload == 1 ||
		    (makes[_i].rx_seg[0] && makes[_i].rx_seg[0] < 200 &&
		     makes[_i].rx_seg[1] < 2);

	vbed_start(&makes[_i]);
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	transfer(&flows[0], slow ? 20000 : MIB);
	/* And it survives a restore. */
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	transfer(&flows[4], slow ? 10000 : 100000);
}
END_TEST

/* Raw: nobody gives the buffers back. */
static void expect_all_unused(unsigned int count)
{
	struct fake_vsock_packet packet;

	for (unsigned int i = 0; i < count; i++) {
		ck_assert(vbed_packet(&packet));
		ck_assert_uint_eq(packet.used, 0);
	}
	ck_assert(!vbed_packet(&packet));
}

START_TEST(rx_buffer_too_small_for_a_header_goes_back_unused)
{
	const struct fake_vsock_config config = { .rx_seg = { 43 },
						  .rx_count = 9 };

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	vbed_op(VSOCK_OP_RW, 5000, 9);
	expect_all_unused(9);
	ck_assert_uint_eq(vbed_stats()->malformed, 9);
	ck_assert(virtio_device_live(&vbed.d->dev.vdev));
}
END_TEST

/* Room for a header and nothing else: control packets pass, data cannot. */
START_TEST(rx_buffer_without_room_for_payload_is_no_trap)
{
	const struct fake_vsock_config config = { .rx_seg = { 44 },
						  .rx_count = 9 };
	int fd;

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	vbed_raw_connect(5000, 1000, &fd);
	vbed_send(fd, "hello", 5);
	/* One was taken for the RESPONSE and posted again by nobody. */
	expect_all_unused(8);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(readable_rx_chain_goes_back_unused)
{
	struct fake_vsock_packet packet;
	const struct fake_seg seg = { vbed.v.rx_gpa, 1000 };

	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	fake_driver_ok(&vbed.v.driver);
	fake_add(vbed.v.rx, &seg, 1, 0, FAKE_ALL_DIRECT, (void *)1);
	fake_vsock_fill_rx(&vbed.v);
	fake_vsock_fill_events(&vbed.v);
	vbed.raw = true;
	vbed_op(VSOCK_OP_RW, 5000, 9);
	ck_assert(vbed_packet(&packet));
	ck_assert_uint_eq(packet.used, 0);
	vbed_expect_op(VSOCK_OP_RST, 5000, 9);
}
END_TEST

/* Clients may send them; they are thrown away, and the stream goes on. */
START_TEST(descriptors_in_the_stream_do_not_stop_it)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	char bytes[] = "fds";
	struct iovec iov = { bytes, 3 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sendmsg(fd, &msg, 0), 3);
	vbed_send(fd, "!", 1);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, chunk, 100), 10);
	ck_assert_mem_eq(chunk, "fdsfdsfds!", 10);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(out_of_band_byte_does_not_stop_the_stream)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	ssize_t got;

	vbed_send(fd, "before", 6);
	if (send(fd, "U", 1, MSG_OOB | MSG_NOSIGNAL) == 1) {
		vbed_send(fd, "after", 5);
		vbed_run();
		got = fake_sock_recv(sock, chunk, 100);
		ck_assert_int_ge(got, 11);
		ck_assert_mem_eq(chunk + got - 5, "after", 5);
	}
	close(fd);
	vbed_run();
}
END_TEST

/* Neighbouring packets leave in one write, and none is lost or doubled. */
START_TEST(packets_of_many_connections_in_one_batch)
{
	struct fake_sock *sock[4];
	size_t done[4] = { 0 };
	int fd[4];

	for (int i = 0; i < 4; i++)
		fd[i] = vbed_connect(&sock[i]);
	vbed.set.cork = true;
	for (unsigned int n = 0; n < 60; n++) {
		unsigned int i = n * 7 / 3 % 4;
		uint8_t piece[100];

		vbed_fill(piece, n + 1, i, done[i]);
		ck_assert_int_eq(fake_sock_send(sock[i], piece, n + 1),
				 n + 1);
		done[i] += n + 1;
	}
	vbed.set.cork = false;
	fake_sockets_flush(&vbed.set);
	vbed_run();
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_int_eq(vbed_read(fd[i], chunk, sizeof(chunk)),
				 done[i]);
		vbed_check(chunk, done[i], i, 0);
		close(fd[i]);
	}
	vbed_run();
}
END_TEST

/* Two of the guest's to one port of the host's, one after the other. */
START_TEST(neighbours_to_one_port_are_told_apart)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4), fd[2];
	struct fake_sock *sock[2];

	for (int i = 0; i < 2; i++)
		sock[i] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[i]);
	close(listener);
	vbed.set.cork = true;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(fake_sock_send(sock[i % 2], i % 2 ? "no" :
						"yes", i % 2 ? 2 : 3),
				 i % 2 ? 2 : 3);
	vbed.set.cork = false;
	fake_sockets_flush(&vbed.set);
	vbed_run();
	vbed_expect(fd[0], "yesyes");
	vbed_expect(fd[1], "nono");
	for (int i = 0; i < 2; i++) {
		vbed_expect_nothing(fd[i]);
		close(fd[i]);
	}
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(bytes_pass_both_ways),
		UNIT_LOOP(a_mebibyte_each_way_arrives_as_sent,
			  UNIT_COUNT(flows)),
		UNIT_TEST(descriptors_in_the_stream_do_not_stop_it),
		UNIT_TEST(out_of_band_byte_does_not_stop_the_stream),
		UNIT_TEST(packets_of_many_connections_in_one_batch),
		UNIT_TEST(neighbours_to_one_port_are_told_apart),
	};
	const struct unit_case fresh[] = {
		UNIT_TEST(readable_rx_chain_goes_back_unused),
	};
	const struct unit_case other[] = {
		UNIT_LOOP(every_make_of_driver_is_served, UNIT_COUNT(makes)),
		UNIT_TEST(rx_buffer_too_small_for_a_header_goes_back_unused),
		UNIT_TEST(rx_buffer_without_room_for_payload_is_no_trap),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("fresh", fresh, vbed_setup, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
	};

	return unit_run("vsock_data", groups, UNIT_COUNT(groups));
}
