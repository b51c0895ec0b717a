// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: messages that wait, for the host or for the guest: how many, how long,
 * in which order.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock/ready.h"
#include "tests/unit/test_vsock_bed_messages.h"

static uint8_t chunk[MESSAGE_WINDOW];

static size_t odd_size(uint32_t seed)
{
	return (size_t)seed * 1237 % 7000;
}

START_TEST(messages_to_a_slow_host_wait_in_order)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t sent = 0, seen = 0, waited = 0;
	size_t at = 0;

	while (seen < 500) {
		while (sent < 500) {
			size_t len = odd_size(sent + 1);
			ssize_t n = guest_goes_on(sock, len, sent + 1, at);

			ck_assert_int_ge(n, 0);
			at = (size_t)n;
			if (at < len)
				break;
			sent++;
			at = 0;
		}
		if (vbed_conn_of(sock)->seq->waiting > waited)
			waited = vbed_conn_of(sock)->seq->waiting;
		for (int i = 0; i < 7 && seen < sent; i++, seen++)
			expect_at_host(fd, odd_size(seen + 1), seen + 1);
		vbed_run();
	}
	ck_assert_uint_gt(waited, 10);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

START_TEST(messages_to_a_slow_guest_wait_in_order)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t sent = 0, seen = 0;

	while (seen < 500) {
		size_t len = odd_size(sent + 1);

		vbed_fill(chunk, len, sent + 1, 0);
		if (sent < 500 &&
		    send(fd, chunk, len, MSG_NOSIGNAL) == (ssize_t)len) {
			sent++;
			continue;
		}
		vbed_run();
		for (int i = 0; i < 7 && seen < sent; i++, seen++)
			expect_at_guest(sock, odd_size(seen + 1), seen + 1);
	}
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

static void start_small(uint32_t buf_alloc)
{
	vbed_start_seq(&(const struct fake_vsock_config){
			       .buf_alloc = buf_alloc });
}

START_TEST(message_longer_than_the_guests_buffer_ends_the_connection)
{
	struct fake_sock *sock, *other;
	int fd, fd2;

	start_small(4096);
	fd = vbed_connect_seq(&sock);
	fd2 = vbed_connect_seq(&other);
	host_sends(fd, 4096, 1);
	expect_at_guest(sock, 4096, 1);
	host_sends(fd, 4097, 2);
	expect_end_at_guest(sock);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 1);
	vbed_expect_eof(fd);
	/* Nobody else hears of it. */
	host_sends(fd2, 100, 3);
	expect_at_guest(other, 100, 3);
	close(fd);
	close_both(fd2, other);
}
END_TEST

START_TEST(message_goes_on_when_the_guest_has_read_those_before)
{
	struct fake_sock *sock;
	int fd;

	start_small(65536);
	fd = vbed_connect_seq(&sock);
	host_sends(fd, 40000, 1);
	host_sends(fd, 50000, 2);
	ck_assert_uint_eq(sock->ring_used, 65536);
	expect_at_guest(sock, 40000, 1);
	expect_at_guest(sock, 50000, 2);
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

START_TEST(message_without_an_end_stalls_its_connection_alone)
{
	struct fake_sock *sock, *other;
	int fd = vbed_connect_seq(&sock), fd2 = vbed_connect_seq(&other);

	ck_assert_int_eq(fake_sock_send_message(sock, chunk, MESSAGE_WINDOW, 0),
			 MESSAGE_WINDOW);
	vbed_run();
	ck_assert_int_eq(fake_sock_send_message(sock, chunk, 1, 0), -EAGAIN);
	vbed_expect_nothing(fd);
	guest_sends(other, 1000, 1);
	expect_at_host(fd2, 1000, 1);
	/* The other way round it goes on. */
	host_sends(fd, 10, 2);
	expect_at_guest(sock, 10, 2);
	/* It ends without a byte of it. */
	fake_sock_close(sock);
	vbed_run();
	vbed_expect_eof(fd);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 1);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 0);
	close(fd);
	close_both(fd2, other);
}
END_TEST

START_TEST(guest_beyond_its_credit_is_reset)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	ck_assert_int_eq(fake_sock_send_message(sock, chunk, MESSAGE_WINDOW, 0),
			 MESSAGE_WINDOW);
	vbed_run();
	sock->peer_fwd_cnt = 100;
	ck_assert_int_eq(fake_sock_send_message(sock, chunk, 1, 0), 1);
	vbed_run();
	ck_assert(sock->done);
	vbed_expect_eof(fd);
	ck_assert_uint_eq(vbed_stats()->credit_overruns, 1);
	close(fd);
}
END_TEST

