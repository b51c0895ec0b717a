// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-storm: clients of the host in numbers around a restore, each with
 * exchanges that are verified, and a verdict on every one of them; and the
 * server that the guest's vsock-insist wants.
 *
 *	vsock-storm [OPTION]... PATH PORT
 *
 * Connects to port PORT of the guest behind a monitor's socket, where an echo
 * server is expected, as soon as that socket is there.
 *
 *	--clients N	connections at once (default 64)
 *	--serve PORT	serve the guest's clients at PATH_PORT
 *	--guests N	at least so many of them (default 0)
 *	--deadline S	when whatever has not ended is hung (default 60)
 *	--place		the guest runs, and another is to be loaded in its place:
 *			connect to the first, say "holding", and connect anew
 *			once it is gone
 *
 * All connections are held open until each has had an answer, so that each is
 * there to be killed by a reset that comes late.  The program says "connected"
 * when all are, answered or not; and at the end
 *
 *	connects=C served=S refused=R hung=H killed=K wrong=W guests=G slowest=T
 *
 * C = S + R + H + K + W, G of them made by the guest.  Killed: OK came (of a
 * guest's: the host accepted it), but the end before the exchange was complete.
 * Refused: the end came first.  The exit status is 0 if H, K and W are.
 */
#include "vsock-storm.h"
#include <poll.h>
#include <sys/un.h>

#define PEERS_MAX	4096

enum state {
	IDLE,		/* to be connected */
	HALF,		/* has said half of CONNECT */
	HELLO,		/* waits for OK */
	FIRST,		/* first exchange */
	HOLD,		/* waits for the others */
	SECOND,		/* second exchange */
	SERVING,	/* of the guest: echo, and its verdict */
	DONE,
};

/**
 * struct peer - one connection
 * @id: what its data is made of
 * @old: connected with the machine that is to be replaced
 * @started: when it began to connect
 * @sent: bytes of data that went out
 * @got: that came in
 */
struct peer {
	int fd;
	enum state state;
	uint64_t id;
	bool old;
	double started;
	size_t sent;
	size_t got;
	char data[BYTES];
	char in[BYTES];
};

static struct peer peers[PEERS_MAX];
static struct pollfd fds[PEERS_MAX + 1];	/* the last: listener */
static unsigned int peer_count, client_count = 64;
static uint64_t next_id;
static unsigned int guests_wanted;
static const char *path;
static char serve_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static int listener = -1;
static uint32_t guest_port;
static bool placing, old_life, met, told_connected, told_holding;
static struct {
	unsigned int connects, served, refused, hung, killed, wrong, guests;
	unsigned int ended;		/* with the machine before */
	double slowest;
} sum;

static void unix_address(struct sockaddr_un *addr, const char *name)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(name) >= sizeof(addr->sun_path))
		die("path '%s': longer than %zu bytes", name,
		    sizeof(addr->sun_path) - 1);
	strcpy(addr->sun_path, name);
}

static bool is_client(const struct peer *peer)
{
	return peer < peers + client_count;
}

static const char *const state_names[] = {
	"idle", "half", "hello", "first", "hold", "second", "serving", "done",
};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == DONE + 1,
	       "a name for each state");

static void complain(const struct peer *peer, const char *what)
{
	printf("%s %s %zu %s: state %s, %zu bytes sent, %zu received, after %.3f s\n",
	       peer->old ? "old" : "new", is_client(peer) ? "client" : "guest",
	       (size_t)(peer - peers), what, state_names[peer->state],
	       peer->sent, peer->got, now_seconds() - peer->started);
}

/* Its life is over: counted, unless it was of the machine before. */
static void conclude(struct peer *peer, unsigned int *count, const char *what)
{
	double took = now_seconds() - peer->started;

	if (what)
		complain(peer, what);
	if (peer->old && count != &sum.hung && count != &sum.wrong) {
		sum.ended++;
	} else {
		++*count;
		sum.connects++;
		if (!is_client(peer))
			sum.guests++;
		if (took > sum.slowest)
			sum.slowest = took;
	}
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->state = DONE;
}

static void start_exchange(struct peer *peer, enum state state)
{
	peer->state = state;
	peer->id = next_id++;
	peer->sent = 0;
	peer->got = 0;
	fill(peer->data, peer->id);
}

