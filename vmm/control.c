// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket: a QMP server on the event loop.
 *
 * Owns the listener and the connections. Everything runs on the loop thread,
 * so there is no lock; a command runs to its end before anything else happens,
 * or, if it takes its time, before anything else of its client's happens, which
 * keeps replies in order.
 *
 * Theory: a client is read as long as it reads. With more than OUTPUT_PAUSE
 * bytes of answers unsent its next requests stay where they are, in the buffer
 * and the socket, until it has taken them. Events do not wait for anybody:
 * they are what can bring a client to CONTROL_OUTPUT_MAX, and then it is
 * dropped, alone. Those that a guest can cause as often as it likes say how
 * something is now (control_state()): of these the last one waits.
 *
 *   open ──end of its requests, or a stream that cannot be followed──▶ leaving
 *   leaving ──requests answered and output sent──▶ freed
 *   any ──error, output limit──▶ dead ──its handler returns──▶ freed
 *
 * A client may die within its own command (an event it cannot be sent); it is
 * freed only when nothing on the stack holds it (see busy) and no command of
 * its own goes on (see pending): its next requests wait until then, and that
 * it left, or died, makes no difference before then.
 */
#include "vmm/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"
#include "devices/unix_socket.h"
#include "vmm/json_stream.h"

#define READ_SIZE	(16u << 10)
#define OUTPUT_PAUSE	(64u << 10)

/* accept() failed for want of something that others hold: try again then. */
#define ACCEPT_RETRY_MS	100

/**
 * struct client - one connection
 * @source: its socket
 * @control: whose
 * @slot: where in control->client
 * @in: bytes to become requests
 * @out: bytes to be sent: [out_start, out_end) of out_size allocated
 * @negotiated: may run commands, gets events
 * @paused: requests wait in @in until output is taken
 * @state_due: is to be told control->state when it has taken its output
 * @leaving: nothing more will be read
 * @deaf: it left; what it asked before is still carried out
 * @dead: to be freed
 * @busy: somebody on the stack holds it
 * @pending: its command that goes on, if any
 */
struct client {
	struct loop_source source;
	struct control *control;
	unsigned int slot;
	struct json_stream in;
	char *out;
	size_t out_start;
	size_t out_end;
	size_t out_size;
	bool negotiated;
	bool paused;
	bool state_due;
	bool leaving;
	bool deaf;
	bool dead;
	bool busy;
	struct control_pending pending;
};

/**
 * struct control - the server
 * @loop: serves it
 * @table: the commands
 * @opaque: for their run()
 * @listener: the socket with a path, if any
 * @accept: watches it
 * @retry: armed while accepting rests
 * @state: the last message of control_state(), or NULL
 * @client: the connections; NULL: free
 * @clients: how many
 */
struct control {
	struct loop *loop;
	const struct control_command *table;
	void *opaque;
	struct unix_listener listener;
	struct loop_source accept;
	struct loop_timer retry;
	char *state;
	struct client *client[CONTROL_CLIENTS_MAX];
	unsigned int clients;
};

static void client_free(struct client *cl)
{
	struct control *c = cl->control;

	loop_close(c->loop, &cl->source);
	c->client[cl->slot] = NULL;
	c->clients--;
	json_stream_reset(&cl->in);
	free(cl->out);
	free(cl);
}

static size_t client_unsent(const struct client *cl)
{
	return cl->out_end - cl->out_start;
}

static void client_flush(struct client *cl)
{
	ssize_t n;

	while (!cl->deaf && client_unsent(cl)) {
		n = send(cl->source.fd, cl->out + cl->out_start,
			 client_unsent(cl), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			cl->deaf = true;
			break;
		}
		cl->out_start += (size_t)n;
	}
	cl->out_start = 0;
	cl->out_end = 0;
}

/* Room for @len more bytes of output. */
static int client_reserve(struct client *cl, size_t len)
{
	size_t used = client_unsent(cl);
	size_t size = 2 * (used + len);
	char *bigger;

	/* One answer may be as long as it is. */
	if (used && used + len > CONTROL_OUTPUT_MAX) {
		log_warn("control: a client left %zu bytes unread, dropped",
			 used);
		return -ENOBUFS;
	}
	if (len <= cl->out_size - cl->out_end)
		return 0;
	if (cl->out_start) {
		memmove(cl->out, cl->out + cl->out_start, used);
		cl->out_start = 0;
		cl->out_end = used;
	}
	if (len <= cl->out_size - used)
		return 0;
	bigger = realloc(cl->out, size);
	if (!bigger)
		return -ENOMEM;
	cl->out = bigger;
	cl->out_size = size;
	return 0;
}

