/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands between two instructions of the device, by page protection and single
 * steps: what the driver does on another CPU at that very moment can be done
 * there, and in which order the device stores, fences and looks can be seen.
 *
 * x86-64; one watch or trace at a time, on the thread that plays the device.
 */
#ifndef WHERRY_TESTS_FAKE_WATCH_H
#define WHERRY_TESTS_FAKE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * typedef fake_watch_fn - what is done at a moment
 * @opaque: as given to fake_watch_start()
 * @store: which store is about to be made, the first is 0
 *
 * May read and write all guest memory. Runs as a signal handler, but at a known
 * instruction: only what the device holds then (its lock) is not to be had.
 */
typedef void fake_watch_fn(void *opaque, unsigned int store);

/**
 * fake_watch_start() - call @fn right before each store, from now on
 * @at: the pages around it are watched
 * @len: bytes
 */
void fake_watch_start(void *at, size_t len, fake_watch_fn *fn, void *opaque);
/** fake_watch_stop() - Return: how many stores there were */
unsigned int fake_watch_stop(void);

/**
 * struct fake_order - in which order a function stored and looked
 * @stored: it changed the word it was to store to
 * @fenced: after that, and before it looked, came a full fence
 * @looked: it looked
 */
struct fake_order {
	bool stored;
	bool fenced;
	bool looked;
};

/**
 * fake_trace() - run @fn step by step
 * @word: it is to store there, another value than there is,
 * @page: and then to look into this page; it is not to do so before
 */
struct fake_order fake_trace(void (*fn)(void *opaque), void *opaque,
			     const uint16_t *word, void *page);

#endif
