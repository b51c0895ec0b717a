// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: from words to a checked struct options.
 *
 * Owns the tables of commands and options; what a value looks like is the
 * business of option_value.c. Called once by main(), before any thread exists.
 *
 * Not getopt_long(): it takes abbreviations, keeps its state in globals, and
 * cannot say that an option was given twice.
 */
#include "vmm/options.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "devices/unix_socket.h"
#include "vmm/option_value.h"
#include "vmm/option_vsock.h"
#include "vmm/kvm.h"

#define MIB		(UINT64_C(1) << 20)
#define MEMORY_DEFAULT	(256 * MIB)
#define MEMORY_MIN	MIB
#define MEMORY_MAX	(MIB << 20)

#define PORT_MAX	UINT64_C(0xfffffffe)


static const char *const command_names[] = {
	[COMMAND_HELP] = "help",
	[COMMAND_VERSION] = "version",
	[COMMAND_RUN] = "run",
	[COMMAND_RESTORE] = "restore",
	[COMMAND_CTL] = "ctl",
	[COMMAND_CONNECT] = "connect",
	[COMMAND_INSPECT] = "inspect",
};
_Static_assert(sizeof(command_names) / sizeof(*command_names) == COMMANDS,
	       "a name for each command");

const char *command_name(enum command command)
{
	return command_names[command];
}

/**
 * struct option_rule - an option and where it may stand
 * @name: without the dashes
 * @commands: bit mask of enum command
 * @takes_value: false: a flag
 * @set: checks and stores; @value is NULL for a flag. NULL: --help
 */
struct option_rule {
	const char *name;
	unsigned int commands;
	bool takes_value;
	int (*set)(struct options *o, const char *value, struct fail *why);
};

static int set_kernel(struct options *o, const char *value, struct fail *why)
{
	o->machine.kernel = value;
	return option_check_path("--kernel", value, why);
}

static int set_initrd(struct options *o, const char *value, struct fail *why)
{
	o->machine.initrd = value;
	return option_check_path("--initrd", value, why);
}

static int set_append(struct options *o, const char *value, struct fail *why)
{
	(void)why;
	o->machine.append = value;
	return 0;
}

static int set_memory(struct options *o, const char *value, struct fail *why)
{
	uint64_t *bytes = &o->machine.memory;

	if (!option_size(value, bytes))
		return fail(why, -EINVAL, "--memory " SHOWN ": a number of "
			    "bytes expected, or one with K, M or G", value);
	if (*bytes < MEMORY_MIN || *bytes > MEMORY_MAX)
		return fail(why, -EINVAL, "--memory " SHOWN ": 1M to 1024G "
			    "expected", value);
	if (*bytes % MIB)
		return fail(why, -EINVAL, "--memory " SHOWN ": a multiple of "
			    "1M expected", value);
	return 0;
}

static int set_cpus(struct options *o, const char *value, struct fail *why)
{
	uint64_t n;

	if (!option_number(value, 1, VM_CPUS_MAX, &n))
		return fail(why, -EINVAL, "--cpus " SHOWN ": a number from 1 "
			    "to %d expected", value, VM_CPUS_MAX);
	o->machine.cpus = (unsigned int)n;
	return 0;
}

static int set_control(struct options *o, const char *value, struct fail *why)
{
	o->machine.control = value;
	return option_check_socket("--control", value, UNIX_SOCKET_NAME_MAX,
				   why);
}

static int set_serial(struct options *o, const char *value, struct fail *why)
{
	o->machine.serial = value;
	if (!strncmp(value, "file=", 5))
		return option_check_path("--serial file=", value + 5, why);
	if (strcmp(value, "stdio") && strcmp(value, "none"))
		return fail(why, -EINVAL, "--serial " SHOWN ": stdio, none or "
			    "file=PATH expected", value);
	return 0;
}

static int set_vsock(struct options *o, const char *value, struct fail *why)
{
	int rc = option_vsock(value, &o->machine.vsock, why);

	if (rc < 0)
		return fail_within(why, rc, "--vsock " SHOWN, value);
	return 0;
}

static int set_paused(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	(void)why;
	o->machine.paused = true;
	return 0;
}

static int set_incoming(struct options *o, const char *value,
			struct fail *why)
{
	(void)value;
	(void)why;
	o->machine.incoming = true;
	return 0;
}

