// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: how seqpacket connections end, and what still arrives then.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed_messages.h"

/* Messages for the host wait. Return: how many were sent. */
static int make_wait(struct fake_sock *sock)
{
	int sent = 0;

	while (!vsock_conn_pending(vbed_conn_of(sock))) {
		guest_says(sock, "message");
		ck_assert_int_lt(sent++, 100000);
	}
	guest_says(sock, "message");
	return sent + 1;
}

/* The host reads so many; then comes the end. */
static void expect_all_and_end(int fd, int count)
{
	for (int i = 0; i < count; i++) {
		vbed_expect(fd, "message");
		vbed_run();
	}
	vbed_expect_eof(fd);
}

START_TEST(half_close_by_the_host_leaves_the_other_half)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, "last", 4);
	shutdown(fd, SHUT_WR);
	vbed_run();
	expect_text_at_guest(sock, "last");
	expect_end_at_guest(sock);
	guest_says(sock, "answer");
	vbed_expect(fd, "answer");
	close_both_guest_first(fd, sock);
}
END_TEST

START_TEST(half_close_by_the_guest_leaves_the_other_half)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	guest_says(sock, "last");
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	vbed_expect(fd, "last");
	vbed_expect_eof(fd);
	host_says(fd, "answer");
	expect_text_at_guest(sock, "answer");
	close_both(fd, sock);
}
END_TEST

START_TEST(messages_before_a_half_close_by_the_guest_arrive)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock), count = make_wait(sock);

	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	expect_all_and_end(fd, count);
	host_says(fd, "answer");
	expect_text_at_guest(sock, "answer");
	close_both(fd, sock);
}
END_TEST

START_TEST(messages_linger_after_the_guest_closed)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock), count = make_wait(sock);

	/* And one of which the end will never come. */
	fake_sock_send_message(sock, "half", 4, 0);
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 1);
	expect_all_and_end(fd, count);
	close(fd);
	vbed_expect_no_connection();
}
END_TEST

START_TEST(messages_linger_after_a_device_reset)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock), count = make_wait(sock);

	fake_sock_send_message(sock, "half", 4, 0);
	vbed_run();
	vbed_probe();
	fake_sockets_sweep(&vbed.set);
	expect_all_and_end(fd, count);
	close(fd);
	vbed_expect_no_connection();
}
END_TEST

START_TEST(host_that_hangs_up_ends_messages_that_linger)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	make_wait(sock);
	fake_sock_close(sock);
	vbed_run();
	close(fd);
	vbed_run();
	vbed_expect_no_connection();
}
END_TEST

START_TEST(host_that_hangs_up_ends_messages_that_wait)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	make_wait(sock);
	fake_sock_send_message(sock, "half", 4, 0);
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	close(fd);
	vbed_run();
	/* They are nobody's: nothing lingers for them. */
	close_guest(sock);
}
END_TEST

START_TEST(messages_before_a_close_by_the_host_arrive)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, "a", 1);
	vbed_send(fd, "", 0);
	vbed_send(fd, "b", 1);
	vbed_send(fd, "", 0);
	close(fd);
	vbed_run();
	expect_text_at_guest(sock, "a");
	expect_text_at_guest(sock, "");
	expect_text_at_guest(sock, "b");
	expect_text_at_guest(sock, "");
	expect_end_at_guest(sock);
	close_guest(sock);
}
END_TEST

START_TEST(messages_before_a_close_with_others_unread_arrive)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	guest_says(sock, "never read");
	vbed_send(fd, "a", 1);
	vbed_send(fd, "b", 1);
	close(fd);
	vbed_run();
	expect_text_at_guest(sock, "a");
	expect_text_at_guest(sock, "b");
	expect_end_at_guest(sock);
	close_guest(sock);
}
END_TEST

START_TEST(end_that_was_not_announced_is_no_empty_message)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	struct vsock_conn *conn = vbed_conn_of(sock);
	bool interrupt = false;
	struct fail why;

	vbed_send(fd, "a", 1);
	shutdown(fd, SHUT_RDWR);
	/* The loop has told of the message, and then the host closed. */
	vsock_conn_readable(conn);
	ck_assert_int_eq(vsock_engine_to_guest(&vbed.d->dev.engine, &interrupt,
					       &why), 0);
	fake_sockets_work(&vbed.set);
	ck_assert_uint_eq(sock->message_num, 1);
	vbed_run();
	expect_text_at_guest(sock, "a");
	expect_end_at_guest(sock);
	close(fd);
	vbed_run();
}
END_TEST

/* The guest has the first and a part of the second. Return: the host's end. */
static int connect_within_a_message(struct fake_sock **sock)
{
	int fd = vbed_connect_seq(sock);

	host_sends(fd, 100000, 1);
	host_sends(fd, 200000, 2);
	ck_assert_uint_eq((*sock)->ring_used, MESSAGE_WINDOW);
	return fd;
}

START_TEST(host_that_hangs_up_within_a_message_ends_after_it)
{
	struct fake_sock *sock;
	int fd = connect_within_a_message(&sock);

	close(fd);
	vbed_run();
	expect_at_guest(sock, 100000, 1);
	expect_at_guest(sock, 200000, 2);
	expect_end_at_guest(sock);
	close_guest(sock);
}
END_TEST

START_TEST(guest_that_closes_within_a_message_ends_it)
{
	struct fake_sock *sock;
	int fd = connect_within_a_message(&sock);

	close_both_guest_first(fd, sock);
}
END_TEST

START_TEST(host_that_reads_no_more_tells_the_guest)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	fake_sock_send_message(sock, "half", 4, 0);
	vbed_run();
	shutdown(fd, SHUT_RD);
	vbed_run();
	guest_says(sock, "of it");
	ck_assert_uint_eq(sock->peer_shut, VSOCK_SHUTDOWN_RECEIVE);
	/* All of it was taken off the guest. */
	ck_assert_uint_eq(vbed_conn_of(sock)->backlog.used, 0);
	host_says(fd, "go on");
	expect_text_at_guest(sock, "go on");
	close_both(fd, sock);
}
END_TEST

START_TEST(guest_resets)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	make_wait(sock);
	fake_sock_abort(sock);
	vbed_run();
	vbed_expect_no_connection();
	close(fd);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(half_close_by_the_host_leaves_the_other_half),
		UNIT_TEST(half_close_by_the_guest_leaves_the_other_half),
		UNIT_TEST(messages_before_a_half_close_by_the_guest_arrive),
		UNIT_TEST(messages_linger_after_the_guest_closed),
		UNIT_TEST(messages_linger_after_a_device_reset),
		UNIT_TEST(host_that_hangs_up_ends_messages_that_linger),
		UNIT_TEST(host_that_hangs_up_ends_messages_that_wait),
		UNIT_TEST(messages_before_a_close_by_the_host_arrive),
		UNIT_TEST(messages_before_a_close_with_others_unread_arrive),
		UNIT_TEST(end_that_was_not_announced_is_no_empty_message),
		UNIT_TEST(host_that_hangs_up_within_a_message_ends_after_it),
		UNIT_TEST(guest_that_closes_within_a_message_ends_it),
		UNIT_TEST(host_that_reads_no_more_tells_the_guest),
		UNIT_TEST(guest_resets),
	};

	return UNIT_RUN("vsock_seqpacket_close", cases, vbed_setup_seq,
			vbed_teardown);
}
