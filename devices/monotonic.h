/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock by which all deadlines and timeouts go.
 */
#ifndef WHERRY_DEVICES_MONOTONIC_H
#define WHERRY_DEVICES_MONOTONIC_H

#include <stdint.h>
#include <time.h>

/** monotonic_ns() - Return: CLOCK_MONOTONIC, nanoseconds */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/** monotonic_ms() - Return: the same, milliseconds */
static inline uint64_t monotonic_ms(void)
{
	return monotonic_ns() / 1000000u;
}

#endif
