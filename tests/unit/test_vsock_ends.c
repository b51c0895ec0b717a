// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: an orderly end says that all has arrived; where something of the
 * guest's was lost, the host's program is told; and nothing is lost that need
 * not be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock/ready.h"
#include "tests/unit/test_vsock_bed_messages.h"

#define GUEST_PORT 5000u

static char buf[256 << 10];

/**
 * enum peer - what the host's program has done so far
 * @CLIENT: connected to the guest
 * @CLIENT_SPOKE: and sent something, which the guest has read
 * @CLIENT_ASKED: and ended its half
 * @SERVER_SPOKE: was connected to by the guest, and sent something
 * @SERVER: was connected to, and only reads
 */
enum peer { CLIENT, CLIENT_SPOKE, CLIENT_ASKED, SERVER_SPOKE, SERVER, PEERS };

static struct fake_sock *connect_peer(enum peer peer, int *fd)
{
	struct fake_sock *sock;

	if (peer >= SERVER_SPOKE)
		sock = vbed_connect_guest_once(fd);
	else
		*fd = vbed_connect(&sock);
	if (peer == CLIENT || peer == SERVER)
		return sock;
	vbed_send(*fd, "question", 8);
	if (peer == CLIENT_ASKED)
		shutdown(*fd, SHUT_WR);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)), 8);
	vbed_run();
	return sock;
}

/* Reads to the end, whatever it is. Return: bytes. */
static size_t read_all(int fd, ssize_t end)
{
	size_t got = 0;
	ssize_t n;

	while ((n = vbed_read(fd, buf, 5000)) > 0) {
		vbed_check((uint8_t *)buf, (size_t)n, 2, got);
		got += (size_t)n;
		vbed_run_device();
	}
	ck_assert_int_eq(n, end);
	return got;
}

START_TEST(what_has_arrived_ends_in_order)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	size_t sent = vbed_fill_up(sock);

	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(read_all(fd, 0), sent);
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
}
END_TEST

START_TEST(a_refused_client_sees_an_orderly_end)
{
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT + 1000);
	vbed_run();
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	close(fd);
}
END_TEST

START_TEST(a_process_that_ends_with_data_waiting_resets_who_has_spoken)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	struct vbed_snapshot snapshot;
	size_t sent = vbed_fill_up(sock), got;

	fake_sock_close(sock);
	vbed_run();
	snapshot = vbed_save();
	vbed_drop();
	got = read_all(fd, _i == SERVER ? 0 : -ECONNRESET);
	ck_assert_uint_lt(got, sent);
	close(fd);
	vbed_load(snapshot, VBED_CID);
	vbed_run();
}
END_TEST

START_TEST(a_process_that_ends_with_nothing_waiting_resets_nobody)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	struct vbed_snapshot snapshot;

	vbed_fill((uint8_t *)buf, 1000, 2, 0);
	fake_sock_send(sock, buf, 1000);
	vbed_run();
	snapshot = vbed_save();
	vbed_drop();
	ck_assert_uint_eq(read_all(fd, 0), 1000);
	close(fd);
	vbed_load(snapshot, VBED_CID);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
}
END_TEST

/* The guest is over, and had not said that this was all. */
START_TEST(an_open_connection_is_cut_and_one_that_was_ended_ends)
{
	bool ended = _i >= PEERS;
	enum peer peer = (enum peer)(_i % PEERS);
	int fd;
	struct fake_sock *sock = connect_peer(peer, &fd);

	vbed_fill((uint8_t *)buf, 1000, 2, 0);
	fake_sock_send(sock, buf, 1000);
	if (ended)
		fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	vsock_device_finish(&vbed.d->dev);
	ck_assert_uint_eq(read_all(fd, ended || peer == SERVER ? 0 :
				   -ECONNRESET), 1000);
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
	vbed.loose = true;
}
END_TEST

START_TEST(what_a_guest_loses_by_its_own_reset_is_told_and_counted)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	uint32_t waits;

	vbed_fill_up(sock);
	waits = vbed_conn_of(sock)->backlog.used;
	fake_sock_abort(sock);
	vbed_run();
	read_all(fd, _i == SERVER ? 0 : -ECONNRESET);
	ck_assert_uint_eq(vbed_stats()->losses, 1);
	ck_assert_uint_eq(vbed_stats()->bytes_lost, waits);
	ck_assert_uint_eq(vbed.d->unx.untold, _i == SERVER);
	close(fd);
}
END_TEST

/* A host that goes with bytes unread has lost nothing that it wanted. */
START_TEST(what_a_host_does_not_want_is_no_loss)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);

	vbed_fill_up(sock);
	fake_sock_close(sock);
	vbed_run();
	close(fd);
	vbed_run();
	vbed_expect_no_connection();
	ck_assert_uint_eq(vbed_stats()->losses, 0);
}
END_TEST

