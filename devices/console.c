// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The console: owns the sink, standard input, the terminal's mode, and the
 * bytes that are on their way.
 *
 * Output (struct output, under its lock). The serial port calls put() on vCPU
 * threads. While nothing is buffered a byte is written right there: it is out
 * when the guest's instruction is done, and a crash loses nothing. A byte that
 * would have to wait is buffered; the loop thread is told by the eventfd
 * @wake, watches for EPOLLOUT and drains. From OUT_HIGH on the port is told
 * that there is no room, below OUT_LOW that there is again. The upper half of
 * the buffer is for Linux, whose console waits 10 ms for each byte while the
 * transmitter is busy and then sends regardless: at that pace it lasts for
 * minutes. Only a guest that never looks can overrun it.
 *
 * Input (loop thread only). What was read and the port had no room for waits
 * in a buffer; meanwhile standard input is not watched. A terminal is watched
 * all the same, or a hung guest could not be quit by key: what does not fit
 * into the buffer is then thrown away.
 *
 * Locks: serial->lock is taken before output.lock, by put(). So the loop
 * thread holds no lock of its own when it calls the port.
 */
#include "devices/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/sink.h"

#define OUT_MAX		65536u
#define OUT_HIGH	(OUT_MAX / 2)
#define OUT_LOW		(OUT_MAX / 4)
#define IN_MAX		65536u
/* Bytes read at once. */
#define IN_STEP		512u
#define ESCAPE_KEY	0x01	/* Ctrl-A */
#define FLUSH_STEP_MS	1000
#define FLUSH_ALL_SEC	5

/**
 * struct output - what the guest sent; under @lock
 * @lock: also serialises writes to @sink
 * @sink: where it goes; constant
 * @name: of the sink, for messages; the caller's
 * @source: watches @sink for room; loop thread only
 * @dead: the sink takes nothing any more
 * @warned: a failed write was reported
 * @lost: an overrun was reported
 * @stalled: the port was told that there is no room
 * @start: index of the oldest byte in @buf
 * @count: bytes in @buf, a ring
 */
struct output {
	pthread_mutex_t lock;
	struct sink sink;
	const char *name;
	struct loop_source source;
	bool dead;
	bool warned;
	bool lost;
	bool stalled;
	size_t start;
	size_t count;
	uint8_t buf[OUT_MAX];
};

/**
 * struct input - what the guest has not taken yet; loop thread only
 * @source: standard input; fd is -1 if there is none, or none any more
 * @owned: source.fd is ours to close
 * @socket: read with MSG_DONTWAIT
 * @terminal: in raw mode, with escape key
 * @unpollable: always ready (regular files)
 * @escaped: the escape key came last
 * @lost: thrown away bytes were reported
 * @start: index of the first byte in @buf
 * @count: bytes in @buf
 */
struct input {
	struct loop_source source;
	bool owned;
	bool socket;
	bool terminal;
	bool unpollable;
	bool escaped;
	bool lost;
	size_t start;
	size_t count;
	uint8_t buf[IN_MAX];
};

/**
 * struct console - see the theory above
 * @loop: where the sources are
 * @serial: the port
 * @line: the port is connected, what it sends goes somewhere
 * @wake: eventfd: the loop thread has something to look after
 * @quit: see console_new()
 * @opaque: for @quit
 * @raw: the terminal @raw_fd is in raw mode
 * @raw_fd: valid while @raw
 * @saved: its mode before
 * @out: to the world
 * @in: from it
 */
struct console {
	struct loop *loop;
	struct serial *serial;
	bool line;
	struct loop_source wake;
	void (*quit)(void *opaque);
	void *opaque;
	atomic_bool raw;
	int raw_fd;
	struct termios saved;
	struct output out;
	struct input in;
};

static void wake(struct console *c)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Watched edge-triggered and never read; see virtio_host.c. */
	n = write(c->wake.fd, &one, sizeof(one));
	(void)n;
}

/* Output */

/* The sink takes nothing, for reason @err. */
static void out_fail(struct output *out, int err)
{
	if (!out->warned)
		log_warn("serial output to %s: %s; dropped from now on",
			 out->name, strerror(-err));
	out->warned = true;
	/* A full disk may get room again, a reader that left stays away. */
	if (err == -ENOSPC || err == -EDQUOT)
		return;
	out->dead = true;
	out->count = 0;
}

/* Write, or find out why not. Return: bytes that are done with; 0: wait. */
static size_t out_write(struct output *out, const uint8_t *data, size_t len)
{
	ssize_t n = sink_write(&out->sink, data, len);

	if (n > 0)
		return (size_t)n;
	if (n == -EAGAIN)
		return 0;
	out_fail(out, (int)n);
	return len;
}

/* Write from the ring until it is empty or the sink is full. */
static void out_drain(struct output *out)
{
	while (out->count) {
		size_t len = OUT_MAX - out->start;
		size_t n;

		if (len > out->count)
			len = out->count;
		n = out_write(out, out->buf + out->start, len);
		if (!n || out->dead)
			break;
		out->start = (out->start + n) % OUT_MAX;
		out->count -= n;
	}
}

