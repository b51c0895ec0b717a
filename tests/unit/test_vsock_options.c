// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: what can be set of the device and of its host side, and that it
 * counts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static uint8_t chunk[256 << 10];

static void start(const struct vbed_options *options)
{
	vbed_start_with(NULL, options);
	vbed_probe();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static const mode_t modes[] = { 0600, 0660, 0666, 0777 };

START_TEST(mode_is_applied_to_both_sockets)
{
	mode_t mask = umask(077);

	start(&(const struct vbed_options){
		.host.mode = modes[_i], .device.seqpacket = true });
	umask(mask);
	ck_assert_uint_eq(mode_of(vbed.path), modes[_i]);
	ck_assert_uint_eq(mode_of(vbed.seqpacket), modes[_i]);
}
END_TEST

/* Ports. */

static const struct vsock_port_range ranges[] = {
	{ 0, 0 }, { 77, 80 }, { 1000, 1000 }, { 4294967294, 4294967294 },
};

static const struct { uint32_t port; bool allowed; } ports[] = {
	{ 0, true }, { 1, false }, { 76, false }, { 77, true }, { 79, true },
	{ 80, true }, { 81, false }, { 999, false }, { 1000, true },
	{ 1001, false }, { 4294967293, false }, { 4294967294, true },
};

START_TEST(ports_outside_the_ranges_are_refused)
{
	int listener;
	struct fake_sock *sock;

	start(&(const struct vbed_options){
		.host.ports = ranges,
		.host.port_count = UNIT_COUNT(ranges) });
	listener = vbed_listen(ports[_i].port, 1);
	sock = fake_sock_connect(&vbed.set, ports[_i].port);
	vbed_run();
	ck_assert_int_eq(sock->state == FAKE_SOCK_ESTABLISHED,
			 ports[_i].allowed);
	ck_assert_uint_eq(vbed.d->unx.ports_refused, !ports[_i].allowed);
	ck_assert_uint_eq(vbed_stats()->refused, !ports[_i].allowed);
	if (!ports[_i].allowed) {
		ck_assert_int_eq(sock->err, ECONNRESET);
		ck_assert_int_eq(vbed_accept(listener), -1);
	}
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(ports_bind_seqpacket_too_but_not_the_host)
{
	int listener, fd;
	struct fake_sock *sock;

	start(&(const struct vbed_options){
		.host.ports = ranges, .host.port_count = 1,
		.device.seqpacket = true });
	listener = vbed_listen_type(77, SOCK_SEQPACKET, 1);
	sock = fake_sock_connect_type(&vbed.set, 77, VSOCK_TYPE_SEQPACKET);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
	ck_assert_uint_eq(vbed.d->unx.ports_refused, 1);
	close(listener);
	fd = vbed_connect(&sock);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(without_ranges_all_ports_are_open)
{
	int listener, fd;

	start(&(const struct vbed_options){ 0 });
	listener = vbed_listen(4294967294, 1);
	vbed_connect_guest(4294967294, listener, &fd);
	ck_assert_uint_eq(vbed.d->unx.ports_refused, 0);
	close(listener);
	close(fd);
	vbed_run();
}
END_TEST

/* Limits. */

START_TEST(clients_beyond_the_limit_wait_in_the_backlog)
{
	int fd[5];

	start(&(const struct vbed_options){
		.host.clients_max = 2, .device.seqpacket = true });
	/* Of both kinds together. */
	for (unsigned int i = 0; i < 5; i++)
		fd[i] = i % 2 ? vbed_client_seq() : vbed_client();
	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, 2);
	/* Each that says its word makes room for another. */
	for (unsigned int i = 0; i < 5; i++)
		vbed_hello(fd[i], i % 2 ? VBED_SEQ_PORT : VBED_PORT);
	for (unsigned int i = 0; i < 5; i++) {
		if (i % 2)
			vbed_ok_seq(fd[i]);
		else
			vbed_ok(fd[i]);
		ck_assert_uint_le(vbed.d->unx.count, 2);
	}
	ck_assert_uint_eq(vbed.d->unx.refused, 0);
	for (unsigned int i = 0; i < 5; i++)
		close(fd[i]);
	vbed_run();
}
END_TEST

START_TEST(client_that_leaves_makes_room)
{
	int silent, fd;

	start(&(const struct vbed_options){ .host.clients_max = 1 });
	silent = vbed_client();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect_nothing(fd);
	close(silent);
	vbed_ok(fd);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(connections_beyond_the_limit_are_refused)
{
	struct fake_sock *a, *b, *sock;
	int listener, fd_a, fd_b, fd;

	start(&(const struct vbed_options){ .device.conns_max = 1 });
	listener = vbed_listen(VBED_HOST_PORT, 4);
	fd_a = vbed_connect(&a);
	b = vbed_connect_guest(VBED_HOST_PORT, listener, &fd_b);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 0);
	/* From the host, */
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect(fd, "ERROR no connection free\n");
	vbed_expect_eof(fd);
	close(fd);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 1);
	/* and from the guest. */
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	ck_assert_int_eq(sock->err, ECONNRESET);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 2);
	ck_assert_uint_eq(vbed_stats()->refused, 2);
	/* One less, and there is room. */
	fake_sock_close(a);
	vbed_run();
	close(fd_a);
	fd = vbed_connect(&sock);
	close(fd);
	fake_sock_close(b);
	vbed_run();
	close(fd_b);
	close(listener);
	vbed_run();
}
END_TEST

