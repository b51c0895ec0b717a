// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: a command line, words separated by newlines.
 *
 * What is accepted must be within the bounds that wherry.1 promises; what is
 * refused must have a reason.
 */
#include "tests/fuzz/target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/options.h"
#include "vmm/kvm.h"

#define WORDS_MAX 64

const char fuzz_target[] = "options";

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_machine(const struct machine_options *m, bool boots)
{
	require(!boots == !m->kernel);
	require(boots == !m->snapshot);
	require(m->append && m->serial);
	if (boots) {
		require(m->memory >= 1u << 20 && m->memory <= 1ull << 40);
		require(m->memory % (1u << 20) == 0);
		require(m->cpus >= 1 && m->cpus <= VM_CPUS_MAX);
	}
	if (m->vsock.present) {
		require(m->vsock.device.guest_cid >= 3 && m->vsock.device.guest_cid <= 0xfffffffe);
		require(m->vsock.host.path && *m->vsock.host.path);
	}
	require(!m->control || *m->control);
}

static void check(const struct options *o)
{
	require(o->command < COMMANDS && o->topic < COMMANDS);
	switch (o->command) {
	case COMMAND_RUN:
	case COMMAND_RESTORE:
		check_machine(&o->machine, o->command == COMMAND_RUN);
		break;
	case COMMAND_CTL:
		require(*o->socket && o->timeout_ms >= -1);
		require(o->execute ? *o->execute : o->wait && *o->wait);
		require(o->execute || !o->arguments);
		break;
	case COMMAND_CONNECT:
		require(*o->socket && o->timeout_ms >= -1);
		break;
	case COMMAND_INSPECT:
		require(*o->directory);
		break;
	case COMMAND_HELP:
	case COMMAND_VERSION:
	case COMMANDS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char program[] = "wherry";
	char *argv[WORDS_MAX + 2] = { program };
	struct fail why = { .text = "" };
	struct options options;
	char *text, *rest;
	int argc = 1, rc;

	text = malloc(len + 1);
	require(text);
	memcpy(text, data, len);
	text[len] = '\0';
	rest = text;
	while (rest && argc <= WORDS_MAX)
		argv[argc++] = strsep(&rest, "\n");

	rc = options_parse(argc, argv, &options, &why);
	if (rc)
		require(rc == -EINVAL && why.text[0]);
	else
		check(&options);
	options_free(&options);
	free(text);
	return 0;
}
