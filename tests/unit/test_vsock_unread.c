// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: small writes of the host, to guest programs that read late or slowly.
 * That a kernel which counts packets never has too many to lose the connection,
 * the driver checks in each test (fake_sock_enqueue()).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock/ready.h"
#include "tests/unit/test_vsock_bed_messages.h"

#define WRITES	700u

static const uint32_t sizes[] = { 1, 129, 200, 500, 1000 };
static const enum fake_linux kernels[] = {
	FAKE_LINUX_6_12, FAKE_LINUX_6_1, FAKE_LINUX_5_10,
};

static uint8_t chunk[VSOCK_BUF_ALLOC];

static void start(enum fake_linux kernel, uint32_t buf_alloc)
{
	vbed_start_seq(&(const struct fake_vsock_config){
			       .kernel = kernel, .buf_alloc = buf_alloc });
	vbed.d->dev.engine.unread.patience = 50;
}

/*
 * The host writes @count times, and each time everybody has time to take it;
 * less often if its socket is full. Return: how often.
 */
static uint32_t write_small(int fd, uint32_t len, uint32_t from,
			    uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		vbed_fill(chunk, len, 7, (uint64_t)(from + i) * len);
		if (send(fd, chunk, len, MSG_NOSIGNAL) != (ssize_t)len)
			break;
		vbed_run();
	}
	return i;
}

/* The guest reads up to @len bytes. Return: how many. */
static uint32_t read_some(struct fake_sock *sock, uint64_t at, size_t len)
{
	ssize_t n = fake_sock_recv(sock, chunk, len);

	vbed_run();
	if (n == -EAGAIN)
		return 0;
	ck_assert_msg(n > 0, "after %u bytes recv said %zd", (unsigned int)at,
		      n);
	vbed_check(chunk, (size_t)n, 7, at);
	return (uint32_t)n;
}

static void read_to(struct fake_sock *sock, uint64_t at, uint64_t end)
{
	uint64_t deadline = vbed_now_ms() + 20000;

	while (at < end) {
		uint32_t n = read_some(sock, at, sizeof(chunk));

		/* What the guest has not told, it has to be asked for. */
		if (!n)
			vbed_wait(1);
		at += n;
		ck_assert_msg(vbed_now_ms() < deadline, "stuck after %u of %u",
			      (unsigned int)at, (unsigned int)end);
	}
}

START_TEST(small_writes_to_a_late_reader_arrive)
{
	uint32_t len = sizes[(size_t)_i % UNIT_COUNT(sizes)];
	struct fake_sock *sock;
	uint32_t written;
	int fd;

	start(kernels[(size_t)_i / UNIT_COUNT(sizes)], 0);
	fd = vbed_connect(&sock);
	/* The rest is in the host's socket. */
	written = write_small(fd, len, 0, WRITES);
	ck_assert_uint_gt(written, VSOCK_UNREAD_MAX);
	read_to(sock, 0, (uint64_t)written * len);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	close_both(fd, sock);
}
END_TEST

START_TEST(small_writes_to_a_slow_reader_arrive)
{
	uint32_t len = sizes[(size_t)_i % UNIT_COUNT(sizes)];
	struct fake_sock *sock;
	uint32_t written = 0;
	uint64_t at = 0;
	int fd;

	start(kernels[(size_t)_i / UNIT_COUNT(sizes)], 0);
	fd = vbed_connect(&sock);
	for (uint32_t i = 0; i < 3 * WRITES; i += 3) {
		written += write_small(fd, len, written, 3);
		/* And not where packets end. */
		at += read_some(sock, at, len + len / 2);
	}
	ck_assert_uint_gt(written, VSOCK_UNREAD_MAX);
	read_to(sock, at, (uint64_t)written * len);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	close_both(fd, sock);
}
END_TEST

START_TEST(what_waits_in_the_host_socket_joins)
{
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect(&sock);
	ck_assert_uint_eq(write_small(fd, 10, 0, 500), 500);
	ck_assert_uint_eq(sock->packets, VSOCK_UNREAD_MAX);
	ck_assert_uint_eq(vbed_conn_of(sock)->unread.count, VSOCK_UNREAD_MAX);
	ck_assert_uint_eq(read_some(sock, 0, VSOCK_UNREAD_MAX * 10),
			  VSOCK_UNREAD_MAX * 10);
	/* The rest came at once. */
	ck_assert_uint_eq(sock->ring_used, (500 - VSOCK_UNREAD_MAX) * 10);
	ck_assert_uint_eq(sock->packets, 1);
	read_to(sock, VSOCK_UNREAD_MAX * 10, 500 * 10);
	close_both(fd, sock);
}
END_TEST

static const struct { uint32_t buf_alloc, packets; } bounds[] = {
	{ 256u << 10, 256 }, { 100000, 97 }, { 65536, 64 }, { 2048, 2 },
	{ 1000, 1 }, { 1u << 20, 256 },
};

START_TEST(unread_packets_have_a_bound_by_the_guests_buffer)
{
	struct fake_sock *sock;
	uint32_t writes = bounds[_i].packets + 100;
	int fd;

	start(FAKE_LINUX_6_12, bounds[_i].buf_alloc);
	fd = vbed_connect(&sock);
	ck_assert_uint_eq(write_small(fd, 3, 0, writes), writes);
	ck_assert_uint_eq(sock->packets, bounds[_i].packets);
	read_to(sock, 0, writes * 3);
	close_both(fd, sock);
}
END_TEST

