// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puts the processes of a measure together, and has them do a round. Runs in
 * the first process. See bed.h.
 */
#include "tests/bench/bed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PINGS		10000u
#define CONNECTS	2000u
#define GIB		(1024.0 * 1024.0 * 1024.0)
#define MIB		(1024.0 * 1024.0)

/**
 * struct program - for worker_start(): another program
 * @argv: its arguments
 */
struct program {
	const char *argv[16];
};

static void program_main(int ctl, void *arg)
{
	const struct program *program = arg;

	(void)ctl;
	execv(program->argv[0], (char **)(uintptr_t)program->argv);
	bench_die("%s: %s", program->argv[0], strerror(errno));
}

static bool is_bulk(const struct bench_measure *measure)
{
	return measure->kind == BENCH_TO_HOST ||
	       measure->kind == BENCH_TO_GUEST || measure->kind == BENCH_ECHO;
}

/* The reference is one pair of sockets, whatever it is compared with. */
static unsigned int bed_conns(const struct bed *bed)
{
	return bed->kind == BED_AF_UNIX ? 1 : bed->measure->conns;
}

/* Bytes of a connection, or how often. */
static uint64_t round_amount(const struct bed *bed,
			     const struct bench_options *options)
{
	const struct bench_measure *measure = bed->measure;
	uint64_t amount;

	if (measure->kind == BENCH_PING)
		return PINGS;
	if (!is_bulk(measure))
		return CONNECTS;
	amount = (uint64_t)options->mib << 20;
	/* Rates are compared: who takes longer may do less. */
	if (measure->kind == BENCH_ECHO)
		amount /= 2;
	if (bed->kind == BED_PEER)
		amount /= 4;
	amount /= bed_conns(bed) * measure->chunk;
	return (amount ? amount : 1) * measure->chunk;
}

static void start_app(struct worker *w, struct app *app)
{
	static const char *const names[] = {
		[APP_SOURCE] = "source", [APP_SINK] = "sink",
		[APP_ECHO_CLIENT] = "echo client",
		[APP_ECHO_SERVER] = "echo server",
		[APP_PING] = "ping", [APP_RELAY_HOST] = "relay",
		[APP_RELAY_GUEST] = "relay end", [APP_CONNECT] = "connector",
		[APP_ACCEPT] = "acceptor",
	};

	worker_start(w, names[app->role], app_main, app);
}

