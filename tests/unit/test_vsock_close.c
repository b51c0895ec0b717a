// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: how connections end (virtio 1.2, section 5.10.6.5; V20, V21): half
 * and whole, from either side, in the middle of things, and by the clock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT 5000u

static char buf[256 << 10];

/* Both ways of connecting: _i is 0 or 1. */
static struct fake_sock *connect_either(int who, int *fd)
{
	struct fake_sock *sock;

	if (who)
		return vbed_connect_guest_once(fd);
	*fd = vbed_connect(&sock);
	return sock;
}

static void expect_gone(void)
{
	vbed_run();
	vbed_expect_no_connection();
}

static void expect_recv(struct fake_sock *sock, const char *text)
{
	size_t len = strlen(text);

	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)),
			 (ssize_t)len);
	ck_assert_mem_eq(buf, text, len);
}

/* request, EOF, response, EOF: as "echo x | socat" does. */
START_TEST(request_eof_response_from_the_host)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	vbed_send(fd, "question", 8);
	shutdown(fd, SHUT_WR);
	vbed_run();
	expect_recv(sock, "question");
	ck_assert_int_eq(fake_sock_recv(sock, buf, 1), 0);
	ck_assert_uint_eq(sock->peer_shut, VSOCK_SHUTDOWN_SEND);
	fake_sock_send(sock, "answer", 6);
	fake_sock_close(sock);
	vbed_run();
	vbed_expect(fd, "answer");
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	expect_gone();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
	close(fd);
}
END_TEST

START_TEST(request_eof_response_from_the_guest)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	fake_sock_send(sock, "question", 8);
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	vbed_expect(fd, "question");
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	vbed_send(fd, "answer", 6);
	close(fd);
	vbed_run();
	expect_recv(sock, "answer");
	ck_assert_int_eq(fake_sock_recv(sock, buf, 1), 0);
	fake_sock_close(sock);
	expect_gone();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
}
END_TEST

/* The host shuts down its sending half and says so; the guest too: a close. */
START_TEST(half_and_half_is_a_whole)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	shutdown(fd, SHUT_WR);
	expect_gone();
	ck_assert(sock->done);
	ck_assert_int_eq(fake_sock_recv(sock, buf, 1), 0);
	fake_sock_close(sock);
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	close(fd);
}
END_TEST

START_TEST(host_closes_first)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	close(fd);
	vbed_run();
	ck_assert_uint_eq(sock->peer_shut, VSOCK_SHUTDOWN_BOTH);
	ck_assert_int_eq(fake_sock_recv(sock, buf, 1), 0);
	fake_sock_close(sock);
	expect_gone();
	ck_assert_uint_eq(vbed_stats()->timeouts, 0);
	ck_assert_uint_eq(vbed_stats()->resets_sent, 0);
	ck_assert_uint_eq(vbed_stats()->resets_received, 1);
}
END_TEST

START_TEST(guest_closes_first)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	fake_sock_close(sock);
	vbed_run();
	/* V21: RST confirms, and the guest need not wait. */
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
	ck_assert_uint_eq(vbed_stats()->resets_sent, 1);
	vbed_expect_eof(fd);
	close(fd);
	expect_gone();
}
END_TEST

START_TEST(both_close_at_once)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	close(fd);
	fake_sock_close(sock);
	expect_gone();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
}
END_TEST

START_TEST(guest_resets)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	fake_sock_abort(sock);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_gone();
	ck_assert_uint_eq(vbed_stats()->resets_sent, 0);
}
END_TEST

START_TEST(bytes_before_the_hosts_close_arrive)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);
	size_t len = 200000, got = 0;
	ssize_t n;

	vbed_fill((uint8_t *)buf, len, 1, 0);
	vbed_send(fd, buf, len);
	close(fd);
	do {
		vbed_run();
		n = fake_sock_recv(sock, buf, 3000);
		if (n > 0) {
			vbed_check((uint8_t *)buf, (size_t)n, 1, got);
			got += (size_t)n;
		}
	} while (n > 0);
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, len);
	fake_sock_close(sock);
	expect_gone();
}
END_TEST