static void say(struct peer *peer, const char *text)
{
	/* What does not go out into a new socket is an end, seen by poll. */
	(void)!send(peer->fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_hello(struct peer *peer, bool whole)
{
	char line[32];

	snprintf(line, sizeof(line), "%s %u\n",
		 peer->state == HALF ? "" : "CONNECT", guest_port);
	peer->got = 0;
	peer->state = whole ? HELLO : HALF;
	say(peer, whole ? line : "CONNECT");
}

/* Clients of --place that are in the door when the machine is replaced. */
static bool is_half(const struct peer *peer)
{
	return placing && (peer - peers) % 4 == 3;
}

static void try_connect(struct peer *peer)
{
	struct sockaddr_un addr;

	if (peer->fd < 0)
		peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
				  SOCK_CLOEXEC, 0);
	if (peer->fd < 0)
		die("socket: %s", strerror(errno));
	unix_address(&addr, path);
	if (!connect(peer->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		met = true;
		peer->started = now_seconds();
		peer->old = old_life && !is_half(peer);
		say_hello(peer, !(old_life && is_half(peer)));
	} else if (met && errno != EAGAIN) {
		peer->started = now_seconds();
		conclude(peer, &sum.refused, strerrorname_np(errno));
	}
	/* EAGAIN: the backlog is full; else it is not there yet. */
}

static void accept_guests(void)
{
	int fd;

	while (peer_count < PEERS_MAX &&
	       (fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *peer = &peers[peer_count++];

		*peer = (struct peer){
			.fd = fd,
			.state = SERVING,
			.old = old_life,
			.started = now_seconds(),
		};
		say(peer, (char []){ GREETING, '\0' });
	}
}

/* The machine before is gone, and makes no more connections. */
static void next_life(void)
{
	if (!old_life)
		return;
	if (listener >= 0)
		accept_guests();
	old_life = false;
	for (unsigned int i = 0; i < client_count; i++)
		if (peers[i].state == HALF)
			say_hello(&peers[i], true);
}

/* The other side has ended it, or an error has. */
static void ended(struct peer *peer, const char *how)
{
	if (is_client(peer) && peer->old && peer->state == HOLD) {
		conclude(peer, &sum.refused, NULL);
		next_life();
		peer->old = false;
		peer->state = IDLE;
		try_connect(peer);
	} else if (is_client(peer) && peer->state <= HELLO) {
		conclude(peer, &sum.refused, how);
	} else {
		conclude(peer, &sum.killed, peer->old ? NULL : how);
	}
}

/* The line is read byte by byte: data may follow. */
static void read_ok(struct peer *peer)
{
	while (peer->got < 31) {
		ssize_t n = recv(peer->fd, peer->in + peer->got, 1, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			ended(peer, n ? strerrorname_np(errno) : "EOF");
			return;
		}
		if (peer->in[peer->got++] == '\n')
			break;
	}
	if (peer->got < 5 || memcmp(peer->in, "OK ", 3) ||
	    peer->in[peer->got - 1] != '\n')
		conclude(peer, &sum.wrong, "no OK");
	else
		start_exchange(peer, FIRST);
}

/* Sends what it has of a connection's data. Returns false: it is over. */
static bool push(struct peer *peer, size_t upto)
{
	while (peer->sent < upto) {
		ssize_t n = send(peer->fd, peer->data + peer->sent,
				 upto - peer->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			ended(peer, strerrorname_np(errno));
			return false;
		}
		peer->sent += n;
	}
	return true;
}

/* Returns bytes that came, 0: none now, -1: it is over. */
static ssize_t pull(struct peer *peer, char *to, size_t room)
{
	ssize_t n = recv(peer->fd, to, room, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0)
		return n;
	ended(peer, n ? strerrorname_np(errno) : "EOF");
	return -1;
}

static void run_client(struct peer *peer)
{
	ssize_t n;
	char byte;

	if (peer->state == HALF || peer->state == HOLD) {
		if (pull(peer, &byte, 1) > 0)
			conclude(peer, &sum.wrong, "nothing was asked");
		return;
	}
	if (peer->state == HELLO)
		read_ok(peer);
	if (peer->state != FIRST && peer->state != SECOND)
		return;
	if (!push(peer, BYTES))
		return;
	n = pull(peer, peer->in + peer->got, BYTES - peer->got);
	if (n <= 0)
		return;
	peer->got += n;
	if (memcmp(peer->in, peer->data, peer->got))
		conclude(peer, &sum.wrong, "data");
	else if (peer->got == BYTES && peer->state == FIRST)
		peer->state = HOLD;
	else if (peer->got == BYTES)
		conclude(peer, &sum.served, NULL);
}

static void run_guest(struct peer *peer)
{
	char byte = 0;
	ssize_t n = 0;

	if (peer->got < BYTES) {
		n = pull(peer, peer->data + peer->got, BYTES - peer->got);
		if (n < 0)
			return;
		peer->got += n;
	}
	if (!push(peer, peer->got) || peer->got < BYTES)
		return;
	n = pull(peer, &byte, 1);
	if (n <= 0)
		return;
	if (byte == GOOD)
		conclude(peer, &sum.served, NULL);
	else
		conclude(peer, &sum.wrong, "data");
}

static unsigned int clients_in(enum state state)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < client_count; i++)
		count += peers[i].state == state;
	return count;
}

static void announce(bool *told, const char *what)
{
	if (!*told)
		puts(what);
	fflush(stdout);
	*told = true;
}

/* What all together have come to: connected, holding, going on. */
static void look_at_all(void)
{
	unsigned int waiting = clients_in(IDLE) + clients_in(HELLO) +
			       clients_in(FIRST);

	if (!clients_in(IDLE) && !old_life)
		announce(&told_connected, "connected");
	if (waiting)
		return;
	if (old_life) {
		announce(&told_holding, "holding");
		return;
	}
	if (clients_in(HALF))
		return;
	for (unsigned int i = 0; i < client_count; i++)
		if (peers[i].state == HOLD && !peers[i].old)
			start_exchange(&peers[i], SECOND);
}

/* Which is over when all clients are, and enough of the guest's. */
static bool is_over(void)
{
	if (clients_in(DONE) < client_count || sum.guests < guests_wanted)
		return false;
	if (listener >= 0) {
		/* Nobody can come any more; those that did are served. */
		unlink(serve_path);
		accept_guests();
		close(listener);
		listener = -1;
	}
	for (unsigned int i = client_count; i < peer_count; i++)
		if (peers[i].state != DONE)
			return false;
	return true;
}

static short wanted(const struct peer *peer)
{
	bool more = peer->state == SERVING ? peer->sent < peer->got :
		    (peer->state == FIRST || peer->state == SECOND) &&
		    peer->sent < BYTES;

	return POLLIN | (more ? POLLOUT : 0);
}

static void turn(void)
{
	unsigned int count = peer_count;
	bool idle = false;

	for (unsigned int i = 0; i < client_count; i++) {
		if (peers[i].state == IDLE)
			try_connect(&peers[i]);
		idle |= peers[i].state == IDLE;
	}
	look_at_all();
	for (unsigned int i = 0; i < count; i++) {
		bool out = peers[i].state == IDLE || peers[i].state == DONE;

		fds[i].fd = out ? -1 : peers[i].fd;
		fds[i].events = wanted(&peers[i]);
		fds[i].revents = 0;
	}
	fds[count].fd = peer_count < PEERS_MAX ? listener : -1;
	fds[count].events = POLLIN;
	/* A path that is to appear, a backlog with room, have no event. */
	if (poll(fds, count + 1, idle ? 2 : 200) < 0 && errno != EINTR)
		die("poll: %s", strerror(errno));
	for (unsigned int i = 0; i < count; i++) {
		if (!(fds[i].revents || peers[i].state == SECOND))
			continue;
		if (peers[i].state == IDLE || peers[i].state == DONE)
			continue;
		if (is_client(&peers[i]))
			run_client(&peers[i]);
		else
			run_guest(&peers[i]);
	}
	if (listener >= 0)
		accept_guests();
}

/* Those that ended give their places to others. */
static void tidy(void)
{
	for (unsigned int i = peer_count; i-- > client_count;)
		if (peers[i].state == DONE)
			peers[i] = peers[--peer_count];
}

static void serve(const char *port)
{
	struct sockaddr_un addr;

	if (snprintf(serve_path, sizeof(serve_path), "%s_%u", path,
		     parse_port(port)) >= (int)sizeof(serve_path))
		die("path '%s_%s': too long", path, port);
	unlink(serve_path);
	unix_address(&addr, serve_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			  0);
	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 1024))
		die("listen on '%s': %s", serve_path, strerror(errno));
}

