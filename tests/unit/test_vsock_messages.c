// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: messages, both ways, over the whole of the device: their boundaries,
 * their flags, and who waits for whom.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed_messages.h"

static uint8_t chunk[1000], back[MESSAGE_WINDOW];

static const size_t sizes[] = {
	1, 44, 3731, 3732, 3733, 4096, 7464, 7465, 65535, 65536, 65537, 200000,
};

START_TEST(boundaries_are_kept_to_the_guest)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	host_sends(fd, sizes[_i], 1);
	host_sends(fd, 1, 2);
	expect_at_guest(sock, sizes[_i], 1);
	expect_at_guest(sock, 1, 2);
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

START_TEST(boundaries_are_kept_to_the_host)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	guest_sends(sock, sizes[_i], 1);
	guest_sends(sock, 1, 2);
	expect_at_host(fd, sizes[_i], 1);
	expect_at_host(fd, 1, 2);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

/* Messages as long as the window is: the longest a guest can send. */
START_TEST(longest_messages_pass_one_after_another)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	for (uint32_t seed = 0; seed < 10; seed++) {
		guest_sends(sock, MESSAGE_WINDOW, seed);
		expect_at_host(fd, MESSAGE_WINDOW, seed);
	}
	close_both(fd, sock);
}
END_TEST

static const struct fake_vsock_config makes[] = {
	{ .rx_seg = { 44, 4096 } },
	{ .rx_seg = { 200000 }, .rx_count = 8 },
	{ .rx_seg = { 45 } },
	{ .rx_seg = { 44, 1 } },
	{ .rx_seg = { 43, 4000 } },
	{ .rx_count = 1 },
	{ .queue_size = 8, .tx_slots = 4 },
	{ .tx_direct = true },
	{ .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		      VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET) },
	{ .tx_payload = 4096 },
	{ .tx_payload = 1 },
};

START_TEST(every_make_of_driver_gets_its_messages)
{
	struct fake_sock *sock;
	bool slow = makes[_i].tx_payload == 1 ||
		    (makes[_i].rx_seg[0] + makes[_i].rx_seg[1] == 45);
	size_t len = slow ? 400 : 30000;
	int fd;

	vbed_start_seq(&makes[_i]);
	fd = vbed_connect_seq(&sock);
	for (uint32_t seed = 1; seed < 4; seed++) {
		host_sends(fd, len, seed);
		expect_at_guest(sock, len, seed);
		guest_sends(sock, len, seed);
		expect_at_host(fd, len, seed);
	}
	close_both(fd, sock);
}
END_TEST

START_TEST(rx_buffer_without_room_for_a_byte_holds_no_part)
{
	struct fake_sock *sock;
	int fd;

	vbed_start_seq(&(const struct fake_vsock_config){ .rx_seg = { 44 } });
	fd = vbed_connect_seq(&sock);
	/* Buffers go back unused; what breaks is up to the driver's check. */
	vbed_send(fd, "x", 1);
	for (int i = 0; i < 1000; i++) {
		loop_run_once(vbed.loop, 0);
		fake_sockets_interrupt(&vbed.set);
	}
	ck_assert_uint_gt(vbed.v.rx_empty, 0);
	expect_none_at_guest(sock);
	close(fd);
	vbed.loose = true;
}
END_TEST

static ssize_t recv_with_eor(struct vsock_conn *conn, const struct iovec *iov,
			     unsigned int count, bool *eor)
{
	ssize_t got = vsock_unix_ops.recv(conn, iov, count, eor);

	*eor = true;
	return got;
}

static unsigned int sent_flags[4], sent_num;

static ssize_t send_and_note(struct vsock_conn *conn, const struct iovec *iov,
			     unsigned int count, unsigned int flags)
{
	ck_assert_uint_lt(sent_num, 4);
	sent_flags[sent_num++] = flags;
	return vsock_unix_ops.send(conn, iov, count, flags);
}

START_TEST(end_of_record_is_told_to_the_guest_at_the_end_alone)
{
	/* AF_UNIX does not carry MSG_EOR: another kind of host socket would. */
	struct vsock_backend_ops ops = vsock_unix_ops;
	uint32_t flags;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	ops.recv = recv_with_eor;
	vbed.d->unx.backend.ops = &ops;
	/* The fake driver takes EOR without EOM for a violation. */
	host_sends(fd, 10000, 1);
	ck_assert_int_eq(fake_sock_recv_message(sock, back, sizeof(back),
						&flags), 10000);
	ck_assert_uint_eq(flags, VSOCK_SEQ_EOM | VSOCK_SEQ_EOR);
	vbed.d->unx.backend.ops = &vsock_unix_ops;
	close_both(fd, sock);
}
END_TEST

START_TEST(end_of_record_is_told_to_the_host)
{
	struct vsock_backend_ops ops = vsock_unix_ops;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	ops.send = send_and_note;
	vbed.d->unx.backend.ops = &ops;
	fake_sock_send_message(sock, "ab", 2, VSOCK_SEQ_EOM);
	fake_sock_send_message(sock, "cd", 2, VSOCK_SEQ_EOM | VSOCK_SEQ_EOR);
	vbed_run();
	/* Together from the parts of a message. */
	fake_sock_send_message(sock, "e", 1, 0);
	fake_sock_send_message(sock, "f", 1, VSOCK_SEQ_EOM | VSOCK_SEQ_EOR);
	vbed_run();
	ck_assert_uint_eq(sent_num, 3);
	ck_assert_uint_eq(sent_flags[0], 0);
	ck_assert_uint_eq(sent_flags[1], VSOCK_SEND_EOR);
	ck_assert_uint_eq(sent_flags[2], VSOCK_SEND_EOR);
	vbed.d->unx.backend.ops = &vsock_unix_ops;
	ck_assert_int_eq(vbed_read(fd, back, 10), 2);
	ck_assert_int_eq(vbed_read(fd, back, 10), 2);
	vbed_expect(fd, "ef");
	close_both(fd, sock);
}
END_TEST

