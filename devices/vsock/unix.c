// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AF_UNIX back-end, the listening side: accepts clients while the gate is
 * open, reads their CONNECT line, hands them on to unix_stream.c.
 *
 * Loop thread.
 *
 * The line is looked at with MSG_PEEK and taken up to its newline and no
 * further, however it is cut into pieces: what follows is data and stays in
 * the socket until the guest wants it, and so does the newline (unix_read.c).
 * While the gate is shut nobody is accepted; clients wait in the listen backlog
 * without noticing. Those that were accepted before it shut wait like them,
 * whatever they say meanwhile.
 *
 * When descriptors are short, clients stay in the backlog as well: accepting
 * rests until there are some.
 *
 * A client that says nothing has ten seconds. Once all places are taken, one
 * that has been silent for a second has to give its place to the next in the
 * backlog, the oldest first.
 */
#include "devices/vsock/unix.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/log.h"

/* "CONNECT 4294967295\r\n" and some blanks to spare. */
#define HELLO_MAX	64
#define PORT_SUFFIX	11	/* "_4294967295" */

/**
 * struct client - accepted, has not said CONNECT
 * @door: where it came in
 * @source: its socket
 * @timer: its grace, then the rest of its patience
 * @events: of its socket, so far
 * @replaceable: its grace is over
 * @link: in unx->clients
 */
struct client {
	struct vsock_unix_door *door;
	struct loop_source source;
	struct loop_timer timer;
	uint32_t events;
	bool replaceable;
	struct list_node link;
};

static struct client *oldest_client(struct vsock_unix *unx)
{
	return list_entry(unx->clients.next, struct client, link);
}

/* Is there a place for one more, or somebody who may have to give his up? */
static bool has_place(struct vsock_unix *unx)
{
	return unx->count < unx->clients_max ||
	       oldest_client(unx)->replaceable;
}

/* Watches the listeners if clients may be accepted now. */
static void watch_doors(struct vsock_unix *unx)
{
	bool want = unx->open && !unx->rest.slot && has_place(unx);
	int err = 0;

	for (unsigned int i = 0; i < VSOCK_UNIX_DOORS; i++)
		if (unx->door[i].unx)
			err |= loop_modify(unx->loop, &unx->door[i].source,
					   want ? EPOLLIN : 0);
	if (err)
		log_guest(LOG_LEVEL_ERROR, "vsock: cannot watch %s",
			  unx->options->path);
}

/* Takes the client off the books; @fd stays open. */
static void forget_client(struct client *client)
{
	struct vsock_unix *unx = client->door->unx;

	loop_remove(unx->loop, &client->source);
	loop_timer_cancel(unx->loop, &client->timer);
	list_remove(&client->link);
	unx->count--;
	free(client);
	watch_doors(unx);
}

static void drop_client(struct client *client)
{
	int fd = client->source.fd;

	client->door->unx->refused++;
	forget_client(client);
	close(fd);
}

/*
 * Parses "CONNECT <port>", keyword in any case, blanks around.
 * Return: 0 or -EINVAL.
 */
static int parse_hello(const char *line, uint32_t *port)
{
	static const char keyword[] = "CONNECT";
	unsigned long long value;
	char *end;

	if (strncasecmp(line, keyword, sizeof(keyword) - 1))
		return -EINVAL;
	line += sizeof(keyword) - 1;
	if (*line != ' ' && *line != '\t')
		return -EINVAL;
	line += strspn(line, " \t");
	if (!isdigit((unsigned char)*line))
		return -EINVAL;
	errno = 0;
	value = strtoull(line, &end, 10);
	end += strspn(end, " \t\r");
	/* VMADDR_PORT_ANY is nobody's port. */
	if (errno || *end || value >= UINT32_MAX)
		return -EINVAL;
	*port = (uint32_t)value;
	return 0;
}

/*
 * Looks for the line. Return: 1 with the port, and how much of the line is left
 * in the socket (see unix_read.h); 0 not all there yet; negative errno: not a
 * client of ours.
 */
static int read_hello(int fd, uint16_t type, uint32_t *given, uint32_t *port)
{
	char line[HELLO_MAX + 1];
	char *newline;
	ssize_t got, len;

	/* MSG_TRUNC: the whole length of a message. */
	got = recv(fd, line, HELLO_MAX, MSG_PEEK | MSG_DONTWAIT |
		   (type == VSOCK_TYPE_SEQPACKET ? MSG_TRUNC : 0));
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (got == 0)
		return -ECONNRESET;
	if (got > HELLO_MAX)
		return -EMSGSIZE;
	newline = memchr(line, '\n', (size_t)got);
	if (!newline)
		return got < HELLO_MAX && type == VSOCK_TYPE_STREAM ? 0 :
		       -EMSGSIZE;
	len = newline - line + 1;
	/* Taking a part of a message would lose the rest. */
	if (type == VSOCK_TYPE_SEQPACKET && len != got)
		return -EINVAL;
	*given = type == VSOCK_TYPE_SEQPACKET ? (uint32_t)len : 1;
	len -= *given;
	if (len && recv(fd, line, (size_t)len, MSG_DONTWAIT) != len)
		return -EIO;
	*newline = '\0';
	if (strlen(line) != (size_t)(newline - line))
		return -EINVAL;
	return parse_hello(line, port) ? -EINVAL : 1;
}

