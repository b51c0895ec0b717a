// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: connections the guest opens, how many there may be of both kinds,
 * and how they share the way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define MANY 40

static char buf[65536];

START_TEST(guest_connects_to_a_listener)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4), fd;
	struct fake_sock *sock = vbed_connect_guest(VBED_HOST_PORT, listener,
						    &fd);

	fake_sock_send(sock, "hello", 5);
	vbed_run();
	/* No line of ours comes before the guest's bytes. */
	vbed_expect(fd, "hello");
	vbed_send(fd, "there", 5);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, 10), 5);
	close(fd);
	close(listener);
	vbed_run();
	fake_sock_close(sock);
	ck_assert_uint_eq(vbed_stats()->connects_guest, 1);
}
END_TEST

static void expect_refused(uint32_t port)
{
	struct fake_sock *sock = fake_sock_connect(&vbed.set, port);

	vbed_run();
	ck_assert_int_eq(sock->state, FAKE_SOCK_CLOSED);
	ck_assert_int_eq(sock->err, ECONNRESET);
	fake_sock_close(sock);
}

START_TEST(nobody_listens)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4);

	expect_refused(VBED_HOST_PORT + 1);
	/* A socket file that nobody listens on any more. */
	close(listener);
	expect_refused(VBED_HOST_PORT);
	/* The largest port there is. */
	expect_refused(UINT32_MAX);
	ck_assert_uint_eq(vbed_stats()->refused, 3);
}
END_TEST

START_TEST(other_kind_of_file_or_socket_is_refused)
{
	char command[256];

	snprintf(command, sizeof(command), "echo x > %s_5; mkdir %s_6",
		 vbed.path, vbed.path);
	ck_assert_int_eq(system(command), 0);
	expect_refused(5);
	expect_refused(6);
}
END_TEST

START_TEST(full_backlog_is_tried_again)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0), first, second;
	struct fake_sock *one = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	struct fake_sock *two = fake_sock_connect(&vbed.set, VBED_HOST_PORT);

	vbed_run();
	ck_assert_int_eq(one->state, FAKE_SOCK_ESTABLISHED);
	ck_assert_int_eq(two->state, FAKE_SOCK_SYN_SENT);
	/* Its data and close are not due yet, others are served meanwhile. */
	expect_refused(VBED_HOST_PORT + 1);
	first = vbed_accept(listener);
	vbed_wait(200);
	ck_assert_int_eq(two->state, FAKE_SOCK_ESTABLISHED);
	second = vbed_accept(listener);
	fake_sock_send(two, "second", 6);
	vbed_run();
	vbed_expect(second, "second");
	close(first);
	close(second);
	close(listener);
	vbed_run();
}
END_TEST

static bool two_is_over(void)
{
	return vbed.set.sock[1].state == FAKE_SOCK_CLOSED;
}

START_TEST(full_backlog_is_refused_in_the_end)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0);
	struct fake_sock *two;

	fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	two = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	ck_assert_ptr_eq(two, &vbed.set.sock[1]);
	vbed_wait_until(two_is_over);
	ck_assert_int_eq(two->err, ECONNRESET);
	ck_assert_uint_eq(vbed_stats()->refused, 1);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(listener_that_goes_away_during_the_wait_refuses)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0);
	struct fake_sock *two;

	fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	two = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	close(listener);
	vbed_wait_until(two_is_over);
	ck_assert_int_eq(two->err, ECONNRESET);
}
END_TEST

/* A pause costs no connection, not even one that is being made. */
START_TEST(wait_for_a_backlog_outlasts_a_pause)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0), fd;
	struct fake_sock *two;

	fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	two = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	ck_assert_int_eq(two->state, FAKE_SOCK_SYN_SENT);
	vsock_device_set_running(&vbed.d->dev, false);
	vbed_wait(2600);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 2);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_run();
	ck_assert_int_eq(two->state, FAKE_SOCK_SYN_SENT);
	fd = vbed_accept(listener);
	vbed_wait(200);
	ck_assert_int_eq(two->state, FAKE_SOCK_ESTABLISHED);
	close(fd);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(device_reset_ends_a_connect_that_waits)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0);

	fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 2);
	fake_reset(&vbed.v.driver);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	close(vbed_accept(listener));
	vbed.raw = true;
	vbed_wait(50);
	ck_assert_int_lt(vbed_accept(listener), 0);
	close(listener);
}
END_TEST

/* From port 5000 one that fills the backlog, from 5001 one that waits. */
static void connect_until_one_waits(void)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_REQUEST,
						    5000, VBED_HOST_PORT);

	vbed.raw = true;
	vbed_tx(&hdr);
	vbed_expect_op(VSOCK_OP_RESPONSE, 5000, VBED_HOST_PORT);
	hdr.src_port = le32_make(5001);
	vbed_tx(&hdr);
	vbed_expect_silence();
}