/* Buffers of one byte: a packet each, whatever was written at once. */
START_TEST(short_rx_buffers_do_not_break_the_bound)
{
	struct fake_sock *sock;
	int fd;

	vbed_start(&(const struct fake_vsock_config){ .rx_seg = { 45 } });
	vbed_probe();
	fd = vbed_connect(&sock);
	write_small(fd, 1000, 0, 1);
	ck_assert_uint_eq(sock->packets, VSOCK_UNREAD_MAX);
	read_to(sock, 0, 1000);
	close_both(fd, sock);
}
END_TEST

START_TEST(full_packets_fill_the_whole_buffer)
{
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect(&sock);
	ck_assert_uint_eq(write_small(fd, 4096, 0, 80), 80);
	ck_assert_uint_eq(sock->ring_used, VSOCK_BUF_ALLOC);
	read_to(sock, 0, 80 * 4096);
	close_both(fd, sock);
}
END_TEST

/* The host sends what its socket takes. Return: messages in all. */
static uint32_t send_messages(int fd, uint32_t len, uint32_t from,
			      uint32_t number)
{
	while (from < number) {
		vbed_fill(chunk, len, from, 0);
		if (send(fd, chunk, len, MSG_NOSIGNAL) < 0)
			break;
		vbed_run();
		from++;
	}
	return from;
}

START_TEST(small_messages_to_a_late_reader_arrive)
{
	uint32_t len = sizes[_i], sent = 0, seen = 0;
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect_seq(&sock);
	while (seen < 1700) {
		sent = send_messages(fd, len, sent, 1700);
		ck_assert_uint_le(sock->message_num, VSOCK_UNREAD_MAX);
		while (sock->message_num)
			expect_at_guest(sock, len, seen++);
	}
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

START_TEST(small_messages_to_a_slow_reader_arrive)
{
	uint32_t len = sizes[_i], sent = 0, seen = 0;
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect_seq(&sock);
	while (seen < 1700) {
		sent = send_messages(fd, len, sent, sent + 3 < 1700 ?
				     sent + 3 : 1700);
		expect_at_guest(sock, len, seen++);
	}
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

/* Long ones are several packets each, of which there may be some more. */
START_TEST(messages_short_and_long_stay_within_what_the_guest_takes)
{
	uint32_t sent = 0, seen = 0;
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect_seq(&sock);
	sent = send_messages(fd, 1, 0, 255);
	vbed_fill(chunk, 200000, 255, 0);
	vbed_send(fd, chunk, 200000);
	vbed_run();
	ck_assert_uint_ge(sock->packets, 255 + 54);
	send_messages(fd, 1, 256, 300);
	for (; seen < 255; seen++)
		expect_at_guest(sock, 1, seen);
	expect_at_guest(sock, 200000, seen++);
	for (; seen < 300; seen++)
		expect_at_guest(sock, 1, seen);
	ck_assert_uint_eq(sent, 255);
	close_both(fd, sock);
}
END_TEST

START_TEST(empty_messages_to_a_late_reader_have_the_same_bound)
{
	uint32_t sent = 0, seen = 0;
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect_seq(&sock);
	while (seen < 1700) {
		sent = send_messages(fd, 0, sent, 1700);
		ck_assert_uint_le(sock->message_num, VSOCK_UNREAD_MAX);
		while (sock->message_num) {
			expect_at_guest(sock, 0, 0);
			seen++;
		}
	}
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

/* That the message before an empty one was read says nothing of it. */
START_TEST(empty_message_is_unread_until_it_is_read)
{
	struct fake_sock *sock;
	uint32_t sent;
	int fd;

	start(FAKE_LINUX_6_12, 0);
	fd = vbed_connect_seq(&sock);
	send_messages(fd, 1, 0, 1);
	sent = send_messages(fd, 0, 1, 400);
	expect_at_guest(sock, 1, 0);
	ck_assert_uint_eq(sock->message_num, VSOCK_UNREAD_MAX);
	/* Nor does an answer to a question say so. */
	for (int i = 0; i < 300; i++) {
		vbed_conn_of(sock)->due |= VSOCK_DUE_CREDIT_REQUEST;
		vsock_conn_schedule(vbed_conn_of(sock));
		vbed_run();
	}
	ck_assert_uint_gt(vbed.set.credit_requests, 200);
	ck_assert_uint_eq(sock->message_num, VSOCK_UNREAD_MAX);
	for (uint32_t seen = 1; seen < sent; seen++)
		expect_at_guest(sock, 0, 0);
	expect_none_at_guest(sock);
	close_both(fd, sock);
}
END_TEST

int main(void)
{
	const int each = (int)(UNIT_COUNT(sizes) * UNIT_COUNT(kernels));
	const struct unit_case cases[] = {
		UNIT_LOOP(small_writes_to_a_late_reader_arrive, each),
		UNIT_LOOP(small_writes_to_a_slow_reader_arrive, each),
		UNIT_TEST(what_waits_in_the_host_socket_joins),
		UNIT_LOOP(unread_packets_have_a_bound_by_the_guests_buffer,
			  UNIT_COUNT(bounds)),
		UNIT_TEST(short_rx_buffers_do_not_break_the_bound),
		UNIT_TEST(full_packets_fill_the_whole_buffer),
		UNIT_LOOP(small_messages_to_a_late_reader_arrive,
			  UNIT_COUNT(sizes)),
		UNIT_LOOP(small_messages_to_a_slow_reader_arrive,
			  UNIT_COUNT(sizes)),
		UNIT_TEST(messages_short_and_long_stay_within_what_the_guest_takes),
		UNIT_TEST(empty_messages_to_a_late_reader_have_the_same_bound),
		UNIT_TEST(empty_message_is_unread_until_it_is_read),
	};

	return UNIT_RUN("vsock_unread", cases, NULL, vbed_teardown);
}
