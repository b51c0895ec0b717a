// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: how busy connections share what the guest may send (the rules at the
 * head of devices/vsock/credit.c). That the right edge never moves left, the driver checks in each
 * test (take_credit() in tests/fake/vsock_sock.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define CONNS	32u
#define MIB	(1u << 20)
#define SEQ_PORT	(VBED_HOST_PORT + 1)
#define SHARE	VSOCK_CREDIT_SHARE_MIN

static struct {
	struct fake_sock *sock;
	int fd;
	uint64_t sent;
	uint64_t got;
} pair[CONNS];

static uint8_t chunk[VSOCK_BUF_ALLOC];

static const struct vsock_conn *conn_of(unsigned int i)
{
	return vbed_conn(VBED_HOST_PORT, pair[i].sock->guest_port);
}

static struct vsock_credit *credit(void)
{
	return &vbed.d->dev.engine.credit;
}

static void connect_all(void)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4);

	memset(pair, 0, sizeof(pair));
	for (unsigned int i = 0; i < CONNS; i++)
		pair[i].sock = vbed_connect_guest(VBED_HOST_PORT, listener,
						  &pair[i].fd);
	close(listener);
}

static void close_all(void)
{
	for (unsigned int i = 0; i < CONNS; i++)
		close(pair[i].fd);
	vbed_run();
	ck_assert_uint_eq(credit()->busy_count, 0);
	ck_assert_uint_eq(credit()->out, 0);
	ck_assert(list_empty(&credit()->line));
}

static void read_all(unsigned int i)
{
	ssize_t n;

	do {
		n = vbed_read(pair[i].fd, chunk, sizeof(chunk));
		if (n > 0) {
			vbed_check(chunk, (size_t)n, i, pair[i].got);
			pair[i].got += (size_t)n;
		}
		vbed_run();
	} while (n > 0);
}

/*
 * Sends what is let through, @len at most; the host reads it at once.
 * Return: bytes.
 */
static uint32_t try_send(unsigned int i, uint32_t len)
{
	ssize_t n;

	vbed_fill(chunk, len, i, pair[i].sent);
	n = fake_sock_send(pair[i].sock, chunk, len);
	if (n == -EAGAIN)
		return 0;
	ck_assert_int_gt(n, 0);
	pair[i].sent += (size_t)n;
	vbed_run();
	read_all(i);
	ck_assert_uint_eq(pair[i].got, pair[i].sent);
	return (uint32_t)n;
}

static uint32_t send_some(unsigned int i, uint32_t len)
{
	uint32_t n = try_send(i, len);

	ck_assert_uint_gt(n, 0);
	return n;
}

/* Everyone sends several windows, turn by turn. Return: bytes. */
static uint64_t all_busy(void)
{
	uint64_t sent = 0;

	for (unsigned int turn = 0; turn < 20; turn++)
		for (unsigned int i = 0; i < CONNS; i++)
			sent += try_send(i, SHARE);
	return sent;
}

START_TEST(lone_sender_has_the_whole_window)
{
	connect_all();
	for (unsigned int turn = 0; turn < 40; turn++) {
		send_some(0, SHARE);
		/* Told at half, so never less than that. */
		ck_assert_uint_ge(fake_sock_room(pair[0].sock),
				  VSOCK_BUF_ALLOC / 2);
	}
	ck_assert_uint_eq(vsock_credit_share(conn_of(0)), VSOCK_BUF_ALLOC);
	close_all();
}
END_TEST

START_TEST(busy_connections_share_the_budget)
{
	uint32_t sum = 0;

	connect_all();
	all_busy();
	ck_assert_uint_eq(credit()->busy_count, CONNS);
	for (unsigned int i = 0; i < CONNS; i++) {
		uint32_t room = fake_sock_room(pair[i].sock);

		ck_assert_uint_eq(vsock_credit_share(conn_of(i)), SHARE);
		ck_assert_uint_eq(vsock_credit_left(conn_of(i)), room);
		/* Twice the budget: nobody waits. */
		ck_assert_uint_gt(room, 0);
		ck_assert_uint_le(room, SHARE);
		sum += room;
	}
	ck_assert_uint_le(sum, 2 * VSOCK_CREDIT_BUDGET);
	close_all();
}
END_TEST

