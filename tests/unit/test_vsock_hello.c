// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock, AF_UNIX back-end: what clients say first, how they say it, and when
 * they leave.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static const char hello[] = "CONNECT 1024\n";

static void expect_none(void)
{
	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
}

/* The guest closes what the host has left. */
static void close_all(void)
{
	struct fake_sock *sock;

	vbed_run();
	while ((sock = fake_sock_accept(&vbed.set, VBED_PORT)))
		fake_sock_close(sock);
	expect_none();
}

START_TEST(connect_line_may_be_cut_at_every_byte)
{
	struct fake_sock *sock;
	char buf[8];

	for (size_t cut = 1; cut < sizeof(hello) - 1; cut++) {
		int fd = vbed_client();

		vbed_send(fd, hello, cut);
		vbed_run();
		vbed_expect_nothing(fd);
		vbed_send(fd, hello + cut, sizeof(hello) - 1 - cut);
		vbed_send(fd, "abc", 3);
		vbed_ok(fd);
		sock = fake_sock_accept(&vbed.set, VBED_PORT);
		ck_assert_int_eq(fake_sock_recv(sock, buf, 8), 3);
		ck_assert_mem_eq(buf, "abc", 3);
		close(fd);
		vbed_run();
		fake_sock_close(sock);
	}
	expect_none();
}
END_TEST

START_TEST(connect_line_may_come_byte_by_byte)
{
	int fd = vbed_client();

	for (size_t i = 0; i < sizeof(hello) - 1; i++) {
		vbed_send(fd, hello + i, 1);
		vbed_run();
	}
	vbed_ok(fd);
	close(fd);
	close_all();
}
END_TEST

static const char *const good[] = {
	"connect 1024\n", "Connect 1024\n", "cOnNeCt 1024\n",
	"CONNECT 1024\r\n", "CONNECT   1024\n", "CONNECT\t1024\n",
	"CONNECT 1024  \n", "CONNECT 0000001024\n",
};

START_TEST(keyword_in_any_case_blanks_around)
{
	int fd = vbed_client();

	vbed_send(fd, good[_i], strlen(good[_i]));
	vbed_ok(fd);
	close(fd);
	close_all();
}
END_TEST

static const struct { const char *text; size_t len; } bad[] = {
#define BAD(text) { text, sizeof(text) - 1 }
	BAD("\n"), BAD("CONNECT\n"), BAD("CONNECT \n"), BAD("CONNECT1024\n"),
	BAD("CONNECT x\n"), BAD("CONNECT 1024x\n"), BAD("CONNECT -1\n"),
	BAD("CONNECT +1024\n"), BAD("CONNECT 0x400\n"),
	BAD("CONNECT 4294967295\n"), BAD("CONNECT 4294967296\n"),
	BAD("CONNECT 99999999999999999999999\n"), BAD("CONNECT 1024 5\n"),
	BAD(" CONNECT 1024\n"), BAD("CONNECTS 1024\n"), BAD("HELO 1024\n"),
	BAD("CONNECT 1024\0\n"), BAD("CONNECT\0 1024\n"),
	BAD("GET / HTTP/1.1\r\n"), BAD("\xff\xfe\xfd\n"),
	/* 64 bytes and no newline. */
	BAD("CONNECT                                                    1024x"),
};

START_TEST(garbage_is_refused)
{
	int fd = vbed_client();

	vbed_send(fd, bad[_i].text, bad[_i].len);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_none();
	ck_assert_uint_eq(vbed.d->unx.refused, 1);
	ck_assert_uint_eq(vbed_stats()->connects_host, 0);
}
END_TEST

START_TEST(overlong_line_is_refused_before_its_end)
{
	int fd = vbed_client();

	for (int i = 0; i < 63; i++) {
		vbed_send(fd, "C", 1);
		vbed_run();
		vbed_expect_nothing(fd);
	}
	vbed_send(fd, "C", 1);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_none();
}
END_TEST

START_TEST(port_0_is_for_the_guest_to_refuse)
{
	int fd = vbed_client();

	vbed_hello(fd, 0);
	vbed_run();
	vbed_expect_eof(fd);
	ck_assert_uint_eq(vbed_stats()->connects_host, 1);
	close(fd);
	expect_none();
}
END_TEST

START_TEST(bytes_after_the_newline_are_data)
{
	static const char text[] = "CONNECT 1024\nCONNECT 5\n\n\0data";
	struct fake_sock *sock;
	char buf[64];
	int fd = vbed_client();
	size_t rest = sizeof(text) - 1 - 13;

	vbed_send(fd, text, sizeof(text) - 1);
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)),
			 (ssize_t)rest);
	ck_assert_mem_eq(buf, text + 13, rest);
	close(fd);
	close_all();
}
END_TEST

START_TEST(early_data_and_eof_arrive)
{
	struct fake_sock *sock;
	static char big[100000], back[100000];
	int fd = vbed_client();
	size_t got = 0;
	ssize_t n;

	vbed_hello(fd, VBED_PORT);
	vbed_fill((uint8_t *)big, sizeof(big), 9, 0);
	vbed_send(fd, big, sizeof(big));
	shutdown(fd, SHUT_WR);
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	while ((n = fake_sock_recv(sock, back + got, sizeof(back) - got)) > 0) {
		got += (size_t)n;
		vbed_run();
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, sizeof(big));
	ck_assert_mem_eq(big, back, sizeof(big));
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	expect_none();
}
END_TEST

