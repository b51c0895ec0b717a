// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bar that shows how far something is, on a terminal.
 *
 * Owns one line of the terminal while it is drawn. Called by ctl.c and
 * inspect.c; one thread.
 */
#include "vmm/ctl_progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/ctl_table.h"
#include "vmm/deadline.h"

/* Characters between the brackets. */
#define BAR_MIN 10u
#define BAR_MAX 40u

/* "100%". */
#define PERCENT_WIDTH 4u

/* Longer names of a phase are not shown. */
#define PHASE_MAX 16u

/* Of a terminal that does not tell. */
#define COLUMNS_DEFAULT 80u

/* To the start of the line; erase what is behind the cursor (ECMA-48 EL). */
#define LINE_START	"\r"
#define LINE_ERASE	"\033[K"

void ctl_progress_init(struct ctl_progress *p, int fd, int interval_ms)
{
	p->fd = isatty(fd) ? fd : -1;
	p->interval_ms = interval_ms;
	p->next_ms = deadline_now() + interval_ms;
	p->drawn = false;
}

static unsigned int terminal_columns(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return COLUMNS_DEFAULT;
	return size.ws_col;
}

const char *ctl_progress_text(char text[CTL_PROGRESS_TEXT], const char *phase,
			      uint64_t done, uint64_t total,
			      unsigned int columns)
{
	char sizes[2][CTL_BYTES_TEXT], tail[2 * CTL_BYTES_TEXT + 16];
	char bar[BAR_MAX + 1] = "";
	size_t used, width;
	double part;

	if (done > total)
		done = total;
	part = total ? (double)done / (double)total : 1;
	if (!ctl_is_printable(phase) || strlen(phase) > PHASE_MAX)
		phase = "?";
	snprintf(tail, sizeof(tail), "%3u%%  %s of %s",
		 (unsigned int)(part * 100), ctl_bytes_text(done, sizes[0]),
		 ctl_bytes_text(total, sizes[1]));

	used = strlen(phase) + strlen(" [] ") + strlen(tail);
	if (used + BAR_MIN > columns) {
		snprintf(text, CTL_PROGRESS_TEXT, "%.*s",
			 columns < PERCENT_WIDTH ? 0 : (int)PERCENT_WIDTH,
			 tail);
		return text;
	}
	width = columns - used < BAR_MAX ? columns - used : BAR_MAX;
	memset(bar, '-', width);
	memset(bar, '#', (size_t)((double)width * part));
	snprintf(text, CTL_PROGRESS_TEXT, "%s [%s] %s", phase, bar, tail);
	return text;
}

void ctl_progress_show(struct ctl_progress *p, const char *phase,
		       uint64_t done, uint64_t total)
{
	char text[CTL_PROGRESS_TEXT];
	int64_t now;

	if (p->fd < 0)
		return;
	now = deadline_now();
	if (now < p->next_ms)
		return;
	p->next_ms = now + p->interval_ms;
	p->drawn = true;
	/* The last column stays free: some terminals wrap there. */
	ctl_progress_text(text, phase, done, total,
			  terminal_columns(p->fd) - 1);
	dprintf(p->fd, LINE_START "%s" LINE_ERASE, text);
}

void ctl_progress_clear(struct ctl_progress *p)
{
	if (p->drawn)
		dprintf(p->fd, LINE_START LINE_ERASE);
	p->drawn = false;
}
