// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AF_UNIX sockets with a path: who may have it, and how it goes away again.
 *
 * Owns nothing but what it returns. Called at start-up and shutdown for
 * listeners, and on the loop thread for connections; no locks of its own but
 * the one on the directory described below.
 *
 * Seen is ready: whoever sees the path may connect. So a socket is bound to
 * another name beside it, gets its mode and listens there, and only then gets
 * its name: by a link, which never replaces anything, on any file system.
 *
 * Taking over a leftover: connect() says ECONNREFUSED for a socket file whose
 * process is gone. Look, remove, bind and link happen under dir_lock.h's lock,
 * which ends with the process and which nobody but this user can hold. Others,
 * where they may write to the directory, can be faster with the path all the
 * same: what is removed is therefore moved aside first, and put back if it is
 * not the file that was looked at.
 *
 * Long paths: sun_path holds 108 bytes. connect() goes by way of
 * /proc/self/fd/N of the socket file, opened with O_PATH; bind(), which must
 * create a name, by way of the directory's descriptor, and with a short name.
 * With other paths the name beside shows whose it is: it is what ss(8) shows.
 */
#include "devices/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/dir_lock.h"

#define BACKLOG 1024

/* Held while a path is looked at and taken: not long. */
#define LOCK_WAIT_MS	5000u

/* Names beside the path; the second serves those that are too long. */
#define ASIDE_SUFFIX	".wherry"
#define ASIDE_SHORT	".wherry-bind"
#define ASIDE_SIZE	(UNIX_SOCKET_NAME_MAX + sizeof("." ASIDE_SUFFIX))

/* Return: false when @path does not fit. */
static bool address_set(struct sockaddr_un *addr, const char *path)
{
	size_t len = strlen(path);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (len >= sizeof(addr->sun_path))
		return false;
	memcpy(addr->sun_path, path, len);
	return true;
}

static int socket_new(int type, bool nonblock)
{
	int flags = SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
	int fd = socket(AF_UNIX, type | flags, 0);

	return fd < 0 ? -errno : fd;
}