/* The guest's buffer is full when the host closes: more is still to come. */
START_TEST(bytes_before_the_hosts_close_arrive_without_credit)
{
	const struct fake_vsock_config config = { .buf_alloc = 1000 };
	struct fake_sock *sock;
	size_t got = 0;
	ssize_t n;
	int fd;

	vbed_start(&config);
	vbed_probe();
	sock = connect_either(_i, &fd);
	vbed_fill((uint8_t *)buf, 50000, 1, 0);
	vbed_send(fd, buf, 50000);
	vbed_run();
	close(fd);
	vbed_run();
	ck_assert_uint_eq(sock->ring_used, 1000);
	while ((n = fake_sock_recv(sock, buf, 333)) > 0) {
		vbed_check((uint8_t *)buf, (size_t)n, 1, got);
		got += (size_t)n;
		vbed_run();
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, 50000);
	fake_sock_close(sock);
	expect_gone();
}
END_TEST

static void drain(int fd, size_t total, ssize_t end)
{
	size_t got = 0;
	ssize_t n;

	while ((n = vbed_read(fd, buf, 5000)) > 0) {
		vbed_check((uint8_t *)buf, (size_t)n, 2, got);
		got += (size_t)n;
		vbed_run();
	}
	ck_assert_int_eq(n, end);
	ck_assert_uint_eq(got, total);
}

START_TEST(lingering_data_is_delivered_after_the_guest_closed)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);
	size_t sent = vbed_fill_up(sock);

	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	drain(fd, sent, 0);
	close(fd);
	expect_gone();
}
END_TEST

START_TEST(lingering_data_is_delivered_after_half_a_close)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);
	size_t sent = vbed_fill_up(sock);

	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	drain(fd, sent, 0);
	vbed_send(fd, "and back", 8);
	vbed_run();
	expect_recv(sock, "and back");
	fake_sock_close(sock);
	vbed_run();
	close(fd);
	expect_gone();
}
END_TEST

START_TEST(lingering_data_is_delivered_after_a_device_reset)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);
	size_t sent = vbed_fill_up(sock);

	fake_reset(&vbed.v.driver);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	/* The guest might have had more to say. */
	drain(fd, sent, _i ? 0 : -ECONNRESET);
	close(fd);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 0);
	vbed_probe();
	fake_sock_close(sock);
}
END_TEST

START_TEST(host_closes_while_the_backlog_waits)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	vbed_fill_up(sock);
	ck_assert_uint_gt(vbed_conn_of(sock)->backlog.used, 0);
	close(fd);
	vbed_run();
	ck_assert_uint_eq(sock->peer_shut, VSOCK_SHUTDOWN_BOTH);
	fake_sock_close(sock);
	expect_gone();
}
END_TEST

START_TEST(host_closes_while_data_lingers)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	vbed_fill_up(sock);
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	close(fd);
	expect_gone();
}
END_TEST

START_TEST(host_that_reads_no_more_tells_the_guest)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	shutdown(fd, SHUT_RD);
	fake_sock_send(sock, "hello?", 6);
	vbed_run();
	ck_assert_uint_eq(sock->peer_shut, VSOCK_SHUTDOWN_RECEIVE);
	ck_assert_int_eq(fake_sock_send(sock, "x", 1), -EPIPE);
	/* The other direction lives on. */
	vbed_send(fd, "yes", 3);
	vbed_run();
	expect_recv(sock, "yes");
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	expect_gone();
}
END_TEST

START_TEST(guest_that_receives_no_more_tells_the_host)
{
	int fd;
	struct fake_sock *sock = connect_either(_i, &fd);

	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_RECEIVE);
	vbed_run();
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	fake_sock_send(sock, "still here", 10);
	vbed_run();
	vbed_expect(fd, "still here");
	/* V20: permanent; cumulative. */
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	ck_assert(sock->done);
	vbed_expect_eof(fd);
	close(fd);
	fake_sock_close(sock);
	expect_gone();
}
END_TEST

