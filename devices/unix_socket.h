/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AF_UNIX sockets with a path: listen, connect, clean up.
 *
 * The rules, for the control socket and for vsock alike:
 * - a path in use by a live process is never taken from it;
 * - a socket that nobody listens on any more is replaced;
 * - anything that is not a socket is left alone;
 * - a path that can be seen can be connected to: it listens already, and the
 *   mode is in force;
 * - paths longer than sun_path work (only the last component is limited);
 * - at the end the path is removed if it is still the socket made here.
 */
#ifndef WHERRY_DEVICES_UNIX_SOCKET_H
#define WHERRY_DEVICES_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "virtio/fail.h"

/* Longest last component of a path to listen on, bytes without the NUL. */
#define UNIX_SOCKET_NAME_MAX 107

/**
 * struct unix_listener - a listening socket and the path it is found at
 * @fd: non-blocking, close-on-exec; -1 when closed
 * @dir: the directory the path is in; -1 when closed
 * @name: last component of the path
 * @dev: device of the socket file, to know it again
 * @ino: inode of the socket file
 *
 * Start it as UNIX_LISTENER_INIT.
 */
struct unix_listener {
	int fd;
	int dir;
	char name[UNIX_SOCKET_NAME_MAX + 1];
	dev_t dev;
	ino_t ino;
};

#define UNIX_LISTENER_INIT { .fd = -1, .dir = -1 }

/**
 * unix_socket_listen() - bind and listen at @path
 * @path: any length; the directory must exist, be readable and writable
 * @type: SOCK_STREAM or SOCK_SEQPACKET
 * @mode: permission bits of the socket file, whatever the umask
 * @out: the listener; closed (UNIX_LISTENER_INIT) after an error
 * @why: names the path and what is wrong with it
 *
 * The directory is locked (dir_lock.h) from the look at an existing path until
 * the new socket is there, so that of two processes that find the same leftover
 * one wins and the other is told -EADDRINUSE. It waits up to five seconds for
 * that lock, which only processes of the same user can hold.
 *
 * Return: 0; -EADDRINUSE: a live process listens there; -EEXIST: something
 * that is not a socket is there; -ENAMETOOLONG: last component above
 * UNIX_SOCKET_NAME_MAX; -EBUSY: the lock was not to be had; or another
 * negative errno of bind(2), open(2).
 * Context: any thread, at start-up: may block for the lock.
 */
int unix_socket_listen(const char *path, int type, mode_t mode,
		       struct unix_listener *out, struct fail *why);

/**
 * unix_listener_close() - stop listening; remove the path if it is still ours
 *
 * No-op on UNIX_LISTENER_INIT and after the first call.
 */
void unix_listener_close(struct unix_listener *l);

/**
 * unix_socket_connect() - connect to the socket at @path
 * @path: any length
 * @type: SOCK_STREAM or SOCK_SEQPACKET
 * @nonblock: never wait: a full backlog is -EAGAIN, and the descriptor is
 *     non-blocking. AF_UNIX never answers EINPROGRESS: a descriptor that is
 *     returned is connected.
 *
 * Return: a close-on-exec descriptor, or negative errno (-ENOENT: no such
 * path; -ECONNREFUSED: nobody listens; -EPROTOTYPE: other type of socket).
 * Context: any thread.
 */
int unix_socket_connect(const char *path, int type, bool nonblock);

#endif
