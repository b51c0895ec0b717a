/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages for people, one line each on standard error: "wherry: ...".
 *
 * Any thread. Lines do not mix; a line is cut at about a kilobyte, and control
 * characters in it become '?', because part of it may come from a guest, a file
 * or a peer. errno is left alone.
 *
 * A program that must not wait for the reader of its standard error says so
 * with log_open(): what is not read then waits in a buffer, and when that is
 * full lines are lost, which is said as soon as somebody reads again.
 *
 * Lines that a guest can cause at will, as often as it likes, go through
 * log_guest(): of each kind only so many are let through in a time, and how
 * many were not is said.
 */
#ifndef WHERRY_DEVICES_LOG_H
#define WHERRY_DEVICES_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/* Lines of each level that a guest may cause in each such time. */
#define LOG_GUEST_BURST		10u
#define LOG_GUEST_INTERVAL	10000u	/* ms */

/** log_set_level() - messages above @level are not printed; default WARN */
void log_set_level(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * log_guest() - the same, of what a guest does
 *
 * For each line that a guest can cause more than once.
 */
void log_guest(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * log_open() - never wait for the reader of standard error from now on
 * @interval_ms: LOG_GUEST_INTERVAL; tests shorten it
 *
 * Whoever else has standard error open does not notice.
 *
 * Return: a descriptor that polls readable (EPOLLIN | EPOLLET) when it is time
 * for log_service(), or negative errno: nothing has changed. Before any thread
 * exists.
 */
int log_open(unsigned int interval_ms);

/** log_service() - write what waits, tell what was left out; any thread */
void log_service(void);

/**
 * log_close() - give the reader of standard error a last chance
 * @patience_ms: how long to wait until it has taken what there is
 *
 * The opposite of log_open(): from now on lines are written as if it had never
 * been called. No other thread may log meanwhile. Also without log_open(), for a
 * standard error that somebody else has made non-blocking.
 */
void log_close(unsigned int patience_ms);

#endif
