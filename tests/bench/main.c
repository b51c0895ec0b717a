// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bench: how fast is the vsock device?
 *
 * Theory. For each measure there are up to three beds (bed.h): ours, a raw
 * AF_UNIX reference that moves the same bytes by the same code, and, where it
 * can be had, vhost-device-vsock behind the same guest driver. Rounds are taken
 * in turns, ours, reference, peer, ours, ..., so that what else the machine
 * does hits all of them. Every process runs on one CPU: with several, where the
 * scheduler wakes whom decides more than the device does.
 *
 *	host application ══AF_UNIX══ device ══rings, eventfds══ guest
 *	  (app.c)              (device.c; peer)        (guest.c, guest_app.c)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bed.h"
#include "tests/bench/report.h"

#define KIB64	65536u
#define NICE	(-15)

static const struct bench_measure measures[] = {
	{ "g2h-64k-1", BENCH_TO_HOST, 1, KIB64, BENCH_RX_LINUX },
	{ "g2h-4k-1", BENCH_TO_HOST, 1, 4096, BENCH_RX_LINUX },
	{ "g2h-64k-16", BENCH_TO_HOST, 16, KIB64, BENCH_RX_LINUX },
	{ "g2h-64k-128", BENCH_TO_HOST, 128, KIB64, BENCH_RX_LINUX },
	{ "h2g-linux-1", BENCH_TO_GUEST, 1, KIB64, BENCH_RX_LINUX },
	{ "h2g-64k-1", BENCH_TO_GUEST, 1, KIB64, BENCH_RX_LARGE },
	{ "h2g-linux-16", BENCH_TO_GUEST, 16, KIB64, BENCH_RX_LINUX },
	{ "h2g-linux-128", BENCH_TO_GUEST, 128, KIB64, BENCH_RX_LINUX },
	{ "echo-1", BENCH_ECHO, 1, KIB64, BENCH_RX_LINUX },
	{ "pingpong-1", BENCH_PING, 1, KIB64, BENCH_RX_LINUX },
	{ "connect-host", BENCH_CONNECT_HOST, 0, KIB64, BENCH_RX_LINUX },
	{ "connect-guest", BENCH_CONNECT_GUEST, 0, KIB64, BENCH_RX_LINUX },
	{ "idle-0", BENCH_IDLE, 0, KIB64, BENCH_RX_LINUX },
	{ "idle-500", BENCH_IDLE, 500, KIB64, BENCH_RX_LINUX },
};

#define MEASURES (sizeof(measures) / sizeof(measures[0]))

static const char usage_text[] =
"usage: bench [OPTION]...\n"
"\n"
"  --measure NAME       only this one; a comma-separated list of several\n"
"  --rounds N           timed rounds of each (7, at least 5 to be quoted)\n"
"  --mib N              MiB a round (256)\n"
"  --queue-size N       virtqueue entries, a power of two (256)\n"
"  --cpu N              run everything on this CPU (the last one allowed)\n"
"  --peer PROGRAM       measure vhost-device-vsock beside ours\n"
"  --vhost-user SOCKET --uds PATH\n"
"                       measure a vhost-user vsock device that runs already,\n"
"                       with guest CID 3; PATH is its host side\n"
"  --json               one object a measure, a line each\n"
"  --verbose            print each round to standard error\n"
"  --list               print the names of the measures\n"
"  --help\n";

static unsigned int number(const char *option, const char *text,
			   unsigned int min, unsigned int max)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min ||
	    value > max)
		bench_die("--%s '%s': expected a number from %u to %u", option,
			  text, min, max);
	return (unsigned int)value;
}

static void list_measures(void)
{
	for (size_t i = 0; i < MEASURES; i++)
		printf("%s\n", measures[i].name);
}

