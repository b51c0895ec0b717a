/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lock on a directory, among the processes of one user.
 *
 * flock(2) on the directory itself is for everybody who can read it, who then
 * can keep all others waiting. This one is a file of mode 0600 in it.
 */
#ifndef WHERRY_DEVICES_DIR_LOCK_H
#define WHERRY_DEVICES_DIR_LOCK_H

#include "virtio/fail.h"

/* The file's name, with the user's ID behind it. */
#define DIR_LOCK_NAME	".wherry-lock-"

/**
 * struct dir_lock - a lock that is held, or not
 * @dir: the directory, the caller's; open as long as the lock is held
 * @fd: the file; -1: not held
 *
 * Start it as DIR_LOCK_INIT.
 */
struct dir_lock {
	int dir;
	int fd;
};

#define DIR_LOCK_INIT { .dir = -1, .fd = -1 }

/**
 * dir_lock_take() - lock a directory
 * @lock: not held
 * @dir: descriptor of the directory; writable by us
 * @wait_ms: how long to wait while another process holds it
 *
 * Return: 0; -EBUSY: another process of this user still holds it; -EPERM:
 * something that is not ours has the file's name; -ENOTSUP: this file system
 * has no locks; another negative errno of openat(2). The reason names the file.
 * Context: any thread; may sleep.
 */
int dir_lock_take(struct dir_lock *lock, int dir, unsigned int wait_ms,
		  struct fail *why);

/** dir_lock_release() - and remove the file; no-op when it is not held */
void dir_lock_release(struct dir_lock *lock);

#endif