START_TEST(parts_become_one_message_at_their_end)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	vbed_fill(chunk, sizeof(chunk), 7, 0);
	for (size_t at = 0; at < 999; at += 111) {
		ck_assert_int_eq(fake_sock_send_message(sock, chunk + at, 111,
							0), 111);
		vbed_run();
		vbed_expect_nothing(fd);
	}
	fake_sock_send_message(sock, chunk + 999, 1, VSOCK_SEQ_EOM);
	vbed_run();
	expect_at_host(fd, 1000, 7);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

START_TEST(message_may_end_with_an_empty_part)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	fake_sock_send_message(sock, "body", 4, 0);
	vbed_run();
	fake_sock_send_message(sock, "", 0, VSOCK_SEQ_EOM);
	vbed_run();
	vbed_expect(fd, "body");
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

START_TEST(messages_of_several_connections_may_be_interleaved)
{
	struct fake_sock *a, *b, *stream;
	int fd_a = vbed_connect_seq(&a), fd_b = vbed_connect_seq(&b);
	int fd = vbed_connect(&stream);

	vbed.set.cork = true;
	for (int i = 0; i < 20; i++) {
		fake_sock_send_message(a, "a", 1, i == 19 ? VSOCK_SEQ_EOM : 0);
		fake_sock_send(stream, "s", 1);
		fake_sock_send_message(b, "b", 1, i % 10 == 9 ? VSOCK_SEQ_EOM :
				       0);
	}
	vbed.set.cork = false;
	fake_sockets_flush(&vbed.set);
	vbed_run();
	vbed_expect(fd_a, "aaaaaaaaaaaaaaaaaaaa");
	vbed_expect_nothing(fd_a);
	vbed_expect(fd_b, "bbbbbbbbbb");
	vbed_expect(fd_b, "bbbbbbbbbb");
	vbed_expect(fd, "ssssssssssssssssssss");
	close(fd_b);
	close(fd);
	close(fd_a);
	vbed_run();
}
END_TEST

START_TEST(empty_messages_arrive_at_the_host)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	guest_sends(sock, 0, 1);
	guest_sends(sock, 3, 2);
	guest_sends(sock, 0, 3);
	expect_at_host(fd, 0, 1);
	expect_at_host(fd, 3, 2);
	expect_at_host(fd, 0, 3);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

START_TEST(empty_messages_arrive_at_the_guest)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	host_sends(fd, 0, 0);
	expect_at_guest(sock, 0, 0);
	expect_none_at_guest(sock);
	host_sends(fd, 3, 1);
	host_sends(fd, 0, 0);
	host_sends(fd, 0, 0);
	host_sends(fd, 3, 2);
	expect_at_guest(sock, 3, 1);
	expect_at_guest(sock, 0, 0);
	expect_at_guest(sock, 0, 0);
	expect_at_guest(sock, 3, 2);
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

START_TEST(host_that_sends_descriptors_sends_messages)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)"fd", 2 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	unsigned int fds;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	fds = vbed_fds();
	ck_assert_int_eq(sendmsg(fd, &msg, 0), 2);
	host_sends(fd, 0, 0);
	host_sends(fd, 5, 5);
	ck_assert_uint_eq(vbed_fds(), fds);
	ck_assert_int_eq(fake_sock_recv_message(sock, back, 10,
						&(uint32_t){ 0 }), 2);
	expect_at_guest(sock, 0, 0);
	expect_at_guest(sock, 5, 5);
	close_both(fd, sock);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(boundaries_are_kept_to_the_guest, UNIT_COUNT(sizes)),
		UNIT_LOOP(boundaries_are_kept_to_the_host, UNIT_COUNT(sizes)),
		UNIT_TEST(longest_messages_pass_one_after_another),
		UNIT_TEST(end_of_record_is_told_to_the_guest_at_the_end_alone),
		UNIT_TEST(end_of_record_is_told_to_the_host),
		UNIT_TEST(parts_become_one_message_at_their_end),
		UNIT_TEST(message_may_end_with_an_empty_part),
		UNIT_TEST(messages_of_several_connections_may_be_interleaved),
		UNIT_TEST(empty_messages_arrive_at_the_host),
		UNIT_TEST(empty_messages_arrive_at_the_guest),
		UNIT_TEST(host_that_sends_descriptors_sends_messages),
	};
	const struct unit_case others[] = {
		UNIT_LOOP(every_make_of_driver_gets_its_messages,
			  UNIT_COUNT(makes)),
		UNIT_TEST(rx_buffer_without_room_for_a_byte_holds_no_part),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("linux", cases, vbed_setup_seq, vbed_teardown),
		UNIT_GROUP("others", others, NULL, vbed_teardown),
	};

	return unit_run("vsock_messages", groups, UNIT_COUNT(groups));
}
