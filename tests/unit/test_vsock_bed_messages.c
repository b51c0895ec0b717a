// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The words of the tests of vsock messages. See test_vsock_bed_messages.h.
 */
#include "tests/unit/test_vsock_bed_messages.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint8_t sent[MESSAGE_WINDOW], got[MESSAGE_WINDOW];

void host_sends(int fd, size_t len, uint32_t seed)
{
	vbed_fill(sent, len, seed, 0);
	vbed_send(fd, sent, len);
	vbed_run();
}

void host_says(int fd, const char *text)
{
	vbed_send(fd, text, strlen(text));
	vbed_run();
}

ssize_t guest_goes_on(struct fake_sock *sock, size_t len, uint32_t seed,
		      size_t at)
{
	ssize_t n;

	vbed_fill(sent, len, seed, 0);
	do {
		n = fake_sock_send_message(sock, sent + at, len - at,
					   VSOCK_SEQ_EOM);
		vbed_run();
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0 && at < len);
	return n < 0 && n != -EAGAIN ? n : (ssize_t)at;
}

void guest_sends(struct fake_sock *sock, size_t len, uint32_t seed)
{
	ck_assert_int_eq(guest_goes_on(sock, len, seed, 0), (ssize_t)len);
}

void guest_says(struct fake_sock *sock, const char *text)
{
	ck_assert_int_eq(fake_sock_send_message(sock, text, strlen(text),
						VSOCK_SEQ_EOM),
			 (ssize_t)strlen(text));
	vbed_run();
}

void expect_at_host(int fd, size_t len, uint32_t seed)
{
	ssize_t n = vbed_read(fd, got, sizeof(got));

	ck_assert_msg(n == (ssize_t)len, "message %u: read said %zd, not %zu",
		      seed, n, len);
	vbed_check(got, len, seed, 0);
}

/* Return: length of the guest's next message, or what recv said. */
static ssize_t guest_reads(struct fake_sock *sock, uint32_t *flags)
{
	ssize_t n = fake_sock_recv_message(sock, got, sizeof(got), flags);

	vbed_run();
	return n;
}

void expect_at_guest(struct fake_sock *sock, size_t len, uint32_t seed)
{
	uint32_t flags;
	ssize_t n = guest_reads(sock, &flags);

	ck_assert_msg(n == (ssize_t)len, "message %u: read said %zd, not %zu",
		      seed, n, len);
	ck_assert_uint_eq(flags, VSOCK_SEQ_EOM);
	vbed_check(got, len, seed, 0);
}

void expect_text_at_guest(struct fake_sock *sock, const char *text)
{
	uint32_t flags;
	ssize_t n = guest_reads(sock, &flags);

	ck_assert_msg(n == (ssize_t)strlen(text), "read said %zd, not \"%s\"",
		      n, text);
	ck_assert_uint_eq(flags, VSOCK_SEQ_EOM);
	ck_assert_mem_eq(got, text, strlen(text));
}

void expect_none_at_guest(struct fake_sock *sock)
{
	uint32_t flags;

	ck_assert_int_eq(fake_sock_recv_message(sock, got, sizeof(got),
						&flags), -EAGAIN);
}

void expect_end_at_guest(struct fake_sock *sock)
{
	uint32_t flags;

	ck_assert_int_eq(guest_reads(sock, &flags), 0);
	ck_assert_uint_eq(flags, 0);
}

void close_guest(struct fake_sock *sock)
{
	fake_sock_close(sock);
	vbed_run();
	vbed_expect_no_connection();
}

void close_both(int fd, struct fake_sock *sock)
{
	close(fd);
	vbed_run();
	close_guest(sock);
}

void close_both_guest_first(int fd, struct fake_sock *sock)
{
	close_guest(sock);
	vbed_expect_eof(fd);
	close(fd);
}
