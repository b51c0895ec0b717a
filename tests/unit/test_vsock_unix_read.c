// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/vsock/unix_read.c: everything is read once and in order, and yet
 * something stays, so that a close resets; on a socket pair.
 */
#include "devices/vsock/unix_read.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/runner.h"

#define BIG 100000u

static int ours, theirs;
static struct unread unread;
static char buf[2 * BIG];

static void make(int type)
{
	int fd[2], on = 1;

	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC,
				    0, fd), 0);
	ours = fd[0];
	theirs = fd[1];
	/* As the back-end has it: an empty message has a time. */
	if (type == SOCK_SEQPACKET)
		setsockopt(ours, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
	unread_init(&unread, ours, type == SOCK_SEQPACKET, 0);
}

static void setup_stream(void)
{
	make(SOCK_STREAM);
}

static void setup_seqpacket(void)
{
	make(SOCK_SEQPACKET);
}

static void teardown(void)
{
	if (ours >= 0)
		close(ours);
	if (theirs >= 0)
		close(theirs);
}

static char pattern(size_t at)
{
	return (char)(at * 7 + (at >> 8));
}

static void say(const char *text)
{
	ck_assert_int_eq(send(theirs, text, strlen(text), 0),
			 (ssize_t)strlen(text));
}

static ssize_t hear(size_t room, bool *more)
{
	struct iovec iov = { buf, room };

	*more = false;
	return unread_recv(&unread, ours, &iov, 1, more);
}