static const struct option long_options[] = {
	{ "measure", required_argument, NULL, 'm' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "mib", required_argument, NULL, 'b' },
	{ "queue-size", required_argument, NULL, 'q' },
	{ "cpu", required_argument, NULL, 'c' },
	{ "peer", required_argument, NULL, 'p' },
	{ "vhost-user", required_argument, NULL, 'v' },
	{ "uds", required_argument, NULL, 'u' },
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'V' },
	{ "list", no_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void parse_option(struct bench_options *options, int c)
{
	switch (c) {
	case 'm':
		options->only = optarg;
		break;
	case 'r':
		options->rounds = number("rounds", optarg, 1,
					 REPORT_ROUNDS_MAX);
		break;
	case 'b':
		options->mib = number("mib", optarg, 1, 65536);
		break;
	case 'q':
		options->queue_size = number("queue-size", optarg, 8, 1024);
		if (options->queue_size & (options->queue_size - 1))
			bench_die("--queue-size '%s': expected a power of two",
				  optarg);
		break;
	case 'c':
		options->cpu = (int)number("cpu", optarg, 0, CPU_SETSIZE - 1);
		break;
	case 'p':
		options->peer = optarg;
		break;
	case 'v':
		options->vhost_user = optarg;
		break;
	case 'u':
		options->uds = optarg;
		break;
	case 'j':
		options->json = true;
		break;
	case 'V':
		options->verbose = true;
		break;
	case 'l':
		list_measures();
		exit(0);
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	default:
		bench_die("'--help' lists the options");
	}
}

static bool is_wanted(const struct bench_options *options, const char *name)
{
	size_t len = strlen(name);
	const char *at = options->only;

	if (!at)
		return true;
	for (; (at = strstr(at, name)); at += len) {
		bool starts = at == options->only || at[-1] == ',';

		if (starts && (at[len] == ',' || !at[len]))
			return true;
	}
	return false;
}

/* Each name of the list is to be one of ours. */
static void check_names(const struct bench_options *options)
{
	const char *at = options->only;

	while (at && *at) {
		size_t len = strcspn(at, ","), i = 0;

		while (i < MEASURES && (strncmp(measures[i].name, at, len) ||
					measures[i].name[len]))
			i++;
		if (i == MEASURES)
			bench_die("--measure '%.*s': no such measure; --list names them",
				  (int)len, at);
		at += len + (at[len] == ',');
	}
}

static void parse(struct bench_options *options, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_option(options, c);
	if (optind < argc)
		bench_die("'%s': unexpected; '--help' lists the options",
			  argv[optind]);
	if (!options->vhost_user != !options->uds)
		bench_die("--vhost-user and --uds: expected both or none");
	if (options->vhost_user && options->peer)
		bench_die("--peer and --vhost-user: expected one of them");
	check_names(options);
}

/* Pins this process and all it will start; ahead of others, if allowed. */
static void pin(struct bench_options *options)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		bench_die("sched_getaffinity: %s", strerror(errno));
	for (int i = CPU_SETSIZE - 1; options->cpu < 0; i--)
		if (CPU_ISSET(i, &set))
			options->cpu = i;
	CPU_ZERO(&set);
	CPU_SET(options->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("--cpu '%d': expected a CPU that may be used: %s",
			  options->cpu, strerror(errno));
}

/*
 * Ahead of whatever else runs here, where allowed: all processes alike, so
 * their scheduling among themselves stays what it is. With autogroups a nice
 * value counts among the processes of a session only; the session has its own.
 */
static void get_ahead(void)
{
	int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		(void)setpriority(PRIO_PROCESS, 0, NICE);
		return;
	}
	n = dprintf(fd, "%d", NICE);
	(void)n;
	close(fd);
}

/* A connected device that runs elsewhere has to move here, threads and all. */
static void pin_other(const struct bed *bed,
		      const struct bench_options *options)
{
	char path[64];
	cpu_set_t set;
	DIR *dir;

	if (bed->kind != BED_PEER || options->peer || !bed->device_pid)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", bed->device_pid);
	dir = opendir(path);
	CPU_ZERO(&set);
	CPU_SET(options->cpu, &set);
	for (struct dirent *d; dir && (d = readdir(dir));)
		if (atoi(d->d_name) > 0)
			(void)sched_setaffinity(atoi(d->d_name), sizeof(set),
						&set);
	if (dir)
		closedir(dir);
}

