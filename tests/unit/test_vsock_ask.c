// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: CREDIT_REQUEST, either way: the device asks a guest that may have read
 * and not told, and answers one that stands still.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define PIECE	(64u << 10)
#define KIB	(1u << 10)

static uint8_t chunk[VSOCK_BUF_ALLOC];

static struct vsock_unread *unread(void)
{
	return &vbed.d->dev.engine.unread;
}

static void start(enum fake_linux kernel)
{
	vbed_start(&(const struct fake_vsock_config){ .kernel = kernel });
	vbed_probe();
	unread()->patience = 40;
}

/* The host writes a byte @count times, a packet each as long as they go. */
static void write_bytes(int fd, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		vbed_send(fd, "x", 1);
		vbed_run();
	}
}

static void end(int fd, struct fake_sock *sock)
{
	close(fd);
	vbed_run();
	fake_sock_abort(sock);
	vbed_run();
}

START_TEST(fast_reader_that_does_not_tell_is_asked_before_anybody_waits)
{
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_1);
	fd = vbed_connect(&sock);
	for (unsigned int i = 0; i < 5000; i++) {
		write_bytes(fd, 1);
		ck_assert_int_eq(fake_sock_recv(sock, chunk, 10), 1);
		ck_assert(!vbed_conn_of(sock)->unread.waits);
	}
	/* At each half of the bound, and no more often. */
	ck_assert_uint_eq(vbed.set.credit_requests,
			  5000 / (VSOCK_UNREAD_MAX / 2));
	end(fd, sock);
}
END_TEST

START_TEST(late_reader_is_asked_ever_more_rarely)
{
	struct fake_sock *sock;
	uint64_t before;
	int fd;

	start(FAKE_LINUX_6_1);
	fd = vbed_connect(&sock);
	write_bytes(fd, VSOCK_UNREAD_MAX + 1);
	ck_assert_uint_eq(sock->ring_used, VSOCK_UNREAD_MAX);
	vbed_wait(400);
	before = vbed.set.credit_requests;
	ck_assert_uint_ge(before, 3);
	vbed_wait(500);
	ck_assert_uint_le(vbed.set.credit_requests - before,
			  500 / VSOCK_ASK_LAST + 2);
	ck_assert_uint_eq(unread()->wait, VSOCK_ASK_LAST);
	/* It reads, and says nothing. */
	ck_assert_int_eq(fake_sock_recv(sock, chunk, 1000), VSOCK_UNREAD_MAX);
	vbed_wait(VSOCK_ASK_LAST + 20);
	ck_assert_uint_eq(sock->ring_used, 1);
	/* With nothing more to send nobody is asked. */
	before = vbed.set.credit_requests;
	vbed_wait(VSOCK_ASK_LAST + 20);
	ck_assert_uint_eq(vbed.set.credit_requests, before);
	ck_assert_uint_eq(unread()->timer.slot, 0);
	end(fd, sock);
}
END_TEST

START_TEST(paused_guest_is_not_asked)
{
	struct fake_sock *sock;
	uint64_t before;
	int fd;

	start(FAKE_LINUX_5_10);
	fd = vbed_connect(&sock);
	write_bytes(fd, VSOCK_UNREAD_MAX + 1);
	before = vbed.set.credit_requests;
	vsock_device_set_running(&vbed.d->dev, false);
	vbed_wait(400);
	ck_assert_uint_eq(vbed.set.credit_requests, before);
	ck_assert(!unread()->mute);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_wait(400);
	ck_assert(unread()->mute);
	end(fd, sock);
}
END_TEST

static bool is_mute(void)
{
	return unread()->mute;
}

START_TEST(guest_that_answers_nothing_is_sent_what_its_credit_allows)
{
	struct fake_sock *sock, *other;
	int fd, fd2;

	start(FAKE_LINUX_5_10);
	fd = vbed_connect(&sock);
	write_bytes(fd, 500);
	ck_assert_uint_eq(sock->ring_used, VSOCK_UNREAD_MAX);
	vbed_wait_until(is_mute);
	ck_assert_uint_eq(sock->ring_used, 500);
	write_bytes(fd, 200);
	ck_assert_uint_eq(sock->ring_used, 700);
	/* Known once, it holds up no other connection. */
	fd2 = vbed_connect(&other);
	write_bytes(fd2, 500);
	ck_assert_uint_eq(other->ring_used, 500);
	end(fd, sock);
	end(fd2, other);
	/* Of another driver nothing is known. */
	fake_reset(&vbed.v.driver);
	fake_sockets_sweep(&vbed.set);
	vbed_probe();
	ck_assert(!is_mute());
}
END_TEST

START_TEST(guest_that_answers_is_not_taken_for_one_that_does_not)
{
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12);
	fd = vbed_connect(&sock);
	write_bytes(fd, 500);
	vbed_wait(600);
	ck_assert(!is_mute());
	ck_assert_uint_eq(sock->packets, VSOCK_UNREAD_MAX);
	end(fd, sock);
}
END_TEST

