// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the tests of `wherry connect`. See vmm_connect_bed.h.
 */
#include "tests/unit/vmm_connect_bed.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connect_bed bed;

static char dir[] = "/tmp/wherry-connect-XXXXXX";
static pthread_t thread;
static bool started;

void connect_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void connect_setup(void)
{
	int in_pipe[2], out_pipe[2];

	signal(SIGPIPE, SIG_IGN);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(bed.path, sizeof(bed.path), "%s/u", dir);
	bed.why.text[0] = '\0';
	started = false;
	bed.guest = -1;
	ck_assert_int_eq(unix_socket_listen(bed.path, SOCK_STREAM, 0600, &bed.listener,
					    &bed.why), 0);
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_pipe, O_CLOEXEC), 0);
	bed.in = in_pipe[1];
	bed.out = out_pipe[0];
	bed.options = (struct connect_options){
		.uds = bed.path,
		.port = 5000,
		.timeout_ms = -1,
		.in = in_pipe[0],
		.out = out_pipe[1],
	};
}

static void *run(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)connect_run(&bed.options, &bed.why);
}

void connect_start(void)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	started = true;
}

/* Wait for the end. Return: the exit status. */
int connect_finish(void)
{
	void *status;

	ck_assert_int_eq(pthread_join(thread, &status), 0);
	started = false;
	ck_assert_msg((!status || (intptr_t)status == CONNECT_EXIT_OUTPUT) ==
		      !bed.why.text[0], "'%s'", bed.why.text);
	return (int)(intptr_t)status;
}

void connect_teardown(void)
{
	ck_assert(!started);
	connect_close(&bed.in);
	connect_close(&bed.out);
	connect_close(&bed.guest);
	close(bed.options.in);
	unix_listener_close(&bed.listener);
	rmdir(dir);
}

void connect_read(int fd, char *data, size_t len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		ck_assert_int_gt(n, 0);
		data += n;
		len -= (size_t)n;
	}
}

void connect_expect(int fd, const char *text)
{
	char bytes[64];

	connect_read(fd, bytes, strlen(text));
	ck_assert_mem_eq(bytes, text, strlen(text));
}

void connect_expect_end(int fd)
{
	char c;

	ck_assert_int_eq(read(fd, &c, 1), 0);
}

void connect_put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)),
			 (ssize_t)strlen(text));
}

void connect_answer_call(void)
{
	struct pollfd pfd = { .fd = bed.listener.fd, .events = POLLIN };

	connect_start();
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	bed.guest = accept(bed.listener.fd, NULL, NULL);
	ck_assert_int_ge(bed.guest, 0);
	connect_expect(bed.guest, "CONNECT 5000\n");
}

void connect_establish(void)
{
	connect_answer_call();
	connect_put(bed.guest, "OK 1073741824\n");
}