/* Two applications, and two processes between them for the relay chain. */
static void start_af_unix(struct bed *bed)
{
	const struct bench_measure *measure = bed->measure;
	static struct app a, b, c;
	enum app_role role[2];
	int pair[2];

	switch (measure->kind) {
	case BENCH_TO_HOST:
	case BENCH_TO_GUEST:
		role[0] = APP_SOURCE;
		role[1] = APP_SINK;
		break;
	case BENCH_ECHO:
		role[0] = APP_ECHO_CLIENT;
		role[1] = APP_ECHO_SERVER;
		break;
	case BENCH_PING:
		role[0] = APP_PING;
		role[1] = APP_RELAY_HOST;
		break;
	case BENCH_CONNECT_HOST:
	case BENCH_CONNECT_GUEST:
	case BENCH_IDLE:
	default:
		role[0] = APP_CONNECT;
		role[1] = APP_ACCEPT;
		break;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		bench_die("socketpair: %s", strerror(errno));
	app_init(&a, role[0], 1, measure->chunk);
	app_init(&b, role[1], 1, measure->chunk);
	a.stream[0].fd = pair[0];
	b.stream[0].fd = pair[1];
	if (role[0] == APP_CONNECT) {
		a.path = bed->listen_path;
		b.listener = app_listen(bed->listen_path);
		/* Either side's connects: asked for, granted, ended. */
		b.hello = true;
		b.count = 0;
	}
	if (role[1] == APP_RELAY_HOST) {
		b.kick = eventfd(0, EFD_CLOEXEC);
		b.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		app_init(&c, APP_RELAY_GUEST, 0, 0);
		c.kick = b.kick;
		c.irq = b.irq;
		start_app(&bed->device, &c);
	}
	start_app(&bed->other, &b);
	start_app(&bed->app, &a);
	if (b.kick >= 0) {
		close(b.kick);
		close(b.irq);
	}
	close(pair[0]);
	close(pair[1]);
	if (b.listener >= 0)
		close(b.listener);
}

/* The host's application beside a device. */
static void start_host_app(struct bed *bed, int listener)
{
	const struct bench_measure *measure = bed->measure;
	static struct app app;
	enum app_role role = APP_SINK;
	unsigned int count = measure->conns;

	switch (measure->kind) {
	case BENCH_TO_HOST:
	case BENCH_IDLE:
		break;
	case BENCH_TO_GUEST:
		role = APP_SOURCE;
		break;
	case BENCH_ECHO:
		role = APP_ECHO_CLIENT;
		break;
	case BENCH_PING:
		role = APP_PING;
		break;
	case BENCH_CONNECT_HOST:
		role = APP_CONNECT;
		break;
	case BENCH_CONNECT_GUEST:
		role = APP_ACCEPT;
		break;
	}
	app_init(&app, role, count, measure->chunk);
	app.listener = listener;
	app.path = bed->uds;
	start_app(&bed->app, &app);
	close(listener);
}

static void start_ours(struct bed *bed, const struct bench_options *options)
{
	static struct device_order order;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		bench_die("socketpair: %s", strerror(errno));
	order = (struct device_order){
		.measure = bed->measure,
		.queue_size = options->queue_size,
		.path = bed->uds,
		.guest_ctl = pair[1],
	};
	worker_start(&bed->device, "device", device_main, &order);
	close(pair[1]);
	bed->other = (struct worker){ .ctl = pair[0], .name = "guest" };
	bed->device_pid = bed->device.pid;
}

static void start_peer(struct bed *bed, const struct bench_options *options)
{
	static struct device_order order;
	static struct program program;
	static char socket_path[108], size[12];

	order = (struct device_order){
		.measure = bed->measure,
		.queue_size = options->queue_size,
		.vhost_user = options->vhost_user,
	};
	if (options->peer) {
		snprintf(socket_path, sizeof(socket_path), "%s/vhost",
			 options->dir);
		snprintf(size, sizeof(size), "%u", options->queue_size);
		unlink(socket_path);
		order.vhost_user = socket_path;
		program = (struct program){ .argv = {
			options->peer, "--guest-cid", "3",
			"--socket", socket_path, "--uds-path", bed->uds,
			"--queue-size", size,
		} };
		worker_start(&bed->device, "peer", program_main, &program);
	}
	worker_start(&bed->other, "guest", vhost_user_main, &order);
}

int bed_start(struct bed *bed, enum bed_kind kind,
	      const struct bench_measure *measure,
	      const struct bench_options *options)
{
	static const char *const names[BED_KINDS] = {
		[BED_OURS] = "ours", [BED_AF_UNIX] = "unix",
		[BED_PEER] = "peer",
	};
	struct worker_answer answer = { 0 };
	int err, listener;

	*bed = (struct bed){
		.kind = kind, .measure = measure,
		.app = WORKER_NONE, .other = WORKER_NONE,
		.device = WORKER_NONE,
	};
	bed->guest_begins = kind != BED_AF_UNIX &&
			    (measure->kind == BENCH_TO_HOST ||
			     measure->kind == BENCH_CONNECT_GUEST);
	bed->foreign = kind == BED_PEER && options->uds;
	if (bed->foreign)
		snprintf(bed->uds, sizeof(bed->uds), "%s", options->uds);
	else
		snprintf(bed->uds, sizeof(bed->uds), "%s/%s", options->dir,
			 names[kind]);
	snprintf(bed->listen_path, sizeof(bed->listen_path), "%s_%u",
		 bed->uds, BENCH_PORT);
	if (kind == BED_AF_UNIX) {
		start_af_unix(bed);
	} else {
		listener = app_listen(bed->listen_path);
		if (kind == BED_OURS)
			start_ours(bed, options);
		else
			start_peer(bed, options);
		start_host_app(bed, listener);
	}
	err = worker_wait(&bed->other, &answer);
	if (!err && kind == BED_PEER)
		bed->device_pid = (pid_t)answer.value;
	if (!err)
		err = worker_wait(&bed->app, &answer);
	if (!err && kind == BED_AF_UNIX && bed->device.ctl >= 0)
		err = worker_wait(&bed->device, &answer);
	return err;
}

static void take_result(const struct bed *bed, uint64_t amount, double seconds,
			uint64_t median_ns, uint64_t cpu_ns,
			struct bed_result *result)
{
	double bytes = (double)amount * bed_conns(bed);

	result->cpu_s_per_gib = 0;
	if (bed->measure->kind == BENCH_PING) {
		result->value = (double)median_ns / 1e3;
	} else if (is_bulk(bed->measure)) {
		result->value = bytes / MIB / seconds;
		result->cpu_s_per_gib = (double)cpu_ns / 1e9 / (bytes / GIB);
	} else {
		result->value = (double)amount / seconds;
	}
}

/* All are connected, nobody does anything: what does the device do? */
static int idle_round(const struct bed *bed, struct bed_result *result)
{
	uint64_t cpu = worker_cpu_ns(bed->device_pid), begin = bench_now();
	double seconds;

	if (!bed->device_pid)
		return -ESRCH;
	usleep(BENCH_IDLE_MS * 1000);
	seconds = (double)(bench_now() - begin) / 1e9;
	cpu = worker_cpu_ns(bed->device_pid) - cpu;
	result->value = (double)cpu / 1e3 / seconds;
	result->cpu_s_per_gib = 0;
	return 0;
}

int bed_round(struct bed *bed, const struct bench_options *options,
	      struct bed_result *result)
{
	const struct worker *first = &bed->app, *second = &bed->other;
	uint64_t amount = round_amount(bed, options), cpu, end;
	struct worker_answer begun = { 0 }, done = { 0 };
	int err;

	if (bed->measure->kind == BENCH_IDLE)
		return idle_round(bed, result);
	if (bed->guest_begins) {
		first = &bed->other;
		second = &bed->app;
	}
	cpu = worker_cpu_ns(bed->device_pid);
	worker_order(second, amount);
	if (bed->kind == BED_AF_UNIX && bed->device.ctl >= 0)
		worker_order(&bed->device, amount);
	worker_order(first, amount);
	err = worker_wait(first, &begun);
	if (!err)
		err = worker_wait(second, &done);
	end = begun.end > done.end ? begun.end : done.end;
	cpu = worker_cpu_ns(bed->device_pid) - cpu;
	if (!err && bed->kind == BED_AF_UNIX && bed->device.ctl >= 0)
		err = worker_wait(&bed->device, &done);
	if (err)
		return err;
	take_result(bed, amount, (double)(end - begun.begin) / 1e9,
		    begun.value, cpu, result);
	return 0;
}

void bed_stop(struct bed *bed)
{
	worker_stop(&bed->app);
	if (bed->other.pid)
		worker_stop(&bed->other);
	worker_stop(&bed->device);
	if (bed->other.ctl >= 0)
		worker_stop(&bed->other);
	if (!bed->foreign)
		unlink(bed->uds);
	unlink(bed->listen_path);
}