static void out_append(struct output *out, uint8_t byte)
{
	if (out->count < OUT_MAX) {
		out->buf[(out->start + out->count) % OUT_MAX] = byte;
		out->count++;
		return;
	}
	if (!out->lost)
		log_warn("serial output to %s: too much unread: some is lost",
			 out->name);
	out->lost = true;
}

/* struct serial_line.put: vCPU thread. */
static bool out_put(void *opaque, uint8_t byte)
{
	struct console *c = opaque;
	struct output *out = &c->out;
	bool watch = false;
	bool room;

	pthread_mutex_lock(&out->lock);
	if (!out->dead && (out->count || !out_write(out, &byte, 1))) {
		watch = !out->count;
		out_append(out, byte);
	}
	room = out->count < OUT_HIGH;
	if (!room)
		out->stalled = true;
	pthread_mutex_unlock(&out->lock);
	if (watch)
		wake(c);
	return room;
}

/* Drain, then watch for room as long as something is left. */
static void out_service(struct console *c)
{
	struct output *out = &c->out;
	bool writable = false;
	bool left;
	int err;

	pthread_mutex_lock(&out->lock);
	out_drain(out);
	left = out->count;
	err = loop_modify(c->loop, &out->source, left ? EPOLLOUT : 0);
	if (err)
		out_fail(out, err);
	if (out->stalled && out->count <= OUT_LOW) {
		out->stalled = false;
		writable = true;
	}
	pthread_mutex_unlock(&out->lock);
	if (writable)
		serial_writable(c->serial);
}

static void on_writable(struct loop_source *source, uint32_t events)
{
	(void)events;
	out_service(loop_owner(source, struct console, out.source));
}

/* Input */

static void in_close(struct console *c)
{
	struct input *in = &c->in;

	loop_remove(c->loop, &in->source);
	if (in->owned)
		close(in->source.fd);
	in->owned = false;
	in->source.fd = -1;
}

static void in_append(struct input *in, uint8_t byte)
{
	if (in->start + in->count == IN_MAX && in->start) {
		memmove(in->buf, in->buf + in->start, in->count);
		in->start = 0;
	}
	if (in->count < IN_MAX) {
		in->buf[in->start + in->count++] = byte;
		return;
	}
	if (!in->lost)
		log_warn("serial input: the guest takes none: input is lost");
	in->lost = true;
}

/* A key on the terminal. */
static void in_key(struct console *c, uint8_t byte)
{
	struct input *in = &c->in;

	if (!in->escaped && byte == ESCAPE_KEY) {
		in->escaped = true;
		return;
	}
	if (in->escaped && byte == 'x') {
		in->escaped = false;
		c->quit(c->opaque);
		return;
	}
	if (in->escaped && byte != ESCAPE_KEY)
		in_append(in, ESCAPE_KEY);
	in->escaped = false;
	in_append(in, byte);
}

/* Hand over what waits; then watch for more, if there is room for it. */
static void in_deliver(struct console *c)
{
	struct input *in = &c->in;
	bool watch;
	size_t n;

	n = serial_receive(c->serial, in->buf + in->start, in->count);
	in->start += n;
	in->count -= n;
	if (!in->count)
		in->start = 0;
	if (in->source.fd < 0)
		return;
	watch = !in->count || in->terminal;
	if (in->unpollable) {
		if (watch)
			wake(c);
	} else if (loop_modify(c->loop, &in->source, watch ? EPOLLIN : 0)) {
		log_warn("serial input: cannot wait for it: input ends");
		in_close(c);
	}
}

static void in_read(struct console *c)
{
	struct input *in = &c->in;
	uint8_t buf[IN_STEP];
	ssize_t n;

	if (in->socket)
		n = recv(in->source.fd, buf, sizeof(buf), MSG_DONTWAIT);
	else
		n = read(in->source.fd, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_info("serial input ends: %s",
			 n ? strerror(errno) : "end of file");
		in_close(c);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (in->terminal)
			in_key(c, buf[i]);
		else
			in_append(in, buf[i]);
	}
	in_deliver(c);
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	(void)events;
	in_read(loop_owner(source, struct console, in.source));
}

/* struct serial_line.room: vCPU thread. */
static void in_room(void *opaque)
{
	wake(opaque);
}

static void on_wake(struct loop_source *source, uint32_t events)
{
	struct console *c = loop_owner(source, struct console, wake);

	(void)events;
	out_service(c);
	if (c->in.count)
		in_deliver(c);
	else if (c->in.unpollable && c->in.source.fd >= 0)
		in_read(c);
}

static const struct serial_line console_line = {
	.put = out_put,
	.room = in_room,
};

/* Set-up */

/* Raw mode for keys; line ends of output are left alone, for our messages. */
static void raw_mode(struct console *c, int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &c->saved))
		return;
	raw = c->saved;
	cfmakeraw(&raw);
	raw.c_oflag = c->saved.c_oflag;
	c->raw_fd = fd;
	if (!tcsetattr(fd, TCSANOW, &raw))
		atomic_store(&c->raw, true);
}