START_TEST(guest_gives_up_a_connect_that_waits)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0);

	connect_until_one_waits();
	vbed_op(VSOCK_OP_RST, 5001, VBED_HOST_PORT);
	ck_assert_ptr_null(vbed_conn(VBED_HOST_PORT, 5001));
	close(vbed_accept(listener));
	vbed_wait(50);
	ck_assert_int_lt(vbed_accept(listener), 0);
	close(listener);
}
END_TEST

START_TEST(data_before_the_response_resets)
{
	int listener = vbed_listen(VBED_HOST_PORT, 0);

	connect_until_one_waits();
	vbed_rw(5001, VBED_HOST_PORT, "x", 1);
	vbed_expect_op(VSOCK_OP_RST, 5001, VBED_HOST_PORT);
	close(listener);
}
END_TEST

START_TEST(host_that_hangs_up_at_once_after_accept)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4), fd;
	struct fake_sock *sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);

	/* RESPONSE and SHUTDOWN are in the ring together, in this order. */
	vbed.raw = true;
	vbed_run();
	fd = vbed_accept(listener);
	vbed_send(fd, "bye", 3);
	close(fd);
	vbed_run();
	vbed.raw = false;
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, 10), 3);
	ck_assert_int_eq(fake_sock_recv(sock, buf, 10), 0);
	fake_sock_close(sock);
	close(listener);
	vbed_run();
}
END_TEST

/* A client of the host's is turned away, with the reason. */
static void expect_no_connection_free(void)
{
	int late = vbed_client();

	vbed_hello(late, VBED_PORT);
	vbed_run();
	vbed_expect(late, "ERROR no connection free\n");
	vbed_expect_eof(late);
	close(late);
}

/* Two from each side, and each is told. */
START_TEST(connection_limit_refuses_what_is_beyond)
{
	int listener = vbed_listen(VBED_HOST_PORT, 16), fd[4];
	struct fake_sock *sock[4];

	vbed.d->dev.engine.conns_max = 2;
	for (int i = 0; i < 2; i++)
		sock[i] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[i]);
	for (int i = 2; i < 4; i++)
		fd[i] = vbed_connect(&sock[i]);
	expect_refused(VBED_HOST_PORT);
	expect_no_connection_free();
	ck_assert_uint_eq(vbed_stats()->limit_hits, 2);
	ck_assert_int_lt(vbed_accept(listener), 0);
	/* Room again, for those it was of. */
	close(fd[0]);
	vbed_run();
	fake_sock_close(sock[0]);
	expect_no_connection_free();
	sock[0] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[0]);
	close(fd[2]);
	vbed_run();
	fake_sock_close(sock[2]);
	expect_refused(VBED_HOST_PORT);
	fd[2] = vbed_connect(&sock[2]);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(guest_with_all_its_connections_shuts_out_no_client)
{
	int listener = vbed_listen(VBED_HOST_PORT, 16), fd[9];
	struct fake_sock *sock[9];

	vbed.d->dev.engine.conns_max = 8;
	for (int i = 0; i < 8; i++)
		sock[i] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[i]);
	expect_refused(VBED_HOST_PORT);
	fd[8] = vbed_connect(&sock[8]);
	vbed_send(fd[8], "served", 6);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock[8], buf, sizeof(buf)), 6);
	for (int i = 0; i < 9; i++)
		close(fd[i]);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(clients_with_all_their_connections_shut_out_no_guest)
{
	int listener = vbed_listen(VBED_HOST_PORT, 16), fd[9];
	struct fake_sock *sock[9];

	vbed.d->dev.engine.conns_max = 8;
	for (int i = 0; i < 8; i++)
		fd[i] = vbed_connect(&sock[i]);
	expect_no_connection_free();
	sock[8] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[8]);
	ck_assert_int_eq(fake_sock_send(sock[8], "served", 6), 6);
	vbed_run();
	vbed_expect(fd[8], "served");
	for (int i = 0; i < 9; i++)
		close(fd[i]);
	close(listener);
	vbed_run();
}
END_TEST

