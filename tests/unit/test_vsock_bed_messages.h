/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of vsock messages say: who sends what, and who has to get it.
 * A message is either a text, or of some length with a pattern of its number.
 */
#ifndef WHERRY_TESTS_UNIT_TEST_VSOCK_BED_MESSAGES_H
#define WHERRY_TESTS_UNIT_TEST_VSOCK_BED_MESSAGES_H

#include "tests/unit/test_vsock_bed.h"

/* Bytes under way each way, of device and guest alike; the longest message. */
#define MESSAGE_WINDOW	(256u << 10)

/* Sending; all of it runs loop and driver, too. */

/** host_sends() - message number @seed, of @len bytes */
void host_sends(int fd, size_t len, uint32_t seed);
/** host_says() - a text */
void host_says(int fd, const char *text);
/** guest_sends() - message number @seed, and there is room for all of it */
void guest_sends(struct fake_sock *sock, size_t len, uint32_t seed);
/**
 * guest_goes_on() - message number @seed from byte @at on
 *
 * Return: bytes sent in all, @len for the whole of it; -EAGAIN if an empty one
 * has to wait.
 */
ssize_t guest_goes_on(struct fake_sock *sock, size_t len, uint32_t seed,
		      size_t at);
/** guest_says() - a text */
void guest_says(struct fake_sock *sock, const char *text);

/*
 * Receiving: the next message, and all of it. What the guest takes is told to
 * the device. For texts at the host there is vbed_expect().
 */

/** expect_at_host() - number @seed, of @len bytes */
void expect_at_host(int fd, size_t len, uint32_t seed);
/** expect_at_guest() - the same */
void expect_at_guest(struct fake_sock *sock, size_t len, uint32_t seed);
/** expect_text_at_guest() - a text */
void expect_text_at_guest(struct fake_sock *sock, const char *text);
/** expect_none_at_guest() - neither a message nor the end */
void expect_none_at_guest(struct fake_sock *sock);
/** expect_end_at_guest() - the end, and no empty message */
void expect_end_at_guest(struct fake_sock *sock);

/* Closing; then no connection is left. */

/** close_guest() - by the guest, after the host */
void close_guest(struct fake_sock *sock);
/** close_both() - by the host, then by the guest */
void close_both(int fd, struct fake_sock *sock);
/** close_both_guest_first() - by the guest, which the host hears at once */
void close_both_guest_first(int fd, struct fake_sock *sock);

#endif
