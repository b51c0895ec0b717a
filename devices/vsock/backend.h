/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the protocol engine asks of whoever has the host's sockets. What they
 * ask of it: engine.h.
 *
 * Loop thread.
 */
#ifndef WHERRY_DEVICES_VSOCK_BACKEND_H
#define WHERRY_DEVICES_VSOCK_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct vsock_backend;
struct vsock_conn;
struct vsock_engine;

/* ops->send: the message ends with MSG_EOR. */
#define VSOCK_SEND_EOR	1u

/**
 * struct vsock_backend_ops - the host side of connections
 * @request: the guest wants to connect to @host_port. Return a zeroed
 *     connection object; NULL: refused. @connected: false if it will take
 *     time, up to @patience ms, and vsock_conn_accepted() or
 *     vsock_conn_abort() follows.
 * @established: the guest answered a host-initiated connection
 * @send: hand bytes to the host socket; on seqpacket: one message, whole.
 *     @flags: VSOCK_SEND_EOR. Return: how many it took; -EAGAIN (want_send()
 *     will be asked for), or another error: it takes no more
 * @recv: get bytes; on seqpacket: one message, and whether MSG_EOR ended it
 *     (@eor may be NULL on streams). Return: how many; 0 at the end; -EAGAIN;
 *     other errors are as the end, in both directions
 * @message: length of the message that recv() would get. Return: bytes, 0 for
 *     an empty one; -ENODATA at the end; -EAGAIN or as recv(); NULL: no
 *     seqpacket here
 * @want_send: call vsock_conn_writable() when the socket takes bytes again
 * @shut: VSOCK_SHUTDOWN_SEND: the guest's data is all out, half-close;
 *     VSOCK_SHUTDOWN_RECEIVE: the guest reads no more
 * @enlarge: have the host socket take as much at once as it can be made to
 * @release: the engine is done with the object: close and free. @lost: not all
 *     that the guest sent was taken, or it went before it had sent all, and the
 *     host is not to take this for an orderly end
 */
struct vsock_backend_ops {
	struct vsock_conn *(*request)(struct vsock_backend *backend,
				      uint32_t host_port, uint16_t type,
				      uint32_t patience, bool *connected);
	void (*established)(struct vsock_conn *conn);
	ssize_t (*send)(struct vsock_conn *conn, const struct iovec *iov,
			unsigned int count, unsigned int flags);
	ssize_t (*recv)(struct vsock_conn *conn, const struct iovec *iov,
			unsigned int count, bool *eor);
	ssize_t (*message)(struct vsock_conn *conn);
	void (*want_send)(struct vsock_conn *conn, bool want);
	void (*shut)(struct vsock_conn *conn, unsigned int directions);
	void (*enlarge)(struct vsock_conn *conn);
	void (*release)(struct vsock_conn *conn, bool lost);
};

/**
 * struct vsock_backend - where connections come from and go to
 * @ops: of each of its connections
 * @gate: packets may pass (accept clients), or not (leave them be)
 * @engine: whose; set by vsock_engine_init()
 */
struct vsock_backend {
	const struct vsock_backend_ops *ops;
	void (*gate)(struct vsock_backend *backend, bool open);
	struct vsock_engine *engine;
};

#endif