/* Fills the host's socket; Return: messages it took. */
static uint32_t fill_host(struct fake_sock *sock)
{
	uint32_t sent = 0;

	while (!vbed_conn_of(sock)->seq->waiting) {
		guest_sends(sock, 1, ++sent);
		ck_assert_uint_lt(sent, 100000);
	}
	return sent - 1;
}

/* As many messages as there is credit for. Return: how many. */
static uint32_t use_credit(struct fake_sock *sock, uint32_t len)
{
	uint32_t sent = 0;

	while (fake_sock_room(sock) >= len)
		guest_sends(sock, len, ++sent);
	return sent;
}

/* The reader comes: @count messages of @len bytes, and nothing else. */
static void expect_all(int fd, uint32_t len, uint32_t count)
{
	for (uint32_t seed = 1; seed <= count; seed++) {
		expect_at_host(fd, len, seed);
		if (seed % 100 == 0)
			vbed_run();
	}
	vbed_run();
	vbed_expect_nothing(fd);
}

static const uint32_t small_sizes[] = { 129, 200, 500, 1000 };

START_TEST(small_messages_to_a_late_host_arrive_all_that_credit_allows)
{
	uint32_t len = small_sizes[_i], sent;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	/* Twice: what is noted of them comes round. */
	for (int i = 0; i < 2; i++) {
		sent = use_credit(sock, len);
		ck_assert_uint_ge(sent, (MESSAGE_WINDOW - len) / len);
		ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
		expect_all(fd, len, sent);
	}
	close_both(fd, sock);
}
END_TEST

START_TEST(messages_of_one_byte_wait_for_a_late_host_by_the_thousand)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	for (uint32_t seed = 1; seed <= 20000; seed++)
		guest_sends(sock, 1, seed);
	ck_assert_uint_gt(vbed_conn_of(sock)->seq->waiting, 19000);
	expect_all(fd, 1, 20000);
	ck_assert_ptr_null(vbed_conn_of(sock)->seq->marks.data);
	close_both(fd, sock);
}
END_TEST

/* The guest has closed before the reader comes. */
START_TEST(messages_that_wait_outlive_the_guests_socket)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	for (uint32_t seed = 1; seed <= 1700; seed++)
		guest_sends(sock, 1, seed);
	fake_sock_close(sock);
	vbed_run();
	for (uint32_t seed = 1; seed <= 1700; seed++) {
		expect_at_host(fd, 1, seed);
		vbed_run();
	}
	vbed_expect_eof(fd);
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

static unsigned int seen_flags[32], seen_num;

static ssize_t send_and_note(struct vsock_conn *conn, const struct iovec *iov,
			     unsigned int count, unsigned int flags)
{
	ssize_t sent = vsock_unix_ops.send(conn, iov, count, flags);

	if (sent >= 0 && seen_num < UNIT_COUNT(seen_flags))
		seen_flags[seen_num++] = flags;
	return sent;
}

START_TEST(lengths_and_ends_of_those_that_wait_are_kept)
{
	static const uint32_t lens[] = {
		0, 1, 63, 64, 65, 127, 128, 8191, 8192, 65536, 100000,
	};
	struct vsock_backend_ops ops = vsock_unix_ops;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t took = fill_host(sock);

	for (uint32_t i = 0; i < UNIT_COUNT(lens); i++) {
		vbed_fill(chunk, lens[i], i, 0);
		ck_assert_int_eq(fake_sock_send_message(sock, chunk, lens[i],
				 VSOCK_SEQ_EOM | (i % 2 ? VSOCK_SEQ_EOR : 0)),
				 (ssize_t)lens[i]);
		vbed_run();
	}
	ops.send = send_and_note;
	vbed.d->unx.backend.ops = &ops;
	for (uint32_t seed = 1; seed <= took + 1; seed++) {
		expect_at_host(fd, 1, seed);
		vbed_run();
	}
	for (uint32_t i = 0; i < UNIT_COUNT(lens); i++) {
		expect_at_host(fd, lens[i], i);
		vbed_run();
	}
	/* Before them went the last of those that filled the socket. */
	ck_assert_uint_eq(seen_num, 1 + UNIT_COUNT(lens));
	for (uint32_t i = 0; i < UNIT_COUNT(lens); i++)
		ck_assert_uint_eq(seen_flags[1 + i],
				  i % 2 ? VSOCK_SEND_EOR : 0);
	vbed.d->unx.backend.ops = &vsock_unix_ops;
	close_both(fd, sock);
}
END_TEST

