/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages for people, one line each on standard error: "wherry: ...".
 *
 * Any thread. A line is one write(), so lines do not mix; it is cut at about
 * a kilobyte, and control characters in it become '?', because part of it may
 * come from a guest, a file or a peer. errno is left alone.
 */
#ifndef WHERRY_DEVICES_LOG_H
#define WHERRY_DEVICES_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/** log_set_level() - messages above @level are not printed; default WARN */
void log_set_level(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
