// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program: from a command line to an exit status.
 *
 * Owns what belongs to the process: standard descriptors, signals, exit().
 *
 * Signals: those that ask for an end are blocked before any thread exists, so
 * that all threads inherit that, and monitor_run() reads them on its loop.
 * Those that were ignored at the start (nohup, a background job of a shell
 * without job control) stay ignored: a signal that is blocked is queued even
 * when it is ignored, and would be read.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/commands.h"
#include "vmm/connect.h"
#include "vmm/ctl.h"
#include "vmm/descriptors.h"
#include "vmm/event.h"
#include "vmm/inspect.h"
#include "vmm/monitor.h"
#include "vmm/options.h"

/* How long an end may take until somebody has read why. */
#define LAST_WORDS_MS	1000u

static const char *const help_text[] = {
	[COMMAND_HELP] =
"Usage: wherry COMMAND [OPTION...]\n"
"A small KVM virtual machine monitor.\n"
"\n"
"  run        boot a Linux kernel\n"
"  restore    go on from a snapshot\n"
"  ctl        send a command to a running machine\n"
"  connect    connect standard input and output to a vsock port of a guest\n"
"  inspect    show what is in a snapshot\n"
"  help       help about a command\n"
"  version    print the version\n",

	[COMMAND_VERSION] =
"Usage: wherry --version\n"
"Print the version.\n",

	[COMMAND_RUN] =
"Usage: wherry run --kernel FILE [OPTION...]\n"
"Boot a Linux kernel and run it until it powers off.\n"
"\n"
"  --kernel FILE           bzImage or ELF vmlinux\n"
"  --initrd FILE           initial RAM file system\n"
"  --append TEXT           kernel command line\n"
"  --memory SIZE           RAM, in bytes or with K, M or G (default: 256M)\n"
"  --cpus N                virtual CPUs, 1 to 8 (default: 1)\n"
"  --vsock cid=N,uds=PATH[,KEY=VALUE...]\n"
"                          vsock device, with the host's socket at PATH; keys:\n"
"                          seqpacket=PATH  a socket for seqpacket clients\n"
"                          mode=OCTAL      permissions of the sockets (600)\n"
"                          ports=N+N-M...  host ports the guest may connect to\n"
"                          connections=N   at a time, each way (1023)\n"
"                          clients=N       before their CONNECT (128)\n"
"                          buffer=SIZE     of a connection (256K)\n"
"                          linger=SECONDS  at the end, for slow readers (5)\n"
"                          queue-size=N    entries of a virtqueue (256)\n"
"                          pcap=FILE       write all packets there\n"
"  --control PATH          control socket, see 'wherry help ctl'\n"
"  --serial stdio|none|file=PATH\n"
"                          the first serial port (default: stdio)\n"
"  --paused                wait for the command 'cont' before the first\n"
"                          instruction\n"
"  --on-panic exit|stop    what becomes of a guest that has panicked: the\n"
"                          process ends (the default), or it stays paused\n"
"  --clock continue|host   whether the guest's clocks stand still while it is\n"
"                          stopped (the default), or follow the host's\n"
"  --quiet, --verbose      fewer or more messages\n"
"\n"
"Exit status: 0 the guest powered off, or 'quit', or a signal; 1 an error;\n"
"2 a wrong command line; 3 the guest asked for a reset; 4 it has panicked.\n",

	[COMMAND_RESTORE] =
"Usage: wherry restore DIR [OPTION...]\n"
"       wherry restore --incoming --control PATH [OPTION...]\n"
"Go on from the snapshot in DIR, which is not changed.\n"
"\n"
"  --incoming              no snapshot yet: wait for the command 'snapshot-load'\n"
"  --vsock cid=N,uds=PATH[,KEY=VALUE...]\n"
"                          as of 'wherry run'; the CID may be another one than\n"
"                          before\n"
"  --control PATH          control socket, see 'wherry help ctl'\n"
"  --serial stdio|none|file=PATH\n"
"                          the first serial port (default: stdio)\n"
"  --paused                wait for the command 'cont'\n"
"  --on-panic exit|stop    what becomes of a guest that has panicked: the\n"
"                          process ends (the default), or it stays paused\n"
"  --clock continue|host   whether the guest's clocks go on from where they\n"
"                          were saved (the default), or from where they would\n"
"                          be by the host's wall clock; 'stop' likewise\n"
"  --force                 only warn of a CPU that lacks features which the\n"
"                          guest was told of, or has another clock rate\n"
"  --quiet, --verbose      fewer or more messages\n"
"\n"
"Exit status: as of 'wherry run'.\n",

	[COMMAND_CTL] =
"Usage: wherry ctl SOCKET [COMMAND [key=value...]] [OPTION...]\n"
"Send a command to the machine whose control socket is SOCKET, and print the\n"
"result: as a table on a terminal, else as one line of JSON.\n"
"\n"
"  --json                  JSON on a terminal, too\n"
"  --wait EVENT            then wait for an event, which may also come before\n"
"                          the result, and print it; without a command, too\n"
"  --timeout SECONDS       how long to wait for all of it (default: for ever)\n"
"\n"
"  query-status            whether it runs\n"
"  query-vsock             the vsock device and its counters\n"
"  query-cpus-fast         the virtual CPUs and their threads\n"
"  query-vm-generation-id  the ID by which clones tell that they are some\n"
"  query-version, query-commands\n"
"  stop, cont              pause it, let it run\n"
"  snapshot-save path=DIR  save it into a new directory; a running guest\n"
"                          goes on\n"
"  snapshot-verify path=DIR\n"
"                          check a snapshot, memory and all\n"
"  system_powerdown        press the guest's power button\n"
"  snapshot-load path=DIR  put the machine saved there in this one's place\n"
"  system_reset            boot its kernel anew\n"
"  quit                    end it\n"
"\n"
"Events: STOP, RESUME, SHUTDOWN, RESET, POWERDOWN, GUEST_PANICKED,\n"
"GUEST_CRASHLOADED, SNAPSHOT_SAVED, SNAPSHOT_LOADED, SNAPSHOT_PROGRESS,\n"
"VSOCK_GATE.\n"
"\n"
"Exit status: 0; 1 an error; 2 a wrong command line; 124 --timeout has passed.\n",

	[COMMAND_CONNECT] =
"Usage: wherry connect UDS PORT [--wait SECONDS] [--timeout SECONDS]\n"
"Connect standard input and output to vsock port PORT of the guest whose\n"
"vsock socket (--vsock uds=) is UDS.\n"
"\n"
"  --wait SECONDS          for how long to try again until there is a guest, and\n"
"                          a program that listens in it (default: not at all)\n"
"  --timeout SECONDS       how long to wait until the guest has accepted\n"
"                          (default: for ever, or as long as --wait says)\n"
"\n"
"Exit status: 0; 1 refused, or an error; 2 a wrong command line; 3 a reset, data\n"
"was lost; 124 --wait or --timeout has passed; 141 nobody reads the output.\n",

	[COMMAND_INSPECT] =
"Usage: wherry inspect DIR [--json] [--verify]\n"
"Show what is in the snapshot in DIR: as tables on a terminal, else as one line\n"
"of JSON. A damaged one is refused.\n"
"\n"
"  --json                  JSON on a terminal, too\n"
"  --verify                read its memory as well, and compare the checksum\n"
"\n"
"Exit status: 0; 1 damaged, or an error; 2 a wrong command line.\n",
};
_Static_assert(sizeof(help_text) / sizeof(*help_text) == COMMANDS,
	       "a text for each command");