static const char *status_text(int err)
{
	return err == -ETIMEDOUT ? "stalled" : "died";
}

static void verbose(const struct bench_options *options,
		    const struct bed *bed, const struct bed_result *result)
{
	static const char *const names[BED_KINDS] = {
		[BED_OURS] = "ours", [BED_AF_UNIX] = "AF_UNIX",
		[BED_PEER] = "peer",
	};

	if (options->verbose)
		fprintf(stderr, "%s %s: %.1f, cpu %.3f\n", bed->measure->name,
			names[bed->kind], result->value,
			result->cpu_s_per_gib);
}

/* One round of a bed; the first, @round 0, only warms up. */
static void run_bed(struct bed *bed, const struct bench_options *options,
		    unsigned int round, struct report_bed *report)
{
	struct bed_result result;
	int err;

	if (report->status)
		return;
	err = bed_round(bed, options, &result);
	if (err) {
		report->status = status_text(err);
		bed_stop(bed);
		return;
	}
	verbose(options, bed, &result);
	if (round)
		report->result[report->count++] = result;
}

/* Return: did ours run to its end? */
static bool run_measure(const struct bench_measure *measure,
			const struct bench_options *options)
{
	static struct report_bed reports[BED_KINDS];
	static struct bed beds[BED_KINDS];
	bool peer = options->peer || options->vhost_user;
	unsigned int count = peer ? BED_KINDS : BED_PEER;

	memset(reports, 0, sizeof(reports));
	memset(beds, 0, sizeof(beds));
	/* Two programs with a socket between them are idle, surely. */
	if (measure->kind == BENCH_IDLE)
		reports[BED_AF_UNIX].status = "skipped";
	for (unsigned int i = 0; i < count; i++) {
		int err;

		if (reports[i].status)
			continue;
		err = bed_start(&beds[i], i, measure, options);
		if (err) {
			reports[i].status = status_text(err);
			bed_stop(&beds[i]);
		} else {
			pin_other(&beds[i], options);
		}
	}
	for (unsigned int round = 0; round <= options->rounds; round++)
		for (unsigned int i = 0; i < count; i++)
			run_bed(&beds[i], options, round, &reports[i]);
	for (unsigned int i = 0; i < count; i++)
		if (!reports[i].status)
			bed_stop(&beds[i]);
	report_measure(options, measure, reports);
	return !reports[BED_OURS].status;
}

static int run_all(const struct bench_options *options)
{
	bool well = true;

	report_begin(options);
	for (size_t i = 0; i < MEASURES; i++) {
		if (is_wanted(options, measures[i].name))
			well &= run_measure(&measures[i], options);
	}
	return well ? 0 : 1;
}

static volatile pid_t session;

static void on_signal(int signal)
{
	(void)signal;
	if (session > 0)
		kill(session, SIGKILL);
}

/* Everything happens in a session of its own. Return: exit status. */
static int run_session(struct bench_options *options)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	session = fork();
	if (session < 0)
		bench_die("fork: %s", strerror(errno));
	if (!session) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		/* Not ahead of the device that it is compared with. */
		if (!options->vhost_user)
			get_ahead();
		pin(options);
		exit(run_all(options));
	}
	while (waitpid(session, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* What killed processes have left there. */
static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);

	for (struct dirent *d; dir && (d = readdir(dir));)
		unlinkat(dirfd(dir), d->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

int main(int argc, char **argv)
{
	struct bench_options options = {
		.cpu = -1, .rounds = 7, .mib = 256, .queue_size = 256,
	};
	char dir[] = "/tmp/wherry-bench.XXXXXX";
	int ret;

	parse(&options, argc, argv);
	bench_shared = mmap(NULL, sizeof(*bench_shared),
			    PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bench_shared == MAP_FAILED || !mkdtemp(dir))
		bench_die("%s", strerror(errno));
	options.dir = dir;
	ret = run_session(&options);
	remove_dir(dir);
	return ret;
}