/* Within one batch of the ring: nothing of it has left yet. */
START_TEST(what_an_overrun_takes_along_is_told)
{
	struct vsock_header hdr;
	int fd;

	vbed.d->dev.engine.buf_alloc = 4096;
	vbed_raw_connect(GUEST_PORT, 100000, &fd);
	vbed_send(fd, "x", 1);
	vbed_expect_op(VSOCK_OP_RW, GUEST_PORT, VBED_HOST_PORT);
	hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW, GUEST_PORT,
				VBED_HOST_PORT);
	hdr.len = le32_make(4000);
	fake_vsock_add(&vbed.v, &hdr, buf, 4000);
	fake_vsock_add(&vbed.v, &hdr, buf, 4000);
	fake_vsock_kick(&vbed.v);
	vbed_run();
	ck_assert_uint_eq(vbed_stats()->bytes_lost, 8000);
	ck_assert_int_eq(vbed_read(fd, buf, 1), -ECONNRESET);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	close(fd);
}
END_TEST

/* The end of a guest, paused or not. */

START_TEST(what_waits_in_the_tx_ring_is_sent_before_the_end)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);

	vsock_device_set_running(&vbed.d->dev, false);
	vbed_fill((uint8_t *)buf, 3000, 2, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fake_sock_send(sock, buf + i * 1000, 1000),
				 1000);
	fake_sock_close(sock);
	vbed_run_device();
	vbed_expect_nothing(fd);
	vsock_device_finish(&vbed.d->dev);
	ck_assert_uint_eq(read_all(fd, 0), 3000);
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

/* Replies that the guest does not fetch hold the TX ring back; not at the end. */
START_TEST(replies_that_nobody_fetches_hold_nothing_back_at_the_end)
{
	unsigned int bogus = 0;
	int fd;

	vbed_raw_connect(GUEST_PORT, 100000, &fd);
	while (!vsock_engine_blocked(&vbed.d->dev.engine)) {
		ck_assert_uint_lt(bogus++, 10000);
		vbed_op(VSOCK_OP_RW, GUEST_PORT + 1, 4711);
	}
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "last", 4);
	vbed_expect_nothing(fd);
	vsock_device_finish(&vbed.d->dev);
	vbed_expect(fd, "last");
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	close(fd);
}
END_TEST

