// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-dial: each of CLIENTS processes calls a port of the host, where
 * vsock-answer is, again and again, also while the guest is saved and after it
 * was restored; and what became of each call.
 *
 *	vsock-dial [--background] PORT CLIENTS
 *
 * Every other client is a reader: once connected it waits for the host to say
 * something, for as long as it takes. No timeout of the kernel's ends a call:
 * who is not answered hangs.
 *
 * A restored guest is asked for its verdict (see vsock-dial.h) as soon as
 * anything can reach it. It says
 *
 *	served=N told=N hung=N late=N wrong=N slowest=SECONDS
 *
 * served: complete, in the life that asks. told: ended by an error or by an end
 * of file, since the verdict before. hung: neither, as long as the host cared to
 * wait. late: one or the other, but too late by the host's word. slowest: how
 * long after the question the last of them was. Of those hung or late there is
 * a line each on standard output.
 *
 * Run in the test guest by tests/migration/storm.test.sh.
 */
#include "vsock-dial.h"
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CLIENTS_MAX	1024
#define CONNECT_SECONDS	3600	/* as good as for ever */
#define PATIENCE_US	20000	/* until one that was told calls again */
#define LOOK_MS		20

enum phase {
	IDLE,
	CONNECTING,
	READING,	/* connected: whatever comes next */
};

static const char *const phase_names[] = { "idle", "connecting", "reading" };
_Static_assert(sizeof(phase_names) / sizeof(phase_names[0]) == READING + 1,
	       "a name for each phase");

/**
 * struct client - what its process says of itself; the judge reads it
 * @pid: the process; the judge's own
 * @phase: of the call under way
 * @began: when that one did, CLOCK_MONOTONIC in seconds
 * @ended: when the last one did
 * @life: in which it was served last
 * @served: how often, in that life
 * @told: calls that were told
 * @wrong: calls answered with something else
 * @late: the call under way is, or was; the judge's own
 * @how: the name of the last one's error
 */
struct client {
	pid_t pid;
	_Atomic enum phase phase;
	double began;
	double ended;
	uint8_t life;
	unsigned int calls;
	unsigned int served;
	unsigned int told;
	unsigned int wrong;
	bool late;
	char how[24];
};

/* Shared by all processes. */
static struct {
	atomic_bool halt;	/* no calls but those under way */
	struct client client[CLIENTS_MAX];
} *board;

static unsigned int client_count;
static uint32_t host_port;
static int rest_pipe[2];	/* a byte of it ends the rest of one */

static int call_socket(void)
{
	struct timeval connect = { .tv_sec = CONNECT_SECONDS };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &connect,
		       sizeof(connect)))
		die("connect timeout: %s", strerror(errno));
	return fd;
}

/* Returns 0 if served, 1 if told, 2 if the answer was wrong. */
static int talk(int fd, unsigned int number, struct client *me, uint8_t *life)
{
	uint64_t word = call_word(number, me->calls), echo;

	if (number % 2)
		return read_all(fd, life, 1) ? 1 : 0;
	if (write_all(fd, &word, sizeof(word)) || read_all(fd, life, 1) ||
	    read_all(fd, &echo, sizeof(echo)))
		return 1;
	return echo == word ? 0 : 2;
}

static void call(unsigned int number, struct client *me)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = host_port,
	};
	uint8_t life = 0;
	int fd, end = 1;

	me->began = now_seconds();
	me->calls++;
	fd = call_socket();
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		me->phase = READING;
		end = talk(fd, number, me, &life);
	}
	if (end == 1) {
		snprintf(me->how, sizeof(me->how), "%s",
			 errno == ENODATA ? "EOF" : socket_error_name(fd, errno));
		me->told++;
	} else if (end) {
		me->wrong++;
	} else {
		if (me->life != life)
			me->served = 0;
		me->life = life;
		me->served++;
		strcpy(me->how, "served");
	}
	close(fd);
	me->ended = now_seconds();
	me->phase = IDLE;
	if (end)
		usleep(PATIENCE_US);
}

/*
 * A call is noted before the order to halt is looked at, and the judge gives
 * the order before it looks at the notes: no call goes unseen.
 */
