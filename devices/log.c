// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages on standard error: owns the log level, and the lines on their way.
 *
 * Called by everybody, on any thread; vCPU threads call it with a device's lock
 * held. What is behind log.lock never waits for anybody.
 *
 * Theory of operation. Every line goes through @text, a buffer of whole lines,
 * from whose front as much is written as standard error takes. So a line that
 * was half written when the pipe became full is finished before another begins,
 * whoever says what meanwhile. A line that finds no room is lost and counted;
 * the next that does has the count in front of it.
 *
 * What waits, for a reader or for the end of a guest's interval, would wait for
 * the next line if nobody looked: the timerfd says when to call log_service().
 * It is armed only when something waits: an idle process sleeps.
 *
 * Without log_open() (the commands that serve one person) lines are written as
 * they come, and wait for their reader as any program's do.
 */
#include "devices/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/monotonic.h"
#include "devices/rate.h"
#include "devices/sink.h"

#define LINE_MAX_BYTES	1024
/* Lines that wait for a reader: some seconds of a bad day. */
#define WAITING_MAX	16384
/* How often to look whether it reads again. */
#define RETRY_MS	500u

/* An account, of what was lost or left out. */
#define NOTE_MAX_BYTES	128

#define LEVELS		(LOG_LEVEL_DEBUG + 1)

static atomic_int log_level = LOG_LEVEL_WARN;

/**
 * struct log - there is one standard error; under @lock
 * @sink: where lines go; without log_open() plain standard error
 * @timer: timerfd; -1: not open
 * @due: when it goes off, ms; 0: it is not set
 * @start: first byte of @text not yet written
 * @end: behind the last one
 * @text: whole lines, the first of which may be half written
 * @lost: lines that found no room, not yet told of
 * @guest: limits of what a guest may cause, by level
 */
struct log {
	pthread_mutex_t lock;
	struct sink sink;
	int timer;
	uint64_t due;
	size_t start;
	size_t end;
	char text[WAITING_MAX];
	uint64_t lost;
	struct rate guest[LEVELS];
};

#define GUEST_RATE { .burst = LOG_GUEST_BURST, \
		     .interval_ms = LOG_GUEST_INTERVAL }

/* With log_level all there is of mutable globals (convention 13). */
static struct log the_log = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.sink = { .fd = STDERR_FILENO, .kind = SINK_PLAIN },
	.timer = -1,
	.guest = { GUEST_RATE, GUEST_RATE, GUEST_RATE, GUEST_RATE },
};
_Static_assert(LEVELS == 4, "a rate for every level");

static const char *const prefix[] = {
	[LOG_LEVEL_ERROR] = "wherry: ",
	[LOG_LEVEL_WARN] = "wherry: warning: ",
	[LOG_LEVEL_INFO] = "wherry: ",
	[LOG_LEVEL_DEBUG] = "wherry: debug: ",
};
_Static_assert(sizeof(prefix) / sizeof(prefix[0]) == LEVELS,
	       "a prefix for every level");

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

static bool is_wanted(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level,
						  memory_order_relaxed);
}

/* Locked, as all that follows up to the next comment of this kind. */

static bool is_waiting(const struct log *log)
{
	return log->start != log->end;
}

/*
 * Writes what goes, line by line: a pipe takes a line whole or not at all, so
 * that those of others who write there stay apart too. What standard error
 * refuses for good is thrown away.
 */
static void drain(struct log *log)
{
	ssize_t n;

	while (is_waiting(log)) {
		const char *from = log->text + log->start;
		const char *newline = memchr(from, '\n', log->end - log->start);

		n = sink_write(&log->sink, from,
			       (size_t)(newline - from) + 1);
		if (n == -EAGAIN)
			return;
		/* Where could one complain that standard error is gone? */
		if (n < 0)
			break;
		log->start += (size_t)n;
	}
	log->start = 0;
	log->end = 0;
}

/* Return: whether there was room. */
static bool append(struct log *log, const char *line, size_t len)
{
	size_t waiting = log->end - log->start;

	if (len > sizeof(log->text) - waiting)
		return false;
	if (len > sizeof(log->text) - log->end) {
		memmove(log->text, log->text + log->start, waiting);
		log->start = 0;
		log->end = waiting;
	}
	memcpy(log->text + log->end, line, len);
	log->end += len;
	return true;
}

/* Puts the count of what was lost behind what came before. */
static bool append_lost(struct log *log)
{
	char line[NOTE_MAX_BYTES];
	int len;

	if (!log->lost)
		return true;
	len = snprintf(line, sizeof(line), "%s%" PRIu64 " messages lost: "
		       "nobody read them\n", prefix[LOG_LEVEL_WARN],
		       log->lost);
	if (!append(log, line, (size_t)len))
		return false;
	log->lost = 0;
	return true;
}

static void put(struct log *log, const char *line, size_t len)
{
	if (!append_lost(log) || !append(log, line, len))
		log->lost++;
}

/* Tells how many of a level's lines were held back, if it is time to. */
static void put_held(struct log *log, enum log_level level, uint64_t now)
{
	size_t room = sizeof(log->text) - (log->end - log->start);
	char line[NOTE_MAX_BYTES];
	uint64_t held;
	int len;

	/* An account must not get lost, nor the one that may precede it. */
	held = room < 2 * sizeof(line) ? 0 : rate_held(&log->guest[level], now);
	if (!held)
		return;
	len = snprintf(line, sizeof(line), "%s%" PRIu64 " more messages of "
		       "what the guest does were left out\n", prefix[level],
		       held);
	put(log, line, (size_t)len);
}

