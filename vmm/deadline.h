/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One deadline over several waits, for the clients of the command line.
 */
#ifndef WHERRY_VMM_DEADLINE_H
#define WHERRY_VMM_DEADLINE_H

#include <stdint.h>
#include <time.h>

/* The deadline that never passes. */
#define DEADLINE_NEVER (-1)

/** deadline_now() - CLOCK_MONOTONIC, milliseconds */
static inline int64_t deadline_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/**
 * deadline_in() - a deadline @ms milliseconds from now
 * @ms: negative: DEADLINE_NEVER
 */
static inline int64_t deadline_in(int ms)
{
	return ms < 0 ? DEADLINE_NEVER : deadline_now() + ms;
}

/** deadline_left() - Return: milliseconds for poll(2); -1: for ever */
static inline int deadline_left(int64_t deadline)
{
	int64_t left = deadline - deadline_now();

	if (deadline < 0)
		return -1;
	return left > 0 ? (int)left : 0;
}

#endif
