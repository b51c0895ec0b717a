// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: messages that wait, for the host or for the guest: how many, how long,
 * in which order.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

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
		if (vbed_conn_of(sock)->seq->waiting_count > waited)
			waited = vbed_conn_of(sock)->seq->waiting_count;
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

	while (!vbed_conn_of(sock)->seq->waiting_count) {
		guest_sends(sock, 1, ++sent);
		ck_assert_uint_lt(sent, 100000);
	}
	return sent - 1;
}

/* As many wait as may. Return: messages sent. */
static uint32_t fill_waiting(struct fake_sock *sock)
{
	uint32_t sent = fill_host(sock) + 1;

	while (vbed_conn_of(sock)->seq->waiting_count < VSOCK_SEQ_WAITING_MAX)
		guest_sends(sock, 1, ++sent);
	return sent;
}

START_TEST(waiting_messages_have_a_limit_up_to_which_all_arrive)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	uint32_t sent = fill_waiting(sock);

	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	for (uint32_t seed = 1; seed <= sent; seed++) {
		expect_at_host(fd, 1, seed);
		vbed_run();
	}
	vbed_expect_nothing(fd);
	/* The ring of them has come round: once more. */
	guest_sends(sock, 1, 1);
	expect_at_host(fd, 1, 1);
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

START_TEST(one_waiting_message_too_many_resets)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	fill_waiting(sock);
	guest_sends(sock, 1, 0);
	ck_assert(sock->done);
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

START_TEST(empty_messages_from_the_guest_have_the_same_limit)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock), sent = 0;

	while (!sock->done) {
		guest_sends(sock, 0, 0);
		ck_assert_int_lt(sent++, 100000);
	}
	ck_assert_int_gt(sent, (int)VSOCK_SEQ_WAITING_MAX);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
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
	unread_messages(MESSAGE_WINDOW, VSOCK_SEQ_UNREAD_MAX);
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
		UNIT_TEST(waiting_messages_have_a_limit_up_to_which_all_arrive),
		UNIT_TEST(message_does_not_overtake_those_that_wait),
		UNIT_TEST(one_waiting_message_too_many_resets),
		UNIT_TEST(empty_messages_from_the_guest_have_the_same_limit),
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
