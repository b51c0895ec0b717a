// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages on standard error: owns nothing but the log level.
 *
 * Called by everybody, on any thread, without a lock.
 */
#include "devices/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* The one mutable global (convention 13). */
static atomic_int log_level = LOG_LEVEL_WARN;

static const char *const prefix[] = {
	[LOG_LEVEL_ERROR] = "wherry: ",
	[LOG_LEVEL_WARN] = "wherry: warning: ",
	[LOG_LEVEL_INFO] = "wherry: ",
	[LOG_LEVEL_DEBUG] = "wherry: debug: ",
};
_Static_assert(sizeof(prefix) / sizeof(prefix[0]) == LOG_LEVEL_DEBUG + 1,
	       "a prefix for every level");

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

static void __attribute__((format(printf, 2, 0)))
log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	const size_t room = sizeof(line) - 1;	/* for the newline */
	int saved = errno;
	size_t start;
	size_t len;
	ssize_t n;
	int ret;

	if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	start = strlen(prefix[level]);
	memcpy(line, prefix[level], start);
	ret = vsnprintf(line + start, room - start, fmt, ap);
	if (ret < 0)
		return;
	len = start + (size_t)ret;
	if (len > room - 1)
		len = room - 1;
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	/* Where could one complain that standard error is gone? */
	n = write(STDERR_FILENO, line, len);
	(void)n;
	errno = saved;
}

#define DEFINE_LOG(name, level)				\
	void log_##name(const char *fmt, ...)		\
	{						\
		va_list ap;				\
							\
		va_start(ap, fmt);			\
		log_line(level, fmt, ap);		\
		va_end(ap);				\
	}

DEFINE_LOG(error, LOG_LEVEL_ERROR)
DEFINE_LOG(warn, LOG_LEVEL_WARN)
DEFINE_LOG(info, LOG_LEVEL_INFO)
DEFINE_LOG(debug, LOG_LEVEL_DEBUG)
