// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/descriptors.c: what the limits of the process give, and that they are
 * never all taken by vsock. Each test is a process of its own: a hard limit is
 * lowered for good.
 */
#include "vmm/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"
#include "tests/unit/test_vsock_bed.h"

#define FIXED	(DESCRIPTORS_PROCESS + DESCRIPTORS_MACHINE + DESCRIPTORS_KEPT)
#define HARD	1024u
/* Connections of the guest in the fake driver. */
#define SOCKS	600u

static struct machine_options options;
static struct fail why;
static int open_before;

static void setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	options = (struct machine_options){ .vsock.present = true };
	/* But for "." and "..", and the folder's own. */
	open_before = (int)vbed_fds() - 3;
}

static void set_limit(rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = { soft, hard };

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t soft_limit(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

static void prepare(void)
{
	ck_assert_msg(!descriptors_prepare(&options, &why), "%s", why.text);
}

START_TEST(soft_limit_is_raised_to_what_is_needed_and_no_further)
{
	set_limit(256, HARD);
	options.vsock.device.conns_max = 100;
	options.vsock.host.clients_max = 10;
	prepare();
	ck_assert_uint_eq(soft_limit(),
			  (rlim_t)open_before + FIXED + 2 * 100 + 10);
	ck_assert_uint_eq(options.vsock.host.fds_max,
			  soft_limit() - DESCRIPTORS_KEPT);
}
END_TEST

START_TEST(soft_limit_that_is_enough_is_left_alone)
{
	set_limit(900, HARD);
	options.vsock.device.conns_max = 100;
	prepare();
	ck_assert_uint_eq(soft_limit(), 900);
	ck_assert_uint_eq(options.vsock.host.fds_max, 900 - DESCRIPTORS_KEPT);
}
END_TEST

/* What is said to be possible is, and one more is not. */
START_TEST(connections_beyond_the_hard_limit_are_refused_by_name)
{
	const unsigned int most = (HARD - (unsigned int)open_before - FIXED -
				   VSOCK_UNIX_CLIENTS_MAX) / 2;
	char text[64];

	set_limit(256, HARD);
	options.vsock.device.conns_max = most + 1;
	ck_assert_int_eq(descriptors_prepare(&options, &why), -EMFILE);
	snprintf(text, sizeof(text), "connections=%u: at most %u ", most + 1,
		 most);
	ck_says(&why, text);
	ck_says(&why, "hard limit of 1024 ");
	options.vsock.device.conns_max = most;
	options.vsock.host.clients_max = 0;
	prepare();
	ck_assert_uint_le(soft_limit(), HARD);
}
END_TEST

START_TEST(clients_beyond_the_hard_limit_are_refused_by_name)
{
	const unsigned int most = HARD - (unsigned int)open_before - FIXED - 2;
	char text[64];

	set_limit(256, HARD);
	options.vsock.host.clients_max = most + 1;
	ck_assert_int_eq(descriptors_prepare(&options, &why), -EMFILE);
	snprintf(text, sizeof(text), "clients=%u: at most %u ", most + 1, most);
	ck_says(&why, text);
	options.vsock.host.clients_max = most;
	prepare();
	ck_assert_uint_eq(options.vsock.device.conns_max, 1);
}
END_TEST

START_TEST(defaults_fit_into_the_hard_limit)
{
	set_limit(256, HARD);
	prepare();
	ck_assert_uint_ge(options.vsock.device.conns_max, 300);
	ck_assert_uint_lt(options.vsock.device.conns_max, VSOCK_CONNS_MAX);
	ck_assert_uint_eq(options.vsock.host.clients_max,
			  VSOCK_UNIX_CLIENTS_MAX);
	ck_assert_uint_le(soft_limit(), HARD);
}
END_TEST

START_TEST(defaults_are_the_defaults_where_the_hard_limit_gives_them)
{
	set_limit(1024, 4096);
	prepare();
	ck_assert_uint_eq(options.vsock.device.conns_max, VSOCK_CONNS_MAX);
	ck_assert_uint_eq(options.vsock.host.clients_max,
			  VSOCK_UNIX_CLIENTS_MAX);
}
END_TEST

START_TEST(hard_limit_without_room_for_one_connection_is_refused)
{
	char text[64];

	set_limit(200, 200);
	ck_assert_int_eq(descriptors_prepare(&options, &why), -EMFILE);
	snprintf(text, sizeof(text), "at least %u ",
		 (unsigned int)open_before + FIXED + 4);
	ck_says(&why, text);
}
END_TEST

START_TEST(without_vsock_any_limit_will_do)
{
	set_limit(50, 100);
	options.vsock.present = false;
	prepare();
	ck_assert_uint_eq(soft_limit(), 100);
}
END_TEST

/* The device as those options have it, in a process that may have HARD. */

static int leaked[HARD];
static unsigned int leaks;
static struct control *control;
static char control_path[128];
static int listener;

static void setup_full(void)
{
	static const struct control_command none[] = { { 0 } };
	const struct fake_vsock_config config = { .socks = SOCKS };
	struct vbed_options device = { .host = { 0 } };

	setup();
	set_limit(256, HARD);
	prepare();
	device.host.fds_max = options.vsock.host.fds_max;
	device.host.clients_max = options.vsock.host.clients_max;
	device.device.conns_max = options.vsock.device.conns_max;
	vbed_start_with(&config, &device);
	vbed_probe();
	snprintf(control_path, sizeof(control_path), "%s/control", vbed.dir);
	control = control_new(vbed.loop, control_path, none, NULL, &why);
	ck_assert_ptr_nonnull(control);
	/* Connections that nobody accepts: their other ends cost nothing. */
	listener = vbed_listen(VBED_HOST_PORT, (int)HARD);
	leaks = 0;
}

static void plug_leaks(void)
{
	while (leaks)
		close(leaked[--leaks]);
}

static void teardown_full(void)
{
	plug_leaks();
	close(listener);
	vbed_run();
	control_free(control);
	vbed_teardown();
}

/* As many as can be had, or the last one below @below. */
static void leak(unsigned int below)
{
	int fd;

	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 &&
	       (unsigned int)fd < below)
		leaked[leaks++] = fd;
	if (fd >= 0)
		close(fd);
}

/* Return: how many connections the guest gets until it is refused. */
static unsigned int connect_all(void)
{
	unsigned int count = 0;
	struct fake_sock *sock;

	for (;;) {
		ck_assert_uint_lt(count, SOCKS);
		sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
		vbed_run();
		if (sock->state != FAKE_SOCK_ESTABLISHED)
			break;
		count++;
	}
	ck_assert_int_eq(sock->err, ECONNRESET);
	fake_sock_close(sock);
	return count;
}

/* A client is greeted. */
static void expect_control(void)
{
	int fd = unix_socket_connect(control_path, SOCK_STREAM, true);
	char text[256];
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	vbed_run();
	n = vbed_read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "QMP"));
	close(fd);
	vbed_run();
}

