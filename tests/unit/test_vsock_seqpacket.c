// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: seqpacket sockets, from their feature bit to their end. Messages
 * themselves are in test_vsock_messages.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed_messages.h"

#define SEQPACKET	VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET)
#define STREAM		VIRTIO_BIT(VIRTIO_VSOCK_F_STREAM)
#define NO_IMPLIED	VIRTIO_BIT(VIRTIO_VSOCK_F_NO_IMPLIED_STREAM)
#define VERSION		VIRTIO_BIT(VIRTIO_F_VERSION_1)

static char buf[4096];

static void start(uint64_t features, bool seqpacket)
{
	vbed_start_with(&(const struct fake_vsock_config){
				.features = features },
			&(const struct vbed_options){
				.device.seqpacket = seqpacket });
	vbed_probe();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}

/* Features. */

static bool negotiated(unsigned int feature)
{
	return virtio_device_has(&vbed.d->dev.vdev, feature);
}

START_TEST(seqpacket_is_offered_with_a_path_for_it)
{
	start(UINT64_MAX, true);
	ck_assert(negotiated(VIRTIO_VSOCK_F_SEQPACKET));
	ck_assert(negotiated(VIRTIO_VSOCK_F_STREAM));
	ck_assert(negotiated(VIRTIO_VSOCK_F_NO_IMPLIED_STREAM));
}
END_TEST

START_TEST(seqpacket_is_not_offered_without_a_path)
{
	struct fake_sock *sock;

	start(UINT64_MAX, false);
	ck_assert(!negotiated(VIRTIO_VSOCK_F_SEQPACKET));
	ck_assert(negotiated(VIRTIO_VSOCK_F_STREAM));
	sock = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT,
				      VSOCK_TYPE_SEQPACKET);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
}
END_TEST

START_TEST(stream_is_implied_by_seqpacket_alone)
{
	struct fake_sock *stream, *sock;
	int fd, fd2;

	start(VERSION | SEQPACKET, true);
	fd = vbed_connect(&stream);
	fd2 = vbed_connect_seq(&sock);
	host_says(fd, "stream");
	ck_assert_int_eq(fake_sock_recv(stream, buf, sizeof(buf)), 6);
	host_says(fd2, "message");
	expect_text_at_guest(sock, "message");
	close(fd);
	close(fd2);
	vbed_run();
}
END_TEST