static void expect(const char *text)
{
	bool more;

	ck_assert_int_eq(hear(sizeof(buf), &more), (ssize_t)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

/* Our end closes: they read this. */
static void expect_at_peer(int err)
{
	char c;

	close(ours);
	ours = -1;
	ck_assert_int_eq(recv(theirs, &c, 1, 0), err ? -1 : 0);
	if (err)
		ck_assert_int_eq(errno, err);
}

START_TEST(all_was_read_and_a_close_resets)
{
	bool more;

	say("a");
	expect("a");
	ck_assert_int_eq(hear(10, &more), -EAGAIN);
	say("bcd");
	expect("bcd");
	say("e");
	expect("e");
	ck_assert_int_eq(hear(10, &more), -EAGAIN);
	ck_assert(unread_resets(ours));
	expect_at_peer(ECONNRESET);
}
END_TEST

START_TEST(all_was_read_and_an_orderly_close_ends)
{
	say("abc");
	expect("abc");
	unread_clear(&unread, ours);
	ck_assert(!unread_resets(ours));
	expect_at_peer(0);
}
END_TEST

START_TEST(what_was_given_before_is_not_read)
{
	say("\nabc");
	unread_init(&unread, ours, false, 1);
	expect("abc");
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

START_TEST(what_was_given_is_no_news)
{
	say("CONNECT 1\n");
	unread_init(&unread, ours, false, 10);
	ck_assert(!unread_news(&unread, ours));
	say("x");
	ck_assert(unread_news(&unread, ours));
	expect("x");
	ck_assert(!unread_news(&unread, ours));
}
END_TEST

START_TEST(the_end_is_seen_and_a_close_still_resets)
{
	bool more;

	say("question");
	shutdown(theirs, SHUT_WR);
	expect("question");
	ck_assert_int_eq(hear(10, &more), 0);
	ck_assert_int_eq(hear(BIG, &more), 0);
	expect_at_peer(ECONNRESET);
}
END_TEST

START_TEST(a_peer_that_never_spoke_cannot_be_reset)
{
	bool more;

	ck_assert_int_eq(hear(10, &more), -EAGAIN);
	ck_assert(!unread_resets(ours));
	expect_at_peer(0);
}
END_TEST

START_TEST(a_reset_by_the_peer_is_told)
{
	bool more;

	say("x");
	expect("x");
	ck_assert_int_eq(send(ours, "unread", 6, 0), 6);
	close(theirs);
	theirs = -1;
	ck_assert_int_eq(hear(10, &more), -ECONNRESET);
}
END_TEST

/* Sizes around the border between short and long, and of the room. */
static const size_t sizes[][2] = {
	{ 1, 1 }, { 2, 1 }, { 511, BIG }, { 512, 512 }, { 512, BIG },
	{ 513, 512 }, { 513, BIG }, { 514, BIG }, { 513, 513 },
	{ 8000, 512 }, { 8000, 7999 }, { 8000, 8000 }, { 8000, 8001 },
	{ BIG, BIG }, { BIG, BIG - 1 }, { BIG, 3000 }, { BIG, 5000 },
};

START_TEST(bytes_arrive_once_and_in_order)
{
	size_t len = sizes[_i][0], room = sizes[_i][1], sent = 0, got = 0;
	bool more;

	for (unsigned int turn = 0; turn < 3; turn++) {
		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(sent + i);
		ck_assert_int_eq(send(theirs, buf, len, 0), (ssize_t)len);
		sent += len;
		while (got < sent) {
			size_t part = room / 3, bad = 0;
			/* Segments, an empty one among them. */
			struct iovec iov[] = {
				{ buf, part }, { buf, 0 },
				{ buf + part, room - part },
			};
			ssize_t n;

			more = false;
			n = unread_recv(&unread, ours, iov, 3, &more);

			ck_assert_int_gt(n, 0);
			if (len <= 512 && room >= len)
				ck_assert(unread_resets(ours));
			/* Less than there was room for: that was all. */
			ck_assert((size_t)n == room || more ||
				  got + (size_t)n == sent);
			for (size_t i = 0; i < (size_t)n; i++)
				bad += buf[i] != pattern(got + i);
			ck_assert_uint_eq(bad, 0);
			got += (size_t)n;
			ck_assert_uint_eq(iov[2].iov_len, room - part);
			ck_assert_ptr_eq(iov[2].iov_base, buf + part);
		}
	}
	/* Whatever came before: short last words stay. */
	ck_assert_int_eq(hear(10, &more), -EAGAIN);
	say("bye");
	expect("bye");
	ck_assert(unread_resets(ours));
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

/* Descriptors cut a read; what lies behind is found all the same. */
START_TEST(descriptors_in_between_lose_nothing)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char text[] = "fd";
	struct iovec iov = { text, 2 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	char all[32] = "";
	size_t len = 0;
	ssize_t n;
	bool more;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &theirs, sizeof(int));
	say("a");
	expect("a");
	say("b");
	ck_assert_int_eq(sendmsg(theirs, &msg, 0), 2);
	ck_assert_int_eq(sendmsg(theirs, &msg, 0), 2);
	say("c");
	do {
		n = hear(sizeof(buf), &more);
		ck_assert_int_gt(n, 0);
		memcpy(all + len, buf, (size_t)n);
		len += (size_t)n;
	} while (more);
	ck_assert_str_eq(all, "bfdfdc");
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

START_TEST(an_out_of_band_byte_is_a_byte)
{
	char all[32] = "";
	size_t len = 0;
	ssize_t n;
	bool more;

	say("z");
	expect("z");
	say("ab");
	/* A kernel may know of none on AF_UNIX. */
	if (send(theirs, "!", 1, MSG_OOB) < 0)
		return;
	say("cd");
	for (int i = 0; i < 10; i++) {
		n = hear(sizeof(buf), &more);
		if (n <= 0)
			continue;
		memcpy(all + len, buf, (size_t)n);
		len += (size_t)n;
	}
	ck_assert_str_eq(all, "ab!cd");
	say("e");
	expect("e");
	say("fg");
	expect("fg");
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

/* With the smallest buffer, a sender that waits, and what stays in its way. */
START_TEST(byte_that_stays_leaves_a_waiting_sender_room)
{
	static const size_t lens[] = { 1, 100, 512, 513, 3000, BIG };
	int size = _i < 6 ? 2560 : 60000;
	size_t len = lens[_i % 6], sent = 0, got = 0;
	bool more;
	struct pollfd pfd = { .fd = theirs, .events = POLLOUT };

	setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (got < 3 * BIG) {
		ssize_t n;

		/* As much as goes, then as much as there is. */
		while (sent < 3 * BIG &&
		       (n = send(theirs, buf, len, MSG_DONTWAIT)) > 0)
			sent += (size_t)n;
		while ((n = hear(sizeof(buf), &more)) > 0)
			got += (size_t)n;
		ck_assert_int_eq(n, -EAGAIN);
		/* What a blocked write() waits for. */
		ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	}
	ck_assert_uint_eq(got, sent);
}
END_TEST

/* Messages. */

static void expect_message(const char *text)
{
	struct iovec iov = { buf, strlen(text) };
	bool eor = true;

	ck_assert_int_eq(unread_recv_message(&unread, ours, &iov, 1, &eor),
			 (ssize_t)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
	ck_assert(!eor);
}

START_TEST(messages_arrive_once_and_in_order)
{
	say("hello");
	unread_init(&unread, ours, true, 5);
	say("one");
	expect_message("one");
	say("");
	say("two");
	say("");
	say("");
	expect_message("");
	expect_message("two");
	expect_message("");
	expect_message("");
	say("three");
	say("four");
	expect_message("three");
	expect_message("four");
	ck_assert(unread_resets(ours));
	expect_at_peer(ECONNRESET);
}
END_TEST

/* The longest there can be, and with the smallest buffer: it must go on. */
START_TEST(message_that_was_read_does_not_hold_up_the_next)
{
	static const int buffers[] = { 0, 1, 50000 };
	int size = buffers[_i], longest = BIG * 2;
	socklen_t len = sizeof(size);

	if (size)
		setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	getsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, &len);
	if (longest > size - 32)
		longest = size - 32;
	for (int i = 0; i < 20; i++) {
		size_t room = (size_t)(i % 3 == 0 ? longest :
				       i % 3 == 1 ? 512 : longest / 2);
		struct iovec iov = { buf, room };
		bool eor;

		ck_assert_int_eq(send(theirs, buf, room, 0), (ssize_t)room);
		ck_assert_int_eq(unread_recv_message(&unread, ours, &iov, 1,
						     &eor), (ssize_t)room);
	}
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

START_TEST(messages_read_allow_an_orderly_end)
{
	say("hello");
	unread_init(&unread, ours, true, 5);
	say("one");
	expect_message("one");
	unread_clear(&unread, ours);
	expect_at_peer(0);
}
END_TEST

START_TEST(a_message_that_was_given_before_resets)
{
	say("hello");
	unread_init(&unread, ours, true, 5);
	ck_assert_int_eq(recv(ours, buf, 10, MSG_PEEK), -1);
	ck_assert_int_eq(errno, EAGAIN);
	expect_at_peer(ECONNRESET);
}
END_TEST

int main(void)
{
	const struct unit_case stream[] = {
		UNIT_TEST(all_was_read_and_a_close_resets),
		UNIT_TEST(all_was_read_and_an_orderly_close_ends),
		UNIT_TEST(what_was_given_before_is_not_read),
		UNIT_TEST(what_was_given_is_no_news),
		UNIT_TEST(the_end_is_seen_and_a_close_still_resets),
		UNIT_TEST(a_peer_that_never_spoke_cannot_be_reset),
		UNIT_TEST(a_reset_by_the_peer_is_told),
		UNIT_LOOP(bytes_arrive_once_and_in_order, UNIT_COUNT(sizes)),
		UNIT_TEST(descriptors_in_between_lose_nothing),
		UNIT_TEST(an_out_of_band_byte_is_a_byte),
		UNIT_LOOP(byte_that_stays_leaves_a_waiting_sender_room, 12),
	};
	const struct unit_case seqpacket[] = {
		UNIT_TEST(messages_arrive_once_and_in_order),
		UNIT_LOOP(message_that_was_read_does_not_hold_up_the_next, 3),
		UNIT_TEST(messages_read_allow_an_orderly_end),
		UNIT_TEST(a_message_that_was_given_before_resets),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("stream", stream, setup_stream, teardown),
		UNIT_GROUP("seqpacket", seqpacket, setup_seqpacket, teardown),
	};

	return unit_run("vsock_unix_read", groups, UNIT_COUNT(groups));
}
