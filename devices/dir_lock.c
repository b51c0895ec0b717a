// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A lock on a directory, among the processes of one user.
 *
 * Owns the file that is the lock. Called on any thread, by unix_socket.c and
 * by the monitor's savers; no state but the caller's.
 *
 * Theory. The file is there only while somebody holds the lock or waits for it:
 * who releases it removes it first. So a waiter that gets the lock may have got
 * it on a file that is gone, and begins anew if the name leads elsewhere. A
 * process that dies leaves the file, unlocked, to whoever comes next. Whoever
 * may write to the directory can put something else there: that is refused at
 * once, by name, and not waited for.
 */
#include "devices/dir_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/monotonic.h"

#define PAUSE_MS	10u
#define NAME_SIZE	sizeof(DIR_LOCK_NAME "4294967295")

static void lock_name(char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, DIR_LOCK_NAME "%u", (unsigned int)geteuid());
}

static int fail_name(struct fail *why, int err, const char *name)
{
	return fail(why, -err, "lock %s: %s", name, strerror(err));
}

/* Return: 0; -EAGAIN: it went away meanwhile; another negative errno. */
static int open_there(int dir, const char *name, int *fd, struct fail *why)
{
	struct stat st;

	/* O_NONBLOCK: a FIFO would keep us waiting. */
	*fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
		     O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ? -EAGAIN : fail_name(why, errno, name);
	if (!fstat(*fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		return 0;
	close(*fd);
	*fd = -1;
	return fail(why, -EPERM, "lock %s: somebody else has put something "
		    "there: a file of our own expected", name);
}

/* As open_there(). What we made ourselves is ours whatever fstat() says. */
static int open_lock(int dir, const char *name, int *fd, struct fail *why)
{
	*fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
		     O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	return errno == EEXIST ? open_there(dir, name, fd, why) :
				 fail_name(why, errno, name);
}

static bool is_there(int dir, const char *name, int fd)
{
	struct stat a, b;

	return !fstatat(dir, name, &a, AT_SYMLINK_NOFOLLOW) &&
	       !fstat(fd, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* As open_there(); -EBUSY: another process holds it. */
static int try_lock(int dir, const char *name, int *fd, struct fail *why)
{
	int ret = open_lock(dir, name, fd, why);

	if (ret)
		return ret;
	if (!flock(*fd, LOCK_EX | LOCK_NB)) {
		if (is_there(dir, name, *fd))
			return 0;
		ret = -EAGAIN;
	} else if (errno == EWOULDBLOCK) {
		ret = fail(why, -EBUSY, "lock %s: another process holds it",
			   name);
	} else if (errno == EINTR) {
		ret = -EAGAIN;
	} else {
		/* Nobody can hold it, so nobody misses it. */
		ret = fail(why, -ENOTSUP, "lock %s: %s", name,
			   strerror(errno));
		unlinkat(dir, name, 0);
	}
	close(*fd);
	*fd = -1;
	return ret;
}

int dir_lock_take(struct dir_lock *lock, int dir, unsigned int wait_ms,
		  struct fail *why)
{
	static const struct timespec pause = {
		.tv_nsec = PAUSE_MS * 1000000,
	};
	uint64_t end = monotonic_ms() + wait_ms;
	char name[NAME_SIZE];
	int ret;

	lock_name(name);
	lock->dir = dir;
	for (;;) {
		ret = try_lock(dir, name, &lock->fd, why);
		if (ret == -EAGAIN)
			continue;
		if (ret != -EBUSY || monotonic_ms() >= end)
			return ret;
		nanosleep(&pause, NULL);
	}
}

void dir_lock_release(struct dir_lock *lock)
{
	char name[NAME_SIZE];

	if (lock->fd < 0)
		return;
	lock_name(name);
	if (is_there(lock->dir, name, lock->fd))
		unlinkat(lock->dir, name, 0);
	close(lock->fd);
	lock->fd = -1;
}
