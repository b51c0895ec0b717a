// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/unix_socket.c: who may have a path, and how it goes away again.
 */
#include "devices/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/runner.h"

static char dir[] = "/tmp/wherry-unix-XXXXXX";
static char path[64];
static struct fail why;
static struct unix_listener listener;

static void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	why.text[0] = '\0';
	listener = (struct unix_listener)UNIX_LISTENER_INIT;
}

static void teardown(void)
{
	char command[64];

	unix_listener_close(&listener);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static int listen_at(const char *where, struct unix_listener *l)
{
	return unix_socket_listen(where, SOCK_STREAM, 0600, l, &why);
}

static bool exists(const char *where)
{
	struct stat st;

	return !lstat(where, &st);
}

/* What a killed process leaves: a socket file and nobody behind it. */
static void leave_stale(const char *where)
{
	struct unix_listener l;

	ck_assert_int_eq(listen_at(where, &l), 0);
	close(l.fd);
	close(l.dir);
	ck_assert(exists(where));
}

static void long_path(char *out, size_t size, unsigned int name)
{
	size_t len = (size_t)snprintf(out, size, "%s", dir);

	for (int i = 0; i < 4; i++) {
		out[len++] = '/';
		memset(out + len, 'd', 60);
		len += 60;
		out[len] = '\0';
		ck_assert(!mkdir(out, 0755) || errno == EEXIST);
	}
	out[len++] = '/';
	memset(out + len, 'n', name);
	out[len + name] = '\0';
}

START_TEST(clients_reach_the_listener)
{
	int client, served;
	char c = 'x';

	ck_assert_int_eq(listen_at(path, &listener), 0);
	client = unix_socket_connect(path, SOCK_STREAM, false);
	ck_assert_int_ge(client, 0);
	ck_assert(!(fcntl(client, F_GETFL) & O_NONBLOCK));
	ck_assert(fcntl(client, F_GETFD) & FD_CLOEXEC);
	served = accept(listener.fd, NULL, NULL);
	ck_assert_int_ge(served, 0);
	ck_assert_int_eq(write(client, &c, 1), 1);
	ck_assert_int_eq(read(served, &c, 1), 1);
	close(client);
	close(served);
	/* Nothing waits: the listener does not block. */
	ck_assert_int_eq(accept(listener.fd, NULL, NULL), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(seqpacket_works)
{
	int client;

	ck_assert_int_eq(unix_socket_listen(path, SOCK_SEQPACKET, 0600,
					    &listener, &why), 0);
	client = unix_socket_connect(path, SOCK_SEQPACKET, true);
	ck_assert_int_ge(client, 0);
	ck_assert(fcntl(client, F_GETFL) & O_NONBLOCK);
	close(client);
	ck_assert_int_eq(unix_socket_connect(path, SOCK_STREAM, true),
			 -EPROTOTYPE);
}
END_TEST

START_TEST(path_in_use_is_not_stolen)
{
	struct unix_listener second;
	int client;

	ck_assert_int_eq(listen_at(path, &listener), 0);
	ck_assert_int_eq(listen_at(path, &second), -EADDRINUSE);
	ck_says(&why, path);
	ck_assert_int_eq(second.fd, -1);
	unix_listener_close(&second);
	client = unix_socket_connect(path, SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
}
END_TEST

START_TEST(path_in_use_by_another_type_is_not_stolen)
{
	struct unix_listener second;

	ck_assert_int_eq(unix_socket_listen(path, SOCK_SEQPACKET, 0600,
					    &listener, &why), 0);
	ck_assert_int_eq(listen_at(path, &second), -EADDRINUSE);
}
END_TEST

START_TEST(path_with_a_full_backlog_is_not_stolen)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct unix_listener second;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int client;

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	while ((client = unix_socket_connect(path, SOCK_STREAM, true)) >= 0)
		;
	ck_assert_int_eq(client, -EAGAIN);
	ck_assert_int_eq(listen_at(path, &second), -EADDRINUSE);
	close(fd);
}
END_TEST

START_TEST(stale_path_is_replaced)
{
	int client;

	leave_stale(path);
	ck_assert_int_eq(unix_socket_connect(path, SOCK_STREAM, true),
			 -ECONNREFUSED);
	ck_assert_int_eq(listen_at(path, &listener), 0);
	client = unix_socket_connect(path, SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
}
END_TEST

/* Ten processes find the same leftover: one gets the path and keeps it. */
START_TEST(of_many_that_replace_one_wins)
{
	unsigned int won = 0;
	int status;

	leave_stale(path);
	for (int i = 0; i < 10; i++) {
		if (fork())
			continue;
		status = listen_at(path, &listener) ? 1 : 0;
		if (!status)
			sleep(1);
		/* Not unix_listener_close(): others must still find it. */
		_exit(status);
	}
	while (wait(&status) > 0)
		won += WIFEXITED(status) && !WEXITSTATUS(status);
	ck_assert_uint_eq(won, 1);
}
END_TEST

START_TEST(a_file_is_left_alone)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
	ck_assert_int_eq(listen_at(path, &listener), -EEXIST);
	ck_says(&why, path);
	ck_assert(exists(path));
}
END_TEST

START_TEST(a_symbolic_link_is_left_alone)
{
	ck_assert_int_eq(symlink("nowhere", path), 0);
	ck_assert_int_eq(listen_at(path, &listener), -EEXIST);
	ck_assert(exists(path));
}
END_TEST

START_TEST(long_path_works)
{
	struct unix_listener second;
	char where[512];
	int client;

	long_path(where, sizeof(where), UNIX_SOCKET_NAME_MAX);
	ck_assert_int_eq(listen_at(where, &listener), 0);
	client = unix_socket_connect(where, SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
	ck_assert_int_eq(listen_at(where, &second), -EADDRINUSE);
	unix_listener_close(&listener);
	ck_assert(!exists(where));

	leave_stale(where);
	ck_assert_int_eq(listen_at(where, &listener), 0);
	*strrchr(where, '/') = '\0';
	strcat(where, "/.wherry-bind");
	ck_assert(!exists(where));
}
END_TEST

START_TEST(too_long_a_name_is_refused)
{
	char where[512];

	long_path(where, sizeof(where), UNIX_SOCKET_NAME_MAX + 1);
	ck_assert_int_eq(listen_at(where, &listener), -ENAMETOOLONG);
	ck_assert(!exists(where));
}
END_TEST

START_TEST(path_of_every_length_works)
{
	char where[512];
	int client;

	for (unsigned int n = 1; n <= UNIX_SOCKET_NAME_MAX; n++) {
		snprintf(where, sizeof(where), "%s/", dir);
		memset(where + strlen(dir) + 1, 'n', n);
		where[strlen(dir) + 1 + n] = '\0';
		ck_assert_int_eq(listen_at(where, &listener), 0);
		client = unix_socket_connect(where, SOCK_STREAM, true);
		ck_assert_int_ge(client, 0);
		close(client);
		unix_listener_close(&listener);
		ck_assert(!exists(where));
	}
}
END_TEST

START_TEST(path_without_a_name_is_refused)
{
	ck_assert_int_eq(listen_at("", &listener), -EINVAL);
	snprintf(path, sizeof(path), "%s/", dir);
	ck_assert_int_eq(listen_at(path, &listener), -EINVAL);
	ck_assert_int_eq(unix_socket_connect("", SOCK_STREAM, true), -ENOENT);
}
END_TEST

START_TEST(missing_directory_is_named)
{
	snprintf(path, sizeof(path), "%s/no/s", dir);
	ck_assert_int_eq(listen_at(path, &listener), -ENOENT);
	ck_says(&why, "/no");
}
END_TEST

START_TEST(relative_path_works)
{
	int client;

	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(listen_at("s", &listener), 0);
	client = unix_socket_connect("s", SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
	/* And is found again from elsewhere. */
	ck_assert_int_eq(chdir("/"), 0);
	unix_listener_close(&listener);
	ck_assert(!exists(path));
}
END_TEST

START_TEST(mode_is_applied)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0700 };
	static const mode_t umasks[] = { 0, 022, 077, 0777 };
	struct stat st;

	for (size_t i = 0; i < 16; i++) {
		mode_t old = umask(umasks[i / 4]);

		ck_assert_int_eq(unix_socket_listen(path, SOCK_STREAM,
						    modes[i % 4], &listener,
						    &why), 0);
		ck_assert_int_eq(lstat(path, &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, modes[i % 4]);
		unix_listener_close(&listener);
		umask(old);
	}
}
END_TEST

START_TEST(own_path_is_removed)
{
	ck_assert_int_eq(listen_at(path, &listener), 0);
	ck_assert(exists(path));
	unix_listener_close(&listener);
	ck_assert(!exists(path));
	ck_assert_int_eq(listener.fd, -1);
	unix_listener_close(&listener);
}
END_TEST

START_TEST(foreign_file_is_not_removed)
{
	struct unix_listener second;
	int fd;

	ck_assert_int_eq(listen_at(path, &listener), 0);
	ck_assert_int_eq(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	unix_listener_close(&listener);
	ck_assert(exists(path));

	unlink(path);
	ck_assert_int_eq(listen_at(path, &listener), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(listen_at(path, &second), 0);
	unix_listener_close(&listener);
	ck_assert(exists(path));
	unix_listener_close(&second);
}
END_TEST

START_TEST(a_refusal_leaves_nothing_open)
{
	int before = dup(0), after;

	close(before);
	ck_assert_int_eq(listen_at(path, &listener), 0);
	for (int i = 0; i < 10; i++) {
		struct unix_listener second;

		ck_assert_int_eq(listen_at(path, &second), -EADDRINUSE);
	}
	unix_listener_close(&listener);
	ck_assert_int_eq(unix_socket_connect(path, SOCK_STREAM, true),
			 -ENOENT);
	after = dup(0);
	ck_assert_int_eq(before, after);
	close(after);
}
END_TEST

START_TEST(a_lock_kept_by_others_is_not_waited_for_for_ever)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(listen_at(path, &listener), -EBUSY);
	ck_assert(!exists(path));
	close(fd);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(clients_reach_the_listener),
		UNIT_TEST(seqpacket_works),
		UNIT_TEST(path_in_use_is_not_stolen),
		UNIT_TEST(path_in_use_by_another_type_is_not_stolen),
		UNIT_TEST(path_with_a_full_backlog_is_not_stolen),
		UNIT_TEST(stale_path_is_replaced),
		UNIT_TEST(of_many_that_replace_one_wins),
		UNIT_TEST(a_file_is_left_alone),
		UNIT_TEST(a_symbolic_link_is_left_alone),
		UNIT_TEST(long_path_works),
		UNIT_TEST(too_long_a_name_is_refused),
		UNIT_TEST(path_of_every_length_works),
		UNIT_TEST(path_without_a_name_is_refused),
		UNIT_TEST(missing_directory_is_named),
		UNIT_TEST(relative_path_works),
		UNIT_TEST(mode_is_applied),
		UNIT_TEST(own_path_is_removed),
		UNIT_TEST(foreign_file_is_not_removed),
		UNIT_TEST(a_refusal_leaves_nothing_open),
		UNIT_TEST(a_lock_kept_by_others_is_not_waited_for_for_ever),
	};

	return UNIT_RUN("devices_unix_socket", cases, setup, teardown);
}
