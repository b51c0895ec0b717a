/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bar that shows how far something is, on a terminal.
 */
#ifndef WHERRY_VMM_CTL_PROGRESS_H
#define WHERRY_VMM_CTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for ctl_progress_text(). */
#define CTL_PROGRESS_TEXT 256

/**
 * struct ctl_progress - a bar
 * @fd: where it is drawn; -1: nowhere
 * @interval_ms: at most so often, and not before the first has passed
 * @next_ms: not before, as deadline_now()
 * @drawn: it is there
 */
struct ctl_progress {
	int fd;
	int interval_ms;
	int64_t next_ms;
	bool drawn;
};

/**
 * ctl_progress_init() - a bar that is not drawn yet
 * @fd: draws nothing if this is not a terminal
 * @interval_ms: 0: whenever asked to
 */
void ctl_progress_init(struct ctl_progress *p, int fd, int interval_ms);

/**
 * ctl_progress_show() - draw it, over what was drawn before
 * @phase: a word; from another process, perhaps
 * @done: bytes, of @total
 */
void ctl_progress_show(struct ctl_progress *p, const char *phase,
		       uint64_t done, uint64_t total);

/** ctl_progress_clear() - take it away, so that others can write there */
void ctl_progress_clear(struct ctl_progress *p);

/**
 * ctl_progress_text() - the bar as text
 * @columns: it has at most so many characters; without room for a bar, it has
 *     the percentage alone
 *
 * Return: @text.
 */
const char *ctl_progress_text(char text[CTL_PROGRESS_TEXT], const char *phase,
			      uint64_t done, uint64_t total,
			      unsigned int columns);

#endif
