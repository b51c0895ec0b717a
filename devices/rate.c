// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How often something may happen. Owns nothing; called with the owner's lock
 * held, on the owner's threads.
 *
 * An interval begins with the first that passes after the one before is over,
 * so that somebody who comes rarely never waits. When some were held back it is
 * rate_held() that begins the next, and that counts as one that passed: in no
 * interval more than @burst are let through, their account included.
 */
#include "devices/rate.h"

uint64_t rate_wait(const struct rate *rate, uint64_t now)
{
	uint64_t age = now - rate->begin;

	return age < rate->interval_ms ? rate->interval_ms - age : 0;
}

bool rate_take(struct rate *rate, uint64_t now)
{
	/* Where some were held back, rate_held() has to come first. */
	if (!rate->held && !rate_wait(rate, now)) {
		rate->begin = now;
		rate->passed = 0;
	}
	if (rate->passed < rate->burst) {
		rate->passed++;
		return true;
	}
	rate->held++;
	return false;
}

uint64_t rate_held(struct rate *rate, uint64_t now)
{
	uint64_t held = rate->held;

	if (!held || rate_wait(rate, now))
		return 0;
	rate->begin = now;
	rate->passed = 1;
	rate->held = 0;
	return held;
}
