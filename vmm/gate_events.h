/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VSOCK_GATE events: where the vsock gate stands, told at a bearable rate.
 */
#ifndef WHERRY_VMM_GATE_EVENTS_H
#define WHERRY_VMM_GATE_EVENTS_H

#include <stdbool.h>

#include "devices/loop.h"
#include "devices/rate.h"
#include "devices/vsock/gate.h"

struct control;

/* So many events in each such time; more changes are told as one. */
#define GATE_EVENTS_BURST	10u
#define GATE_EVENTS_INTERVAL	1000u	/* ms */

/**
 * struct gate_events - what clients know of one gate
 * @loop: for @timer
 * @control: who is told; NULL: nobody
 * @rate: how often; tests shorten its interval
 * @timer: armed while there is a change to be told later
 * @told: the state told last
 * @now: the state it is in
 * @forced: some change since then was by force
 */
struct gate_events {
	struct loop *loop;
	struct control *control;
	struct rate rate;
	struct loop_timer timer;
	enum vsock_gate_state told;
	enum vsock_gate_state now;
	bool forced;
};

/** gate_events_init() - nobody has been told of a gate that is not closed */
void gate_events_init(struct gate_events *ge, struct loop *loop,
		      struct control *control);
/** gate_events_destroy() - safe on a zeroed struct */
void gate_events_destroy(struct gate_events *ge);

/**
 * gate_events_change() - the gate has moved to @to
 * @forced: the driver has not answered
 *
 * Told at once, or, of a guest that moves it all the time, within
 * GATE_EVENTS_INTERVAL, as one change from the state told last to the state it
 * is in then: whoever hears all events knows where it stands.
 */
void gate_events_change(struct gate_events *ge, enum vsock_gate_state to,
			bool forced);

#endif