/* Bytes that are ready to go when the guest says that it wants none. */
START_TEST(nothing_is_sent_to_a_guest_that_receives_no_more)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_SHUTDOWN,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 100000, &fd);
	vbed_send(fd, "unwanted", 8);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_RECEIVE);
	hdr.buf_alloc = le32_make(100000);
	fake_vsock_add(&vbed.v, &hdr, NULL, 0);
	fake_vsock_kick(&vbed.v);
	/* Both are found in the same turn of the loop. */
	vbed_expect_silence();
	close(fd);
	vbed_expect_op(VSOCK_OP_SHUTDOWN, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_silence();
}
END_TEST

/* V20: later packets with clear bits do not take it back. */
START_TEST(shutdown_hints_are_permanent)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_SHUTDOWN,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_SEND);
	vbed_tx(&hdr);
	hdr.flags = le32_make(0);
	vbed_tx(&hdr);
	vbed_expect_silence();
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_RECEIVE);
	vbed_tx(&hdr);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_silence();
	close(fd);
}
END_TEST

START_TEST(data_after_shutdown_of_sending_resets)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_SHUTDOWN,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_SEND);
	vbed_tx(&hdr);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "late", 4);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_eof(fd);
	close(fd);
}
END_TEST

/* A whole window is sent, and the guest's sending half shut down behind it. */
static size_t send_and_end(int *fd)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_SHUTDOWN,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	size_t sent = 0;

	vbed_raw_connect(GUEST_PORT, 1000, fd);
	for (; sent < VSOCK_BUF_ALLOC; sent += 65536) {
		vbed_fill((uint8_t *)buf, 65536, 2, sent);
		vbed_rw(GUEST_PORT, VBED_HOST_PORT, buf, 65536);
	}
	/* The host's program is slow: not all of it is in its socket. */
	ck_assert_uint_gt(vbed_conn(VBED_HOST_PORT, GUEST_PORT)->backlog.used,
			  0);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_SEND);
	vbed_tx(&hdr);
	return sent;
}

START_TEST(rst_after_shutdown_of_sending_loses_nothing)
{
	int fd;
	size_t sent = send_and_end(&fd);

	vbed_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	ck_assert_uint_eq(vbed_stats()->resets_sent, 0);
	ck_assert_ptr_null(vbed_conn(VBED_HOST_PORT, GUEST_PORT));
	drain(fd, sent, 0);
	close(fd);
	expect_gone();
}
END_TEST

static bool nobody_left(void)
{
	return vbed.d->dev.engine.count == 0;
}

/* V21: no RST in implementation time, so we send one. */
START_TEST(close_timer_resets)
{
	struct vsock_header hdr;
	uint64_t start;
	int fd;

	vbed.d->dev.engine.close_timeout = 50;
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	start = vbed_now_ms();
	close(fd);
	hdr = vbed_expect_op(VSOCK_OP_SHUTDOWN, GUEST_PORT, VBED_HOST_PORT);
	ck_assert_uint_eq(le32_get(hdr.flags), VSOCK_SHUTDOWN_BOTH);
	vbed_wait_until(nobody_left);
	ck_assert_uint_ge(vbed_now_ms() - start, 50);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	ck_assert_uint_eq(vbed_stats()->timeouts, 1);
}
END_TEST