/* Add one message, a line; @text NULL: it could not be made. */
static void client_append(struct client *cl, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (cl->deaf || cl->dead)
		return;
	if (!text || client_reserve(cl, len + 1) < 0) {
		cl->dead = true;
		return;
	}
	memcpy(cl->out + cl->out_end, text, len);
	cl->out[cl->out_end + len] = '\n';
	cl->out_end += len + 1;
}

/* Send what waits, and the last state if that had to wait for it. */
static void client_push(struct client *cl)
{
	client_flush(cl);
	if (!cl->state_due || client_unsent(cl) >= OUTPUT_PAUSE)
		return;
	cl->state_due = false;
	client_append(cl, cl->control->state);
	client_flush(cl);
}

static void client_send_text(struct client *cl, const char *text)
{
	client_append(cl, text);
	client_push(cl);
}

/* Takes over @message; NULL: out of memory. */
static void client_send(struct client *cl, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	client_send_text(cl, text);
	free(text);
	json_decref(message);
}

static void client_read(struct client *cl)
{
	char bytes[READ_SIZE];
	ssize_t n;

	n = recv(cl->source.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			cl->dead = true;
		return;
	}
	if (!n)
		cl->leaving = true;
	else if (json_stream_push(&cl->in, bytes, (size_t)n) < 0)
		cl->dead = true;
}

/* Answer what has come in, as long as the answers are taken. */
static void client_work(struct client *cl)
{
	struct control *c = cl->control;
	struct fail why;
	json_t *request, *reply;

	while (!cl->dead && !cl->pending.waiting) {
		cl->paused = client_unsent(cl) >= OUTPUT_PAUSE;
		if (cl->paused)
			return;
		switch (json_stream_next(&cl->in, &request, &why)) {
		case JSON_STREAM_MORE:
			return;
		case JSON_STREAM_VALUE:
			reply = control_answer(c->table, c->opaque,
					       &cl->negotiated, request,
					       &cl->pending);
			if (!cl->pending.waiting)
				client_send(cl, reply);
			json_decref(request);
			break;
		case JSON_STREAM_BAD:
			client_send(cl, control_error(why.text));
			break;
		case JSON_STREAM_LOST:
			client_send(cl, control_error(why.text));
			json_stream_reset(&cl->in);
			cl->leaving = true;
			return;
		}
	}
}

/* Nobody on the stack holds @cl now: free it, or watch for what it waits for */
static void client_settle(struct client *cl)
{
	size_t unsent = client_unsent(cl);
	uint32_t events = 0;

	if (cl->pending.waiting) {
		if (cl->dead)
			shutdown(cl->source.fd, SHUT_RDWR);
		events = unsent && !cl->dead ? EPOLLOUT : 0;
		loop_modify(cl->control->loop, &cl->source, events);
		return;
	}
	if (cl->dead || (cl->leaving && !cl->paused && !unsent)) {
		client_free(cl);
		return;
	}
	if (!cl->leaving && !cl->paused)
		events |= EPOLLIN;
	if (unsent)
		events |= EPOLLOUT;
	loop_modify(cl->control->loop, &cl->source, events);
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct client *cl = loop_owner(source, struct client, source);

	cl->busy = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		client_push(cl);
	if (!cl->dead && !cl->leaving && !cl->paused && !cl->pending.waiting)
		client_read(cl);
	client_work(cl);
	cl->busy = false;
	client_settle(cl);
}

/* A command that had begun is done; the requests behind it come next. */
static void client_answered(struct control_pending *pending, json_t *reply)
{
	struct client *cl = loop_owner(pending, struct client, pending);

	cl->busy = true;
	client_send(cl, reply);
	client_work(cl);
	cl->busy = false;
	client_settle(cl);
}