static int set_on_panic(struct options *o, const char *value,
			struct fail *why)
{
	o->machine.panic_stop = !strcmp(value, "stop");
	if (!o->machine.panic_stop && strcmp(value, "exit"))
		return fail(why, -EINVAL, "--on-panic " SHOWN ": stop or exit "
			    "expected", value);
	return 0;
}

static int set_clock(struct options *o, const char *value, struct fail *why)
{
	if (!strcmp(value, "continue"))
		o->machine.clock = VM_CLOCK_CONTINUE;
	else if (!strcmp(value, "host"))
		o->machine.clock = VM_CLOCK_HOST;
	else
		return fail(why, -EINVAL, "--clock " SHOWN ": continue or host "
			    "expected", value);
	return 0;
}

static int set_force(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	(void)why;
	o->machine.force = true;
	return 0;
}

static int set_level(struct options *o, enum log_level level, struct fail *why)
{
	if (o->log_level != LOG_LEVEL_WARN)
		return fail(why, -EINVAL, "--quiet and --verbose exclude each "
			    "other");
	o->log_level = level;
	return 0;
}

static int set_quiet(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	return set_level(o, LOG_LEVEL_ERROR, why);
}

static int set_verbose(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	return set_level(o, LOG_LEVEL_DEBUG, why);
}

static int set_timeout(struct options *o, const char *value, struct fail *why)
{
	return option_seconds("--timeout", value, &o->timeout_ms, why);
}

static int set_wait(struct options *o, const char *value, struct fail *why)
{
	o->wait = value;
	if (!*value)
		return fail(why, -EINVAL, "--wait '': the name of an event "
			    "expected");
	return 0;
}

static int set_patience(struct options *o, const char *value,
			struct fail *why)
{
	return option_seconds("--wait", value, &o->wait_ms, why);
}

static int set_json(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	(void)why;
	o->json = true;
	return 0;
}

static int set_verify(struct options *o, const char *value, struct fail *why)
{
	(void)value;
	(void)why;
	o->verify = true;
	return 0;
}

#define ON(command) (1u << COMMAND_##command)

static const struct option_rule option_rules[] = {
	{ "kernel", ON(RUN), true, set_kernel },
	{ "initrd", ON(RUN), true, set_initrd },
	{ "append", ON(RUN), true, set_append },
	{ "memory", ON(RUN), true, set_memory },
	{ "cpus", ON(RUN), true, set_cpus },
	{ "vsock", ON(RUN) | ON(RESTORE), true, set_vsock },
	{ "control", ON(RUN) | ON(RESTORE), true, set_control },
	{ "serial", ON(RUN) | ON(RESTORE), true, set_serial },
	{ "paused", ON(RUN) | ON(RESTORE), false, set_paused },
	{ "incoming", ON(RESTORE), false, set_incoming },
	{ "on-panic", ON(RUN) | ON(RESTORE), true, set_on_panic },
	{ "clock", ON(RUN) | ON(RESTORE), true, set_clock },
	{ "force", ON(RESTORE), false, set_force },
	{ "quiet", ON(RUN) | ON(RESTORE), false, set_quiet },
	{ "verbose", ON(RUN) | ON(RESTORE), false, set_verbose },
	{ "timeout", ON(CONNECT) | ON(CTL), true, set_timeout },
	{ "wait", ON(CTL), true, set_wait },
	{ "wait", ON(CONNECT), true, set_patience },
	{ "json", ON(CTL) | ON(INSPECT), false, set_json },
	{ "verify", ON(INSPECT), false, set_verify },
	{ "help", ~0u, false, NULL },
};

#define OPTION_RULES (sizeof(option_rules) / sizeof(*option_rules))
_Static_assert(OPTION_RULES <= 32, "a bit for each in `seen`");

static const struct option_rule *find_option(enum command command,
					     const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < OPTION_RULES; i++) {
		if ((option_rules[i].commands & 1u << command) &&
		    strlen(option_rules[i].name) == len &&
		    !strncmp(option_rules[i].name, name, len))
			return &option_rules[i];
	}
	return NULL;
}

/**
 * struct words - the command line as it is being read
 * @v: next word; ends with NULL
 * @seen: options met so far, a bit for each of option_rules
 * @count: words in options.owned.words: those that are not options
 * @help: --help was met
 */
