// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reasons of failures, written where the cause is known and carried up.
 *
 * Called by everybody, on any thread; the struct belongs to the caller, so
 * there is no lock.
 */
#include "virtio/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail(struct fail *why, int err, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return err;
	va_start(ap, fmt);
	if (vsnprintf(why->text, sizeof(why->text), fmt, ap) < 0)
		why->text[0] = '\0';
	va_end(ap);
	return err;
}

int fail_within(struct fail *why, int err, const char *fmt, ...)
{
	char inner[FAIL_TEXT_MAX];
	size_t used, room;
	va_list ap;

	if (!why)
		return err;
	memcpy(inner, why->text, sizeof(inner));
	inner[sizeof(inner) - 1] = '\0';
	va_start(ap, fmt);
	if (vsnprintf(why->text, sizeof(why->text), fmt, ap) < 0)
		why->text[0] = '\0';
	va_end(ap);

	/* Cut what does not fit: the context is worth more than the tail. */
	used = strlen(why->text);
	room = sizeof(why->text) - used;
	if (room > 2) {
		memcpy(why->text + used, ": ", 3);
		used += 2;
		room -= 2;
	}
	if (strlen(inner) >= room)
		inner[room - 1] = '\0';
	memcpy(why->text + used, inner, strlen(inner) + 1);
	return err;
}