int control_adopt(struct control *c, int fd)
{
	struct client *cl;
	unsigned int slot = 0;
	int rc = -EMFILE;

	while (slot < CONTROL_CLIENTS_MAX && c->client[slot])
		slot++;
	if (slot == CONTROL_CLIENTS_MAX)
		goto close_fd;
	rc = -ENOMEM;
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		goto close_fd;
	cl->source.fd = fd;
	cl->source.fn = client_ready;
	cl->control = c;
	cl->slot = slot;
	cl->pending.answer = client_answered;
	rc = loop_add(c->loop, &cl->source, EPOLLIN);
	if (rc < 0)
		goto free_client;
	c->client[slot] = cl;
	c->clients++;

	client_send(cl, control_greeting());
	client_settle(cl);
	return 0;

free_client:
	free(cl);
close_fd:
	close(fd);
	return rc;
}

unsigned int control_clients(const struct control *c)
{
	return c->clients;
}

/* One too many: say so, in words that a QMP client can show. */
static void turn_away(int fd)
{
	static const char message[] = "{\"error\":{\"class\":\"GenericError\","
		"\"desc\":\"too many connections to the control socket\"}}\n";

	send(fd, message, sizeof(message) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	struct control *c = loop_owner(source, struct control, accept);
	int fd;

	(void)events;
	fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (c->clients == CONTROL_CLIENTS_MAX)
			turn_away(fd);
		else
			control_adopt(c, fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
	    errno != ENOMEM)
		return;
	/* It would be reported again at once, for ever. */
	log_warn("control: cannot accept a connection: %s", strerror(errno));
	if (loop_timer_arm(c->loop, &c->retry, ACCEPT_RETRY_MS) == 0)
		loop_remove(c->loop, source);
}

static void retry_due(struct loop_timer *timer)
{
	struct control *c = loop_owner(timer, struct control, retry);

	if (loop_add(c->loop, &c->accept, EPOLLIN) < 0)
		loop_timer_arm(c->loop, timer, ACCEPT_RETRY_MS);
}

static int control_listen(struct control *c, const char *path,
			  struct fail *why)
{
	int rc;

	rc = unix_socket_listen(path, SOCK_STREAM, 0600, &c->listener, why);
	if (rc < 0)
		return fail_within(why, rc, "control socket");
	c->accept.fd = c->listener.fd;
	rc = loop_add(c->loop, &c->accept, EPOLLIN);
	if (rc < 0)
		return fail(why, rc, "control socket '%s': %s", path,
			    strerror(-rc));
	return 0;
}

struct control *control_new(struct loop *loop, const char *path,
			    const struct control_command *table, void *opaque,
			    struct fail *why)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		fail(why, -ENOMEM, "control socket: out of memory");
		return NULL;
	}
	c->loop = loop;
	c->table = table;
	c->opaque = opaque;
	c->listener = (struct unix_listener)UNIX_LISTENER_INIT;
	c->accept.fd = -1;
	c->accept.fn = accept_ready;
	c->retry.fn = retry_due;
	if (path && control_listen(c, path, why) < 0) {
		control_free(c);
		return NULL;
	}
	return c;
}

void control_free(struct control *c)
{
	unsigned int i;

	if (!c)
		return;
	loop_timer_cancel(c->loop, &c->retry);
	loop_remove(c->loop, &c->accept);
	unix_listener_close(&c->listener);
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (!c->client[i])
			continue;
		client_flush(c->client[i]);
		client_free(c->client[i]);
	}
	free(c->state);
	free(c);
}

/* Takes over @data. Return: the event's line, to be freed; NULL: no memory. */
static char *event_text(const char *name, json_t *data)
{
	json_t *message = control_event_message(name, data);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	return text;
}

/* Has all clients that have negotiated sent it by @send. */
static void for_all(struct control *c, const char *text,
		    void (*send_text)(struct client *cl, const char *text))
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *cl = c->client[i];

		if (!cl || !cl->negotiated)
			continue;
		send_text(cl, text);
		if (!cl->busy)
			client_settle(cl);
	}
}

void control_event(struct control *c, const char *name, json_t *data)
{
	char *text;

	if (!c) {
		json_decref(data);
		return;
	}
	text = event_text(name, data);
	for_all(c, text, client_send_text);
	free(text);
}

/* At once if it keeps up, else when it does. */
static void client_send_state(struct client *cl, const char *text)
{
	if (text)
		cl->state_due = true;
	else
		cl->dead = true;
	client_push(cl);
}

void control_state(struct control *c, const char *name, json_t *data)
{
	if (!c) {
		json_decref(data);
		return;
	}
	free(c->state);
	c->state = event_text(name, data);
	for_all(c, c->state, client_send_state);
}
