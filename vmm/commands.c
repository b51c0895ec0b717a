// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of commands: what can be asked of a machine.
 *
 * Owns the commands' names, arguments and results, which are a public
 * interface (wherry.1). Called by control.c on the loop thread, by way of the
 * table; calls monitor.c and machine.c.
 */
#include "vmm/commands.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "vmm/monitor.h"

/* Return: the machine; NULL with the reason: it is not there yet. */
static struct machine *machine_of(void *opaque, struct fail *why)
{
	struct machine *m = monitor_machine(opaque);

	if (!m)
		fail(why, -ENODEV, "there is no machine yet: snapshot-load "
		     "path=DIR expected");
	return m;
}

/* A result that is NULL here was not made for want of memory. */
static int made(const json_t *result, struct fail *why)
{
	return result ? 0 : fail(why, -ENOMEM, "out of memory");
}

static int query_commands(void *opaque, json_t *arguments, json_t **result,
			  struct fail *why)
{
	const struct control_command *row;
	json_t *list = json_array();

	(void)opaque;
	(void)arguments;
	for (row = machine_commands; list && row->name; row++) {
		if (json_array_append_new(list, json_pack("{s:s}", "name",
							  row->name)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	*result = list;
	return made(list, why);
}

static int query_version(void *opaque, json_t *arguments, json_t **result,
			 struct fail *why)
{
	(void)opaque;
	(void)arguments;
	*result = control_version();
	return made(*result, why);
}

static int query_status(void *opaque, json_t *arguments, json_t **result,
			struct fail *why)
{
	const char *status = monitor_status(opaque);

	(void)arguments;
	*result = json_pack("{s:s,s:b}", "status", status, "running",
			    !strcmp(status, "running"));
	return made(*result, why);
}

/* What @describe makes of the machine; @none: why there may be nothing. */
static int query(void *opaque, json_t *(*describe)(const struct machine *m),
		 const char *none, json_t **result, struct fail *why)
{
	struct machine *m = machine_of(opaque, why);

	if (!m)
		return -ENODEV;
	*result = describe(m);
	if (!*result && none)
		return fail(why, -ENODEV, "%s", none);
	return made(*result, why);
}

static int query_vsock(void *opaque, json_t *arguments, json_t **result,
		       struct fail *why)
{
	(void)arguments;
	return query(opaque, machine_query_vsock, "there is no vsock device: "
		     "start with --vsock cid=N,uds=PATH", result, why);
}

static int query_cpus_fast(void *opaque, json_t *arguments, json_t **result,
			   struct fail *why)
{
	(void)arguments;
	return query(opaque, machine_query_cpus, NULL, result, why);
}

static int query_generation(void *opaque, json_t *arguments, json_t **result,
			    struct fail *why)
{
	(void)arguments;
	return query(opaque, machine_query_generation, NULL, result, why);
}

static int stop(void *opaque, json_t *arguments, json_t **result,
		struct fail *why)
{
	struct machine *m = machine_of(opaque, why);

	(void)arguments;
	(void)result;
	if (!m)
		return -ENODEV;
	machine_stop(m);
	return 0;
}

static int cont(void *opaque, json_t *arguments, json_t **result,
		struct fail *why)
{
	(void)arguments;
	(void)result;
	if (!machine_of(opaque, why))
		return -ENODEV;
	monitor_cont(opaque);
	return 0;
}

static int system_powerdown(void *opaque, json_t *arguments, json_t **result,
			    struct fail *why)
{
	struct machine *m = machine_of(opaque, why);

	(void)arguments;
	(void)result;
	if (!m)
		return -ENODEV;
	machine_powerdown(m);
	return 0;
}

static int quit(void *opaque, json_t *arguments, json_t **result,
		struct fail *why)
{
	(void)arguments;
	(void)result;
	(void)why;
	monitor_quit(opaque);
	return 0;
}

/* Return: the argument "path", NULL with the reason: it cannot be one. */
static const char *path_argument(json_t *arguments, struct fail *why)
{
	const json_t *value = json_object_get(arguments, "path");
	const char *path = json_string_value(value);

	if (path && *path && strlen(path) < PATH_MAX)
		return path;
	if (!path || !*path)
		fail(why, -EINVAL, "Parameter 'path' is empty");
	else
		fail(why, -EINVAL, "Parameter 'path' has %zu bytes, at most "
		     "%d expected", strlen(path), PATH_MAX - 1);
	return NULL;
}

static int snapshot_save(void *opaque, json_t *arguments,
			 struct control_pending *pending, struct fail *why)
{
	const char *path = path_argument(arguments, why);
	struct machine *m = path ? machine_of(opaque, why) : NULL;

	return m ? machine_save(m, path, pending, why) : -EINVAL;
}

static int snapshot_verify_command(void *opaque, json_t *arguments,
				   struct control_pending *pending,
				   struct fail *why)
{
	const char *path = path_argument(arguments, why);
	struct machine *m = path ? machine_of(opaque, why) : NULL;

	return m ? machine_verify(m, path, pending, why) : -EINVAL;
}

static int snapshot_load(void *opaque, json_t *arguments, json_t **result,
			 struct fail *why)
{
	const char *path = path_argument(arguments, why);

	(void)result;
	return path ? monitor_load(opaque, path, why) : -EINVAL;
}

static int system_reset(void *opaque, json_t *arguments, json_t **result,
			struct fail *why)
{
	(void)arguments;
	(void)result;
	if (!machine_of(opaque, why))
		return -ENODEV;
	return monitor_reset(opaque, why);
}

static const struct control_argument capabilities_arguments[] = {
	{ "enable", CONTROL_LIST, false },
	{ 0 }
};

static const struct control_argument path_arguments[] = {
	{ "path", CONTROL_PATH, true },
	{ 0 }
};

const struct control_command machine_commands[] = {
	{ .name = "qmp_capabilities", .argument = capabilities_arguments },
	{ .name = "query-commands", .run = query_commands },
	{ .name = "query-version", .run = query_version },
	{ .name = "query-status", .run = query_status },
	{ .name = "query-cpus-fast", .run = query_cpus_fast },
	{ .name = "query-vm-generation-id", .run = query_generation },
	{ .name = "query-vsock", .run = query_vsock },
	{ .name = "stop", .run = stop },
	{ .name = "cont", .run = cont },
	{ .name = "system_powerdown", .run = system_powerdown },
	{ .name = "system_reset", .run = system_reset },
	{ .name = "quit", .run = quit },
	{ .name = "snapshot-save", .argument = path_arguments,
	  .begin = snapshot_save },
	{ .name = "snapshot-load", .argument = path_arguments,
	  .run = snapshot_load },
	{ .name = "snapshot-verify", .argument = path_arguments,
	  .begin = snapshot_verify_command },
	{ 0 }
};
