// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `wherry connect`: standard input and output to a vsock port of a guest.
 *
 * Owns the connection and two buffers, one each way. Called once by main();
 * one thread, poll().
 *
 * Theory: a buffer is filled when it is empty and emptied before it is filled
 * again, so that whoever does not read stops the other from being read. Each
 * direction ends by itself:
 *
 *   up    open ──end of input──▶ buffer sent ──shutdown(SHUT_WR)──▶ done
 *   up    open ──guest does not read any more (EPIPE)──▶ done
 *   down  open ──end of the guest's data──▶ buffer written ──close──▶ done
 *
 * It is over when both are done, or when down is done and the guest's socket
 * is closed both ways (POLLHUP): then nobody is left to read what may come. It
 * is also over when nobody reads the output any more.
 *
 * That all went well is not a matter of the ends alone. Who closes an AF_UNIX
 * socket without having read all of it resets the other end, and wherry does so
 * as well when it could not deliver what the guest had sent: ECONNRESET, behind
 * the last bytes there are. It comes from recv(), or is found when all is over.
 */
#include "vmm/connect.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/sink.h"
#include "devices/unix_socket.h"
#include "vmm/deadline.h"
#include "vmm/machine.h"

#define BUFFER_SIZE	(64u << 10)

/* "OK 4294967295\n" is the longest answer. */
#define ANSWER_MAX	14u
/* "ERROR <why>\n": refused by the host's side, not by the guest. */
#define REFUSAL		"ERROR "
#define REFUSAL_MAX	128u

/* The backlog is full: its owner is busy, or its guest not ready. */
#define BACKLOG_PAUSE_MS 20

/* Between attempts, with --wait: the first pause, and the longest. */
#define WAIT_PAUSE_MIN_MS 1
#define WAIT_PAUSE_MAX_MS 50

/**
 * struct buffer - bytes on their way
 * @start: first byte not yet passed on
 * @end: behind the last one
 */
struct buffer {
	size_t start;
	size_t end;
	char data[BUFFER_SIZE];
};

/**
 * struct relay - see the theory above
 * @sock: connection to the guest, non-blocking
 * @in: input
 * @out: output
 * @out_fd: what @out writes to; closed when down is done
 * @up: from input to guest
 * @down: from guest to output
 * @in_ended: end of input
 * @up_done: nothing more can be sent
 * @up_lost: and yet there was something to send
 * @guest_ended: end of the guest's data
 * @down_done: output has been closed
 * @hung_up: the guest's socket is closed both ways
 * @out_gone: nobody reads the output any more
 */
struct relay {
	int sock;
	int in;
	struct sink out;
	int out_fd;
	struct buffer up;
	struct buffer down;
	bool in_ended;
	bool up_done;
	bool up_lost;
	bool guest_ended;
	bool down_done;
	bool hung_up;
	bool out_gone;
};

static bool is_empty(const struct buffer *b)
{
	return b->start == b->end;
}

/* How long it may take in all, ms; negative: for ever. */
static int limit_ms(const struct connect_options *o)
{
	if (!o->wait_ms || (o->timeout_ms >= 0 && o->timeout_ms < o->wait_ms))
		return o->timeout_ms;
	return o->wait_ms;
}

static int timed_out(const struct connect_options *o, struct fail *why)
{
	int limit = limit_ms(o);

	return fail(why, -ETIMEDOUT, "vsock port %" PRIu32 " by way of '%s': "
		    "no answer within %d.%03d seconds", o->port, o->uds,
		    limit / 1000, limit % 1000);
}

static void pause_for(int ms, int64_t deadline)
{
	int left = deadline_left(deadline);

	/* poll() is nanosleep() in the unit at hand. */
	(void)poll(NULL, 0, left >= 0 && left < ms ? left : ms);
}

