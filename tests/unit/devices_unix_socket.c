// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/unix_socket.c: who may have a path, and how it goes away again.
 */
#include "devices/unix_socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/dir_lock.h"
#include "tests/unit/runner.h"

/* Called right before the call of the same name, once. */
static void (*before_listen)(void);
static void (*before_renameat)(void);
static void (*before_linkat)(void);

static void run_once(void (**hook)(void))
{
	void (*fn)(void) = *hook;

	*hook = NULL;
	if (fn)
		fn();
}

/* In place of the C library's, for what is linked here. */
int listen(int fd, int backlog)
{
	run_once(&before_listen);
	return (int)syscall(SYS_listen, fd, backlog);
}

int renameat(int olddir, const char *old, int newdir, const char *new)
{
	run_once(&before_renameat);
	return (int)syscall(SYS_renameat2, olddir, old, newdir, new, 0);
}

int linkat(int olddir, const char *old, int newdir, const char *new, int flags)
{
	run_once(&before_linkat);
	return (int)syscall(SYS_linkat, olddir, old, newdir, new, flags);
}

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

/* Return: how many entries the directory of @where has. */
static unsigned int entries(const char *where)
{
	char *folder = strndup(where, (size_t)(strrchr(where, '/') - where));
	DIR *stream = opendir(folder);
	unsigned int count = 0;

	ck_assert_ptr_nonnull(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	free(folder);
	return count - 2;
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
	ck_assert_uint_eq(entries(where), 1);
}
END_TEST

static char *seen_path;
static unsigned int seen;

static void look_before_listen(void)
{
	seen++;
	ck_assert_msg(!exists(seen_path), "it is seen before it listens");
}

static void look_before_linkat(void)
{
	seen++;
	ck_assert_msg(!exists(seen_path), "it is seen before it is ready");
}

/* Short or too long for sun_path, free or with a leftover. */
START_TEST(a_path_that_is_seen_can_be_connected_to)
{
	char where[512];
	int client;

	seen_path = path;
	if (_i & 1) {
		long_path(where, sizeof(where), UNIX_SOCKET_NAME_MAX);
		seen_path = where;
	}
	if (_i & 2)
		leave_stale(seen_path);
	before_listen = look_before_listen;
	before_linkat = look_before_linkat;
	ck_assert_int_eq(listen_at(seen_path, &listener), 0);
	ck_assert_uint_eq(seen, 2);
	client = unix_socket_connect(seen_path, SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
	ck_assert_uint_eq(entries(seen_path), 1);
}
END_TEST

static int faster = -1;

/* A process that knows nothing of our lock. */
static void somebody_is_faster(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	unlink(path);
	faster = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(faster, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	ck_assert_int_eq(listen(faster, 5), 0);
}

START_TEST(path_taken_by_others_meanwhile_is_not_stolen)
{
	int client;

	if (_i) {
		leave_stale(path);
		before_renameat = somebody_is_faster;
	} else {
		before_linkat = somebody_is_faster;
	}
	ck_assert_int_eq(listen_at(path, &listener), -EADDRINUSE);
	ck_assert_int_ge(faster, 0);
	ck_says(&why, path);
	client = unix_socket_connect(path, SOCK_STREAM, true);
	ck_assert_int_ge(client, 0);
	close(client);
	close(faster);
	ck_assert_uint_eq(entries(path), 1);
}
END_TEST

START_TEST(what_died_half_way_is_removed)
{
	char aside[96];

	snprintf(aside, sizeof(aside), "%s/.s.wherry", dir);
	leave_stale(aside);
	ck_assert_int_eq(listen_at(path, &listener), 0);
	ck_assert_uint_eq(entries(path), 1);
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

START_TEST(a_lock_kept_by_another_is_not_waited_for_for_ever)
{
	struct dir_lock lock = DIR_LOCK_INIT;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(dir_lock_take(&lock, fd, 0, NULL), 0);
	ck_assert_int_eq(listen_at(path, &listener), -EBUSY);
	ck_says(&why, path);
	ck_assert(!exists(path));
	dir_lock_release(&lock);
	close(fd);
}
END_TEST

/* Whoever can read the directory can do that. */
START_TEST(a_directory_locked_by_its_readers_does_not_matter)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(listen_at(path, &listener), 0);
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
		UNIT_LOOP(a_path_that_is_seen_can_be_connected_to, 4),
		UNIT_LOOP(path_taken_by_others_meanwhile_is_not_stolen, 2),
		UNIT_TEST(what_died_half_way_is_removed),
		UNIT_TEST(too_long_a_name_is_refused),
		UNIT_TEST(path_of_every_length_works),
		UNIT_TEST(path_without_a_name_is_refused),
		UNIT_TEST(missing_directory_is_named),
		UNIT_TEST(relative_path_works),
		UNIT_TEST(mode_is_applied),
		UNIT_TEST(own_path_is_removed),
		UNIT_TEST(foreign_file_is_not_removed),
		UNIT_TEST(a_refusal_leaves_nothing_open),
		UNIT_TEST(a_lock_kept_by_another_is_not_waited_for_for_ever),
		UNIT_TEST(a_directory_locked_by_its_readers_does_not_matter),
	};

	return UNIT_RUN("devices_unix_socket", cases, setup, teardown);
}
