// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keys of --vsock: a table, and a checker for each. Called by options.c,
 * before any thread exists.
 */
#include "vmm/option_vsock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/unix_socket.h"
#include "vmm/option_value.h"

/* virtio 1.2, 5.10.4: 0, 1 and 2 are reserved, and the top one is "any". */
#define CID_MIN		VSOCK_CID_GUEST_MIN
#define CID_MAX		UINT64_C(0xfffffffe)
#define PORT_MAX	UINT64_C(0xfffffffe)
/* The guest's port N is to be found at "PATH_N". */
#define UDS_NAME_MAX	(UNIX_SOCKET_NAME_MAX - (sizeof("_4294967295") - 1))
/* Linux 6.12 sends up to 18 descriptors a packet; less would not carry it. */
#define QUEUE_MIN	32u
#define BUFFER_MIN	4096u
#define BUFFER_MAX	(16u << 20)
#define CONNS_LIMIT	65535u
#define CLIENTS_LIMIT	4096u

/* Copies a path, which is gone after the call otherwise. */
static int set_path(const char **to, const char *value, struct fail *why)
{
	char *copy = strdup(value);

	if (!copy)
		return fail(why, -ENOMEM, "out of memory");
	*to = copy;
	return 0;
}

static int set_cid(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;

	if (!option_number(value, CID_MIN, CID_MAX, &o->device.guest_cid))
		return fail(why, -EINVAL, "cid " SHOWN ": a decimal number "
			    "from %u to %" PRIu64 " expected", value, CID_MIN,
			    CID_MAX);
	return 0;
}

static int set_uds(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	int err = option_check_socket("uds", value, UDS_NAME_MAX, why);

	return err ? err : set_path(&o->host.path, value, why);
}

static int set_seqpacket(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	int err = option_check_socket("seqpacket", value, UNIX_SOCKET_NAME_MAX,
				      why);

	o->device.seqpacket = true;
	return err ? err : set_path(&o->host.seqpacket, value, why);
}

static int set_pcap(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	int err = option_check_path("pcap", value, why);

	return err ? err : set_path(&o->pcap, value, why);
}

static int set_mode(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	unsigned long mode;
	char *end;

	mode = strtoul(value, &end, 8);
	if (*end || strlen(value) > 4 || !strchr("01234567", value[0]) ||
	    mode > 0777 || (mode & 0600) != 0600)
		return fail(why, -EINVAL, "mode " SHOWN ": an octal number "
			    "from 600 to 777 expected, such as 660, that lets "
			    "the owner read and write", value);
	o->host.mode = (mode_t)mode;
	return 0;
}

static int set_queue_size(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	uint64_t n;

	if (!option_number(value, QUEUE_MIN, VIRTQ_SIZE_MAX, &n) ||
	    (n & (n - 1)))
		return fail(why, -EINVAL, "queue-size " SHOWN ": a power of 2 "
			    "from %u to %u expected", value, QUEUE_MIN,
			    VIRTQ_SIZE_MAX);
	o->device.queue_size = (uint16_t)n;
	return 0;
}

static int set_buffer(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	uint64_t n;

	if (!option_size(value, &n) || n < BUFFER_MIN || n > BUFFER_MAX)
		return fail(why, -EINVAL, "buffer " SHOWN ": bytes from %uK to "
			    "%uM expected, such as 256K", value,
			    BUFFER_MIN >> 10, BUFFER_MAX >> 20);
	o->device.buf_alloc = (uint32_t)n;
	return 0;
}

static int set_connections(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	uint64_t n;

	if (!option_number(value, 1, CONNS_LIMIT, &n))
		return fail(why, -EINVAL, "connections " SHOWN ": a number "
			    "from 1 to %u expected", value, CONNS_LIMIT);
	o->device.conns_max = (uint32_t)n;
	return 0;
}

static int set_clients(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	uint64_t n;

	if (!option_number(value, 1, CLIENTS_LIMIT, &n))
		return fail(why, -EINVAL, "clients " SHOWN ": a number from 1 "
			    "to %u expected", value, CLIENTS_LIMIT);
	o->host.clients_max = (unsigned int)n;
	return 0;
}

static int set_linger(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;

	return option_seconds("linger", value, &o->linger_ms, why);
}

/* "N" or "N-M". Return: where it ends, or NULL. */
static const char *read_range(const char *text, struct vsock_port_range *range)
{
	uint64_t first, last;
	const char *end;

	if (!option_digits(text, &end, &first))
		return NULL;
	last = first;
	if (*end == '-' && !option_digits(end + 1, &end, &last))
		return NULL;
	if (first > last || last > PORT_MAX)
		return NULL;
	*range = (struct vsock_port_range){ (uint32_t)first, (uint32_t)last };
	return end;
}

static int set_ports(void *out, const char *value, struct fail *why)
{
	struct vsock_options *o = out;
	const char *at = value;

	while (o->host.port_count < VSOCK_OPTION_RANGES) {
		at = read_range(at, &o->ranges[o->host.port_count]);
		if (!at)
			break;
		o->host.port_count++;
		if (!*at)
			return 0;
		if (*at++ != '+')
			break;
	}
	return fail(why, -EINVAL, "ports " SHOWN ": up to %u ports or ranges "
		    "expected, such as 5000+6000-6010", value,
		    VSOCK_OPTION_RANGES);
}

static const struct option_list_rule rules[] = {
	{ "cid", true, set_cid },
	{ "uds", true, set_uds },
	{ "seqpacket", false, set_seqpacket },
	{ "mode", false, set_mode },
	{ "ports", false, set_ports },
	{ "connections", false, set_connections },
	{ "clients", false, set_clients },
	{ "buffer", false, set_buffer },
	{ "linger", false, set_linger },
	{ "queue-size", false, set_queue_size },
	{ "pcap", false, set_pcap },
	{ 0 }
};

int option_vsock(const char *text, struct vsock_options *out,
		 struct fail *why)
{
	int err;

	out->host.mode = 0600;
	out->linger_ms = VSOCK_LINGER_MS;
	err = option_list(text, rules, out, why);
	if (err)
		return err;
	out->present = true;
	return 0;
}

/* These strings are ours: set_path() made them. */
static void free_path(const char *path)
{
	free((void *)(uintptr_t)path);
}

void option_vsock_free(struct vsock_options *options)
{
	free_path(options->host.path);
	free_path(options->host.seqpacket);
	free_path(options->pcap);
}