static int refused(const struct connect_options *o, struct fail *why)
{
	return fail(why, -ECONNREFUSED, "vsock port %" PRIu32 " by way of "
		    "'%s': refused: nobody listens there in the guest",
		    o->port, o->uds);
}

/* Return: whether @b begins as a refusal with a reason does. */
static bool is_refusal(const struct buffer *b)
{
	return b->end >= strlen(REFUSAL) &&
	       !memcmp(b->data, REFUSAL, strlen(REFUSAL));
}

/* The line is whole: say what it says. */
static int refused_because(const struct relay *r,
			   const struct connect_options *o, struct fail *why)
{
	const char *text = r->down.data + strlen(REFUSAL);
	const char *end = memchr(r->down.data, '\n', r->down.end);

	return fail(why, -EBUSY, "vsock port %" PRIu32 " by way of '%s': "
		    "refused: %.*s", o->port, o->uds, (int)(end - text), text);
}

static int open_socket(const struct connect_options *o, int64_t deadline,
		       struct fail *why)
{
	int fd;

	for (;;) {
		fd = unix_socket_connect(o->uds, SOCK_STREAM, true);
		if (fd >= 0)
			return fd;
		if (fd == -ECONNREFUSED)
			return fail(why, fd, "vsock socket '%s': no process "
				    "listens there any more", o->uds);
		if (fd != -EAGAIN)
			return fail(why, fd, "vsock socket '%s': %s", o->uds,
				    strerror(-fd));
		if (!deadline_left(deadline))
			return timed_out(o, why);
		pause_for(BACKLOG_PAUSE_MS, deadline);
	}
}

/* Read the answer's line, and what comes behind it, into r->down. */
static int read_answer(struct relay *r, const struct connect_options *o,
		       int64_t deadline, struct fail *why)
{
	struct pollfd pfd = { .fd = r->sock, .events = POLLIN };
	struct buffer *b = &r->down;
	ssize_t n;
	int rc;

	while (!memchr(b->data, '\n', b->end)) {
		if (b->end >= (is_refusal(b) ? REFUSAL_MAX : ANSWER_MAX))
			return fail(why, -EPROTO, "vsock socket '%s': an "
				    "answer 'OK NUMBER' expected", o->uds);
		rc = poll(&pfd, 1, deadline_left(deadline));
		if (!rc)
			return timed_out(o, why);
		n = recv(r->sock, b->data + b->end, BUFFER_SIZE - b->end,
			 MSG_DONTWAIT);
		if (!n || (n < 0 && errno == ECONNRESET))
			return refused(o, why);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(why, -errno, "vsock socket '%s': %s",
				    o->uds, strerror(errno));
		if (n > 0)
			b->end += (size_t)n;
	}
	return 0;
}

/* Return: whether r->down begins with an answer, which is taken out of it. */
static bool take_answer(struct relay *r)
{
	struct buffer *b = &r->down;
	size_t i = 3;

	if (b->end < 5 || memcmp(b->data, "OK ", 3))
		return false;
	while (i < b->end && b->data[i] >= '0' && b->data[i] <= '9')
		i++;
	if (i == 3 || i == b->end || i >= ANSWER_MAX || b->data[i] != '\n')
		return false;
	b->start = i + 1;
	return true;
}

