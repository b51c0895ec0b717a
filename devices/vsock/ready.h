/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is due to the guest, and whether it may go. Part of the engine.
 *
 * Loop thread.
 */
#ifndef WHERRY_DEVICES_VSOCK_READY_H
#define WHERRY_DEVICES_VSOCK_READY_H

#include <stdbool.h>

struct vsock_conn;
struct vsock_engine;

/** vsock_conn_due() - owe the guest a control packet */
void vsock_conn_due(struct vsock_conn *conn, unsigned int due);
/** vsock_conn_schedule() - put it on the ready list if there is anything due */
void vsock_conn_schedule(struct vsock_conn *conn);
/** vsock_conn_can_send() - may the host's bytes be read for the guest now? */
bool vsock_conn_can_send(struct vsock_conn *conn);
/**
 * vsock_engine_blocked() - TX waits, for room for replies in the RX ring or for
 * host sockets to take empty messages
 */
bool vsock_engine_blocked(const struct vsock_engine *engine);

#endif
