/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often something may happen: so many times in each interval; the rest is
 * counted. Pure: the time is the caller's, and so is the lock.
 */
#ifndef WHERRY_DEVICES_RATE_H
#define WHERRY_DEVICES_RATE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct rate - one limit; the first two are the owner's to set
 * @burst: how many may pass in an interval
 * @interval_ms: its length, milliseconds
 * @begin: when this one began, milliseconds of any clock that does not go back
 * @passed: how many have passed in it
 * @held: how many were held back since they were counted last
 */
struct rate {
	uint32_t burst;
	uint64_t interval_ms;
	uint64_t begin;
	uint32_t passed;
	uint64_t held;
};

/**
 * rate_take() - one more wants to pass at time @now
 * Return: whether it may; if not, it is counted. While others are held back
 * none passes: they are to be told of first, see rate_held().
 */
bool rate_take(struct rate *rate, uint64_t now);

/**
 * rate_held() - begin anew, if the interval is over
 * Return: how many were held back, to be told of now; 0: none, or it is not yet
 * time, see rate_wait().
 */
uint64_t rate_held(struct rate *rate, uint64_t now);

/** rate_wait() - Return: milliseconds until the interval is over */
uint64_t rate_wait(const struct rate *rate, uint64_t now);

#endif