static int shake_hands(struct relay *r, const struct connect_options *o,
		       int64_t deadline, struct fail *why)
{
	char line[32];
	ssize_t n;
	int len, rc;

	len = snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", o->port);
	/* The first bytes on a connection: there is room for them. */
	n = send(r->sock, line, (size_t)len, MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return refused(o, why);
	if (n != len)
		return fail(why, n < 0 ? -errno : -EIO, "vsock socket '%s': "
			    "%s", o->uds, strerror(n < 0 ? errno : EIO));
	rc = read_answer(r, o, deadline, why);
	if (rc < 0)
		return rc;
	if (is_refusal(&r->down))
		return refused_because(r, o, why);
	if (!take_answer(r))
		return fail(why, -EPROTO, "vsock socket '%s': an answer 'OK "
			    "NUMBER' expected", o->uds);
	return 0;
}

static int read_input(struct relay *r, struct fail *why)
{
	ssize_t n = read(r->in, r->up.data, BUFFER_SIZE);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* EIO: the terminal went away. EBADF: there never was an input. */
	if (n < 0 && errno != EIO && errno != EBADF)
		return fail(why, -errno, "standard input: %s",
			    strerror(errno));
	r->up.start = 0;
	r->up.end = n > 0 ? (size_t)n : 0;
	r->in_ended = n <= 0;
	return 0;
}

static int send_up(struct relay *r, struct fail *why)
{
	struct buffer *b = &r->up;
	ssize_t n;

	if (!is_empty(b)) {
		n = send(r->sock, b->data + b->start, b->end - b->start,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0 && errno != EPIPE && errno != ECONNRESET)
			return fail(why, -errno, "sending to the guest: %s",
				    strerror(errno));
		if (n < 0) {
			r->up_done = true;
			r->up_lost = true;
			b->start = b->end;
			return 0;
		}
		b->start += (size_t)n;
	}
	if (r->in_ended && is_empty(b)) {
		shutdown(r->sock, SHUT_WR);
		r->up_done = true;
	}
	return 0;
}

static int cut_off(struct fail *why)
{
	return fail(why, -ECONNRESET, "the connection was reset: what was sent "
		    "last, by the guest or to it, is lost");
}

static int receive_down(struct relay *r, struct fail *why)
{
	ssize_t n = recv(r->sock, r->down.data, BUFFER_SIZE, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno == ECONNRESET)
		return cut_off(why);
	if (n < 0)
		return fail(why, -errno, "receiving from the guest: %s",
			    strerror(errno));
	r->down.start = 0;
	r->down.end = (size_t)n;
	r->guest_ended = !n;
	return 0;
}

static int write_output(struct relay *r, struct fail *why)
{
	struct buffer *b = &r->down;
	ssize_t n;

	if (!is_empty(b)) {
		n = sink_write(&r->out, b->data + b->start,
			       b->end - b->start);
		if (n == -EAGAIN)
			return 0;
		if (n == -EPIPE) {
			r->out_gone = true;
			return 0;
		}
		if (n < 0)
			return fail(why, (int)n, "standard output: %s",
				    strerror((int)-n));
		b->start += (size_t)n;
	}
	if (r->guest_ended && is_empty(b)) {
		sink_close(&r->out);
		close(r->out_fd);
		r->down_done = true;
	}
	return 0;
}

enum { AT_SOCK, AT_IN, AT_OUT, POLLS };

/* A descriptor of -1 is left out: POLLHUP comes unasked, again and again. */
static void poll_prepare(const struct relay *r, struct pollfd *pfd)
{
	short sock = 0;

	if (!r->guest_ended && is_empty(&r->down))
		sock |= POLLIN;
	if (!r->up_done && !is_empty(&r->up))
		sock |= POLLOUT;
	/* Down is done, input rests: wait for the guest to hang up. */
	pfd[AT_SOCK].fd = sock || r->down_done ? r->sock : -1;
	pfd[AT_SOCK].events = sock;

	pfd[AT_IN].fd = !r->in_ended && !r->up_done && is_empty(&r->up) ?
			  r->in : -1;
	pfd[AT_IN].events = POLLIN;

	/* Without events: whether the reader of our output has gone. */
	pfd[AT_OUT].fd = r->down_done ? -1 : r->out.fd;
	pfd[AT_OUT].events = is_empty(&r->down) ? 0 : POLLOUT;
}

static int relay_turn(struct relay *r, struct fail *why)
{
	struct pollfd pfd[POLLS];
	int rc = 0;

	poll_prepare(r, pfd);
	if (poll(pfd, POLLS, -1) < 0)
		return errno == EINTR ? 0 :
		       fail(why, -errno, "poll: %s", strerror(errno));

	r->hung_up = pfd[AT_SOCK].revents & (POLLHUP | POLLERR);
	if (pfd[AT_IN].revents)
		rc = read_input(r, why);
	if (!rc && (pfd[AT_SOCK].events & POLLIN) && pfd[AT_SOCK].revents)
		rc = receive_down(r, why);
	if (!rc && !r->up_done)
		rc = send_up(r, why);
	if (!rc && !r->down_done)
		rc = write_output(r, why);
	if (!rc && !r->down_done && is_empty(&r->down) &&
	    (pfd[AT_OUT].revents & (POLLERR | POLLHUP | POLLNVAL)))
		r->out_gone = true;
	return rc;
}

/* Was data lost without a word? Return: 0 or negative errno. */
static int look_back(const struct relay *r, struct fail *why)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (r->up_lost || !is_empty(&r->up))
		return fail(why, -ECONNRESET, "the guest stopped reading "
			    "before all input was sent");
	(void)getsockopt(r->sock, SOL_SOCKET, SO_ERROR, &err, &len);
	return err ? cut_off(why) : 0;
}