START_TEST(stream_is_not_implied_where_the_guest_says_so)
{
	struct fake_sock *sock;
	int fd, listener;

	start(VERSION | SEQPACKET | NO_IMPLIED, true);
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect(fd, "ERROR the guest knows no such sockets\n");
	vbed_expect_eof(fd);
	close(fd);
	listener = vbed_listen(VBED_HOST_PORT, 1);
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
	ck_assert_int_eq(vbed_accept(listener), -1);
	close(listener);
	/* The other kind it has. */
	fd = vbed_connect_seq(&sock);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(seqpacket_client_of_a_guest_without_it_is_refused_at_once)
{
	struct fake_sock *sock;
	uint64_t requests;
	int fd;

	start(VERSION | STREAM, true);
	requests = vbed.set.unmatched;
	fd = vbed_client_seq();
	vbed_hello(fd, VBED_SEQ_PORT);
	vbed_run();
	vbed_expect(fd, "ERROR the guest knows no such sockets\n");
	vbed_expect_eof(fd);
	close(fd);
	/* A guest that does not know the type is not even asked. */
	ck_assert_uint_eq(vbed.set.unmatched, requests);
	ck_assert_uint_eq(vbed_stats()->refused, 1);
	vbed_expect_no_connection();
	fd = vbed_connect(&sock);
	close(fd);
	vbed_run();
}
END_TEST

/* From the host. */

START_TEST(host_connects)
{
	int fd = vbed_client_seq();
	struct fake_sock *sock;
	uint32_t port;

	vbed_hello(fd, VBED_SEQ_PORT);
	port = vbed_ok_seq(fd);
	sock = fake_sock_accept(&vbed.set, VBED_SEQ_PORT);
	ck_assert_ptr_nonnull(sock);
	ck_assert_uint_eq(sock->host_port, port);
	ck_assert_uint_eq(sock->type, VSOCK_TYPE_SEQPACKET);
	host_says(fd, "ping");
	expect_text_at_guest(sock, "ping");
	guest_says(sock, "pong");
	vbed_expect(fd, "pong");
	close(fd);
	vbed_run();
	expect_end_at_guest(sock);
	close_guest(sock);
}
END_TEST

START_TEST(message_may_follow_connect_before_ok)
{
	int fd = vbed_client_seq();
	struct fake_sock *sock;

	vbed_hello(fd, VBED_SEQ_PORT);
	vbed_send(fd, "early", 5);
	vbed_ok_seq(fd);
	sock = fake_sock_accept(&vbed.set, VBED_SEQ_PORT);
	expect_text_at_guest(sock, "early");
	close(fd);
	vbed_run();
}
END_TEST

static const char *const bad[] = {
	"CONNECT 1025\nx",
	"CONNECT 1025\nCONNECT 1025\n",
	"CONNECT 1025\n\n",
	/* The newline is byte 64, which is as far as is looked at. */
	"CONNECT 1025                                                   \nx",
	"CONNECT 1025",
	"CONNECT ",
	"\n",
	"",
	"connect ssh\n",
	"CONNECT 4294967295\n",
	"CONNECT 1025                                                    \n",
};

START_TEST(connect_message_is_one_line_and_nothing_else)
{
	int fd = vbed_client_seq();
	uint64_t refused = vbed.d->unx.refused;

	/* What follows in a message of its own does not mend it. */
	vbed_send(fd, bad[_i], strlen(bad[_i]));
	vbed_send(fd, "1025\n", 5);
	vbed_run();
	vbed_expect_eof(fd);
	ck_assert_uint_eq(vbed.d->unx.refused, refused + 1);
	ck_assert_uint_eq(vbed_stats()->connects_host, 0);
	close(fd);
}
END_TEST

static const char *const good[] = {
	"CONNECT 1025\n",
	"connect\t1025 \r\n",
	/* 64 bytes. */
	"CONNECT 1025                                                   \n",
};

START_TEST(connect_message_may_have_blanks)
{
	int fd = vbed_client_seq();

	vbed_send(fd, good[_i], strlen(good[_i]));
	vbed_ok_seq(fd);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(client_of_a_port_nobody_listens_at_is_closed)
{
	int fd = vbed_client_seq();

	vbed_hello(fd, 4321);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	vbed_expect_no_connection();
}
END_TEST

START_TEST(client_of_a_port_of_streams_is_closed)
{
	int fd = vbed_client_seq(), fd2 = vbed_client();

	vbed_hello(fd, VBED_PORT);
	vbed_hello(fd2, VBED_SEQ_PORT);
	vbed_run();
	vbed_expect_eof(fd);
	vbed_expect_eof(fd2);
	close(fd);
	close(fd2);
	vbed_expect_no_connection();
}
END_TEST

/* From the guest. */

START_TEST(guest_connects)
{
	int listener = vbed_listen_type(VBED_HOST_PORT, SOCK_SEQPACKET, 1), fd;
	struct fake_sock *sock;

	sock = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT,
				      VSOCK_TYPE_SEQPACKET);
	vbed_run();
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	fd = vbed_accept(listener);
	ck_assert_int_ge(fd, 0);
	guest_says(sock, "ping");
	vbed_expect(fd, "ping");
	host_says(fd, "pong");
	expect_text_at_guest(sock, "pong");
	close_both_guest_first(fd, sock);
	close(listener);
}
END_TEST

/* Of each type to a listener of the other. */
static void expect_refusal(int socket_type, uint16_t type)
{
	int listener = vbed_listen_type(VBED_HOST_PORT, socket_type, 1);
	struct fake_sock *sock;

	sock = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT, type);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
	ck_assert_int_eq(vbed_accept(listener), -1);
	ck_assert_uint_eq(vbed_stats()->refused, 1);
	close(listener);
	vbed_expect_no_connection();
}

START_TEST(guest_is_refused_by_a_listener_of_streams)
{
	expect_refusal(SOCK_STREAM, VSOCK_TYPE_SEQPACKET);
}
END_TEST

START_TEST(guests_stream_is_refused_by_a_listener_of_messages)
{
	expect_refusal(SOCK_SEQPACKET, VSOCK_TYPE_STREAM);
}
END_TEST

START_TEST(guest_is_refused_where_nobody_listens)
{
	struct fake_sock *sock;

	sock = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT,
				      VSOCK_TYPE_SEQPACKET);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
	vbed_expect_no_connection();
}
END_TEST

START_TEST(guest_waits_for_room_in_a_full_listener)
{
	int listener = vbed_listen_type(VBED_HOST_PORT, SOCK_SEQPACKET, 0), fd;
	struct fake_sock *first, *sock;

	first = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT,
				       VSOCK_TYPE_SEQPACKET);
	vbed_run();
	ck_assert_int_eq(first->state, FAKE_SOCK_ESTABLISHED);
	sock = fake_sock_connect_type(&vbed.set, VBED_HOST_PORT,
				      VSOCK_TYPE_SEQPACKET);
	vbed_wait(30);
	ck_assert_int_eq(sock->state, FAKE_SOCK_SYN_SENT);
	close(vbed_accept(listener));
	vbed_wait(100);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	fd = vbed_accept(listener);
	guest_says(sock, "late");
	vbed_expect(fd, "late");
	close(fd);
	close(listener);
	vbed_run();
}
END_TEST

/* A packet of the other type, on the ports of a connection. */
static void send_other_type(struct fake_sock *sock, enum vsock_op op)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, op,
						    sock->guest_port,
						    sock->host_port);

	hdr.type = le16_make(sock->type == VSOCK_TYPE_STREAM ?
			     VSOCK_TYPE_SEQPACKET : VSOCK_TYPE_STREAM);
	hdr.len = le32_make(op == VSOCK_OP_RW ? 1 : 0);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "x",
					op == VSOCK_OP_RW ? 1 : 0), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run();
}