struct words {
	char **v;
	unsigned int seen;
	unsigned int count;
	bool help;
};

static int take_option(struct options *o, struct words *w, struct fail *why)
{
	const char *word = *w->v++;
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct option_rule *rule = find_option(o->command, name, len);
	unsigned int bit;

	if (word[1] != '-' || !rule)
		return fail(why, -EINVAL, "unknown option " SHOWN ": see "
			    "'wherry help %s'", word,
			    command_names[o->command]);
	bit = 1u << (rule - option_rules);
	if (w->seen & bit)
		return fail(why, -EINVAL, "--%s is given twice", rule->name);
	w->seen |= bit;

	if (!rule->takes_value && value)
		return fail(why, -EINVAL, "--%s takes no value, " SHOWN
			    " given", rule->name, value);
	if (rule->takes_value && !value) {
		if (!*w->v)
			return fail(why, -EINVAL, "--%s needs a value",
				    rule->name);
		value = *w->v++;
	}
	if (!rule->set) {
		w->help = true;
		return 0;
	}
	return rule->set(o, value, why);
}

static int take_words(struct options *o, struct words *w, struct fail *why)
{
	int rc;

	while (*w->v) {
		if ((*w->v)[0] != '-' || !(*w->v)[1]) {
			o->owned.words[w->count++] = *w->v++;
			continue;
		}
		if (!strcmp(*w->v, "--")) {
			w->v++;
			break;
		}
		rc = take_option(o, w, why);
		if (rc < 0)
			return rc;
	}
	while (*w->v)
		o->owned.words[w->count++] = *w->v++;
	return 0;
}

/* At least @min words, at most @max, named in @what for a person. */
static int expect_words(const struct options *o, const struct words *w,
			unsigned int min, unsigned int max, const char *what,
			struct fail *why)
{
	const char *name = command_names[o->command];

	if (w->count < min)
		return fail(why, -EINVAL, "%s: %s expected", name, what);
	if (w->count > max)
		return fail(why, -EINVAL, "%s: unexpected argument " SHOWN,
			    name, o->owned.words[max]);
	return 0;
}

static int finish_machine(struct options *o, struct fail *why)
{
	const struct machine_options *m = &o->machine;

	if (m->control && m->vsock.present &&
	    !strcmp(m->control, m->vsock.host.path))
		return fail(why, -EINVAL, "--control and --vsock uds= name "
			    "the same socket " SHOWN, m->control);
	if (m->vsock.host.seqpacket &&
	    (!strcmp(m->vsock.host.seqpacket, m->vsock.host.path) ||
	     (m->control && !strcmp(m->vsock.host.seqpacket, m->control))))
		return fail(why, -EINVAL, "--vsock seqpacket= names the same "
			    "socket as another option: " SHOWN,
			    m->vsock.host.seqpacket);
	return 0;
}

static int finish_run(struct options *o, const struct words *w,
		      struct fail *why)
{
	int rc = expect_words(o, w, 0, 0, "", why);

	if (rc < 0)
		return rc;
	if (!o->machine.kernel)
		return fail(why, -EINVAL, "run: --kernel FILE expected");
	return finish_machine(o, why);
}

static int finish_restore(struct options *o, const struct words *w,
			  struct fail *why)
{
	bool incoming = o->machine.incoming;
	int rc = expect_words(o, w, !incoming, !incoming,
			      "the snapshot's directory, or --incoming,", why);

	if (rc < 0)
		return rc;
	if (incoming && !o->machine.control)
		return fail(why, -EINVAL, "--incoming needs --control, where "
			    "snapshot-load can be said");
	if (incoming)
		return finish_machine(o, why);
	o->machine.snapshot = o->owned.words[0];
	rc = option_check_path("restore", o->machine.snapshot, why);
	return rc < 0 ? rc : finish_machine(o, why);
}

static int finish_ctl(struct options *o, const struct words *w,
		      struct fail *why)
{
	int rc = expect_words(o, w, o->wait ? 1 : 2, UINT_MAX, "a control "
			      "socket, and a command or --wait EVENT,", why);

	if (rc < 0)
		return rc;
	o->socket = o->owned.words[0];
	rc = option_check_path("ctl", o->socket, why);
	if (rc < 0 || w->count < 2)
		return rc;
	o->execute = o->owned.words[1];
	o->argument = o->owned.words + 2;
	o->arguments = w->count - 2;
	if (!*o->execute)
		return fail(why, -EINVAL, "ctl: the command is empty");
	return 0;
}