/* What has it said? The client may be gone afterwards. */
static void hear_client(struct client *client)
{
	struct vsock_unix *unx = client->door->unx;
	int fd = client->source.fd;
	uint32_t given = 0, port = 0;
	int ret = read_hello(fd, client->door->type, &given, &port);

	/* A half line whose rest will never come. */
	if (ret == 0 && (client->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		ret = -ECONNRESET;
	if (ret < 0) {
		drop_client(client);
	} else if (ret > 0) {
		uint16_t type = client->door->type;

		forget_client(client);
		vsock_unix_adopt(unx, fd, given, port, type);
	}
}

static void on_client(struct loop_source *source, uint32_t events)
{
	struct client *client = list_entry(source, struct client, source);

	client->events |= events;
	/* While the gate is shut there is no guest to ask. */
	if (client->door->unx->open)
		hear_client(client);
}

static void on_hello_timeout(struct loop_timer *timer)
{
	struct client *client = list_entry(timer, struct client, timer);
	struct vsock_unix *unx = client->door->unx;

	/* Not its fault: it could not have been heard. */
	if (!unx->open && !loop_timer_arm(unx->loop, timer, unx->grace))
		return;
	if (client->replaceable || unx->hello_timeout <= unx->grace ||
	    loop_timer_arm(unx->loop, timer,
			   unx->hello_timeout - unx->grace)) {
		drop_client(client);
		return;
	}
	client->replaceable = true;
	watch_doors(unx);
}

static void add_client(struct vsock_unix_door *door, int fd)
{
	struct vsock_unix *unx = door->unx;
	uint32_t patience = unx->hello_timeout < unx->grace ?
			    unx->hello_timeout : unx->grace;
	struct client *client = NULL;
	uint32_t given = 0, port = 0;
	int ret = read_hello(fd, door->type, &given, &port);

	/* Most have said it when they are accepted: no need to watch them. */
	if (ret > 0) {
		vsock_unix_adopt(unx, fd, given, port, door->type);
		return;
	}
	if (!ret)
		client = calloc(1, sizeof(*client));
	if (!client) {
		unx->refused++;
		close(fd);
		return;
	}
	if (unx->count >= unx->clients_max)
		drop_client(oldest_client(unx));
	client->door = door;
	client->source.fd = fd;
	client->source.fn = on_client;
	client->timer.fn = on_hello_timeout;
	list_append(&unx->clients, &client->link);
	unx->count++;
	/* Edge-triggered: a half line is not looked at over and over. */
	if (loop_add(unx->loop, &client->source,
		     EPOLLIN | EPOLLRDHUP | EPOLLET) ||
	    loop_timer_arm(unx->loop, &client->timer, patience))
		drop_client(client);
}

static void on_rested(struct loop_timer *timer)
{
	watch_doors(list_entry(timer, struct vsock_unix, rest));
}

/* Out of descriptors, say: the client waits on, and so do we, not spinning. */
static void rest(struct vsock_unix *unx, int err)
{
	(void)loop_timer_arm(unx->loop, &unx->rest, VSOCK_UNIX_REST);
	if (!unx->short_of)
		log_guest(LOG_LEVEL_WARN, "vsock: clients of %s have to wait: "
			  "%s", unx->options->path, strerror(err));
	unx->short_of = true;
}

static void on_door(struct loop_source *source, uint32_t events)
{
	struct vsock_unix_door *door =
		list_entry(source, struct vsock_unix_door, source);
	struct vsock_unix *unx = door->unx;
	int fd;

	(void)events;
	if (!vsock_unix_affords(unx)) {
		rest(unx, EMFILE);
		watch_doors(unx);
		return;
	}
	/*
	 * One a turn; if there are more, the listener is still readable. To ask
	 * until EAGAIN is dear: accept() makes a socket before it looks.
	 */
	fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		unx->short_of = false;
		add_client(door, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		rest(unx, errno);
	}
	watch_doors(unx);
}

/* The gate has opened: those that came before it shut are the first. */
static void hear_clients(struct vsock_unix *unx)
{
	struct list_node *at = unx->clients.next;

	while (at != &unx->clients) {
		struct client *client = list_entry(at, struct client, link);

		at = at->next;
		hear_client(client);
	}
}

static void on_gate(struct vsock_backend *backend, bool open)
{
	struct vsock_unix *unx = list_entry(backend, struct vsock_unix,
					    backend);

	if (unx->open == open)
		return;
	unx->open = open;
	if (open)
		hear_clients(unx);
	watch_doors(unx);
}

static int open_door(struct vsock_unix *unx, struct vsock_unix_door *door,
		     const char *path, uint16_t type, struct fail *why)
{
	int err;

	door->listener = (struct unix_listener)UNIX_LISTENER_INIT;
	err = unix_socket_listen(path, type == VSOCK_TYPE_SEQPACKET ?
				 SOCK_SEQPACKET : SOCK_STREAM,
				 unx->options->mode, &door->listener, why);
	if (err)
		return fail_within(why, err, "vsock");
	door->unx = unx;
	door->type = type;
	door->source.fd = door->listener.fd;
	door->source.fn = on_door;
	return 0;
}

int vsock_unix_init_heir(struct vsock_unix *unx, struct loop *loop,
			 const struct vsock_unix_options *options,
			 struct fail *why)
{
	const char *slash = strrchr(options->path, '/');
	size_t name = strlen(slash ? slash + 1 : options->path);

	if (name > UNIX_SOCKET_NAME_MAX - PORT_SUFFIX)
		return fail(why, -ENAMETOOLONG,
			    "vsock socket %s: the name is %zu bytes long, at most %d expected (guest connections go to NAME_PORT)",
			    options->path, name,
			    UNIX_SOCKET_NAME_MAX - PORT_SUFFIX);
	list_init(&unx->clients);
	unx->backend.ops = &vsock_unix_ops;
	unx->backend.gate = on_gate;
	unx->loop = loop;
	unx->options = options;
	unx->clients_max = options->clients_max ? options->clients_max :
						  VSOCK_UNIX_CLIENTS_MAX;
	unx->rest.fn = on_rested;
	unx->hello_timeout = VSOCK_UNIX_HELLO_TIMEOUT;
	unx->grace = VSOCK_UNIX_GRACE;
	return 0;
}

int vsock_unix_init(struct vsock_unix *unx, struct loop *loop,
		    const struct vsock_unix_options *options,
		    struct fail *why)
{
	int err;

	err = vsock_unix_init_heir(unx, loop, options, why);
	if (err)
		return err;
	err = open_door(unx, &unx->door[0], options->path, VSOCK_TYPE_STREAM,
			why);
	if (!err && options->seqpacket)
		err = open_door(unx, &unx->door[1], options->seqpacket,
				VSOCK_TYPE_SEQPACKET, why);
	if (err)
		vsock_unix_destroy(unx);
	return err;
}

static void inherit_door(struct vsock_unix *unx, struct vsock_unix_door *door,
			 struct vsock_unix_door *from)
{
	loop_remove(unx->loop, &from->source);
	door->unx = unx;
	door->type = from->type;
	door->listener = from->listener;
	door->source.fd = door->listener.fd;
	door->source.fn = on_door;
	from->listener = (struct unix_listener)UNIX_LISTENER_INIT;
	from->unx = NULL;
}

void vsock_unix_inherit(struct vsock_unix *unx, struct vsock_unix *old)
{
	for (unsigned int i = 0; i < VSOCK_UNIX_DOORS; i++)
		if (old->door[i].unx)
			inherit_door(unx, &unx->door[i], &old->door[i]);
	while (!list_empty(&old->clients)) {
		struct client *client = list_entry(old->clients.next,
						   struct client, link);

		client->door = &unx->door[client->door - old->door];
		list_remove(&client->link);
		list_append(&unx->clients, &client->link);
	}
	unx->count = old->count;
	old->count = 0;
	unx->refused += old->refused;
	unx->ports_refused += old->ports_refused;
	unx->untold += old->untold;
	vsock_unix_inherit_streams(unx, old);
	watch_doors(unx);
}

void vsock_unix_destroy(struct vsock_unix *unx)
{
	if (!unx->loop)
		return;
	unx->open = false;
	while (!list_empty(&unx->clients))
		drop_client(list_entry(unx->clients.next, struct client, link));
	loop_timer_cancel(unx->loop, &unx->rest);
	for (unsigned int i = 0; i < VSOCK_UNIX_DOORS; i++) {
		struct vsock_unix_door *door = &unx->door[i];

		if (!door->unx)
			continue;
		loop_remove(unx->loop, &door->source);
		unix_listener_close(&door->listener);
		door->unx = NULL;
	}
	unx->loop = NULL;
}
