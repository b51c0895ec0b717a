/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest has not read yet: bytes, by its credit (virtio 1.2, section
 * 5.10.6.3), and packets, which Linux counts as well. Part of the engine; see
 * unread.c for the rules.
 *
 * Loop thread.
 */
#ifndef WHERRY_DEVICES_VSOCK_UNREAD_H
#define WHERRY_DEVICES_VSOCK_UNREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/vsock.h"

struct vsock_conn;
struct vsock_engine;
struct vsock_unread;

/*
 * Bytes of its buffer that there must be for each unread packet. Linux 6.12
 * takes SKB_TRUESIZE(0), which is 576 in the usual configuration, and resets
 * the connection if that times its unread packets is more than its buffer.
 */
#define VSOCK_UNREAD_COST	1024u
/* Who waits for news is asked again after so long, ms, and twice that, ... */
#define VSOCK_ASK_FIRST		5u
/* ... up to this. */
#define VSOCK_ASK_LAST		160u
/* A request that got no answer for so long, ms, was made in vain. */
#define VSOCK_ASK_PATIENCE	1000u
/* So many in vain, and the guest is one that answers none. */
#define VSOCK_ASK_VAIN		2u

void vsock_unread_init(struct vsock_unread *unread);
/** vsock_unread_reset() - the driver is gone, and what was known of it */
void vsock_unread_reset(struct vsock_unread *unread);
/** vsock_unread_destroy() - after the last connection */
void vsock_unread_destroy(struct vsock_engine *engine);
/** vsock_unread_add() - a new connection, nothing sent */
void vsock_unread_add(struct vsock_conn *conn);
/** vsock_unread_remove() - the connection is over; no-op the second time */
void vsock_unread_remove(struct vsock_conn *conn);

/** vsock_conn_room() - Return: bytes the guest's buffer has room for */
uint32_t vsock_conn_room(const struct vsock_conn *conn);
/** vsock_unread_room() - Return: packets that the guest may be sent now */
uint32_t vsock_unread_room(struct vsock_conn *conn);
/** vsock_unread_sent() - it was sent a packet with @len bytes of data */
void vsock_unread_sent(struct vsock_conn *conn, uint32_t len);
/** vsock_unread_asked() - a CREDIT_REQUEST is in the RX ring */
void vsock_unread_asked(struct vsock_conn *conn);
/**
 * vsock_unread_news() - take the credit news in a packet of the guest's
 *
 * Return: whether it waited for them, and is to be scheduled.
 */
bool vsock_unread_news(struct vsock_conn *conn,
		       const struct vsock_header *hdr);
/**
 * vsock_unread_wait() - say whether the connection waits for news
 *
 * When it begins to, the guest is asked, now and again: VSOCK_DUE_* is set, and
 * the caller schedules the connection.
 */
void vsock_unread_wait(struct vsock_conn *conn, bool waits);
/** vsock_unread_ask() - have a CREDIT_REQUEST due, if one would be answered */
void vsock_unread_ask(struct vsock_conn *conn);
/** vsock_unread_ask_in() - the hungry are asked again in @ms */
void vsock_unread_ask_in(struct vsock_engine *engine, uint32_t ms);

#endif
