// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: how seqpacket connections end, and what still arrives then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static char buf[4096];

/* Return: length of the guest's next message, or what recv said. */
static ssize_t guest_reads(struct fake_sock *sock, uint32_t *flags)
{
	ssize_t got = fake_sock_recv_message(sock, buf, sizeof(buf), flags);

	vbed_run();
	return got;
}

static void expect_at_guest(struct fake_sock *sock, const char *text)
{
	uint32_t flags;
	ssize_t got = guest_reads(sock, &flags);

	ck_assert_msg(got == (ssize_t)strlen(text), "read said %zd, not \"%s\"",
		      got, text);
	ck_assert_uint_eq(flags, VSOCK_SEQ_EOM);
	ck_assert_mem_eq(buf, text, strlen(text));
}

static void expect_end_at_guest(struct fake_sock *sock)
{
	uint32_t flags;

	ck_assert_int_eq(guest_reads(sock, &flags), 0);
	ck_assert_uint_eq(flags, 0);
}

static void guest_says(struct fake_sock *sock, const char *text)
{
	ck_assert_int_eq(fake_sock_send_message(sock, text, strlen(text),
						VSOCK_SEQ_EOM),
			 (ssize_t)strlen(text));
	vbed_run();
}

static void host_says(int fd, const char *text)
{
	vbed_send(fd, text, strlen(text));
	vbed_run();
}

/* Messages for the host wait. Return: how many were sent. */
static int make_wait(struct fake_sock *sock)
{
	int sent = 0;

	while (!vsock_conn_pending(vbed_conn(sock->host_port,
					     sock->guest_port))) {
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

static void expect_no_connection(void)
{
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 0);
}

START_TEST(half_close_by_the_host_leaves_the_other_half)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, "last", 4);
	shutdown(fd, SHUT_WR);
	vbed_run();
	expect_at_guest(sock, "last");
	expect_end_at_guest(sock);
	guest_says(sock, "answer");
	vbed_expect(fd, "answer");
	fake_sock_close(sock);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_no_connection();
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
	expect_at_guest(sock, "answer");
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
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
	expect_at_guest(sock, "answer");
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
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
	expect_no_connection();
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
	expect_no_connection();
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
	expect_no_connection();
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
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
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
	expect_at_guest(sock, "a");
	expect_at_guest(sock, "");
	expect_at_guest(sock, "b");
	expect_at_guest(sock, "");
	expect_end_at_guest(sock);
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
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
	expect_at_guest(sock, "a");
	expect_at_guest(sock, "b");
	expect_end_at_guest(sock);
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
}
END_TEST

START_TEST(end_that_was_not_announced_is_no_empty_message)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);
	struct vsock_conn *conn = vbed_conn(sock->host_port, sock->guest_port);
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
	expect_at_guest(sock, "a");
	expect_end_at_guest(sock);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(host_that_hangs_up_within_a_message_ends_after_it)
{
	static uint8_t big[200000];
	struct fake_sock *sock;
	uint32_t flags;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, big, 100000);
	vbed_run();
	vbed_send(fd, big, sizeof(big));
	vbed_run();
	/* The guest has a part of the second. */
	ck_assert_uint_eq(sock->ring_used, 256u << 10);
	close(fd);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv_message(sock, big, sizeof(big),
						&flags), 100000);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv_message(sock, big, sizeof(big),
						&flags), sizeof(big));
	vbed_run();
	expect_end_at_guest(sock);
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
}
END_TEST

START_TEST(guest_that_closes_within_a_message_ends_it)
{
	static uint8_t big[200000];
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, big, 100000);
	vbed_run();
	vbed_send(fd, big, sizeof(big));
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
	expect_no_connection();
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
	ck_assert_uint_eq(vbed_conn(sock->host_port,
				    sock->guest_port)->backlog.used, 0);
	host_says(fd, "go on");
	expect_at_guest(sock, "go on");
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	expect_no_connection();
}
END_TEST

START_TEST(guest_resets)
{
	struct fake_sock *sock;
	int fd = vbed_connect_seq(&sock);

	make_wait(sock);
	fake_sock_abort(sock);
	vbed_run();
	expect_no_connection();
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
