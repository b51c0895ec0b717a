// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: a device with nothing to do does nothing, however many connections
 * are open. Shown by the loop: no handler runs, and it sleeps its time out in
 * one go. ("idle-500" of the benchmark has the CPU time.)
 */
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define CONNS	500u
#define LOOK_MS	200

static int fds[CONNS];
static struct fake_sock *socks[CONNS];

static void setup(void)
{
	const struct fake_vsock_config config = { .socks = CONNS + 8 };
	struct rlimit files;

	/* Both ends are here. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_uint_ge(files.rlim_max, 2 * CONNS + 64);
	files.rlim_cur = files.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	vbed_start(&config);
	vbed_probe();
	for (unsigned int i = 0; i < CONNS; i++)
		fds[i] = vbed_connect(&socks[i]);
	ck_assert_uint_eq(vbed.d->dev.engine.count, CONNS);
}

static void teardown(void)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		close(fds[i]);
		vbed_run();
	}
	vbed_teardown();
}

static long sleeps(void)
{
	struct rusage usage;

	ck_assert_int_eq(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_nvcsw;
}

static void expect_idle(void)
{
	uint64_t begin;
	long before;

	vbed_settle();
	before = sleeps();
	begin = vbed_now_ms();
	ck_assert_int_eq(loop_run_once(vbed.loop, LOOK_MS), 0);
	ck_assert_uint_ge(vbed_now_ms() - begin, LOOK_MS - 1);
	/*
	 * Asleep once; twice, if a timer of connecting, long cancelled, has
	 * been due (see loop.c).
	 */
	ck_assert_int_le(sleeps() - before, 2);
}

START_TEST(idle_connections_wake_nobody)
{
	expect_idle();
}
END_TEST

START_TEST(connections_idle_after_traffic_wake_nobody)
{
	static char buf[64];

	for (unsigned int i = 0; i < CONNS; i++) {
		vbed_send(fds[i], "question", 8);
		vbed_run();
		ck_assert_int_eq(fake_sock_recv(socks[i], buf, sizeof(buf)),
				 8);
		ck_assert_int_eq(fake_sock_send(socks[i], "answer", 6), 6);
		vbed_run();
		vbed_expect(fds[i], "answer");
	}
	expect_idle();
}
END_TEST

/* Bytes that the guest does not take are not looked at over and over. */
START_TEST(connections_without_credit_wake_nobody)
{
	static const char zeros[65536];

	for (unsigned int i = 0; i < 8; i++)
		for (unsigned int n = 0; n < 16; n++) {
			while (write(fds[i], zeros, sizeof(zeros)) > 0)
				;
			vbed_run();
		}
	ck_assert_uint_eq(socks[0]->ring_used, socks[0]->buf_alloc);
	expect_idle();
	for (unsigned int i = 0; i < 8; i++)
		fake_sock_abort(socks[i]);
}
END_TEST

/* Nor is a host socket asked to take what it has no room for. */
START_TEST(connections_with_a_backlog_wake_nobody)
{
	static const char zeros[65536];
	struct vsock_conn *conn;

	while (fake_sock_send(socks[0], zeros, sizeof(zeros)) > 0)
		vbed_run();
	conn = vbed_conn(socks[0]->host_port, socks[0]->guest_port);
	ck_assert_uint_gt(conn->backlog.used, 0);
	expect_idle();
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(idle_connections_wake_nobody),
		UNIT_TEST(connections_idle_after_traffic_wake_nobody),
		UNIT_TEST(connections_without_credit_wake_nobody),
		UNIT_TEST(connections_with_a_backlog_wake_nobody),
	};

	return UNIT_RUN("vsock_idle", cases, setup, teardown);
}