START_TEST(a_connect_that_waits_at_the_end_is_not_made)
{
	int listener = vbed_listen(VBED_HOST_PORT, 1);

	vsock_device_set_running(&vbed.d->dev, false);
	vbed_op(VSOCK_OP_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	vsock_device_finish(&vbed.d->dev);
	ck_assert_int_eq(vbed_accept(listener), -1);
	vbed_expect_no_connection();
	close(listener);
}
END_TEST

/* Behind a shut gate the ring holds the packets of another life. */
START_TEST(nothing_passes_a_shut_gate_at_the_end)
{
	int listener = vbed_listen(VBED_HOST_PORT, 1);

	vbed_restore();
	vbed_op(VSOCK_OP_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	vsock_device_finish(&vbed.d->dev);
	ck_assert_uint_eq(vbed_stats()->packets_to_host, 0);
	close(listener);
}
END_TEST

START_TEST(a_host_socket_is_made_to_take_the_rest_at_the_end)
{
	const struct vbed_options options = { .device.buf_alloc = 64 << 10 };
	struct fake_sock *sock;
	size_t sent;
	int fd;

	vbed_start_with(NULL, &options);
	vbed_probe();
	sock = connect_peer((enum peer)_i, &fd);
	sent = vbed_fill_up(sock);
	fake_sock_close(sock);
	vsock_device_finish(&vbed.d->dev);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	vsock_engine_hand_over(&vbed.d->dev.engine);
	vbed_expect_no_connection();
	ck_assert_uint_eq(read_all(fd, 0), sent);
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
}
END_TEST

START_TEST(what_lingers_outlives_a_load_in_place)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	size_t sent = vbed_fill_up(sock);

	/* Else it is cut: the guest might have had more to say. */
	if (_i % 2)
		fake_sock_close(sock);
	vbed_restore_in_place();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	ck_assert_uint_eq(read_all(fd, _i % 2 || _i == SERVER ? 0 :
				   -ECONNRESET), sent);
	vbed_run();
	vbed_expect_no_connection();
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
	if (!(_i % 2))
		fake_sock_close(sock);
	vbed_run();
}
END_TEST

START_TEST(what_lingers_outlives_many_loads_in_place)
{
	int fd;
	struct fake_sock *sock = connect_peer((enum peer)_i, &fd);
	size_t sent = vbed_fill_up(sock);

	fake_sock_close(sock);
	for (int i = 0; i < 3; i++) {
		vbed_restore_in_place();
		vbed_run();
	}
	ck_assert_uint_eq(read_all(fd, 0), sent);
	vbed_run();
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

/* Messages. */

static int connect_seq_peer(enum peer peer, struct fake_sock **sock)
{
	int fd = vbed_connect_seq(sock);

	if (peer == CLIENT)
		return fd;
	host_says(fd, "question");
	expect_text_at_guest(*sock, "question");
	return fd;
}

static int fill_with_messages(struct fake_sock *sock)
{
	int sent = 0;

	while (!vsock_conn_pending(vbed_conn_of(sock))) {
		guest_says(sock, "message");
		ck_assert_int_lt(sent++, 100000);
	}
	return sent;
}

/* The error comes first, and what had arrived can still be read. */
START_TEST(lost_messages_are_told)
{
	struct fake_sock *sock;
	int fd = connect_seq_peer((enum peer)_i, &sock), got = 0;
	int sent = fill_with_messages(sock);

	fake_sock_abort(sock);
	vbed_run();
	ck_assert_uint_eq(vbed_stats()->losses, 1);
	ck_assert_uint_eq(vbed_stats()->bytes_lost, 7);
	ck_assert_uint_eq(vbed.d->unx.untold, 0);
	ck_assert_int_eq(vbed_read(fd, buf, sizeof(buf)), -ECONNRESET);
	while (vbed_read(fd, buf, sizeof(buf)) == 7)
		got++;
	ck_assert_int_eq(got, sent - 1);
	close(fd);
}
END_TEST

START_TEST(messages_that_have_arrived_end_in_order)
{
	struct fake_sock *sock;
	int fd = connect_seq_peer((enum peer)_i, &sock), got = 0;
	int sent = fill_with_messages(sock);

	/* What the guest did not finish, it has not sent. */
	fake_sock_send_message(sock, "half", 4, 0);
	fake_sock_close(sock);
	vbed_run();
	while (vbed_read(fd, buf, sizeof(buf)) == 7) {
		vbed_run();
		got++;
	}
	ck_assert_int_eq(got, sent);
	ck_assert_int_eq(vbed_read(fd, buf, 1), 0);
	ck_assert_uint_eq(vbed_stats()->losses, 0);
	close(fd);
}
END_TEST

int main(void)
{
	const struct unit_case live[] = {
		UNIT_LOOP(what_has_arrived_ends_in_order, PEERS),
		UNIT_TEST(a_refused_client_sees_an_orderly_end),
		UNIT_LOOP(a_process_that_ends_with_data_waiting_resets_who_has_spoken,
			  PEERS),
		UNIT_LOOP(a_process_that_ends_with_nothing_waiting_resets_nobody,
			  PEERS),
		UNIT_LOOP(what_a_guest_loses_by_its_own_reset_is_told_and_counted,
			  PEERS),
		UNIT_LOOP(what_a_host_does_not_want_is_no_loss, PEERS),
		UNIT_LOOP(what_waits_in_the_tx_ring_is_sent_before_the_end,
			  PEERS),
		UNIT_LOOP(an_open_connection_is_cut_and_one_that_was_ended_ends,
			  2 * PEERS),
		UNIT_LOOP(what_lingers_outlives_a_load_in_place, PEERS),
		UNIT_LOOP(what_lingers_outlives_many_loads_in_place, PEERS),
	};
	const struct unit_case raw[] = {
		UNIT_TEST(what_an_overrun_takes_along_is_told),
		UNIT_TEST(replies_that_nobody_fetches_hold_nothing_back_at_the_end),
		UNIT_TEST(a_connect_that_waits_at_the_end_is_not_made),
		UNIT_TEST(nothing_passes_a_shut_gate_at_the_end),
	};
	const struct unit_case other[] = {
		UNIT_LOOP(a_host_socket_is_made_to_take_the_rest_at_the_end,
			  PEERS),
	};
	const struct unit_case messages[] = {
		UNIT_LOOP(lost_messages_are_told, CLIENT_SPOKE + 1),
		UNIT_LOOP(messages_that_have_arrived_end_in_order,
			  CLIENT_SPOKE + 1),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
		UNIT_GROUP("raw", raw, vbed_setup_raw, vbed_teardown),
		UNIT_GROUP("other", other, NULL, vbed_teardown),
		UNIT_GROUP("messages", messages, vbed_setup_seq, vbed_teardown),
	};

	return unit_run("vsock_ends", groups, UNIT_COUNT(groups));
}