static int connect_address(int fd, const struct sockaddr_un *addr)
{
	int rc;

	do {
		rc = connect(fd, (const struct sockaddr *)addr,
			     sizeof(*addr));
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* Connect to the socket file that is open, with O_PATH, as @file. */
static int connect_file(int file, int type, bool nonblock)
{
	struct sockaddr_un addr;
	char link[32];
	int fd, rc;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	address_set(&addr, link);
	fd = socket_new(type, nonblock);
	if (fd < 0)
		return fd;
	rc = connect_address(fd, &addr);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Return: as unix_socket_connect(), for a path that sun_path cannot hold. */
static int connect_long(const char *path, int type, bool nonblock)
{
	int file = open(path, O_PATH | O_CLOEXEC);
	int rc;

	if (file < 0)
		return -errno;
	rc = connect_file(file, type, nonblock);
	close(file);
	return rc;
}

int unix_socket_connect(const char *path, int type, bool nonblock)
{
	struct sockaddr_un addr;
	int fd, rc;

	if (!*path)
		return -ENOENT;
	if (!address_set(&addr, path))
		return connect_long(path, type, nonblock);

	fd = socket_new(type, nonblock);
	if (fd < 0)
		return fd;
	rc = connect_address(fd, &addr);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Split @path: open its directory, copy its last component. */
static int open_directory(struct unix_listener *l, const char *path,
			  struct fail *why)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *dir;
	int rc = 0;

	if (!*name)
		return fail(why, -EINVAL,
			    "socket path '%s': the path of a file expected",
			    path);
	if (strlen(name) > UNIX_SOCKET_NAME_MAX)
		return fail(why, -ENAMETOOLONG,
			    "socket path '%s': its last component has %zu "
			    "bytes, at most %d expected", path, strlen(name),
			    UNIX_SOCKET_NAME_MAX);
	memcpy(l->name, name, strlen(name) + 1);

	/* With the slash: "/name" is in "/". */
	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!dir)
		return fail(why, -ENOMEM, "socket path '%s': out of memory",
			    path);
	l->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0)
		rc = fail(why, -errno,
			  "socket path '%s': cannot open directory '%s': %s",
			  path, dir, strerror(errno));
	free(dir);
	return rc;
}

/*
 * Under the lock: @file is what nobody listened on; while it is open no other
 * one is given its number. Of another user's process the lock knows nothing.
 */
static int remove_leftover(const struct unix_listener *l, const char *path,
			   int file, struct fail *why)
{
	struct stat a, b;

	if (renameat(l->dir, l->name, l->dir, ASIDE_SHORT) < 0)
		return errno == ENOENT ? 0 :
		       fail(why, -errno, "socket path '%s': cannot remove the "
			    "leftover of a process that is gone: %s", path,
			    strerror(errno));
	if (!fstatat(l->dir, ASIDE_SHORT, &a, AT_SYMLINK_NOFOLLOW) &&
	    !fstat(file, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
		unlinkat(l->dir, ASIDE_SHORT, 0);
		return 0;
	}
	renameat2(l->dir, ASIDE_SHORT, l->dir, l->name, RENAME_NOREPLACE);
	return fail(why, -EADDRINUSE, "socket path '%s': another process has "
		    "put something there just now", path);
}

/* Under the lock: @file is at the path. Is it a socket that nobody uses? */
static int check_leftover(const char *path, int file, int type,
			  struct fail *why)
{
	struct stat st;
	int rc;

	if (fstat(file, &st) < 0 || !S_ISSOCK(st.st_mode))
		return fail(why, -EEXIST, "socket path '%s' exists and is not "
			    "a socket: another path expected", path);
	rc = connect_file(file, type, true);
	if (rc >= 0)
		close(rc);
	/* EAGAIN: its backlog is full; EPROTOTYPE: of another type, alive. */
	if (rc >= 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
		return fail(why, -EADDRINUSE, "socket path '%s' is in use by "
			    "another process", path);
	if (rc != -ECONNREFUSED)
		return fail(why, rc, "socket path '%s' exists, and whether it "
			    "is in use cannot be told: %s", path,
			    strerror(-rc));
	return 0;
}

/* Under the lock: make sure that nothing is at the path. */
static int clear_leftover(const struct unix_listener *l, const char *path,
			  int type, struct fail *why)
{
	int file = openat(l->dir, l->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (file < 0)
		return errno == ENOENT ? 0 :
		       fail(why, -errno, "socket path '%s': %s", path,
			    strerror(errno));
	rc = check_leftover(path, file, type, why);
	if (!rc)
		rc = remove_leftover(l, path, file, why);
	close(file);
	return rc;
}

/* The name beside that the socket is bound to, and its address. */
static void name_aside(const struct unix_listener *l, const char *path,
		       char aside[ASIDE_SIZE], struct sockaddr_un *addr)
{
	char where[sizeof(addr->sun_path)];
	int dir = (int)(strlen(path) - strlen(l->name));
	int len;

	snprintf(aside, ASIDE_SIZE, ".%s" ASIDE_SUFFIX, l->name);
	len = snprintf(where, sizeof(where), "%.*s%s", dir, path, aside);
	if (len < 0 || (size_t)len >= sizeof(where)) {
		snprintf(aside, ASIDE_SIZE, ASIDE_SHORT);
		snprintf(where, sizeof(where), "/proc/self/fd/%d/" ASIDE_SHORT,
			 l->dir);
	}
	address_set(addr, where);
}

/* Under the lock: bind, set the mode, listen, remember the file. */
static int listen_aside(struct unix_listener *l, const char *aside,
			const struct sockaddr_un *addr, mode_t mode)
{
	struct stat st;

	/* Only a process that died half way leaves one. */
	unlinkat(l->dir, aside, 0);
	/*
	 * bind() takes the mode of the socket's inode less the umask: the file
	 * never has a bit too many. fchmodat() adds those the umask took.
	 */
	if (fchmod(l->fd, mode) < 0 ||
	    bind(l->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	if (fstatat(l->dir, aside, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(l->dir, aside, mode, 0) < 0 ||
	    listen(l->fd, BACKLOG) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

/* Under the lock: from the link on, clients come. */
static int listen_at_path(struct unix_listener *l, const char *path,
			  mode_t mode, struct fail *why)
{
	struct sockaddr_un addr;
	char aside[ASIDE_SIZE];
	int rc;

	name_aside(l, path, aside, &addr);
	rc = listen_aside(l, aside, &addr, mode);
	if (!rc && linkat(l->dir, aside, l->dir, l->name, 0) < 0)
		rc = -errno;
	unlinkat(l->dir, aside, 0);
	if (rc == -EEXIST)
		return fail(why, -EADDRINUSE, "socket path '%s': another "
			    "process has put something there just now", path);
	return rc ? fail(why, rc, "socket path '%s': cannot listen: %s", path,
			 strerror(-rc)) : 0;
}

int unix_socket_listen(const char *path, int type, mode_t mode,
		       struct unix_listener *out, struct fail *why)
{
	struct unix_listener l = UNIX_LISTENER_INIT;
	struct dir_lock lock = DIR_LOCK_INIT;
	int rc;

	*out = l;
	rc = open_directory(&l, path, why);
	if (rc < 0)
		return rc;
	l.fd = socket_new(type, true);
	if (l.fd < 0) {
		rc = fail(why, l.fd, "socket path '%s': cannot make a socket: "
			  "%s", path, strerror(-l.fd));
		goto close_listener;
	}
	rc = dir_lock_take(&lock, l.dir, LOCK_WAIT_MS, why);
	if (rc < 0) {
		fail_within(why, rc, "socket path '%s'", path);
		goto close_listener;
	}
	rc = clear_leftover(&l, path, type, why);
	if (!rc)
		rc = listen_at_path(&l, path, mode, why);
	dir_lock_release(&lock);
	if (rc < 0)
		goto close_listener;
	*out = l;
	return 0;

close_listener:
	unix_listener_close(&l);
	return rc;
}

void unix_listener_close(struct unix_listener *l)
{
	struct stat st;

	/*
	 * Removed while it still listens: nobody who keeps to the rules can
	 * have replaced it in between.
	 */
	if (l->dir >= 0 && l->ino &&
	    !fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISSOCK(st.st_mode) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlinkat(l->dir, l->name, 0);
	if (l->fd >= 0)
		close(l->fd);
	if (l->dir >= 0)
		close(l->dir);
	*l = (struct unix_listener)UNIX_LISTENER_INIT;
}