/* It may be slow; it has not looked, so it cannot have answered. */
START_TEST(guest_that_has_not_looked_is_not_taken_for_mute)
{
	struct fake_sock *sock;
	int fd;

	start(FAKE_LINUX_6_12);
	fd = vbed_connect(&sock);
	write_bytes(fd, VSOCK_UNREAD_MAX - 50);
	ck_assert(!vbed_conn_of(sock)->unread.asked);
	/* From here the driver stands still. */
	for (unsigned int i = 0; i < 60; i++) {
		vbed_send(fd, "x", 1);
		vbed_run_device();
	}
	for (unsigned int i = 0; i < 60; i++) {
		loop_run_once(vbed.loop, 10);
		vbed_run_device();
	}
	ck_assert(vbed_conn_of(sock)->unread.waits);
	ck_assert(vbed_conn_of(sock)->unread.asked);
	ck_assert(!is_mute());
	end(fd, sock);
}
END_TEST

/* rcore's virtio-drivers: a packet goes when all of it fits; it asks once. */
static bool send_whole(struct fake_sock *sock, bool *asked)
{
	if (fake_sock_room(sock) < PIECE) {
		if (!*asked)
			fake_sock_control(sock, VSOCK_OP_CREDIT_REQUEST, 0);
		*asked = true;
		return false;
	}
	ck_assert_int_eq(fake_sock_send(sock, chunk, PIECE), PIECE);
	*asked = false;
	return true;
}

/* Many are busy, with shares shorter than the packets of one of them. */
static void keep_busy(struct fake_sock *sock, int fd)
{
	static uint8_t one[KIB];

	ck_assert_int_gt(fake_sock_send(sock, one, sizeof(one)), 0);
	vbed_run();
	while (vbed_read(fd, one, sizeof(one)) > 0)
		vbed_run();
}

static void read_slowly(int fd, size_t *got, size_t len)
{
	ssize_t n = vbed_read(fd, chunk, len);

	if (n > 0)
		*got += (size_t)n;
	vbed_run();
}

START_TEST(driver_that_sends_whole_packets_only_is_told_of_all_there_is)
{
	int listener = vbed_listen(VBED_HOST_PORT, 8), fd[5];
	unsigned int sent = 0, idle = 0;
	struct fake_sock *sock[5];
	bool asked = false;
	size_t got = 0;

	for (unsigned int i = 0; i < 5; i++)
		sock[i] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[i]);
	vbed.d->dev.engine.credit.budget = 2 * VSOCK_CREDIT_SHARE_MIN;
	while (sent < 40) {
		for (unsigned int i = 1; i < 5; i++)
			keep_busy(sock[i], fd[i]);
		idle = send_whole(sock[0], &asked) ? (void)sent++, 0 : idle + 1;
		/* The host takes its time, so that news come bit by bit. */
		read_slowly(fd[0], &got, _i ? sizeof(chunk) : 3000);
		ck_assert_msg(idle < 1000, "it waits for ever, after %u packets, for %u bytes more",
			      sent, PIECE - fake_sock_room(sock[0]));
	}
	for (unsigned int i = 0; i < 5; i++)
		close(fd[i]);
	close(listener);
	vbed_run();
}
END_TEST

START_TEST(who_has_asked_and_sends_again_has_a_share_again)
{
	int listener = vbed_listen(VBED_HOST_PORT, 8), fd[5];
	struct fake_sock *sock[5];
	size_t got = 0;

	for (unsigned int i = 0; i < 5; i++)
		sock[i] = vbed_connect_guest(VBED_HOST_PORT, listener, &fd[i]);
	vbed.d->dev.engine.credit.budget = 8 * VSOCK_CREDIT_SHARE_MIN;
	for (unsigned int turn = 0; turn < 40; turn++) {
		for (unsigned int i = 1; i < 5; i++)
			keep_busy(sock[i], fd[i]);
		fake_sock_send(sock[0], chunk, 16 * KIB);
		vbed_run();
		read_slowly(fd[0], &got, sizeof(chunk));
	}
	ck_assert_uint_le(fake_sock_room(sock[0]), VSOCK_CREDIT_SHARE_MIN);
	fake_sock_control(sock[0], VSOCK_OP_CREDIT_REQUEST, 0);
	vbed_run();
	ck_assert_uint_eq(fake_sock_room(sock[0]), VSOCK_BUF_ALLOC);
	while (fake_sock_send(sock[0], chunk, 16 * KIB) > 0) {
		vbed_run();
		read_slowly(fd[0], &got, sizeof(chunk));
		if (fake_sock_room(sock[0]) <= VSOCK_CREDIT_SHARE_MIN)
			break;
	}
	ck_assert_uint_le(fake_sock_room(sock[0]), VSOCK_CREDIT_SHARE_MIN);
	for (unsigned int i = 0; i < 5; i++)
		close(fd[i]);
	close(listener);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case device[] = {
		UNIT_TEST(fast_reader_that_does_not_tell_is_asked_before_anybody_waits),
		UNIT_TEST(late_reader_is_asked_ever_more_rarely),
		UNIT_TEST(paused_guest_is_not_asked),
		UNIT_TEST(guest_that_answers_nothing_is_sent_what_its_credit_allows),
		UNIT_TEST(guest_that_answers_is_not_taken_for_one_that_does_not),
		UNIT_TEST(guest_that_has_not_looked_is_not_taken_for_mute),
	};
	const struct unit_case guest[] = {
		UNIT_LOOP(driver_that_sends_whole_packets_only_is_told_of_all_there_is,
			  2),
		UNIT_TEST(who_has_asked_and_sends_again_has_a_share_again),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("device", device, NULL, vbed_teardown),
		UNIT_GROUP("guest", guest, vbed_setup_live, vbed_teardown),
	};

	return unit_run("vsock_ask", groups, UNIT_COUNT(groups));
}
