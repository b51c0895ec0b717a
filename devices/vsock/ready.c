// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ready list: a connection is on it while something is due to the guest, or
 * the host's bytes may go there. Part of the engine, called by its other files
 * on the loop thread.
 */
#include "devices/vsock/ready.h"

#include "devices/vsock/conn.h"
#include "devices/vsock/seqpacket.h"
#include "devices/vsock/unread.h"

/* Is there a use in reading from the host socket, credit apart? */
static bool wants_bytes(const struct vsock_conn *conn)
{
	return (conn->readable || (conn->seq && conn->seq->message)) &&
	       conn->state == VSOCK_CONN_ESTABLISHED &&
	       !(conn->host_shut & VSOCK_SHUTDOWN_SEND) &&
	       !(conn->guest_shut & VSOCK_SHUTDOWN_RECEIVE);
}

bool vsock_conn_can_send(struct vsock_conn *conn)
{
	/* A message that has begun goes on. */
	return wants_bytes(conn) && vsock_conn_room(conn) &&
	       ((conn->seq && conn->seq->message) || vsock_unread_room(conn));
}

void vsock_conn_schedule(struct vsock_conn *conn)
{
	bool can_send = vsock_conn_can_send(conn);

	vsock_unread_wait(conn, wants_bytes(conn) && !can_send);
	if (!conn->due && !can_send) {
		list_remove(&conn->ready);
		return;
	}
	if (list_empty(&conn->ready))
		list_append(&conn->engine->ready, &conn->ready);
	conn->engine->wake(conn->engine);
}

void vsock_conn_due(struct vsock_conn *conn, unsigned int due)
{
	conn->due |= due;
	vsock_conn_schedule(conn);
}

bool vsock_engine_blocked(const struct vsock_engine *engine)
{
	return engine->replies_count >= VSOCK_REPLIES_MAX ||
	       (engine->clogged && !engine->ending);
}