START_TEST(refused_by_the_guest_the_client_is_closed)
{
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT + 1);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_none();
	ck_assert_uint_eq(vbed_stats()->refused, 1);
}
END_TEST

START_TEST(client_leaves_before_a_word)
{
	int fd = vbed_client();

	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, 1);
	close(fd);
	expect_none();
}
END_TEST

START_TEST(client_leaves_within_the_line)
{
	for (size_t cut = 1; cut < sizeof(hello) - 1; cut++) {
		int fd = vbed_client();

		vbed_send(fd, hello, cut);
		if (cut % 2)
			vbed_run();
		if (cut % 3)
			close(fd);
		else
			shutdown(fd, SHUT_WR);
		expect_none();
		if (!(cut % 3)) {
			vbed_expect_eof(fd);
			close(fd);
		}
	}
}
END_TEST

START_TEST(client_leaves_after_the_line)
{
	int fd = vbed_client();

	/* Seen together: the line, and that nobody waits for the answer. */
	vbed_hello(fd, VBED_PORT);
	close(fd);
	close_all();

	/* The REQUEST is out when it leaves. */
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 1);
	close(fd);
	vbed_run_device();
	/* The guest hears an RST after it. */
	close_all();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
}
END_TEST

START_TEST(client_leaves_while_rx_ring_is_full)
{
	struct fake_vsock_packet packet;
	int fd;

	/* No RX buffers: the REQUEST cannot go out, and need not. */
	vbed.raw = true;
	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	fake_driver_ok(&vbed.v.driver);
	fake_vsock_fill_events(&vbed.v);
	vbed_run();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 1);
	close(fd);
	expect_none();
	fake_vsock_fill_rx(&vbed.v);
	ck_assert(!vbed_packet(&packet));
}
END_TEST

static bool nobody_left(void)
{
	return vbed.d->unx.count == 0;
}

START_TEST(silent_client_is_dropped_after_a_while)
{
	uint64_t start = vbed_now_ms();
	int fd;

	vbed.d->unx.hello_timeout = 50;
	fd = vbed_client();
	vbed_send(fd, hello, 5);
	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, 1);
	vbed_wait_until(nobody_left);
	ck_assert_uint_ge(vbed_now_ms() - start, 50);
	vbed_expect_eof(fd);
	close(fd);
	expect_none();
}
END_TEST

START_TEST(silent_clients_beyond_the_limit_stay_in_the_backlog)
{
	int fd[VSOCK_UNIX_CLIENTS_MAX + 20], late;

	for (unsigned int i = 0; i < UNIT_COUNT(fd); i++)
		fd[i] = vbed_client();
	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, VSOCK_UNIX_CLIENTS_MAX);
	late = vbed_client();
	vbed_hello(late, VBED_PORT);
	vbed_run();
	vbed_expect_nothing(late);
	for (unsigned int i = 0; i < UNIT_COUNT(fd); i++)
		close(fd[i]);
	vbed_ok(late);
	close(late);
	close_all();
}
END_TEST

/* 20 ms here; nobody has to wait for the silent ones' ten seconds. */
START_TEST(silent_clients_give_way_to_others_after_a_grace)
{
	int fd[VSOCK_UNIX_CLIENTS_MAX], late[2];
	uint64_t start = vbed_now_ms();

	vbed.d->unx.grace = 20;
	for (unsigned int i = 0; i < UNIT_COUNT(fd); i++)
		fd[i] = vbed_client();
	vbed_run();
	ck_assert_uint_eq(vbed.d->unx.count, UNIT_COUNT(fd));
	late[0] = vbed_client();
	late[1] = vbed_client();
	vbed_hello(late[1], VBED_PORT);
	vbed_wait(100);
	ck_assert_uint_ge(vbed_now_ms() - start, 20);
	/* One silent client comes, the oldest goes; who speaks needs no place. */
	vbed_ok(late[1]);
	vbed_expect_eof(fd[0]);
	vbed_expect_nothing(fd[1]);
	vbed_expect_nothing(late[0]);
	ck_assert_uint_eq(vbed.d->unx.count, UNIT_COUNT(fd));
	ck_assert_uint_eq(vbed.d->unx.refused, 1);
	/* A place kept is a place: the grace over, it may still speak. */
	vbed_hello(fd[1], VBED_PORT);
	vbed_ok(fd[1]);
	for (unsigned int i = 0; i < UNIT_COUNT(fd); i++)
		close(fd[i]);
	close(late[0]);
	close(late[1]);
	vbed_run();
	close_all();
}
END_TEST