void console_restore(struct console *c)
{
	/* In the background it is somebody else's, and would stop us. */
	if (c && atomic_exchange(&c->raw, false) &&
	    tcgetpgrp(c->raw_fd) == getpgrp())
		tcsetattr(c->raw_fd, TCSANOW, &c->saved);
}

static int in_open(struct console *c, struct fail *why)
{
	struct input *in = &c->in;
	struct stat st;
	int copy;
	int err;

	if (fstat(STDIN_FILENO, &st))
		return fail(why, -errno, "serial: standard input: %s",
			    strerror(errno));
	in->terminal = isatty(STDIN_FILENO);
	/* Reading in the background would stop the whole process. */
	if (in->terminal && tcgetpgrp(STDIN_FILENO) != getpgrp())
		return 0;
	in->socket = S_ISSOCK(st.st_mode);
	in->source.fd = STDIN_FILENO;
	if (in->terminal || S_ISFIFO(st.st_mode)) {
		copy = sink_reopen(STDIN_FILENO, O_RDONLY);
		if (copy >= 0) {
			in->source.fd = copy;
			in->owned = true;
		}
	}
	err = loop_add(c->loop, &in->source, EPOLLIN);
	if (err == -EPERM) {
		in->unpollable = true;
		wake(c);
	} else if (err) {
		in_close(c);
		return fail(why, err, "serial: cannot watch standard input: %s",
			    strerror(-err));
	}
	if (in->terminal)
		raw_mode(c, STDIN_FILENO);
	return 0;
}

static int out_open(struct console *c, const char *spec, struct fail *why)
{
	static const char file[] = "file=";
	const char *path = spec + sizeof(file) - 1;
	int err;

	if (!strcmp(spec, "stdio")) {
		c->out.name = "standard output";
		err = sink_adopt(&c->out.sink, STDOUT_FILENO);
	} else if (!strncmp(spec, file, sizeof(file) - 1) && *path) {
		c->out.name = path;
		err = sink_open(&c->out.sink, path);
	} else {
		return fail(why, -EINVAL,
			    "serial: expected stdio, none or file=PATH, not %s",
			    spec);
	}
	if (err)
		return fail(why, err, "serial: %s: %s", c->out.name,
			    err == -ENXIO ? "FIFO without a reader" :
			    strerror(-err));
	c->out.source.fd = c->out.sink.fd;
	return 0;
}

struct console *console_new(struct loop *loop, struct serial *serial,
			    const char *spec, void (*quit)(void *opaque),
			    void *opaque, struct fail *why)
{
	struct console *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		fail(why, -ENOMEM, "serial: out of memory");
		return NULL;
	}
	c->loop = loop;
	c->serial = serial;
	c->quit = quit;
	c->opaque = opaque;
	c->wake.fn = on_wake;
	c->out.source.fn = on_writable;
	c->out.sink.fd = -1;
	c->in.source.fn = on_readable;
	c->in.source.fd = -1;
	pthread_mutex_init(&c->out.lock, NULL);
	c->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = c->wake.fd < 0 ? -errno :
		loop_add(loop, &c->wake, EPOLLIN | EPOLLET);
	if (err) {
		fail(why, err, "serial: %s", strerror(-err));
		goto failed;
	}
	/* Without a line the port throws away what is sent. */
	if (!strcmp(spec, "none"))
		return c;
	if (out_open(c, spec, why))
		goto failed;
	if (!strcmp(spec, "stdio") && in_open(c, why))
		goto failed;
	c->line = true;
	serial_connect(serial, &console_line, c);
	return c;
failed:
	console_free(c);
	return NULL;
}

void console_connect(struct console *c, struct serial *serial, void *opaque)
{
	serial_connect(c->serial, NULL, NULL);
	c->serial = serial;
	c->opaque = opaque;
	if (c->line)
		serial_connect(serial, &console_line, c);
	/* Whatever the port before was told, or told: look anew. */
	wake(c);
}

static time_t now_sec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Wait for the reader, within reason. */
static void out_flush(struct output *out)
{
	struct pollfd pfd = { .fd = out->sink.fd, .events = POLLOUT };
	time_t end = now_sec() + FLUSH_ALL_SEC;

	out_drain(out);
	while (out->count && now_sec() < end) {
		if (poll(&pfd, 1, FLUSH_STEP_MS) <= 0)
			break;
		out_drain(out);
	}
	if (out->count)
		log_warn("serial output to %s: nobody reads: %zu bytes lost",
			 out->name, out->count);
}

void console_free(struct console *c)
{
	if (!c)
		return;
	serial_connect(c->serial, NULL, NULL);
	out_flush(&c->out);
	loop_remove(c->loop, &c->out.source);
	sink_close(&c->out.sink);
	in_close(c);
	console_restore(c);
	loop_remove(c->loop, &c->wake);
	if (c->wake.fd >= 0)
		close(c->wake.fd);
	pthread_mutex_destroy(&c->out.lock);
	free(c);
}