static void put_all_held(struct log *log, uint64_t now)
{
	for (unsigned int level = 0; level < LEVELS; level++)
		put_held(log, (enum log_level)level, now);
}

/* When is there something to look after? 0: never, by what is known. */
static uint64_t next_look(const struct log *log, uint64_t now)
{
	uint64_t next = is_waiting(log) ? RETRY_MS : 0;

	for (unsigned int level = 0; level < LEVELS; level++) {
		const struct rate *rate = &log->guest[level];
		uint64_t wait = rate_wait(rate, now) + 1;

		if (rate->held && (!next || wait < next))
			next = wait;
	}
	return next;
}

static void arm(struct log *log, uint64_t now)
{
	struct itimerspec when = { 0 };
	uint64_t next = next_look(log, now);

	if (log->timer < 0 || !next || (log->due && log->due <= now + next))
		return;
	when.it_value.tv_sec = (time_t)(next / 1000u);
	when.it_value.tv_nsec = (long)(next % 1000u) * 1000000;
	if (!timerfd_settime(log->timer, 0, &when, NULL))
		log->due = now + next;
}

/* Without the lock. */

/* Makes a line of it. Return: its length. */
static size_t __attribute__((format(printf, 3, 0)))
make_line(char line[LINE_MAX_BYTES], enum log_level level, const char *fmt,
	  va_list ap)
{
	const size_t room = LINE_MAX_BYTES - 1;	/* for the newline */
	size_t start = strlen(prefix[level]);
	size_t len;
	int ret;

	memcpy(line, prefix[level], start);
	ret = vsnprintf(line + start, room - start, fmt, ap);
	len = start + (ret < 0 ? 0 : (size_t)ret);
	if (len > room - 1)
		len = room - 1;
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	return len;
}

static void __attribute__((format(printf, 3, 0)))
log_line(enum log_level level, bool guest, const char *fmt, va_list ap)
{
	struct log *log = &the_log;
	char line[LINE_MAX_BYTES];
	int saved = errno;
	uint64_t now;
	size_t len;

	if (!is_wanted(level))
		return;
	len = make_line(line, level, fmt, ap);
	pthread_mutex_lock(&log->lock);
	now = monotonic_ms();
	drain(log);
	put_all_held(log, now);
	if (!guest || rate_take(&log->guest[level], now))
		put(log, line, len);
	drain(log);
	arm(log, now);
	pthread_mutex_unlock(&log->lock);
	errno = saved;
}

#define DEFINE_LOG(name, level)				\
	void log_##name(const char *fmt, ...)		\
	{						\
		va_list ap;				\
							\
		va_start(ap, fmt);			\
		log_line(level, false, fmt, ap);	\
		va_end(ap);				\
	}

DEFINE_LOG(error, LOG_LEVEL_ERROR)
DEFINE_LOG(warn, LOG_LEVEL_WARN)
DEFINE_LOG(info, LOG_LEVEL_INFO)
DEFINE_LOG(debug, LOG_LEVEL_DEBUG)

void log_guest(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(level, true, fmt, ap);
	va_end(ap);
}

int log_open(unsigned int interval_ms)
{
	struct log *log = &the_log;
	struct sink sink;
	int timer, err;

	err = sink_adopt(&sink, STDERR_FILENO);
	if (err)
		return err;
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0) {
		err = -errno;
		sink_close(&sink);
		return err;
	}
	pthread_mutex_lock(&log->lock);
	log->sink = sink;
	log->timer = timer;
	log->due = 0;
	for (unsigned int level = 0; level < LEVELS; level++)
		log->guest[level].interval_ms = interval_ms;
	pthread_mutex_unlock(&log->lock);
	return timer;
}

void log_service(void)
{
	struct log *log = &the_log;
	uint64_t now;

	pthread_mutex_lock(&log->lock);
	now = monotonic_ms();
	log->due = 0;
	drain(log);
	put_all_held(log, now);
	append_lost(log);
	drain(log);
	arm(log, now);
	pthread_mutex_unlock(&log->lock);
}

/* Tells of all that was held back, whether or not it is time to. */
static void last_words(struct log *log)
{
	put_all_held(log, UINT64_MAX);
	drain(log);
	append_lost(log);
	drain(log);
}

void log_close(unsigned int patience_ms)
{
	struct log *log = &the_log;
	struct pollfd pfd = { .fd = log->sink.fd, .events = POLLOUT };
	uint64_t now = monotonic_ms(), end = now + patience_ms;

	last_words(log);
	while (is_waiting(log) && now < end &&
	       poll(&pfd, 1, (int)(end - now)) > 0) {
		last_words(log);
		now = monotonic_ms();
	}
	if (log->timer >= 0)
		close(log->timer);
	sink_close(&log->sink);
	log->timer = -1;
	log->due = 0;
	log->sink = (struct sink){ .fd = STDERR_FILENO, .kind = SINK_PLAIN };
	log->start = 0;
	log->end = 0;
	log->lost = 0;
}