static void client_main(unsigned int number)
{
	struct client *me = &board->client[number];
	char byte;

	for (;;) {
		me->phase = CONNECTING;
		if (!board->halt) {
			call(number, me);
			continue;
		}
		me->phase = IDLE;
		(void)!read(rest_pipe[0], &byte, 1);
	}
}

static void start_client(unsigned int number)
{
	struct client *client = &board->client[number];

	client->phase = IDLE;
	client->pid = fork();
	if (client->pid < 0)
		die("fork: %s", strerror(errno));
	if (!client->pid)
		client_main(number);
}

static unsigned int count_busy(void)
{
	unsigned int busy = 0;

	for (unsigned int i = 0; i < client_count; i++)
		busy += board->client[i].phase != IDLE;
	return busy;
}

static void note_late(void)
{
	for (unsigned int i = 0; i < client_count; i++)
		board->client[i].late = board->client[i].phase != IDLE;
}

/* Until nothing is under way, or the host has had enough. */
static void await_calls(int fd)
{
	struct pollfd host = { .fd = fd, .events = POLLIN };
	char byte;

	while (count_busy()) {
		if (poll(&host, 1, LOOK_MS) <= 0)
			continue;
		if (read(fd, &byte, 1) != 1 || byte == ENOUGH)
			return;
		if (byte == LATE)
			note_late();
	}
}

static void complain(unsigned int number, const char *what, double asked)
{
	const struct client *client = &board->client[number];
	bool idle = client->phase == IDLE;

	printf("%s %s %u: %s, began %.3f s before, took %.3f s\n", what,
	       number % 2 ? "reader" : "writer", number,
	       idle ? client->how : phase_names[client->phase],
	       asked - client->began,
	       (idle ? client->ended : now_seconds()) - asked);
}

/* What became of the calls that were under way when the host @asked. */
static void say_verdict(int fd, uint8_t life, double asked)
{
	unsigned int served = 0, told = 0, hung = 0, late = 0, wrong = 0;
	double slowest = 0;

	for (unsigned int i = 0; i < client_count; i++) {
		const struct client *client = &board->client[i];

		if (client->life == life)
			served += client->served;
		told += client->told;
		wrong += client->wrong;
		if (client->phase != IDLE) {
			hung++;
			complain(i, "hung", asked);
		} else if (client->late) {
			late++;
			complain(i, "late", asked);
		}
		if (client->ended - asked > slowest)
			slowest = client->ended - asked;
	}
	fflush(stdout);
	dprintf(fd, "served=%u told=%u hung=%u late=%u wrong=%u slowest=%.3f\n",
		served, told, hung, late, wrong, slowest);
}

static void go_on(void)
{
	for (unsigned int i = 0; i < client_count; i++) {
		struct client *client = &board->client[i];

		if (client->phase != IDLE) {
			kill(client->pid, SIGKILL);
			waitpid(client->pid, NULL, 0);
			start_client(i);
		}
		client->told = 0;
		client->wrong = 0;
		client->late = false;
	}
	board->halt = false;
	for (unsigned int i = 0; i < client_count; i++)
		(void)!write(rest_pipe[1], "", 1);
}

static void judge(int fd)
{
	double asked = now_seconds();
	uint8_t life;
	char byte;

	board->halt = true;
	if (!read_all(fd, &life, 1)) {
		await_calls(fd);
		say_verdict(fd, life, asked);
		while (read(fd, &byte, 1) > 0)
			;
	}
	go_on();
}

static void set_up(const char *port, const char *clients)
{
	host_port = parse_port(port);
	client_count = parse_number("clients", clients, CLIENTS_MAX);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (pipe2(rest_pipe, O_CLOEXEC) ||
	    fcntl(rest_pipe[1], F_SETFL, O_NONBLOCK))
		die("pipe: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	int listener;

	if (argc != 3 + background)
		die("usage: vsock-dial [--background] PORT CLIENTS");
	set_up(argv[1 + background], argv[2 + background]);
	listener = vsock_listen(host_port);
	if (background)
		go_background();
	/* Those that are there already would keep the others from being born. */
	board->halt = true;
	for (unsigned int i = 0; i < client_count; i++)
		start_client(i);
	go_on();
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		judge(fd);
		close(fd);
	}
}