/* Buffers. */

static const uint32_t buffers[] = { 4096, 65536, 1u << 20 };

START_TEST(buffer_is_what_the_guest_is_told_and_may_send)
{
	size_t sent = 0;
	ssize_t n;
	struct fake_sock *sock;
	struct vsock_conn *conn;
	int fd;

	vbed_start_with(&(const struct fake_vsock_config){
				.buf_alloc = 2u << 20 },
			&(const struct vbed_options){
				.device.buf_alloc = buffers[_i] });
	vbed_probe();
	fd = vbed_connect(&sock);
	ck_assert_uint_eq(sock->peer_buf_alloc, buffers[_i]);
	/* With nobody reading: what the socket takes, then the buffer. */
	for (;;) {
		vbed_fill(chunk, sizeof(chunk), 1, sent);
		n = fake_sock_send(sock, chunk, sizeof(chunk));
		vbed_run();
		if (n == -EAGAIN && !fake_sock_room(sock))
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	conn = vbed_conn_of(sock);
	ck_assert_uint_gt(conn->backlog.used, 0);
	ck_assert_uint_le(conn->backlog.used, buffers[_i]);
	for (size_t got = 0; got < sent; got += (size_t)n) {
		n = vbed_read(fd, chunk, sizeof(chunk));
		ck_assert_int_gt(n, 0);
		vbed_check(chunk, (size_t)n, 1, got);
		vbed_run();
	}
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(longest_message_is_that_of_the_buffer)
{
	struct fake_sock *sock;
	int fd;

	start(&(const struct vbed_options){
		.device.seqpacket = true, .device.buf_alloc = 4096 });
	fd = vbed_connect_seq(&sock);
	ck_assert_int_eq(fake_sock_send_message(sock, chunk, 4097,
						VSOCK_SEQ_EOM), -EMSGSIZE);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(fake_sock_send_message(sock, chunk, 4096,
							VSOCK_SEQ_EOM), 4096);
		vbed_run();
		ck_assert_int_eq(vbed_read(fd, chunk, sizeof(chunk)), 4096);
	}
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(message_longer_than_a_host_socket_can_take_resets)
{
	static uint8_t big[1u << 20];
	struct fake_sock *sock;
	size_t at = 0;
	int fd;

	/* A socket's buffer is limited (net.core.wmem_max): shorten it. */
	vbed_start_with(&(const struct fake_vsock_config){
				.buf_alloc = 1u << 20 },
			&(const struct vbed_options){
				.device.seqpacket = true,
				.device.buf_alloc = 1u << 20 });
	vbed_probe();
	fd = vbed_connect_seq(&sock);
	while (at < sizeof(big) && !sock->done) {
		ssize_t n = fake_sock_send_message(sock, big + at,
						   sizeof(big) - at,
						   VSOCK_SEQ_EOM);

		ck_assert_int_ge(n, 0);
		at += (size_t)n;
		vbed_run();
	}
	/* Whole or not at all. */
	if (sock->done)
		vbed_expect_eof(fd);
	else
		ck_assert_int_eq(recv(fd, chunk, 1, MSG_TRUNC | MSG_DONTWAIT),
				 sizeof(big));
	close(fd);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
}
END_TEST

/* Queues. */

static const uint16_t queue_sizes[] = { 32, 64, 256, 1024 };

static void transfer(int fd, struct fake_sock *sock, size_t total)
{
	size_t sent = 0, got = 0;
	ssize_t n;

	while (got < total) {
		size_t len = total - sent < 65536 ? total - sent : 65536;

		vbed_fill(chunk, len, 1, sent);
		n = len ? send(fd, chunk, len, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		vbed_run();
		n = fake_sock_recv(sock, chunk, sizeof(chunk));
		if (n <= 0)
			continue;
		vbed_check(chunk, (size_t)n, 1, got);
		ck_assert_int_eq(fake_sock_send(sock, chunk, (size_t)n), n);
		vbed_run();
		ck_assert_int_eq(vbed_read(fd, chunk, sizeof(chunk)), n);
		vbed_check(chunk, (size_t)n, 1, got);
		got += (size_t)n;
	}
}

START_TEST(queues_of_each_size_carry_traffic)
{
	struct fake_sock *sock;
	int fd;

	vbed_start_with(&(const struct fake_vsock_config){
				.queue_size = queue_sizes[_i],
				.tx_slots = 16 },
			&(const struct vbed_options){
				.device.queue_size = queue_sizes[_i] });
	vbed_probe();
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		fake_write(&vbed.v.driver, VIRTIO_MMIO_QUEUE_SEL, i);
		ck_assert_uint_eq(fake_read(&vbed.v.driver,
					    VIRTIO_MMIO_QUEUE_SIZE_MAX),
				  queue_sizes[_i]);
	}
	fd = vbed_connect(&sock);
	transfer(fd, sock, 2u << 20);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(queue_sizes_survive_a_restore)
{
	struct fake_sock *sock;
	int fd;

	vbed_start_with(&(const struct fake_vsock_config){
				.queue_size = 1024, .tx_slots = 16 },
			&(const struct vbed_options){
				.device.queue_size = 1024 });
	vbed_probe();
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	fd = vbed_connect(&sock);
	transfer(fd, sock, 100000);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(what_is_not_said_has_a_default)
{
	const struct vsock_engine *engine;

	start(&(const struct vbed_options){ 0 });
	engine = &vbed.d->dev.engine;
	ck_assert_uint_eq(engine->buf_alloc, VSOCK_BUF_ALLOC);
	ck_assert_uint_eq(engine->conns_max, VSOCK_CONNS_MAX);
	ck_assert_uint_eq(vbed.d->unx.clients_max, VSOCK_UNIX_CLIENTS_MAX);
	ck_assert_uint_eq(vbed.d->dev.vdev.queue[0].size, VSOCK_QUEUE_SIZE);
}
END_TEST

/* Paths. */

START_TEST(second_socket_that_cannot_be_leaves_nothing_behind)
{
	struct vsock_unix unx = { 0 };
	struct fail why = { "" };
	char path[128];
	const struct vsock_unix_options options = {
		.path = path, .seqpacket = path, .mode = 0600,
	};
	unsigned int fds;

	vbed_setup();
	snprintf(path, sizeof(path), "%s/twice", vbed.dir);
	fds = vbed_fds();
	ck_assert_int_lt(vsock_unix_init(&unx, vbed.loop, &options, &why), 0);
	ck_says(&why, path);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_uint_eq(vbed_fds(), fds);
	vsock_unix_destroy(&unx);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(mode_is_applied_to_both_sockets, UNIT_COUNT(modes)),
		UNIT_LOOP(ports_outside_the_ranges_are_refused,
			  UNIT_COUNT(ports)),
		UNIT_TEST(ports_bind_seqpacket_too_but_not_the_host),
		UNIT_TEST(without_ranges_all_ports_are_open),
		UNIT_TEST(clients_beyond_the_limit_wait_in_the_backlog),
		UNIT_TEST(client_that_leaves_makes_room),
		UNIT_TEST(connections_beyond_the_limit_are_refused),
		UNIT_LOOP(buffer_is_what_the_guest_is_told_and_may_send,
			  UNIT_COUNT(buffers)),
		UNIT_TEST(longest_message_is_that_of_the_buffer),
		UNIT_TEST(message_longer_than_a_host_socket_can_take_resets),
		UNIT_LOOP(queues_of_each_size_carry_traffic,
			  UNIT_COUNT(queue_sizes)),
		UNIT_TEST(queue_sizes_survive_a_restore),
		UNIT_TEST(what_is_not_said_has_a_default),
		UNIT_TEST(second_socket_that_cannot_be_leaves_nothing_behind),
	};

	return UNIT_RUN("vsock_options", cases, NULL, vbed_teardown);
}
