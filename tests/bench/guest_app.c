// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest's applications do. See guest.h.
 *
 * Guest process. One loop plays all of them: each connection's application is
 * given a chunk at a time, as a scheduler would.
 */
#include <errno.h>
#include <string.h>

#include "tests/bench/guest.h"
#include "tests/bench/pattern.h"
#include "tests/bench/worker.h"

/* The host's listener is at BENCH_PORT of CID 2. */
static void connect_all(struct guest *guest)
{
	for (unsigned int i = 0; i < guest->measure->conns; i++) {
		struct guest_sock *s = &guest->sock[i];

		s->seed = pattern_seed(i);
		/* One after the other: the host knows them by their order. */
		guest_connect(guest, s, GUEST_PORT_FIRST + i);
		while (s->state != GUEST_OPEN)
			if (!guest_poll(guest))
				guest_sleep(guest);
		guest->sock_count++;
	}
}

/* A write() as far as credit and ring allow. Return: did anything go? */
static bool send_chunk(struct guest *guest, struct guest_sock *s)
{
	uint32_t chunk = guest->measure->chunk;
	uint32_t len = chunk - (uint32_t)(s->sent % chunk);
	uint32_t credit = guest_credit(s);
	struct guest_tx *tx;

	if (len > s->to_send)
		len = (uint32_t)s->to_send;
	if (len > credit)
		len = credit;
	if (!len)
		return false;
	tx = guest_tx_get(guest);
	if (!tx)
		return false;
	pattern_fill(tx->data, len, s->seed, s->sent);
	guest_tx_send(guest, s, tx, len);
	s->to_send -= len;
	return true;
}

static bool take_chunk(struct guest *guest, struct guest_sock *s)
{
	uint32_t len;

	if (!s->rx_bytes)
		return false;
	len = guest_take(guest, s, NULL, BENCH_CHUNK_MAX);
	if (len > s->to_take)
		bench_die("guest: more bytes than were sent");
	s->to_take -= len;
	bench_progress(len);
	return true;
}

static bool echo_chunk(struct guest *guest, struct guest_sock *s)
{
	uint32_t len = guest_credit(s);
	struct guest_tx *tx;

	if (!s->rx_bytes || !len)
		return false;
	tx = guest_tx_get(guest);
	if (!tx)
		return false;
	if (len > BENCH_CHUNK_MAX)
		len = BENCH_CHUNK_MAX;
	len = guest_take(guest, s, tx->data, len);
	guest_tx_send(guest, s, tx, len);
	s->to_take -= len;
	return true;
}

typedef bool step_fn(struct guest *guest, struct guest_sock *s);

/* Every socket, turn by turn, until all have moved @amount bytes. */
static void stream_round(struct guest *guest, uint64_t amount, step_fn *step)
{
	uint64_t left;
	bool any;

	for (unsigned int i = 0; i < guest->sock_count; i++) {
		guest->sock[i].to_send = step == send_chunk ? amount : 0;
		guest->sock[i].to_take = step == send_chunk ? 0 : amount;
	}
	for (;;) {
		any = guest_poll(guest);
		left = 0;
		for (unsigned int i = 0; i < guest->sock_count; i++) {
			struct guest_sock *s = &guest->sock[i];

			any |= step(guest, s);
			left += s->to_send + s->to_take;
		}
		if (!left)
			return;
		if (!any)
			guest_sleep(guest);
	}
}

static void wait_closed(struct guest *guest, uint64_t closed)
{
	while (guest->closed < closed)
		if (!guest_poll(guest))
			guest_sleep(guest);
}

static void connect_round(struct guest *guest, uint64_t amount)
{
	static uint32_t port;

	for (; amount; amount--) {
		struct guest_sock *s = &guest->sock[port % BENCH_CONNS_MAX];

		guest_connect(guest, s, GUEST_PORT_FIRST + port++);
		while (s->state == GUEST_CONNECTING)
			if (!guest_poll(guest))
				guest_sleep(guest);
		s->state = GUEST_CLOSING;
		guest_control(guest, s, VSOCK_OP_SHUTDOWN,
			      VSOCK_SHUTDOWN_BOTH);
		wait_closed(guest, guest->closed + 1);
	}
}

static void run_round(struct guest *guest, uint64_t amount,
		      struct worker_answer *answer)
{
	switch (guest->measure->kind) {
	case BENCH_TO_HOST:
		answer->begin = bench_now();
		stream_round(guest, amount, send_chunk);
		return;
	case BENCH_TO_GUEST:
		stream_round(guest, amount, take_chunk);
		return;
	case BENCH_ECHO:
	case BENCH_PING:
		stream_round(guest, amount, echo_chunk);
		return;
	case BENCH_IDLE:
		return;
	case BENCH_CONNECT_HOST:
		wait_closed(guest, guest->closed + amount);
		return;
	case BENCH_CONNECT_GUEST:
		answer->begin = bench_now();
		connect_round(guest, amount);
		return;
	}
}

void guest_main(int ctl, void *arg)
{
	struct guest *guest = arg;
	struct worker_answer answer = { 0 };
	uint64_t amount;

	guest_start(guest);
	connect_all(guest);
	answer.value = (uint64_t)guest->device_pid;
	worker_answer(ctl, &answer);
	while (worker_next(ctl, &amount)) {
		answer = (struct worker_answer){ 0 };
		run_round(guest, amount, &answer);
		answer.end = bench_now();
		worker_answer(ctl, &answer);
	}
}
