// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock with threads as in production: the loop on one, the driver on another
 * that hears of the device by its interrupt, host programs on more. Nothing
 * may hang, whatever the driver does to the device meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define CLIENTS		3
#define PIECE		20000u
/* Longer than any of this takes: a read that waits so long hangs. */
#define HANG_SECONDS	30

static pthread_t loop_thread;
static pthread_t client[CLIENTS];
static atomic_bool stop;
static atomic_bool may_fail;
static atomic_uint rounds;
static atomic_uint failures;
static atomic_uint running;

static void *run_loop(void *arg)
{
	loop_run(vbed.loop);
	return arg;
}

/* Return: whether all of it came. */
static bool read_all(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, (uint8_t *)buf + got, len - got, 0);

		ck_assert_msg(n >= 0 || errno != EAGAIN, "a reader hangs");
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static bool read_ok(int fd)
{
	char byte = 0;

	while (byte != '\n')
		if (!read_all(fd, &byte, 1))
			return false;
	return true;
}

/* Return: whether the connection is still good. */
static bool echo_once(int fd, uint32_t seed, uint64_t at)
{
	static _Thread_local uint8_t out[PIECE], in[PIECE];

	vbed_fill(out, sizeof(out), seed, at);
	if (send(fd, out, sizeof(out), MSG_NOSIGNAL) != sizeof(out))
		return false;
	if (!read_all(fd, in, sizeof(in)))
		return false;
	ck_assert_mem_eq(in, out, sizeof(in));
	atomic_fetch_add(&rounds, 1);
	return true;
}

static void one_connection(uint32_t seed)
{
	const struct timeval limit = { .tv_sec = HANG_SECONDS };
	int fd = unix_socket_connect(vbed.path, SOCK_STREAM, false);
	uint64_t at = 0;
	bool good;

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	good = send(fd, "CONNECT 1024\n", 13, MSG_NOSIGNAL) == 13 &&
	       read_ok(fd);
	for (int i = 0; i < 20 && good; i++, at += PIECE)
		good = echo_once(fd, seed, at);
	if (!good) {
		ck_assert(atomic_load(&may_fail));
		atomic_fetch_add(&failures, 1);
	}
	close(fd);
}

static void *run_client(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	while (!atomic_load(&stop))
		one_connection(seed++);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* The guest's echo server. */
static void echo(struct fake_sock *sock)
{
	static uint8_t buf[32768];
	uint32_t len = sock->ring_used;
	ssize_t n;

	if (len > fake_sock_room(sock))
		len = fake_sock_room(sock);
	if (len > sizeof(buf))
		len = sizeof(buf);
	if (len && (vbed.set.pending_num || !fake_vsock_tx_room(&vbed.v)))
		return;
	n = fake_sock_recv(sock, buf, len);
	if (n > 0)
		ck_assert_int_eq(fake_sock_send(sock, buf, (size_t)n), n);
	else if (n == 0 ? !sock->ring_used : n != -EAGAIN)
		fake_sock_close(sock);
}

static void guest_turn(void)
{
	struct pollfd pfd = { vbed.d->host.irq_fd, POLLIN, 0 };
	uint64_t count;

	if (poll(&pfd, 1, 20) > 0 && read(pfd.fd, &count, sizeof(count)) > 0)
		fake_sockets_interrupt(&vbed.set);
	while (fake_sock_accept(&vbed.set, VBED_PORT))
		;
	for (unsigned int i = 0; i < vbed.set.count; i++) {
		struct fake_sock *sock = &vbed.set.sock[i];

		if (sock->state != FAKE_SOCK_FREE && !sock->released)
			echo(sock);
	}
}

static void start(void)
{
	vbed_start(NULL);
	/* A loop, for the thread: no more vbed_run() from here. */
	atomic_store(&running, CLIENTS);
	ck_assert_int_eq(pthread_create(&loop_thread, NULL, run_loop, NULL),
			 0);
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	for (uintptr_t i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_create(&client[i], NULL, run_client,
						(void *)(i * 1000)), 0);
}

static void finish(void)
{
	atomic_store(&stop, true);
	while (atomic_load(&running))
		guest_turn();
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(client[i], NULL);
	loop_stop(vbed.loop, 0);
	pthread_join(loop_thread, NULL);
	vbed_run();
	printf("# %u echoes, %u connections lost\n", atomic_load(&rounds),
	       atomic_load(&failures));
	fflush(stdout);
}

START_TEST(echoes_over_threads)
{
	start();
	while (atomic_load(&rounds) < 300)
		guest_turn();
	finish();
	ck_assert_uint_eq(atomic_load(&failures), 0);
	ck_assert_uint_eq(vbed_stats()->timeouts, 0);
}
END_TEST

START_TEST(nobody_hangs_over_device_resets)
{
	unsigned int before;

	atomic_store(&may_fail, true);
	start();
	for (int i = 0; i < 20; i++) {
		before = atomic_load(&rounds);
		while (atomic_load(&rounds) < before + 10)
			guest_turn();
		/* In the middle of things, as rmmod and modprobe. */
		fake_reset(&vbed.v.driver);
		vbed.set.pending_num = 0;
		fake_sockets_sweep(&vbed.set);
		ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	}
	finish();
	ck_assert_uint_eq(vbed_stats()->timeouts, 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(echoes_over_threads),
		UNIT_TEST(nobody_hangs_over_device_resets),
	};

	return UNIT_RUN("vsock_threads", cases, NULL, vbed_teardown);
}