START_TEST(shares_are_whole_packets)
{
	connect_all();
	for (unsigned int busy = 1; busy <= CONNS; busy++) {
		uint32_t share;

		send_some(busy - 1, 1);
		share = vsock_credit_share(conn_of(0));
		ck_assert_uint_eq(share % SHARE, 0);
		ck_assert_uint_ge(share, SHARE);
		ck_assert(share * busy <= VSOCK_CREDIT_BUDGET ||
			  share == SHARE);
	}
	close_all();
}
END_TEST

static struct fake_sock *awaited;

static bool has_room(void)
{
	return fake_sock_room(awaited) > 0;
}

static void await(struct fake_sock *sock)
{
	awaited = sock;
	vbed_wait_until(has_room);
}

/* Lets time stand still: what happens now does by what is sent. */
static void stop_clock(void)
{
	if (credit()->patience.slot)
		ck_assert_int_eq(loop_timer_arm(vbed.loop,
						&credit()->patience,
						UINT64_MAX), 0);
}

static unsigned int count_waiting(void)
{
	unsigned int count = 0;

	for (struct list_node *at = credit()->line.next;
	     at != &credit()->line; at = at->next)
		count++;
	return count;
}

/* So little to share that some have to wait; all have used what they had. */
static void crowd(void)
{
	credit()->budget = 4 * SHARE;
	connect_all();
	for (unsigned int turn = 0; turn < 20; turn++)
		for (unsigned int i = 0; i < CONNS; i++) {
			try_send(i, SHARE);
			stop_clock();
		}
	ck_assert_uint_gt(count_waiting(), 0);
}

START_TEST(shares_beyond_twice_the_budget_wait)
{
	unsigned int can_send = 0;

	crowd();
	ck_assert_uint_le(credit()->out, 8 * SHARE);
	for (unsigned int i = 0; i < CONNS; i++)
		can_send += fake_sock_room(pair[i].sock) > SHARE / 2;
	ck_assert_uint_ge(can_send, 1);
	ck_assert_uint_le(can_send, 8);
	ck_assert_uint_eq(can_send + count_waiting(), CONNS);
	close_all();
}
END_TEST

START_TEST(line_is_served_in_order_as_others_send)
{
	crowd();
	for (unsigned int n = 0; n < 4 * CONNS; n++) {
		struct vsock_conn *first = list_entry(credit()->line.next,
						      struct vsock_conn,
						      credit.line);
		unsigned int i = 0;

		/* Whoever was told longest ago uses all of it. */
		while (conn_of(i) != list_entry(credit()->given.next,
						struct vsock_conn,
						credit.given))
			i++;
		send_some(i, SHARE);
		stop_clock();
		ck_assert_uint_ge(vsock_credit_left(first), SHARE);
		/* To the end of the line. */
		ck_assert_ptr_eq(list_entry(credit()->line.prev,
					    struct vsock_conn, credit.line),
				 conn_of(i));
	}
	close_all();
}
END_TEST

START_TEST(unused_shares_hold_up_nobody_for_long)
{
	crowd();
	ck_assert_int_eq(loop_timer_arm(vbed.loop, &credit()->patience, 0), 0);
	for (unsigned int i = 0; i < CONNS; i++)
		await(pair[i].sock);
	vbed_settle();
	ck_assert_uint_eq(count_waiting(), 0);
	close_all();
}
END_TEST

START_TEST(unused_shares_do_not_count_once_others_have_sent)
{
	const struct vsock_conn *silent;
	uint32_t sent = 0, most = 0;

	crowd();
	silent = list_entry(credit()->given.prev, struct vsock_conn,
			    credit.given);
	ck_assert_uint_gt(silent->credit.out, 0);
	while (sent <= VSOCK_CREDIT_STALE + 16 * SHARE) {
		uint32_t before = sent;

		for (unsigned int i = 0; i < CONNS; i++) {
			if (conn_of(i) != silent)
				sent += try_send(i, SHARE);
			stop_clock();
		}
		/* The others need no timer. */
		ck_assert_uint_gt(sent, before);
		if (silent->credit.out)
			most = sent;
	}
	ck_assert_uint_gt(most, VSOCK_CREDIT_STALE / 2);
	ck_assert_uint_eq(silent->credit.out, 0);
	close_all();
}
END_TEST