static const enum vsock_op ops[] = {
	VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, VSOCK_OP_RW, VSOCK_OP_SHUTDOWN,
	VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST,
};

START_TEST(packet_of_the_other_type_is_answered_by_rst)
{
	struct fake_sock *sock, *stream;
	int fd = vbed_connect_seq(&sock), fd2 = vbed_connect(&stream);
	uint64_t resets = vbed.set.resets_received;

	send_other_type(sock, ops[_i]);
	send_other_type(stream, ops[_i]);
	ck_assert_uint_eq(vbed.set.resets_received, resets + 2);
	/* The RSTs are of that other type: our sockets are untouched. */
	vbed_expect_nothing(fd);
	vbed_expect_nothing(fd2);
	guest_says(sock, "still");
	vbed_expect(fd, "still");
	fake_sock_send(stream, "here", 4);
	vbed_run();
	vbed_expect(fd2, "here");
	close(fd);
	close(fd2);
	vbed_run();
}
END_TEST

START_TEST(rst_of_the_other_type_is_ignored)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	send_other_type(sock, VSOCK_OP_RST);
	guest_says(sock, "still");
	vbed_expect(fd, "still");
	close(fd);
	vbed_run();
}
END_TEST

/* Other lives. */

/* A message each way that nobody has read, and one without an end. */
static void leave_unread(int fd, struct fake_sock *sock)
{
	guest_says(sock, "before");
	fake_sock_send_message(sock, "half", 4, 0);
	host_says(fd, "unread");
}

START_TEST(restored_guest_loses_its_connections_and_makes_new_ones)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	leave_unread(fd, sock);
	vbed_restore();
	vbed_run();
	vbed_expect(fd, "before");
	vbed_expect_eof(fd);
	close(fd);
	ck_assert_int_eq(sock->err, ECONNRESET);
	ck_assert(negotiated(VIRTIO_VSOCK_F_SEQPACKET));
	fake_sock_close(sock);
	fd = vbed_connect_seq(&sock);
	host_says(fd, "after");
	expect_text_at_guest(sock, "after");
	guest_says(sock, "indeed");
	vbed_expect(fd, "indeed");
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(seqpacket_guest_is_not_loaded_where_none_can_be)
{
	struct vbed_snapshot snapshot = vbed_save();
	struct fail why = { "" };

	vbed_drop();
	vbed.options.device.seqpacket = false;
	ck_assert_int_eq(vbed_try_load(snapshot, VBED_CID, &why), -EINVAL);
	ck_assert_str_ne(why.text, "");
	vbed.loose = true;
}
END_TEST

START_TEST(device_reset_ends_connections)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	leave_unread(fd, sock);
	vbed_probe();
	fake_sockets_sweep(&vbed.set);
	fake_sock_close(sock);
	vbed_expect(fd, "before");
	vbed_expect_eof(fd);
	close(fd);
	vbed_expect_no_connection();
	fd = vbed_connect_seq(&sock);
	host_says(fd, "after");
	expect_text_at_guest(sock, "after");
	close(fd);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case features[] = {
		UNIT_TEST(seqpacket_is_offered_with_a_path_for_it),
		UNIT_TEST(seqpacket_is_not_offered_without_a_path),
		UNIT_TEST(stream_is_implied_by_seqpacket_alone),
		UNIT_TEST(stream_is_not_implied_where_the_guest_says_so),
		UNIT_TEST(seqpacket_client_of_a_guest_without_it_is_refused_at_once),
	};
	const struct unit_case cases[] = {
		UNIT_TEST(host_connects),
		UNIT_TEST(message_may_follow_connect_before_ok),
		UNIT_LOOP(connect_message_is_one_line_and_nothing_else,
			  UNIT_COUNT(bad)),
		UNIT_LOOP(connect_message_may_have_blanks, UNIT_COUNT(good)),
		UNIT_TEST(client_of_a_port_nobody_listens_at_is_closed),
		UNIT_TEST(client_of_a_port_of_streams_is_closed),
		UNIT_TEST(guest_connects),
		UNIT_TEST(guest_is_refused_by_a_listener_of_streams),
		UNIT_TEST(guests_stream_is_refused_by_a_listener_of_messages),
		UNIT_TEST(guest_is_refused_where_nobody_listens),
		UNIT_TEST(guest_waits_for_room_in_a_full_listener),
		UNIT_LOOP(packet_of_the_other_type_is_answered_by_rst,
			  UNIT_COUNT(ops)),
		UNIT_TEST(rst_of_the_other_type_is_ignored),
		UNIT_TEST(restored_guest_loses_its_connections_and_makes_new_ones),
		UNIT_TEST(seqpacket_guest_is_not_loaded_where_none_can_be),
		UNIT_TEST(device_reset_ends_connections),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("features", features, NULL, vbed_teardown),
		UNIT_GROUP("life", cases, vbed_setup_seq, vbed_teardown),
	};

	return unit_run("vsock_seqpacket", groups, UNIT_COUNT(groups));
}