static int finish_connect(struct options *o, const struct words *w,
			  struct fail *why)
{
	int rc = expect_words(o, w, 2, 2, "a vsock socket and a port", why);
	uint64_t port;

	if (rc < 0)
		return rc;
	o->socket = o->owned.words[0];
	if (!option_number(o->owned.words[1], 0, PORT_MAX, &port))
		return fail(why, -EINVAL, "connect: port " SHOWN ": a decimal "
			    "number from 0 to %" PRIu64 " expected",
			    o->owned.words[1], PORT_MAX);
	o->port = (uint32_t)port;
	return option_check_path("connect", o->socket, why);
}

static int finish_inspect(struct options *o, const struct words *w,
			  struct fail *why)
{
	int rc = expect_words(o, w, 1, 1, "the snapshot's directory", why);

	if (rc < 0)
		return rc;
	o->directory = o->owned.words[0];
	return option_check_path("inspect", o->directory, why);
}

static bool find_command(const char *word, enum command *out)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++) {
		if (!strcmp(word, command_names[i])) {
			*out = (enum command)i;
			return true;
		}
	}
	return false;
}

static int finish_help(struct options *o, const struct words *w,
		       struct fail *why)
{
	int rc = expect_words(o, w, 0, 1, "", why);

	if (rc < 0 || !w->count)
		return rc;
	if (!find_command(o->owned.words[0], &o->topic))
		return fail(why, -EINVAL, "help: unknown command " SHOWN,
			    o->owned.words[0]);
	return 0;
}

static int finish(struct options *o, const struct words *w, struct fail *why)
{
	if (w->help) {
		o->topic = o->command;
		o->command = COMMAND_HELP;
		return 0;
	}
	switch (o->command) {
	case COMMAND_HELP:
		return finish_help(o, w, why);
	case COMMAND_VERSION:
		return expect_words(o, w, 0, 0, "", why);
	case COMMAND_RUN:
		return finish_run(o, w, why);
	case COMMAND_RESTORE:
		return finish_restore(o, w, why);
	case COMMAND_CTL:
		return finish_ctl(o, w, why);
	case COMMAND_CONNECT:
		return finish_connect(o, w, why);
	case COMMAND_INSPECT:
		return finish_inspect(o, w, why);
	case COMMANDS:
		break;
	}
	return -EINVAL;
}

static int take_command(struct options *o, struct words *w, struct fail *why)
{
	const char *word = *w->v;

	if (!word)
		return fail(why, -EINVAL, "a command is expected: run, "
			    "restore, ctl, connect, inspect or help");
	w->v++;
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		o->command = COMMAND_HELP;
	else if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		o->command = COMMAND_VERSION;
	else if (!find_command(word, &o->command))
		return fail(why, -EINVAL, "unknown command " SHOWN ": run, "
			    "restore, ctl, connect, inspect or help expected",
			    word);
	return 0;
}

static int parse(int argc, char **argv, struct options *o, struct fail *why)
{
	/* execve() can make an argc of 0. */
	struct words w = { .v = argc > 0 ? argv + 1 : argv };
	int rc;

	o->owned.words = calloc((size_t)argc + 1, sizeof(*o->owned.words));
	if (!o->owned.words)
		return fail(why, -ENOMEM, "out of memory");
	rc = take_command(o, &w, why);
	if (rc < 0)
		return rc;
	if (o->command == COMMAND_RUN) {
		o->machine.memory = MEMORY_DEFAULT;
		o->machine.cpus = 1;
	}
	rc = take_words(o, &w, why);
	if (rc < 0)
		return rc;
	return finish(o, &w, why);
}

int options_parse(int argc, char **argv, struct options *out,
		  struct fail *why)
{
	*out = (struct options){
		.log_level = LOG_LEVEL_WARN,
		.machine = { .append = "", .serial = "stdio" },
		.timeout_ms = -1,
	};
	return parse(argc, argv, out, why);
}

void options_free(struct options *options)
{
	option_vsock_free(&options->machine.vsock);
	free(options->owned.words);
	options->machine.vsock = (struct vsock_options){ 0 };
	options->owned.words = NULL;
}
