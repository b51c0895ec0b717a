// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AF_UNIX sockets with a path: who may have it, and how it goes away again.
 *
 * Owns nothing but what it returns. Called at start-up and shutdown for
 * listeners, and on the loop thread for connections; no locks of its own but
 * the flock() on the directory described below.
 *
 * Taking over a leftover: connect() says ECONNREFUSED for a socket file whose
 * process is gone, and also for one that is bound but does not listen yet.
 * Look, unlink, bind and listen therefore happen under an exclusive flock() on
 * the directory itself, which leaves no lock file behind and ends with the
 * process. All copies of wherry keep to it.
 *
 * Long paths: sun_path holds 108 bytes. connect() goes by way of
 * /proc/self/fd/N of the socket file, opened with O_PATH. bind() must create a
 * name, so it makes a short one by way of the directory's descriptor, under
 * the lock, and renames it before anyone can connect.
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
#include <time.h>
#include <unistd.h>

#define BACKLOG 1024

#define LOCK_TRIES	500
#define LOCK_PAUSE_NS	(10 * 1000 * 1000)

/* Made and renamed under the lock, so one name serves all. */
#define SHORT_NAME ".wherry-bind"

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

/* Connect to what @path means seen from directory @dir. */
static int connect_at(int dir, const char *path, int type, bool nonblock)
{
	struct sockaddr_un addr;
	char link[32];
	int file, fd, rc;

	file = openat(dir, path, O_PATH | O_CLOEXEC);
	if (file < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	address_set(&addr, link);

	fd = socket_new(type, nonblock);
	if (fd < 0) {
		rc = fd;
		goto close_file;
	}
	rc = connect_address(fd, &addr);
	if (rc < 0)
		close(fd);
	else
		rc = fd;
close_file:
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
		return connect_at(AT_FDCWD, path, type, nonblock);

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
 * Not a plain LOCK_EX: anybody who can read the directory can hold the lock,
 * and must not be able to make us wait for ever.
 */
static int lock_directory(const struct unix_listener *l, const char *path,
			  struct fail *why)
{
	static const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!flock(l->dir, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail(why, -errno, "socket path '%s': cannot "
				    "lock its directory: %s", path,
				    strerror(errno));
		nanosleep(&pause, NULL);
	}
	return fail(why, -EBUSY, "socket path '%s': another process keeps its "
		    "directory locked", path);
}

/* Under the lock: make sure that nothing is at the path. */
static int clear_leftover(const struct unix_listener *l, const char *path,
			  int type, struct fail *why)
{
	struct stat st;
	int rc;

	if (fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 :
		       fail(why, -errno, "socket path '%s': %s", path,
			    strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(why, -EEXIST, "socket path '%s' exists and is not "
			    "a socket: another path expected", path);

	rc = connect_at(l->dir, l->name, type, true);
	if (rc >= 0)
		close(rc);
	/* EAGAIN: its backlog is full; EPROTOTYPE: of another type, alive. */
	if (rc >= 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
		return fail(why, -EADDRINUSE, "socket path '%s' is in use by "
			    "another process", path);
	if (rc == -ENOENT)
		return 0;
	if (rc != -ECONNREFUSED)
		return fail(why, rc, "socket path '%s' exists, and whether it "
			    "is in use cannot be told: %s", path,
			    strerror(-rc));
	if (unlinkat(l->dir, l->name, 0) < 0 && errno != ENOENT)
		return fail(why, -errno, "socket path '%s': cannot remove the "
			    "leftover of a process that is gone: %s", path,
			    strerror(errno));
	return 0;
}

/* Under the lock: bind to a short name for a path that is too long. */
static int bind_short(const struct unix_listener *l)
{
	struct sockaddr_un addr;
	char link[64];

	/* Only a process that died half way leaves one. */
	unlinkat(l->dir, SHORT_NAME, 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d/" SHORT_NAME, l->dir);
	address_set(&addr, link);
	if (bind(l->fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (renameat2(l->dir, SHORT_NAME, l->dir, l->name,
		      RENAME_NOREPLACE) < 0) {
		int err = -errno;

		unlinkat(l->dir, SHORT_NAME, 0);
		return err;
	}
	return 0;
}

/* Under the lock: bind, set the mode, remember the file, only then listen. */
static int bind_and_listen(struct unix_listener *l, const char *path,
			   mode_t mode)
{
	struct sockaddr_un addr;
	struct stat st;
	int rc = 0;

	/*
	 * bind() takes the mode of the socket's inode less the umask: the file
	 * never has a bit too many. fchmodat() adds those the umask took.
	 */
	if (fchmod(l->fd, mode) < 0)
		return -errno;
	if (!address_set(&addr, path))
		rc = bind_short(l);
	else if (bind(l->fd, (const struct sockaddr *)&addr,
		      sizeof(addr)) < 0)
		rc = -errno;
	if (rc < 0)
		return rc;

	if (fstatat(l->dir, l->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (fchmodat(l->dir, l->name, mode, 0) < 0)
		return -errno;
	if (listen(l->fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int unix_socket_listen(const char *path, int type, mode_t mode,
		       struct unix_listener *out, struct fail *why)
{
	struct unix_listener l = UNIX_LISTENER_INIT;
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
	rc = lock_directory(&l, path, why);
	if (rc < 0)
		goto close_listener;
	rc = clear_leftover(&l, path, type, why);
	if (rc < 0)
		goto close_listener;
	rc = bind_and_listen(&l, path, mode);
	if (rc < 0) {
		fail(why, rc, "socket path '%s': cannot listen: %s", path,
		     strerror(-rc));
		goto close_listener;
	}
	flock(l.dir, LOCK_UN);
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
