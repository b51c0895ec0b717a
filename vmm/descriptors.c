// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File descriptors: counts what is needed, raises the soft limit, keeps some
 * from those who could take them all. Called once by main(), before any thread
 * exists.
 *
 * From the lowest to the highest descriptor, by when they are taken:
 *
 *   inherited | process, machine | connections, clients | kept
 *                                                        ^ vsock.host.fds_max
 *
 * The kernel hands out the lowest free one. So as long as vsock takes none
 * above that mark there are as many left as are kept, whatever else has leaked
 * or was inherited; and as long as nothing has, vsock gets all it may have.
 */
#include "vmm/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "devices/log.h"

/* Where /proc is not mounted: the standard ones, and some of a parent's. */
#define INHERITED_GUESS	16u

static uint64_t count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!dir)
		return INHERITED_GUESS;
	/* "." and ".." are there besides, and the folder's own. */
	while (readdir(dir))
		count++;
	closedir(dir);
	return count > 3 ? count - 3 : 0;
}

/* Return: @limit as a number that can be counted with. */
static uint64_t bounded(rlim_t limit)
{
	return limit > INT_MAX ? INT_MAX : limit;
}

static int too_many(const char *key, unsigned int given, uint64_t most,
		    uint64_t hard, struct fail *why)
{
	return fail(why, -EMFILE, "--vsock %s=%u: at most %" PRIu64
		    " expected with a hard limit of %" PRIu64
		    " file descriptors (ulimit -Hn)", key, given, most, hard);
}

static int fit_clients(unsigned int *clients, uint64_t room, uint64_t hard,
		       struct fail *why)
{
	/* A connection each way is the least. */
	uint64_t most = room > 2 ? room - 2 : 0;

	if (*clients > most)
		return too_many("clients", *clients, most, hard, why);
	if (!*clients)
		*clients = room / 4 < VSOCK_UNIX_CLIENTS_MAX ?
			   (unsigned int)room / 4 : VSOCK_UNIX_CLIENTS_MAX;
	return 0;
}

/* @room: without the clients. */
static int fit_connections(uint32_t *conns, uint64_t room, uint64_t hard,
			   struct fail *why)
{
	uint64_t most = room / 2;

	if (*conns > most)
		return too_many("connections", *conns, most, hard, why);
	if (*conns)
		return 0;
	*conns = VSOCK_CONNS_MAX;
	if (*conns <= most)
		return 0;
	*conns = (uint32_t)most;
	log_warn("--vsock connections=%" PRIu32 " instead of %u: the hard "
		 "limit is %" PRIu64 " file descriptors (ulimit -Hn)", *conns,
		 VSOCK_CONNS_MAX, hard);
	return 0;
}

/* Fits the options into @hard. Return: 0 with how many they take. */
static int fit(struct vsock_options *o, uint64_t base, uint64_t hard,
	       uint64_t *taken, struct fail *why)
{
	uint64_t room = hard > base ? hard - base : 0;
	int err;

	*taken = 0;
	if (!o->present)
		return 0;
	/* A client, and a connection each way. */
	if (room < 4)
		return fail(why, -EMFILE, "--vsock: a hard limit of at least %"
			    PRIu64 " file descriptors (ulimit -Hn) expected, "
			    "not %" PRIu64, base + 4, hard);
	err = fit_clients(&o->host.clients_max, room, hard, why);
	if (err)
		return err;
	*taken = o->host.clients_max;
	err = fit_connections(&o->device.conns_max, room - *taken, hard, why);
	*taken += 2 * (uint64_t)o->device.conns_max;
	return err;
}

int descriptors_prepare(struct machine_options *options, struct fail *why)
{
	uint64_t base = count_open() + DESCRIPTORS_PROCESS +
			DESCRIPTORS_MACHINE + DESCRIPTORS_KEPT;
	uint64_t hard, need, taken;
	struct rlimit limit;
	int err;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return fail(why, -errno, "RLIMIT_NOFILE: %s", strerror(errno));
	hard = bounded(limit.rlim_max);
	err = fit(&options->vsock, base, hard, &taken, why);
	if (err)
		return err;
	/* Without vsock nobody can take them all: as many as there are. */
	need = base + taken < hard ? base + taken : hard;
	if (limit.rlim_cur < need) {
		limit.rlim_cur = need;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			return fail(why, -errno, "RLIMIT_NOFILE: cannot raise "
				    "it to %" PRIu64 ": %s", need,
				    strerror(errno));
	}
	if (options->vsock.present)
		options->vsock.host.fds_max = (unsigned int)
			(bounded(limit.rlim_cur) - DESCRIPTORS_KEPT);
	return 0;
}
