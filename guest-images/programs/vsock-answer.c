// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-answer: answers the calls of the guest's vsock-dial during one life of
 * the guest, and asks for the verdict on those that were under way when that
 * life began.
 *
 *	vsock-answer [OPTION]... PATH PORT
 *
 *	--life N	the number of the life (default 1)
 *	--backlog N	after the verdict, let no more than about so many
 *			calls wait, and accept them 300 ms apart
 *	--scale N	have N times as much patience
 *
 * PATH is the monitor's vsock socket. The program says "waiting" once it serves
 * PATH_PORT and has connected to PATH, and later, in one line,
 *
 *	connects=N served=N told=N hung=N late=N killed=N wrong=N slowest=SECONDS
 *
 * which is the guest's (see vsock-dial.c), but for killed: calls that were
 * accepted here, in this life, and have ended, but that no program of the guest
 * holds for served; those are not told. It goes on to serve until it is killed.
 *
 * Its patience: a call that is not answered or told a second after the guest
 * could be reached is late; five seconds after, it hangs. On a machine that has
 * too little to do all in that time, a call may take as long as there is
 * something to do: the seconds count only as far as a CPU had nothing; but
 * after a minute it hangs all the same.
 */
#include "vsock-dial.h"
#include <poll.h>
#include <sys/un.h>

#define CALLS_MAX	4096
#define REST_SECONDS	0.3
#define SETTLE_SECONDS	10	/* until the ends of calls have arrived */
#define LATE_SECONDS	1.0
#define HUNG_SECONDS	5.0
#define BUSY_SECONDS	60.0	/* so long at most, also without an idle CPU */

/**
 * struct caller - a connection that the guest made
 * @got: bytes of its word that have come
 */
struct caller {
	int fd;
	unsigned int got;
	uint64_t word;
};

/* The verdict's connection: monitor's answer, then the guest's line. */
static struct {
	int fd;
	size_t len;
	char text[VERDICT_MAX];
} verdict = { .fd = -1 };

static struct caller callers[CALLS_MAX];
static struct pollfd fds[CALLS_MAX + 2];
static unsigned int caller_count, accepted, backlog;
static int listener = -1;
static uint8_t life = 1;
static bool reluctant;		/* to accept: after the verdict, if asked to */
static double scale = 1;
static double reached, spared;	/* when the guest was; CPU time idle then */
static char said = LATE;	/* the next thing to say of what it takes */

/* Seconds in which CPUs of this machine had nothing to do, summed up. */
static double idle_seconds(void)
{
	unsigned long long user, nice, system, idle;
	FILE *stat = fopen("/proc/stat", "re");

	if (!stat || fscanf(stat, "cpu %llu %llu %llu %llu", &user, &nice,
			    &system, &idle) != 4)
		die("/proc/stat: no times of CPUs");
	fclose(stat);
	return (double)idle / (double)sysconf(_SC_CLK_TCK);
}

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr->sun_path))
		die("path '%s': longer than %zu bytes", path,
		    sizeof(addr->sun_path) - 1);
	strcpy(addr->sun_path, path);
	return fd;
}

static void serve(const char *path, uint32_t port)
{
	char name[256];
	struct sockaddr_un addr;

	snprintf(name, sizeof(name), "%s_%u", path, port);
	listener = unix_socket(name, &addr);
	unlink(name);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, CALLS_MAX) ||
	    fcntl(listener, F_SETFL, O_NONBLOCK))
		die("listen on '%s': %s", name, strerror(errno));
}

