// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Child processes and the watchdog over them. See worker.h.
 */
#include "tests/bench/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define STALLED_AFTER_S	10
#define STOP_TRIES	200
#define STOP_PAUSE_US	10000

struct bench_shared *bench_shared;

uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) +
	       (uint64_t)ts.tv_nsec;
}

void bench_die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

void worker_start(struct worker *w, const char *name, worker_fn *fn,
		  void *arg)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		bench_die("socketpair: %s", strerror(errno));
	fflush(NULL);
	w->name = name;
	w->pid = fork();
	if (w->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (!w->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		if (getppid() != parent)
			_exit(1);
		close(pair[0]);
		fn(pair[1], arg);
		exit(0);
	}
	close(pair[1]);
	w->ctl = pair[0];
}

void worker_stop(struct worker *w)
{
	if (w->ctl >= 0)
		close(w->ctl);
	w->ctl = -1;
	if (!w->pid)
		return;
	kill(w->pid, SIGTERM);
	for (int i = 0; i < STOP_TRIES; i++) {
		if (waitpid(w->pid, NULL, WNOHANG))
			goto gone;
		usleep(STOP_PAUSE_US);
	}
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
gone:
	w->pid = 0;
}

void worker_order(const struct worker *w, uint64_t amount)
{
	/* A worker that has ended is noticed when its answer is waited for. */
	(void)send(w->ctl, &amount, sizeof(amount), MSG_NOSIGNAL);
}

int worker_wait(const struct worker *w, struct worker_answer *answer)
{
	uint64_t seen = __atomic_load_n(&bench_shared->progress,
					__ATOMIC_RELAXED);
	struct pollfd poll_fd = { .fd = w->ctl, .events = POLLIN };
	int idle = 0;

	while (poll(&poll_fd, 1, 1000) <= 0) {
		uint64_t now = __atomic_load_n(&bench_shared->progress,
					       __ATOMIC_RELAXED);

		idle = now == seen ? idle + 1 : 0;
		seen = now;
		if (idle >= STALLED_AFTER_S)
			return -ETIMEDOUT;
	}
	if (recv(w->ctl, answer, sizeof(*answer), 0) != sizeof(*answer))
		return -EPIPE;
	return 0;
}

uint64_t worker_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (!pid || clock_getcpuclockid(pid, &clock) ||
	    clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) +
	       (uint64_t)ts.tv_nsec;
}

void worker_answer(int ctl, const struct worker_answer *answer)
{
	if (send(ctl, answer, sizeof(*answer), MSG_NOSIGNAL) !=
	    sizeof(*answer))
		_exit(1);
}

bool worker_next(int ctl, uint64_t *amount)
{
	return recv(ctl, amount, sizeof(*amount), 0) == sizeof(*amount);
}