/* The device asks, too, after each run of its queues. */
START_TEST(host_gets_its_turn_once_a_budget_while_some_wait)
{
	uint64_t asked;

	crowd();
	asked = credit()->yielded;
	ck_assert_uint_gt(asked, 0);
	ck_assert_uint_lt(credit()->clock - asked, credit()->budget);
	ck_assert(!vsock_credit_should_yield(credit()));
	credit()->clock = asked + credit()->budget;
	ck_assert(vsock_credit_should_yield(credit()));
	ck_assert(!vsock_credit_should_yield(credit()));
	close_all();
}
END_TEST

START_TEST(host_needs_no_turn_while_nobody_waits)
{
	connect_all();
	all_busy();
	ck_assert_uint_ge(credit()->clock, credit()->budget);
	ck_assert_uint_eq(credit()->yielded, 0);
	close_all();
}
END_TEST

START_TEST(closed_connections_make_room_in_line)
{
	crowd();
	while (count_waiting()) {
		unsigned int i = 0;

		while (!conn_of(i) || !conn_of(i)->credit.out)
			i++;
		fake_sock_abort(pair[i].sock);
		stop_clock();
		vbed_run();
	}
	close_all();
}
END_TEST

/* The window is said to be what it was all the time: only fwd_cnt lags. */
START_TEST(what_is_held_back_is_what_the_host_has_taken)
{
	connect_all();
	all_busy();
	for (unsigned int i = 0; i < CONNS; i++) {
		const struct vsock_conn *conn = conn_of(i);

		ck_assert_uint_eq(pair[i].sock->peer_buf_alloc,
				  VSOCK_BUF_ALLOC);
		ck_assert_uint_eq(conn->fwd_cnt, conn->rx_cnt);
		ck_assert_uint_eq(pair[i].sock->peer_fwd_cnt, conn->fwd_told);
		ck_assert_uint_le(conn->rx_cnt - conn->fwd_told,
				  conn->buf_alloc);
	}
	close_all();
}
END_TEST

START_TEST(those_who_are_silent_are_forgotten)
{
	uint32_t sent = 0;

	connect_all();
	all_busy();
	/* Rule 2: not before the others have sent so much. */
	while (sent <= VSOCK_CREDIT_MEMORY / 2)
		sent += send_some(5, SHARE);
	ck_assert_uint_eq(vsock_credit_share(conn_of(5)), SHARE);
	while (sent <= VSOCK_CREDIT_MEMORY + CONNS * SHARE)
		sent += send_some(5, SHARE);
	ck_assert_uint_eq(credit()->busy_count, 1);
	ck_assert_uint_eq(vsock_credit_share(conn_of(5)), VSOCK_BUF_ALLOC);
	ck_assert_uint_ge(fake_sock_room(pair[5].sock), VSOCK_BUF_ALLOC / 2);
	/* The silent ones can send a share at once, as before. */
	ck_assert_uint_gt(send_some(6, SHARE), 0);
	close_all();
}
END_TEST

START_TEST(closed_connections_are_not_busy)
{
	connect_all();
	all_busy();
	for (unsigned int i = 1; i < CONNS; i++)
		close(pair[i].fd);
	vbed_run();
	ck_assert_uint_eq(credit()->busy_count, 1);
	close(pair[0].fd);
	vbed_run();
	ck_assert_uint_eq(credit()->busy_count, 0);
}
END_TEST

/* An answer brings the news, too, but no more than a share of it. */
START_TEST(packets_to_the_guest_tell_of_a_share)
{
	connect_all();
	all_busy();
	for (unsigned int i = 0; i < CONNS; i++) {
		uint64_t updates = vbed.set.credit_updates;

		/* Less than half a share: no update of its own. */
		send_some(i, fake_sock_room(pair[i].sock) / 4);
		ck_assert_uint_eq(vbed.set.credit_updates, updates);
		vbed_send(pair[i].fd, "yes", 3);
		vbed_run();
		ck_assert_uint_eq(fake_sock_room(pair[i].sock), SHARE);
		ck_assert_int_eq(fake_sock_recv(pair[i].sock, chunk, 9), 3);
	}
	close_all();
}
END_TEST

START_TEST(updates_are_few)
{
	uint64_t bytes = 0;

	connect_all();
	all_busy();
	vbed.set.credit_updates = 0;
	for (unsigned int i = 0; i < CONNS; i++)
		for (unsigned int part = 0; part < 16; part++)
			bytes += send_some(i, 4096);
	/* One for half a share at the most. */
	ck_assert_uint_le(vbed.set.credit_updates, bytes / (SHARE / 2));
	close_all();
}
END_TEST