static unsigned int free_descriptors(void)
{
	unsigned int before = leaks, count;

	leak(UINT_MAX);
	count = leaks - before;
	while (leaks > before)
		close(leaked[--leaks]);
	return count;
}

START_TEST(guest_with_all_its_connections_leaves_the_control_socket)
{
	ck_assert_uint_eq(connect_all(), options.vsock.device.conns_max);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 1);
	ck_assert_uint_ge(free_descriptors(), DESCRIPTORS_KEPT);
	expect_control();
}
END_TEST

START_TEST(leaks_take_from_connections_not_from_what_is_kept)
{
	leak(options.vsock.host.fds_max - 20);
	ck_assert_uint_le(connect_all(), 20);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 0);
	ck_assert_uint_ge(free_descriptors(), DESCRIPTORS_KEPT);
	expect_control();
}
END_TEST

START_TEST(clients_wait_while_there_is_nothing_but_what_is_kept)
{
	int fd, turns = 0;

	leak(options.vsock.host.fds_max);
	fd = vbed_client();
	ck_assert_int_ge(fd, (int)options.vsock.host.fds_max);
	vbed_hello(fd, VBED_PORT);
	for (int i = 0; i < 100; i++)
		turns += loop_run_once(vbed.loop, 0) > 0;
	ck_assert_int_lt(turns, 10);
	vbed_expect_nothing(fd);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	plug_leaks();
	vbed_wait(3 * VSOCK_UNIX_REST);
	vbed_ok(fd);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(heir_keeps_them_as_well)
{
	int fd;

	vbed_restore_in_place();
	vbed_run();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	leak(options.vsock.host.fds_max);
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect_nothing(fd);
	plug_leaks();
	vbed_wait(3 * VSOCK_UNIX_REST);
	vbed_ok(fd);
	close(fd);
	vbed_run();
}
END_TEST

int main(void)
{
	const struct unit_case limit_cases[] = {
		UNIT_TEST(soft_limit_is_raised_to_what_is_needed_and_no_further),
		UNIT_TEST(soft_limit_that_is_enough_is_left_alone),
		UNIT_TEST(connections_beyond_the_hard_limit_are_refused_by_name),
		UNIT_TEST(clients_beyond_the_hard_limit_are_refused_by_name),
		UNIT_TEST(defaults_fit_into_the_hard_limit),
		UNIT_TEST(defaults_are_the_defaults_where_the_hard_limit_gives_them),
		UNIT_TEST(hard_limit_without_room_for_one_connection_is_refused),
		UNIT_TEST(without_vsock_any_limit_will_do),
	};
	const struct unit_case full_cases[] = {
		UNIT_TEST(guest_with_all_its_connections_leaves_the_control_socket),
		UNIT_TEST(leaks_take_from_connections_not_from_what_is_kept),
		UNIT_TEST(clients_wait_while_there_is_nothing_but_what_is_kept),
		UNIT_TEST(heir_keeps_them_as_well),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("limits", limit_cases, setup, NULL),
		UNIT_GROUP("full", full_cases, setup_full, teardown_full),
	};

	return unit_run("vmm_descriptors", groups, UNIT_COUNT(groups));
}
