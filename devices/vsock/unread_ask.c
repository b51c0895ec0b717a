// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks the guest for news of what it has read, now and again while connections
 * wait for them. Part of the engine; the rules are at the head of unread.c.
 *
 * Called by engine.c and the timer, loop thread.
 */
#include "devices/vsock/unread.h"

#include "devices/vsock/conn.h"
#include "devices/vsock/ready.h"

/* Connections asked in one go; the others are asked in the next ones. */
#define ASKS_MAX	64u

/* Rule 5. Those that wait for room for a packet need not. */
static void be_mute(struct vsock_unread *unread)
{
	struct list_node *at = unread->hungry.next;

	unread->mute = true;
	while (at != &unread->hungry) {
		struct vsock_conn *conn = list_entry(at, struct vsock_conn,
						     unread.hungry);

		at = at->next;
		vsock_conn_schedule(conn);
	}
}

/* A hungry connection has waited for @ms. Rules 4 and 5. */
static void be_impatient(struct vsock_conn *conn, uint32_t ms)
{
	struct vsock_engine *engine = conn->engine;
	struct vsock_conn_unread *unread = &conn->unread;

	if (unread->asked) {
		unread->waited += ms;
		if (unread->waited < engine->unread.patience ||
		    !virtq_heeded(engine->rx, unread->asked_at))
			return;
		unread->asked = false;
		unread->vain++;
	}
	vsock_unread_ask(conn);
	vsock_conn_schedule(conn);
}

static void ask_again(struct loop_timer *timer)
{
	struct vsock_unread *unread = list_entry(timer, struct vsock_unread,
						 timer);
	struct vsock_engine *engine = list_entry(unread, struct vsock_engine,
						 unread);
	const struct list_node *last = unread->hungry.prev, *first = NULL;
	uint32_t wait = unread->wait;
	bool vain = false;

	/* It cannot answer while it is paused, or its answers wait. */
	if (engine->running && !vsock_engine_blocked(engine)) {
		for (unsigned int i = 0; i < ASKS_MAX && first != last &&
		     !list_empty(&unread->hungry); i++) {
			struct vsock_conn *conn =
				list_entry(unread->hungry.next,
					   struct vsock_conn, unread.hungry);

			first = &conn->unread.hungry;
			list_remove(&conn->unread.hungry);
			list_append(&unread->hungry, &conn->unread.hungry);
			be_impatient(conn, wait);
			vain |= !conn->seq &&
				conn->unread.vain >= VSOCK_ASK_VAIN;
		}
		wait = wait * 2 < VSOCK_ASK_LAST ? wait * 2 : VSOCK_ASK_LAST;
	}
	if (vain)
		be_mute(unread);
	if (!list_empty(&unread->hungry))
		vsock_unread_ask_in(engine, wait);
}

void vsock_unread_init(struct vsock_unread *unread)
{
	list_init(&unread->hungry);
	unread->timer.fn = ask_again;
	unread->patience = VSOCK_ASK_PATIENCE;
}

void vsock_unread_destroy(struct vsock_engine *engine)
{
	loop_timer_cancel(engine->loop, &engine->unread.timer);
}
