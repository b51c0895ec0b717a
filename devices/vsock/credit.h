/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Credit for the guest: how much it may send, and when it hears of it (virtio
 * 1.2, section 5.10.6.3). Part of the engine; see credit.c for the rules.
 *
 * Loop thread.
 */
#ifndef WHERRY_DEVICES_VSOCK_CREDIT_H
#define WHERRY_DEVICES_VSOCK_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct vsock_conn;
struct vsock_credit;
struct vsock_engine;

/*
 * What all busy connections together should be about to send, bytes: so much
 * that a second level cache holds the guest's buffers and the host's copies.
 */
#define VSOCK_CREDIT_BUDGET	(512u << 10)
/* The least that each may send, however many there are, bytes. */
#define VSOCK_CREDIT_SHARE_MIN	(32u << 10)
/* Whoever has not sent while others sent this much is not busy, bytes. */
#define VSOCK_CREDIT_MEMORY	(8u << 20)
/* A share not used while others sent this much holds up nobody, bytes, ... */
#define VSOCK_CREDIT_STALE	(2u << 20)
/* ... nor one not used for this long, ms. */
#define VSOCK_CREDIT_PATIENCE	1u

void vsock_credit_init(struct vsock_credit *credit);
/** vsock_credit_destroy() - after the last connection */
void vsock_credit_destroy(struct vsock_engine *engine);

/** vsock_credit_add() - a new connection, with a whole window of credit */
void vsock_credit_add(struct vsock_conn *conn);
/** vsock_credit_remove() - the connection is over; no-op the second time */
void vsock_credit_remove(struct vsock_conn *conn);

/** vsock_credit_left() - Return: bytes the guest may send as far as it knows */
uint32_t vsock_credit_left(const struct vsock_conn *conn);
/** vsock_credit_share() - Return: bytes it would be let send now */
uint32_t vsock_credit_share(const struct vsock_conn *conn);
/**
 * vsock_credit_used() - the guest has sent @len bytes; in rx_cnt already
 *
 * Others may be told of more.
 */
void vsock_credit_used(struct vsock_conn *conn, uint32_t len);
/** vsock_credit_asked() - it sent a CREDIT_REQUEST: it is told of all there is */
void vsock_credit_asked(struct vsock_conn *conn);
/**
 * vsock_conn_credit() - after each packet of data, and when the host has taken
 * bytes: have the guest told of its credit, if it is time, or get in line
 */
void vsock_conn_credit(struct vsock_conn *conn);
/**
 * vsock_credit_should_yield() - is it the turn of the host's programs?
 *
 * To be asked once the host sockets have been given what the guest sent. Said
 * once for each budget of bytes, while connections wait in line.
 */
bool vsock_credit_should_yield(struct vsock_credit *credit);
/**
 * vsock_credit_tell() - a packet goes to the guest and brings the news
 * Return: the fwd_cnt for its header.
 */
uint32_t vsock_credit_tell(struct vsock_conn *conn);

#endif
