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

#include "devices/vsock/list.h"

struct vsock_conn;

/*
 * What all busy connections together should be about to send, bytes: so much
 * that a second level cache holds the guest's buffers and the host's copies.
 */
#define VSOCK_CREDIT_BUDGET	(512u << 10)
/* The least that each may send, however many there are, bytes. */
#define VSOCK_CREDIT_SHARE_MIN	(32u << 10)
/* Whoever has not sent while others sent this much is not busy, bytes. */
#define VSOCK_CREDIT_MEMORY	(8u << 20)

/**
 * struct vsock_credit - the busy connections
 * @budget: VSOCK_CREDIT_BUDGET; tests change it
 * @clock: bytes of data received, of all connections
 * @busy: who sent within the last VSOCK_CREDIT_MEMORY, the longest ago first
 * @busy_count: how many
 */
struct vsock_credit {
	uint32_t budget;
	uint64_t clock;
	struct list_node busy;
	unsigned int busy_count;
};

/**
 * struct vsock_conn_credit - a connection's part in it
 * @last: credit->clock when it sent last
 * @busy: in credit->busy, or in no list
 */
struct vsock_conn_credit {
	uint64_t last;
	struct list_node busy;
};

void vsock_credit_init(struct vsock_credit *credit);

/** vsock_credit_add() - a new connection, with a whole window of credit */
void vsock_credit_add(struct vsock_conn *conn);
/** vsock_credit_remove() - the connection is over; no-op the second time */
void vsock_credit_remove(struct vsock_conn *conn);

/** vsock_credit_left() - Return: bytes the guest may send as far as it knows */
uint32_t vsock_credit_left(const struct vsock_conn *conn);
/** vsock_credit_share() - Return: bytes it would be let send now */
uint32_t vsock_credit_share(const struct vsock_conn *conn);
/** vsock_credit_used() - the guest has sent @len bytes; in rx_cnt already */
void vsock_credit_used(struct vsock_conn *conn, uint32_t len);
/**
 * vsock_conn_credit() - after each packet of data, and when the host has taken
 * bytes: have the guest told of its credit, if it is time
 */
void vsock_conn_credit(struct vsock_conn *conn);
/**
 * vsock_credit_tell() - a packet goes to the guest and brings the news
 * Return: the fwd_cnt for its header.
 */
uint32_t vsock_credit_tell(struct vsock_conn *conn);

#endif