static int relay(struct relay *r, struct fail *why)
{
	int rc;

	while (!r->down_done || !(r->up_done || r->hung_up)) {
		rc = relay_turn(r, why);
		if (rc < 0)
			return rc;
		/* No message: it was that reader who wanted no more. */
		if (r->out_gone)
			return is_empty(&r->down) && is_empty(&r->up) ?
			       0 : -EPIPE;
	}
	return look_back(r, why);
}

/* Connect, and have it accepted. Return: 0 or negative errno. */
static int attempt(struct relay *r, const struct connect_options *o,
		   int64_t deadline, struct fail *why)
{
	int rc = open_socket(o, deadline, why);

	if (rc < 0)
		return rc;
	r->sock = rc;
	r->down.start = 0;
	r->down.end = 0;
	rc = shake_hands(r, o, deadline, why);
	if (rc < 0) {
		close(r->sock);
		r->sock = -1;
	}
	return rc;
}

/* Is it a matter of time? No process, guest, program or connection free yet. */
static bool may_change(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -EBUSY;
}

static int get_through(struct relay *r, const struct connect_options *o,
		       struct fail *why)
{
	int64_t deadline = deadline_in(limit_ms(o));
	int rc, pause = WAIT_PAUSE_MIN_MS;

	for (;;) {
		rc = attempt(r, o, deadline, why);
		if (!o->wait_ms || !may_change(rc))
			return rc;
		if (!deadline_left(deadline))
			return -ETIMEDOUT;
		pause_for(pause, deadline);
		if (pause < WAIT_PAUSE_MAX_MS)
			pause *= 2;
	}
}

static int exit_status(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case -EPIPE:
		return CONNECT_EXIT_OUTPUT;
	case -ECONNRESET:
		return CONNECT_EXIT_RESET;
	case -ETIMEDOUT:
		return CONNECT_EXIT_TIMEOUT;
	default:
		return MACHINE_EXIT_ERROR;
	}
}

int connect_run(const struct connect_options *o, struct fail *why)
{
	struct relay *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		fail(why, -ENOMEM, "out of memory");
		return MACHINE_EXIT_ERROR;
	}
	r->in = o->in;
	r->out_fd = o->out;
	rc = get_through(r, o, why);
	if (rc < 0)
		goto free_relay;
	/* What was in the way before is no matter. */
	why->text[0] = '\0';
	rc = sink_adopt(&r->out, o->out);
	if (rc < 0) {
		fail(why, rc, "standard output: %s", strerror(-rc));
		goto close_socket;
	}
	rc = relay(r, why);
	if (!r->down_done)
		sink_close(&r->out);
close_socket:
	close(r->sock);
free_relay:
	free(r);
	return exit_status(rc);
}