static ssize_t send_to_nobody(struct vsock_conn *conn, const struct iovec *iov,
			      unsigned int count, unsigned int flags)
{
	ssize_t len = 0;

	(void)conn;
	(void)flags;
	for (unsigned int i = 0; i < count; i++)
		len += (ssize_t)iov[i].iov_len;
	return len;
}

/* A reader as fast as we are: no event would say again that there is room. */
START_TEST(many_that_wait_go_out_over_several_turns)
{
	struct vsock_backend_ops ops = vsock_unix_ops;
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	for (uint32_t seed = 1; seed <= 5000; seed++)
		guest_sends(sock, 1, seed);
	ops.send = send_to_nobody;
	vbed.d->unx.backend.ops = &ops;
	while (vbed_read(fd, chunk, 1) == 1)
		;
	loop_run_once(vbed.loop, 0);
	ck_assert_uint_gt(vbed_conn_of(sock)->seq->waiting, 2000);
	vbed_run();
	ck_assert_uint_eq(vbed_conn_of(sock)->seq->waiting, 0);
	vbed.d->unx.backend.ops = &vsock_unix_ops;
	close_both(fd, sock);
}
END_TEST

START_TEST(message_does_not_overtake_those_that_wait)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t took = fill_host(sock);

	/* There is room for one, and nobody has been told. */
	expect_at_host(fd, 1, 1);
	guest_sends(sock, 3, took + 2);
	for (uint32_t seed = 2; seed <= took; seed++)
		expect_at_host(fd, 1, seed);
	vbed_run();
	expect_at_host(fd, 1, took + 1);
	expect_at_host(fd, 3, took + 2);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

/* Empty messages until the TX ring is full. Return: how many. */
static uint32_t clog_ring(struct fake_sock *sock)
{
	uint32_t sent = 0;

	while (fake_sock_send_message(sock, "", 0, VSOCK_SEQ_EOM) == 0) {
		vbed_run();
		/* It says 0 as well if there was no room in the ring. */
		if (!vbed.v.tx_free_num)
			break;
		ck_assert_uint_lt(sent++, 100000);
	}
	ck_assert(vsock_engine_blocked(&vbed.d->dev.engine));
	return sent + 1;
}

/* Nobody is left to hold back; the messages wait for the host still. */
START_TEST(ring_that_messages_hold_back_ends_all_the_same)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	clog_ring(sock);
	vsock_device_finish(&vbed.d->dev);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
	vbed_run();
	vbed.loose = true;
}
END_TEST

START_TEST(empty_messages_beyond_their_bound_hold_the_tx_ring_back)
{
	struct fake_sock *sock, *other;
	int fd = vbed_connect_seq(&sock), fd2 = vbed_connect(&other);
	uint32_t sent;

	ck_assert_int_eq(fake_sock_send(other, "first", 5), 5);
	sent = clog_ring(sock);
	ck_assert_uint_gt(sent, VSOCK_SEQ_EMPTY_MAX);
	ck_assert_uint_eq(vbed_conn_of(sock)->seq->empty, VSOCK_SEQ_EMPTY_MAX);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	vbed_expect(fd2, "first");
	/* To the guest everything goes on. */
	vbed_send(fd2, "down", 4);
	vbed_run();
	ck_assert_uint_eq(other->ring_used, 4);
	for (uint32_t i = 0; i < sent; i++) {
		expect_at_host(fd, 0, 0);
		vbed_run();
	}
	vbed_expect_nothing(fd);
	ck_assert_int_eq(fake_sock_send(other, "then", 4), 4);
	vbed_run();
	vbed_expect(fd2, "then");
	close(fd2);
	vbed_run();
	fake_sock_close(other);
	close_both(fd, sock);
}
END_TEST

START_TEST(tx_ring_goes_on_when_the_host_that_held_it_back_is_gone)
{
	struct fake_sock *sock, *other;
	int fd = vbed_connect_seq(&sock), fd2 = vbed_connect(&other);

	clog_ring(sock);
	close(fd);
	vbed_run();
	ck_assert(!vsock_engine_blocked(&vbed.d->dev.engine));
	ck_assert_uint_eq(vbed.d->dev.engine.clogged, 0);
	ck_assert_int_eq(fake_sock_send(other, "then", 4), 4);
	vbed_run();
	vbed_expect(fd2, "then");
	close(fd2);
	vbed_run();
	fake_sock_close(other);
	close_guest(sock);
}
END_TEST