/* A socket must not become descriptor 0, 1 or 2 and be written messages to. */
static void open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* A reader that leaves, or a file size limit: errors to deal with, not ends. */
static void ignore_write_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
}

static void block_end_signals(sigset_t *set)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		if (!sigaction(ends[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaddset(set, ends[i]);
	}
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static int print(const char *text, struct fail *why)
{
	if (fputs(text, stdout) >= 0 && !fflush(stdout))
		return 0;
	fail(why, -errno, "standard output: %s", strerror(errno));
	return MACHINE_EXIT_ERROR;
}

static int run_ctl(const struct options *o, struct fail *why)
{
	const struct ctl_options ctl = {
		.socket = o->socket,
		.execute = o->execute,
		.argument = o->argument,
		.arguments = o->arguments,
		.table = machine_commands,
		.wait = o->wait,
		.events = machine_event_names,
		.json = o->json,
		.timeout_ms = o->timeout_ms,
		.greeting_ms = CTL_GREETING_MS,
		.out = stdout,
		.progress_fd = STDERR_FILENO,
	};

	return ctl_run(&ctl, why);
}

static int run_connect(const struct options *o, struct fail *why)
{
	const struct connect_options connect = {
		.uds = o->socket,
		.port = o->port,
		.wait_ms = o->wait_ms,
		.timeout_ms = o->timeout_ms,
		.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
	};

	return connect_run(&connect, why);
}

static int run_inspect(const struct options *o, struct fail *why)
{
	const struct inspect_options inspect = {
		.path = o->directory,
		.json = o->json,
		.verify = o->verify,
		.out = stdout,
		.progress_fd = STDERR_FILENO,
	};

	return inspect_run(&inspect, why);
}

static int run(struct options *o, struct fail *why)
{
	switch (o->command) {
	case COMMAND_HELP:
		return print(help_text[o->topic], why);
	case COMMAND_VERSION:
		return print(PACKAGE_NAME " " PACKAGE_VERSION "\n", why);
	case COMMAND_RUN:
	case COMMAND_RESTORE:
		log_set_level(o->log_level);
		block_end_signals(&o->machine.end_signals);
		o->machine.log_fd = log_open(LOG_GUEST_INTERVAL);
		if (descriptors_prepare(&o->machine, why))
			return MACHINE_EXIT_ERROR;
		return monitor_run(&o->machine, machine_commands, why);
	case COMMAND_CTL:
		return run_ctl(o, why);
	case COMMAND_CONNECT:
		return run_connect(o, why);
	case COMMAND_INSPECT:
		return run_inspect(o, why);
	case COMMANDS:
		break;
	}
	return MACHINE_EXIT_ERROR;
}

int main(int argc, char **argv)
{
	struct fail why = { .text = "" };
	struct options options;
	int status, rc;

	open_standard_descriptors();
	ignore_write_signals();
	rc = options_parse(argc, argv, &options, &why);
	if (rc < 0)
		status = rc == -EINVAL ? MACHINE_EXIT_USAGE :
					 MACHINE_EXIT_ERROR;
	else
		status = run(&options, &why);
	if (status && why.text[0])
		log_error("%s", why.text);
	log_close(LAST_WORDS_MS);
	options_free(&options);
	return status;
}