/* Refusals of either side give back nothing that was not taken. */
START_TEST(refused_connects_do_not_use_up_the_limit)
{
	struct fake_sock *sock;
	int listener, fd;

	vbed.d->dev.engine.conns_max = 1;
	for (int i = 0; i < 20; i++) {
		expect_refused(VBED_HOST_PORT + 1);
		fd = vbed_client();
		vbed_hello(fd, VBED_PORT + 100);
		vbed_run();
		vbed_expect_eof(fd);
		close(fd);
	}
	ck_assert_uint_eq(vbed_stats()->limit_hits, 0);
	listener = vbed_listen(VBED_HOST_PORT, 1);
	sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	fd = vbed_connect(&sock);
	close(fd);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(lingering_connections_count_for_the_limit)
{
	struct fake_sock *sock;
	int fd;

	vbed.d->dev.engine.conns_max = 1;
	fd = vbed_connect(&sock);
	while (fake_sock_send(sock, buf, sizeof(buf)) > 0)
		vbed_run();
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	expect_no_connection_free();
	close(fd);
	vbed_run();
	fd = vbed_connect(&sock);
	close(fd);
	vbed_run();
}
END_TEST

/* After 2^30 of them the ports come round again. */
START_TEST(host_port_in_use_is_not_given_again)
{
	struct vsock_engine *engine = &vbed.d->dev.engine;
	uint32_t next = engine->next_host_port;
	struct fake_sock *sock[3];
	int fd[3];

	for (unsigned int i = 0; i < 3; i++) {
		engine->next_host_port = next;
		fd[i] = vbed_connect(&sock[i]);
		for (unsigned int j = 0; j < i; j++)
			ck_assert_uint_ne(sock[i]->host_port,
					  sock[j]->host_port);
	}
	for (unsigned int i = 0; i < 3; i++)
		close(fd[i]);
	vbed_run();
}
END_TEST

START_TEST(refused_connect_costs_the_guest_no_buffer)
{
	for (unsigned int i = 0; i < 2 * vbed.v.tx->size; i++)
		expect_refused(VBED_HOST_PORT);
	vbed_settle();
	fake_vsock_reap(&vbed.v);
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 0);
}
END_TEST

START_TEST(ready_connections_are_served_in_turn)
{
	struct fake_vsock_packet packet;
	struct fake_sock *sock[MANY];
	unsigned int count[MANY] = { 0 }, total = 0, room;
	int fd[MANY];

	for (int i = 0; i < MANY; i++)
		fd[i] = vbed_connect(&sock[i]);
	for (int i = 0; i < MANY; i++)
		vbed_send(fd[i], buf, sizeof(buf));
	/* The first ring's worth of packets: everyone is among them. */
	room = fake_in_flight(vbed.v.rx);
	vbed_run_device();
	vbed.raw = true;
	while (vbed_packet(&packet)) {
		for (int i = 0; i < MANY; i++)
			if (sock[i]->host_port == le32_get(packet.hdr.src_port))
				count[i]++;
		fake_sockets_take(&vbed.set, &packet);
		/* Not released: the ring is not filled up again. */
		total++;
	}
	ck_assert_uint_eq(total, room);
	for (int i = 0; i < MANY; i++) {
		ck_assert_msg(count[i] >= 1, "nothing for number %d", i);
		close(fd[i]);
	}
}
END_TEST

START_TEST(many_connections_all_get_through)
{
	struct fake_sock *sock[MANY];
	size_t in[MANY] = { 0 }, out[MANY] = { 0 }, total = 300000;
	bool busy = true;
	int fd[MANY];

	for (int i = 0; i < MANY; i++)
		fd[i] = vbed_connect(&sock[i]);
	while (busy) {
		busy = false;
		for (unsigned int i = 0; i < MANY; i++) {
			size_t len = total - out[i];
			ssize_t n;

			if (len > 20000)
				len = 20000;
			vbed_fill((uint8_t *)buf, len, i, out[i]);
			n = send(fd[i], buf, len, MSG_NOSIGNAL);
			out[i] += n > 0 ? (size_t)n : 0;
			n = fake_sock_recv(sock[i], buf, sizeof(buf));
			if (n > 0) {
				vbed_check((uint8_t *)buf, (size_t)n, i,
					   in[i]);
				in[i] += (size_t)n;
			}
			busy |= in[i] < total;
		}
		vbed_run();
	}
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(guest_connects_to_a_listener),
		UNIT_TEST(nobody_listens),
		UNIT_TEST(other_kind_of_file_or_socket_is_refused),
		UNIT_TEST(full_backlog_is_tried_again),
		UNIT_TEST(full_backlog_is_refused_in_the_end),
		UNIT_TEST(listener_that_goes_away_during_the_wait_refuses),
		UNIT_TEST(wait_for_a_backlog_outlasts_a_pause),
		UNIT_TEST(device_reset_ends_a_connect_that_waits),
		UNIT_TEST(guest_gives_up_a_connect_that_waits),
		UNIT_TEST(data_before_the_response_resets),
		UNIT_TEST(host_that_hangs_up_at_once_after_accept),
		UNIT_TEST(connection_limit_refuses_what_is_beyond),
		UNIT_TEST(guest_with_all_its_connections_shuts_out_no_client),
		UNIT_TEST(clients_with_all_their_connections_shut_out_no_guest),
		UNIT_TEST(refused_connects_do_not_use_up_the_limit),
		UNIT_TEST(lingering_connections_count_for_the_limit),
		UNIT_TEST(host_port_in_use_is_not_given_again),
		UNIT_TEST(refused_connect_costs_the_guest_no_buffer),
		UNIT_TEST(ready_connections_are_served_in_turn),
		UNIT_TEST(many_connections_all_get_through),
	};

	return UNIT_RUN("vsock_connect", cases, vbed_setup_live,
			vbed_teardown);
}