START_TEST(driver_that_starts_anew_finds_the_tx_ring_free)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t sent = clog_ring(sock), got = 0;

	fake_sockets_sweep(&vbed.set);
	fake_sock_close(sock);
	vbed_probe();
	ck_assert_uint_eq(vbed.d->dev.engine.clogged, 0);
	/* What was taken is delivered, and no more than that. */
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	while (vbed_read(fd, chunk, 1) == 0 && got <= sent) {
		got++;
		vbed_run();
	}
	ck_assert_uint_gt(got, VSOCK_SEQ_EMPTY_MAX);
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

START_TEST(empty_messages_wait_in_their_place)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t took = fill_host(sock);

	guest_sends(sock, 0, 0);
	guest_sends(sock, 5, 5);
	guest_sends(sock, 0, 0);
	for (uint32_t seed = 1; seed <= took; seed++)
		expect_at_host(fd, 1, seed);
	vbed_run();
	expect_at_host(fd, 1, took + 1);
	expect_at_host(fd, 0, 0);
	expect_at_host(fd, 5, 5);
	expect_at_host(fd, 0, 0);
	vbed_expect_nothing(fd);
	close_both(fd, sock);
}
END_TEST

/* How many messages may the guest have unread? */
static void unread_messages(uint32_t buf_alloc, uint32_t limit)
{
	struct fake_sock *sock;
	uint32_t sent;
	int fd;

	start_small(buf_alloc);
	fd = vbed_connect_seq(&sock);
	for (sent = 1; sent <= limit + 100; sent++)
		host_sends(fd, 1, sent);
	ck_assert_uint_eq(sock->message_num, limit);
	expect_at_guest(sock, 1, 1);
	ck_assert_uint_eq(sock->message_num, limit);
	for (uint32_t seed = 2; seed < sent; seed++)
		expect_at_guest(sock, 1, seed);
	expect_none_at_guest(sock);
	close_both(fd, sock);
}

START_TEST(guest_has_256_unread_messages_and_more_when_it_reads)
{
	unread_messages(MESSAGE_WINDOW, VSOCK_UNREAD_MAX);
}
END_TEST

START_TEST(guest_with_a_small_buffer_has_fewer_unread_messages)
{
	unread_messages(65536, 64);
}
END_TEST

START_TEST(guest_with_a_tiny_buffer_has_one_unread_message)
{
	unread_messages(1000, 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(messages_to_a_slow_host_wait_in_order),
		UNIT_TEST(messages_to_a_slow_guest_wait_in_order),
		UNIT_TEST(message_without_an_end_stalls_its_connection_alone),
		UNIT_TEST(guest_beyond_its_credit_is_reset),
		UNIT_LOOP(small_messages_to_a_late_host_arrive_all_that_credit_allows,
			  UNIT_COUNT(small_sizes)),
		UNIT_TEST(messages_of_one_byte_wait_for_a_late_host_by_the_thousand),
		UNIT_TEST(messages_that_wait_outlive_the_guests_socket),
		UNIT_TEST(lengths_and_ends_of_those_that_wait_are_kept),
		UNIT_TEST(many_that_wait_go_out_over_several_turns),
		UNIT_TEST(message_does_not_overtake_those_that_wait),
		UNIT_TEST(ring_that_messages_hold_back_ends_all_the_same),
		UNIT_TEST(empty_messages_beyond_their_bound_hold_the_tx_ring_back),
		UNIT_TEST(tx_ring_goes_on_when_the_host_that_held_it_back_is_gone),
		UNIT_TEST(driver_that_starts_anew_finds_the_tx_ring_free),
		UNIT_TEST(empty_messages_wait_in_their_place),
	};
	const struct unit_case small[] = {
		UNIT_TEST(message_longer_than_the_guests_buffer_ends_the_connection),
		UNIT_TEST(message_goes_on_when_the_guest_has_read_those_before),
		UNIT_TEST(guest_has_256_unread_messages_and_more_when_it_reads),
		UNIT_TEST(guest_with_a_small_buffer_has_fewer_unread_messages),
		UNIT_TEST(guest_with_a_tiny_buffer_has_one_unread_message),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("linux", cases, vbed_setup_seq, vbed_teardown),
		UNIT_GROUP("small", small, NULL, vbed_teardown),
	};

	return unit_run("vsock_messages_wait", groups, UNIT_COUNT(groups));
}