START_TEST(silent_clients_keep_their_places_while_nobody_wants_them)
{
	uint64_t start;
	int fd;

	vbed.d->unx.grace = 10;
	vbed.d->unx.hello_timeout = 60;
	fd = vbed_client();
	vbed_run();
	start = vbed_now_ms();
	ck_assert_uint_eq(vbed.d->unx.count, 1);
	vbed_wait_until(nobody_left);
	ck_assert_uint_ge(vbed_now_ms() - start, 55);
	vbed_expect_eof(fd);
	close(fd);
	expect_none();
}
END_TEST

/* Out of descriptors: neither a spin nor a client lost. */
START_TEST(accept_waits_for_descriptors)
{
	struct rlimit limit, low;
	int fd = vbed_client(), turns = 0;

	vbed_hello(fd, VBED_PORT);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (int i = 0; i < 100; i++)
		turns += loop_run_once(vbed.loop, 0) > 0;
	ck_assert_int_lt(turns, 10);
	vbed_expect_nothing(fd);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	vbed_wait(300);
	vbed_ok(fd);
	close(fd);
	close_all();
}
END_TEST

START_TEST(socket_is_for_its_owner_only)
{
	char command[128];

	snprintf(command, sizeof(command), "test $(stat -c %%a %s) = 600",
		 vbed.path);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(path_without_room_for_a_port_is_refused)
{
	struct vsock_unix unx = { 0 };
	struct fail why = { "" };
	char path[256];
	const struct vsock_unix_options options = {
		.path = path, .mode = 0600,
	};

	/* NAME_4294967295 has to fit into 107 bytes. */
	snprintf(path, sizeof(path), "%s/%0*d", vbed.dir, 97, 0);
	ck_assert_int_eq(vsock_unix_init(&unx, vbed.loop, &options, &why),
			 -ENAMETOOLONG);
	ck_says(&why, "97 bytes");
	vsock_unix_destroy(&unx);
	snprintf(path, sizeof(path), "%s/%0*d", vbed.dir, 96, 0);
	ck_assert_msg(!vsock_unix_init(&unx, vbed.loop, &options, &why), "%s",
		      why.text);
	vsock_unix_destroy(&unx);
	vsock_unix_destroy(&unx);
}
END_TEST

/* Half of it was said to the guest that has been replaced meanwhile. */
START_TEST(line_begun_before_a_restore_in_place_waits_for_the_gate)
{
	int fd = vbed_client(), gone = vbed_client();
	struct fake_sock *sock;
	char buf[8];

	vbed_send(fd, "CONNECT", 7);
	vbed_send(gone, "CONNECT", 7);
	vbed_run();
	vbed_restore_in_place();
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	ck_assert_uint_eq(vbed.d->unx.count, 2);
	vbed_send(fd, " 1024\nabc", 9);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	close(gone);
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	ck_assert_int_eq(recv(fd, buf, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	ck_assert_int_eq(fake_sock_recv(sock, buf, 8), 3);
	ck_assert_mem_eq(buf, "abc", 3);
	ck_assert_uint_eq(vbed.d->unx.refused, 1);
	close(fd);
	fake_sock_close(sock);
	expect_none();
}
END_TEST

START_TEST(patience_with_silent_clients_stands_still_while_paused)
{
	int fd = vbed_client();

	vbed.d->unx.hello_timeout = 50;
	vbed.d->unx.grace = 20;
	vbed_send(fd, "CONNECT", 7);
	vbed_run();
	vsock_device_set_running(&vbed.d->dev, false);
	vbed_wait(200);
	vbed_expect_nothing(fd);
	vbed_send(fd, " 1024\n", 6);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_ok(fd);
	close(fd);
	close_all();
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(connect_line_may_be_cut_at_every_byte),
		UNIT_TEST(connect_line_may_come_byte_by_byte),
		UNIT_LOOP(keyword_in_any_case_blanks_around, UNIT_COUNT(good)),
		UNIT_LOOP(garbage_is_refused, UNIT_COUNT(bad)),
		UNIT_TEST(overlong_line_is_refused_before_its_end),
		UNIT_TEST(port_0_is_for_the_guest_to_refuse),
		UNIT_TEST(bytes_after_the_newline_are_data),
		UNIT_TEST(early_data_and_eof_arrive),
		UNIT_TEST(refused_by_the_guest_the_client_is_closed),
		UNIT_TEST(client_leaves_before_a_word),
		UNIT_TEST(client_leaves_within_the_line),
		UNIT_TEST(client_leaves_after_the_line),
		UNIT_TEST(client_leaves_while_rx_ring_is_full),
		UNIT_TEST(silent_client_is_dropped_after_a_while),
		UNIT_TEST(silent_clients_beyond_the_limit_stay_in_the_backlog),
		UNIT_TEST(silent_clients_give_way_to_others_after_a_grace),
		UNIT_TEST(silent_clients_keep_their_places_while_nobody_wants_them),
		UNIT_TEST(line_begun_before_a_restore_in_place_waits_for_the_gate),
		UNIT_TEST(patience_with_silent_clients_stands_still_while_paused),
		UNIT_TEST(accept_waits_for_descriptors),
		UNIT_TEST(socket_is_for_its_owner_only),
		UNIT_TEST(path_without_room_for_a_port_is_refused),
	};

	return UNIT_RUN("vsock_hello", cases, vbed_setup_live, vbed_teardown);
}