/* It waits in the monitor's backlog until the guest can be reached. */
static void ask(const char *path, uint32_t port)
{
	struct sockaddr_un addr;

	verdict.fd = unix_socket(path, &addr);
	if (connect(verdict.fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect to '%s': %s", path, strerror(errno));
	dprintf(verdict.fd, "CONNECT %u\n%c", port, life);
}

static void accept_calls(void)
{
	while (caller_count < CALLS_MAX) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		accepted++;
		callers[caller_count++] = (struct caller){ .fd = fd };
		/* Into a new socket it fits, unless that has ended. */
		(void)!send(fd, &life, 1, MSG_NOSIGNAL);
	}
}

/* Returns false once the call has ended. */
static bool answer(struct caller *caller)
{
	char *word = (char *)&caller->word;
	ssize_t n = recv(caller->fd, word + caller->got,
			 sizeof(caller->word) - caller->got, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	/* What comes when the word is complete is the end. */
	if (!n)
		return false;
	caller->got += n;
	if (caller->got < sizeof(caller->word))
		return true;
	caller->got = 0;
	return send(caller->fd, word, sizeof(caller->word), MSG_NOSIGNAL) ==
	       sizeof(caller->word);
}

/* Waits for something to do, and does it; for so many seconds at most. */
static void turn(double seconds)
{
	unsigned int count = caller_count;

	for (unsigned int i = 0; i < count; i++)
		fds[i] = (struct pollfd){ callers[i].fd, POLLIN, 0 };
	fds[count] = (struct pollfd){ reluctant ? -1 : listener, POLLIN, 0 };
	fds[count + 1] = (struct pollfd){ verdict.fd, POLLIN, 0 };
	if (poll(fds, count + 2, (int)(seconds * 1e3) + 1) < 0 &&
	    errno != EINTR)
		die("poll: %s", strerror(errno));
	/* From the end: the last one takes the place of one that has ended. */
	for (unsigned int i = count; i-- > 0;) {
		if (!fds[i].revents || answer(&callers[i]))
			continue;
		close(callers[i].fd);
		callers[i] = callers[--caller_count];
	}
	if (!reluctant)
		accept_calls();
}

/* Returns true once the guest's line is there. */
static bool hear_verdict(void)
{
	ssize_t n = recv(verdict.fd, verdict.text + verdict.len,
			 sizeof(verdict.text) - 1 - verdict.len, MSG_DONTWAIT);
	char *line;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		die("no verdict: %s", n ? strerror(errno) : "the guest ended it");
	verdict.len += n;
	verdict.text[verdict.len] = '\0';
	line = strchr(verdict.text, '\n');
	if (line && !reached) {
		reached = now_seconds();
		spared = idle_seconds();
	}
	return line && strchr(line + 1, '\n');
}

/* What has not been answered, after so long: is it late, does it hang? */
static void lose_patience(void)
{
	double wall = (now_seconds() - reached) / scale;
	double idle = (idle_seconds() - spared) / scale;
	double taken = wall < idle ? wall : idle;

	if (!reached || !said)
		return;
	if (taken < (said == LATE ? LATE_SECONDS : HUNG_SECONDS) &&
	    wall < BUSY_SECONDS)
		return;
	(void)!send(verdict.fd, &said, 1, MSG_NOSIGNAL);
	said = said == LATE ? ENOUGH : 0;
}

static void say_verdict(void)
{
	char *line = strchr(verdict.text, '\n') + 1;
	unsigned int served, told, hung, late, wrong, killed;
	double slowest, end = now_seconds() + SETTLE_SECONDS;

	if (memcmp(verdict.text, "OK ", 3) ||
	    sscanf(line, "served=%u told=%u hung=%u late=%u wrong=%u slowest=%lf",
		   &served, &told, &hung, &late, &wrong, &slowest) != 6)
		die("no verdict, but '%s'", verdict.text);
	printf("answered after %.3f s, of which a CPU was idle %.3f s\n",
	       now_seconds() - reached, idle_seconds() - spared);
	while (caller_count > hung && now_seconds() < end)
		turn(0.1);
	killed = accepted - caller_count;
	killed = killed > served ? killed - served : 0;
	printf("connects=%u served=%u told=%u hung=%u late=%u killed=%u wrong=%u slowest=%.3f\n",
	       served + told + hung + wrong, served,
	       told > killed ? told - killed : 0, hung, late, killed, wrong,
	       slowest);
	fflush(stdout);
}

/* Calls come into a full backlog from now on. */
static void become_reluctant(void)
{
	reluctant = true;
	if (listen(listener, (int)backlog))
		die("listen: %s", strerror(errno));
}

static void run(void)
{
	while (!hear_verdict()) {
		lose_patience();
		turn(0.05);
	}
	say_verdict();
	if (backlog)
		become_reluctant();
	/* The guest goes on. */
	close(verdict.fd);
	verdict.fd = -1;
	for (;;) {
		double end = now_seconds() + REST_SECONDS;

		while (now_seconds() < end)
			turn(end - now_seconds());
		accept_calls();
	}
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
		const char *name = argv[i];

		if (++i == argc)
			die("%s: expected a value", name);
		if (!strcmp(name, "--life"))
			life = parse_number(name, argv[i], 255);
		else if (!strcmp(name, "--backlog"))
			backlog = parse_number(name, argv[i], CALLS_MAX);
		else if (!strcmp(name, "--scale"))
			scale = parse_number(name, argv[i], 1000);
		else
			die("%s: unknown option", name);
	}
	if (i + 2 != argc)
		die("usage: vsock-answer [OPTION]... PATH PORT");
	raise_file_limit();
	serve(argv[i], parse_port(argv[i + 1]));
	ask(argv[i], parse_port(argv[i + 1]));
	puts("waiting");
	fflush(stdout);
	run();
}