/* buffer= larger than the budget is there for one sender, and shared too. */
START_TEST(large_buffers_are_shared)
{
	static const struct vbed_options large = { .device.buf_alloc = MIB };
	static const struct fake_vsock_config guest = { .buf_alloc = MIB };

	vbed_start_with(&guest, &large);
	vbed_probe();
	connect_all();
	send_some(0, sizeof(chunk));
	ck_assert_uint_eq(vsock_credit_share(conn_of(0)), MIB);
	for (unsigned int i = 0; i < 60; i++)
		send_some(0, SHARE), send_some(1, SHARE);
	ck_assert_uint_eq(vsock_credit_share(conn_of(0)),
			  VSOCK_CREDIT_BUDGET / 2);
	ck_assert_uint_le(fake_sock_room(pair[0].sock),
			  VSOCK_CREDIT_BUDGET / 2);
	close_all();
}
END_TEST

/* buffer= smaller than a share: a window is a window. */
START_TEST(small_buffers_are_whole)
{
	static const struct vbed_options small = { .device.buf_alloc = 4096 };

	vbed_start_with(NULL, &small);
	vbed_probe();
	connect_all();
	for (unsigned int turn = 0; turn < 20; turn++)
		for (unsigned int i = 0; i < CONNS; i++) {
			send_some(i, 4096);
			ck_assert_uint_ge(fake_sock_room(pair[i].sock), 2048);
		}
	close_all();
}
END_TEST

/* As many shares as it takes, though none of the message is out before. */
START_TEST(message_longer_than_a_share_arrives)
{
	static uint8_t back[VSOCK_BUF_ALLOC];
	int listener = vbed_listen_type(SEQ_PORT, SOCK_SEQPACKET, 4);
	struct fake_sock *sock;
	size_t sent;
	ssize_t n;
	int fd;

	credit()->budget = 1;
	sock = fake_sock_connect_type(&vbed.set, SEQ_PORT,
				      VSOCK_TYPE_SEQPACKET);
	vbed_run();
	fd = vbed_accept(listener);
	connect_all();
	for (unsigned int round = 0; round < 8; round++) {
		/* The others stay busy. */
		all_busy();
		vbed_fill(back, sizeof(back), 99, 0);
		for (sent = 0; sent < sizeof(back); sent += (size_t)n) {
			n = fake_sock_send_message(sock, back + sent,
						   sizeof(back) - sent,
						   VSOCK_SEQ_EOM);
			if (n == -EAGAIN) {
				/* In line, with others who do not send. */
				await(sock);
				n = 0;
			}
			ck_assert_int_ge(n, 0);
			vbed_run();
		}
		memset(back, 0, sizeof(back));
		n = vbed_read(fd, back, sizeof(back));
		ck_assert_int_eq(n, sizeof(back));
		vbed_check(back, sizeof(back), 99, 0);
		vbed_run();
	}
	close(listener);
	close(fd);
	close_all();
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_TEST(lone_sender_has_the_whole_window),
		UNIT_TEST(busy_connections_share_the_budget),
		UNIT_TEST(shares_are_whole_packets),
		UNIT_TEST(shares_beyond_twice_the_budget_wait),
		UNIT_TEST(line_is_served_in_order_as_others_send),
		UNIT_TEST(unused_shares_hold_up_nobody_for_long),
		UNIT_TEST(unused_shares_do_not_count_once_others_have_sent),
		UNIT_TEST(host_gets_its_turn_once_a_budget_while_some_wait),
		UNIT_TEST(host_needs_no_turn_while_nobody_waits),
		UNIT_TEST(closed_connections_make_room_in_line),
		UNIT_TEST(what_is_held_back_is_what_the_host_has_taken),
		UNIT_TEST(those_who_are_silent_are_forgotten),
		UNIT_TEST(closed_connections_are_not_busy),
		UNIT_TEST(packets_to_the_guest_tell_of_a_share),
		UNIT_TEST(updates_are_few),
	};
	const struct unit_case seq[] = {
		UNIT_TEST(message_longer_than_a_share_arrives),
	};
	const struct unit_case other[] = {
		UNIT_TEST(large_buffers_are_shared),
		UNIT_TEST(small_buffers_are_whole),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("seq", seq, vbed_setup_seq, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
	};

	return unit_run("vsock_share", groups, UNIT_COUNT(groups));
}
