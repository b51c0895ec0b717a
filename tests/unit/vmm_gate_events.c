// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/gate_events.c: a guest that moves its gate all the time, and what control
 * clients hear of it.
 */
#include "vmm/gate_events.h"

#include <string.h>
#include <unistd.h>

#include "tests/unit/vmm_control_bed.h"

#define INTERVAL	50u
#define MANY		1000u
/* More events than a client may leave unread. */
#define FLOOD		(CONTROL_OUTPUT_MAX / 80u)

static struct gate_events ge;
static struct peer *peer;

/* What a client has heard. */
static struct {
	unsigned int events;
	unsigned int changes;
	unsigned int forced;
	char state[32];
} heard;

static void setup(void)
{
	bed_setup();
	gate_events_init(&ge, bed.loop, bed.control);
	ge.rate.interval_ms = INTERVAL;
	memset(&heard, 0, sizeof(heard));
	strcpy(heard.state, "closed");
	peer = peer_join_ready();
}

static void teardown(void)
{
	gate_events_destroy(&ge);
	bed_teardown();
}

/* Each event has to begin where the one before ended, if @chain. */
static void hear(bool chain)
{
	json_t *message, *data, *changes;

	while ((message = peer_hear(peer))) {
		ck_assert_str_eq(json_string_value(json_object_get(message,
					"event")), "VSOCK_GATE");
		data = json_object_get(message, "data");
		if (chain)
			ck_assert_str_eq(json_string_value(
				json_object_get(data, "from")), heard.state);
		strcpy(heard.state, json_string_value(json_object_get(data,
								      "to")));
		changes = json_object_get(data, "changes");
		heard.changes += changes ?
			(unsigned int)json_integer_value(changes) : 1u;
		heard.forced += json_is_true(json_object_get(data, "forced"));
		heard.events++;
		json_decref(message);
	}
}

static enum vsock_gate_state state_of(unsigned int i)
{
	return i % 2 ? VSOCK_GATE_CLOSED : VSOCK_GATE_OPEN;
}

/* Until nothing is left to be told. */
static void run(void)
{
	bed_pump();
	while (ge.timer.slot)
		loop_run_once(bed.loop, (int)INTERVAL);
	bed_pump();
}

START_TEST(each_change_is_told_at_once_when_there_are_few)
{
	for (unsigned int i = 0; i < GATE_EVENTS_BURST; i++) {
		gate_events_change(&ge, state_of(i), false);
		hear(true);
		ck_assert_uint_eq(heard.events, i + 1);
		ck_assert_str_eq(heard.state,
				 vsock_gate_state_name(state_of(i)));
	}
	ck_assert_uint_eq(ge.timer.slot, 0);
}
END_TEST

/* _i: the last one leaves it open, or closed. */
START_TEST(many_changes_are_told_as_one_and_the_last_state_is)
{
	for (unsigned int i = 0; i < MANY + (unsigned int)_i; i++)
		gate_events_change(&ge, state_of(i), false);
	run();
	hear(true);
	ck_assert_str_eq(heard.state, vsock_gate_state_name(ge.now));
	ck_assert_uint_eq(heard.changes, MANY + (unsigned int)_i);
	/* A slow machine may have needed a few intervals. */
	ck_assert_uint_lt(heard.events, MANY / 2);
}
END_TEST

START_TEST(last_state_is_told_without_another_change)
{
	ge.rate.interval_ms = 200;
	for (unsigned int i = 0; i < GATE_EVENTS_BURST; i++)
		gate_events_change(&ge, state_of(i), false);
	gate_events_change(&ge, VSOCK_GATE_RESET_PENDING, false);
	gate_events_change(&ge, VSOCK_GATE_RESET_SENT, false);
	run();
	hear(true);
	ck_assert_str_eq(heard.state, "reset-sent");
}
END_TEST

/* The loop may be late: its timer is not waited for. */
START_TEST(change_after_a_while_is_told_at_once_with_those_before)
{
	for (unsigned int i = 0; i <= GATE_EVENTS_BURST; i++)
		gate_events_change(&ge, state_of(i), false);
	usleep(2 * INTERVAL * 1000);
	gate_events_change(&ge, VSOCK_GATE_RESET_SENT, false);
	hear(true);
	ck_assert_str_eq(heard.state, "reset-sent");
	ck_assert_uint_eq(heard.changes, GATE_EVENTS_BURST + 2);
	ck_assert_uint_eq(heard.events, GATE_EVENTS_BURST + 2);
}
END_TEST

START_TEST(force_among_many_changes_is_told)
{
	for (unsigned int i = 0; i < MANY; i++)
		gate_events_change(&ge, state_of(i), i == MANY / 2);
	run();
	hear(true);
	ck_assert_uint_eq(heard.forced, 1);
}
END_TEST

START_TEST(guest_cannot_have_a_client_dropped_that_reads_late)
{
	ge.rate.burst = UINT32_MAX;
	for (unsigned int i = 0; i <= FLOOD; i++)
		gate_events_change(&ge, state_of(i), false);
	gate_events_change(&ge, VSOCK_GATE_RESET_PENDING, false);
	bed_pump();
	ck_assert_uint_eq(control_clients(bed.control), 1);
	hear(false);
	ck_assert_uint_gt(heard.events, 1);
	ck_assert_uint_lt(heard.events, FLOOD);
	ck_assert_str_eq(heard.state, vsock_gate_state_name(ge.now));
	/* It keeps up again, and is served as ever. */
	gate_events_change(&ge, VSOCK_GATE_RESET_SENT, false);
	hear(true);
	ck_assert_str_eq(heard.state, "reset-sent");
	peer_say(peer, STATUS "\n");
	expect_running(peer);
}
END_TEST

START_TEST(nobody_listens)
{
	gate_events_destroy(&ge);
	gate_events_init(&ge, bed.loop, NULL);
	for (unsigned int i = 0; i < MANY; i++)
		gate_events_change(&ge, state_of(i), false);
	expect_silence(peer);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(each_change_is_told_at_once_when_there_are_few),
		UNIT_LOOP(many_changes_are_told_as_one_and_the_last_state_is,
			  2),
		UNIT_TEST(last_state_is_told_without_another_change),
		UNIT_TEST(change_after_a_while_is_told_at_once_with_those_before),
		UNIT_TEST(force_among_many_changes_is_told),
		UNIT_TEST(guest_cannot_have_a_client_dropped_that_reads_late),
		UNIT_TEST(nobody_listens),
	};

	return UNIT_RUN("vmm_gate_events", cases, setup, teardown);
}