/* Both have ended, and bytes still wait for the host: told at once, not lost. */
START_TEST(close_timer_loses_nothing_that_was_sent)
{
	int fd;
	size_t sent = send_and_end(&fd);
	struct fake_vsock_packet packet;

	vbed.d->dev.engine.close_timeout = 50;
	shutdown(fd, SHUT_WR);
	do {
		ck_assert(vbed_packet(&packet));
		fake_vsock_release(&vbed.v, &packet);
	} while (le16_get(packet.hdr.op) != VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(le32_get(packet.hdr.flags), VSOCK_SHUTDOWN_BOTH);
	vbed_wait_until(nobody_left);
	ck_assert_uint_eq(vbed_stats()->timeouts, 1);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	drain(fd, sent, 0);
	close(fd);
	expect_gone();
}
END_TEST

START_TEST(answered_connect_is_not_timed_any_more)
{
	struct fake_sock *sock;
	int fd;

	vbed.d->dev.engine.connect_timeout = 20;
	fd = vbed_connect(&sock);
	vbed_wait(60);
	ck_assert_uint_eq(vbed_stats()->timeouts, 0);
	vbed_send(fd, "still", 5);
	vbed_run();
	expect_recv(sock, "still");
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(connect_timeout_refuses_the_client)
{
	struct fake_vsock_packet packet;
	int fd = vbed_client();

	vbed.d->dev.engine.connect_timeout = 50;
	vbed_hello(fd, VBED_PORT);
	ck_assert(vbed_packet(&packet));
	ck_assert_uint_eq(le16_get(packet.hdr.op), VSOCK_OP_REQUEST);
	fake_vsock_release(&vbed.v, &packet);
	vbed_expect_nothing(fd);
	vbed_wait_until(nobody_left);
	vbed_expect_eof(fd);
	vbed_expect_op(VSOCK_OP_RST, VBED_PORT,
		       le32_get(packet.hdr.src_port));
	/* Too late. */
	vbed_op(VSOCK_OP_RESPONSE, VBED_PORT, le32_get(packet.hdr.src_port));
	vbed_expect_op(VSOCK_OP_RST, VBED_PORT,
		       le32_get(packet.hdr.src_port));
	close(fd);
}
END_TEST

START_TEST(paused_vm_fires_no_timeouts)
{
	int fd, client = vbed_client();

	vbed.d->dev.engine.close_timeout = 20;
	vbed.d->dev.engine.connect_timeout = 20;
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	close(fd);
	vbed_hello(client, VBED_PORT);
	vbed_run();
	vsock_device_set_running(&vbed.d->dev, false);
	vbed_wait(100);
	ck_assert_uint_eq(vbed_stats()->timeouts, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 2);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_wait_until(nobody_left);
	ck_assert_uint_eq(vbed_stats()->timeouts, 2);
	close(client);
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_LOOP(request_eof_response_from_the_host, 2),
		UNIT_LOOP(request_eof_response_from_the_guest, 2),
		UNIT_LOOP(half_and_half_is_a_whole, 2),
		UNIT_LOOP(host_closes_first, 2),
		UNIT_LOOP(guest_closes_first, 2),
		UNIT_LOOP(both_close_at_once, 2),
		UNIT_LOOP(guest_resets, 2),
		UNIT_LOOP(bytes_before_the_hosts_close_arrive, 2),
		UNIT_LOOP(lingering_data_is_delivered_after_the_guest_closed,
			  2),
		UNIT_LOOP(lingering_data_is_delivered_after_half_a_close, 2),
		UNIT_LOOP(lingering_data_is_delivered_after_a_device_reset, 2),
		UNIT_LOOP(host_closes_while_the_backlog_waits, 2),
		UNIT_LOOP(host_closes_while_data_lingers, 2),
		UNIT_LOOP(host_that_reads_no_more_tells_the_guest, 2),
		UNIT_LOOP(guest_that_receives_no_more_tells_the_host, 2),
		UNIT_TEST(answered_connect_is_not_timed_any_more),
	};
	const struct unit_case raw[] = {
		UNIT_TEST(nothing_is_sent_to_a_guest_that_receives_no_more),
		UNIT_TEST(shutdown_hints_are_permanent),
		UNIT_TEST(data_after_shutdown_of_sending_resets),
		UNIT_TEST(rst_after_shutdown_of_sending_loses_nothing),
		UNIT_TEST(close_timer_resets),
		UNIT_TEST(close_timer_loses_nothing_that_was_sent),
		UNIT_TEST(connect_timeout_refuses_the_client),
		UNIT_TEST(paused_vm_fires_no_timeouts),
	};
	const struct unit_case other[] = {
		UNIT_LOOP(bytes_before_the_hosts_close_arrive_without_credit,
			  2),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("raw", raw, vbed_setup_raw, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
	};

	return unit_run("vsock_close", groups, UNIT_COUNT(groups));
}