static int storm(double deadline)
{
	peer_count = client_count;
	next_id = (uint64_t)getpid() << 32;
	old_life = placing;
	for (unsigned int i = 0; i < client_count; i++)
		peers[i].fd = -1;
	deadline += now_seconds();
	while (!is_over() && now_seconds() < deadline) {
		turn();
		tidy();
	}
	for (unsigned int i = 0; i < peer_count; i++)
		if (peers[i].state != DONE)
			conclude(&peers[i], &sum.hung, "hung");
	if (listener >= 0)
		unlink(serve_path);
	if (sum.ended)
		printf("with the machine before ended %u\n", sum.ended);
	printf("connects=%u served=%u refused=%u hung=%u killed=%u wrong=%u guests=%u slowest=%.3f\n",
	       sum.connects, sum.served, sum.refused, sum.hung, sum.killed,
	       sum.wrong, sum.guests, sum.slowest);
	return sum.hung || sum.killed || sum.wrong;
}

int main(int argc, char **argv)
{
	const char *port = NULL;
	double deadline = 60;
	int i;

	for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
		const char *name = argv[i];

		if (!strcmp(name, "--place")) {
			placing = true;
			continue;
		}
		if (++i == argc)
			die("%s: expected a value", name);
		if (!strcmp(name, "--clients"))
			client_count = parse_number(name, argv[i],
						    PEERS_MAX / 2);
		else if (!strcmp(name, "--guests"))
			guests_wanted = parse_number(name, argv[i], 1000000);
		else if (!strcmp(name, "--deadline"))
			deadline = parse_number(name, argv[i], 86400);
		else if (!strcmp(name, "--serve"))
			port = argv[i];
		else
			die("%s: unknown option", name);
	}
	if (i + 2 != argc)
		die("usage: vsock-storm [OPTION]... PATH PORT");
	path = argv[i];
	guest_port = parse_port(argv[i + 1]);
	raise_file_limit();
	if (port)
		serve(port);
	/* The machine may be started now: its guest finds us. */
	puts("serving");
	fflush(stdout);
	return storm(deadline);
}
