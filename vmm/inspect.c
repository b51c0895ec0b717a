// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `wherry inspect`: what is in a snapshot.
 *
 * Owns the names of what is shown, which are a public interface (wherry.1).
 * Called once by main(); one thread. Reads what machine_state.c and
 * virtio/device.c wrote, on the reading side of the same properties; whatever
 * else is there is no business of a reader who builds no machine.
 */
#include "vmm/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio/device.h"
#include "virtio/vsock.h"
#include "vmm/ctl_progress.h"
#include "vmm/ctl_table.h"
#include "vmm/machine.h"

/* Of st_blocks, whatever the file system's are (stat(3type)). */
#define BLOCK_SIZE 512

/* Redraw the bar at most so often. */
#define PROGRESS_INTERVAL_MS 100

/* "cpu@0" and the like are no devices. */
#define CPU_PREFIX "cpu@"

/* What the root describes; the others are named as their nodes. */
#define ROOT_COMPONENT "machine"

/**
 * struct virtio_facts - what is shown of a virtio device
 * @queues: how many virtqueues
 * @queue_size: of the first; all have the same
 * @offered: feature bits
 * @features: feature bits accepted
 * @status: device status register
 */
struct virtio_facts {
	uint32_t queues;
	uint32_t queue_size;
	uint64_t offered;
	uint64_t features;
	uint32_t status;
};

static int out_of_memory(struct fail *why)
{
	return fail(why, -ENOMEM, "out of memory");
}

static json_t *hex_value(uint64_t bits)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, bits);
	return json_string(text);
}

static int read_queue_size(struct state_node *node, uint32_t *size,
			   struct fail *why)
{
	struct state_node queue;
	int rc;

	rc = state_enter(node, &queue, why, "queue@0");
	return rc ? rc : state_get_u32(&queue, "size-max", size, why);
}

static int read_virtio(struct state_node *node, struct virtio_facts *v,
		       struct fail *why)
{
	int rc;

	rc = state_get_u32(node, "queues", &v->queues, why);
	if (!rc)
		rc = state_get_u64(node, "offered-features", &v->offered, why);
	if (!rc)
		rc = state_get_u64(node, "features", &v->features, why);
	if (!rc)
		rc = state_get_u32(node, "status", &v->status, why);
	if (!rc && v->queues)
		rc = read_queue_size(node, &v->queue_size, why);
	return rc;
}

static int describe_virtio(struct state_node *node, json_t *row,
			   struct fail *why)
{
	struct virtio_facts v = { 0 };
	int rc = read_virtio(node, &v, why);

	if (rc)
		return rc;
	json_object_set_new(row, "queues", json_integer(v.queues));
	json_object_set_new(row, "queue-size", json_integer(v.queue_size));
	json_object_set_new(row, "driver-ok",
			    json_boolean(v.status & VIRTIO_STATUS_DRIVER_OK));
	json_object_set_new(row, "features-offered", hex_value(v.offered));
	json_object_set_new(row, "features-negotiated",
			    hex_value(v.features));
	return 0;
}

/* @name: of a node, "name@address". */
static json_t *device_row(const char *name)
{
	size_t len = strcspn(name, "@");
	uint64_t address = strtoull(name + len + 1, NULL, 16);

	return json_pack("{s:s%,s:o}", "name", name, len, "address",
			 hex_value(address));
}

static int describe_vsock(struct state_node *node, uint64_t offered,
			  json_t *vsock, struct fail *why)
{
	struct state_node own;
	uint32_t owed;
	int rc;

	rc = state_enter(node, &own, why, "vsock");
	if (!rc)
		rc = state_get_u32(&own, "resets-owed", &owed, why);
	if (rc)
		return rc;
	json_object_set_new(vsock, "seqpacket", json_boolean(
			    offered & VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET)));
	json_object_set_new(vsock, "resets-owed", json_integer(owed));
	return 0;
}

static int describe_device(struct state_node *root, const char *name,
			   json_t *devices, json_t *all, struct fail *why)
{
	struct state_node node;
	json_t *row = device_row(name), *vsock;
	uint32_t id = 0;
	uint64_t offered;
	int rc;

	if (json_array_append_new(devices, row) < 0)
		return out_of_memory(why);
	rc = state_enter(root, &node, why, "%s", name);
	if (rc || !state_has(&node, "device-id"))
		return rc;
	rc = state_get_u32(&node, "device-id", &id, why);
	if (!rc)
		rc = describe_virtio(&node, row, why);
	if (rc || id != VIRTIO_ID_VSOCK)
		return rc;
	rc = state_get_u64(&node, "offered-features", &offered, why);
	vsock = json_object();
	if (!rc)
		rc = describe_vsock(&node, offered, vsock, why);
	json_object_set_new(all, "vsock", vsock);
	return rc;
}

/* Devices are the nodes with an address: "rng@d0002000". */
static int describe_devices(struct state_node *root, json_t *all,
			    struct fail *why)
{
	json_t *devices = json_array();
	const char *name;
	unsigned int i = 0;
	int rc = 0;

	if (json_object_set_new(all, "devices", devices) < 0)
		return out_of_memory(why);
	while (!rc && (name = state_subnode_name(root, i++))) {
		if (strchr(name, '@') &&
		    strncmp(name, CPU_PREFIX, strlen(CPU_PREFIX)))
			rc = describe_device(root, name, devices, all, why);
	}
	return rc;
}

/*
 * Of nodes that differ in their address alone, as CPUs and queues do, the
 * newest counts: it says what a reader has to know.
 */
static int add_version(json_t *versions, const char *component,
		       struct state_node *node, struct fail *why)
{
	json_int_t known = json_integer_value(
		json_object_get(versions, component));
	int rc = state_get_version(node, 0, UINT32_MAX, why);

	if (rc || known >= node->version)
		return rc;
	if (json_object_set_new(versions, component,
				json_integer(node->version)) < 0)
		return out_of_memory(why);
	return 0;
}

/* Components inside of @node, which is @component: "vsock/queue". */
static int describe_parts(struct state_node *node, const char *component,
			  json_t *versions, struct fail *why)
{
	char text[2 * (STATE_NAME_MAX + 1)];
	struct state_node part;
	const char *name;
	unsigned int i = 0;
	int rc = 0;

	while (!rc && (name = state_subnode_name(node, i++))) {
		snprintf(text, sizeof(text), "%s/%.*s", component,
			 (int)strcspn(name, "@"), name);
		rc = state_enter(node, &part, why, "%s", name);
		if (!rc)
			rc = add_version(versions, text, &part, why);
	}
	return rc;
}

static int describe_versions(struct state_node *root, json_t *all,
			     struct fail *why)
{
	json_t *versions = json_object();
	char text[STATE_NAME_MAX + 1];
	struct state_node node;
	const char *name;
	unsigned int i = 0;
	int rc;

	if (json_object_set_new(all, "versions", versions) < 0)
		return out_of_memory(why);
	rc = add_version(versions, ROOT_COMPONENT, root, why);
	while (!rc && (name = state_subnode_name(root, i++))) {
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(name, "@"),
			 name);
		rc = state_enter(root, &node, why, "%s", name);
		if (!rc)
			rc = add_version(versions, text, &node, why);
		if (!rc)
			rc = describe_parts(&node, text, versions, why);
	}
	return rc;
}

static int describe_files(const struct manifest *m, json_t *all,
			  struct fail *why)
{
	json_t *files = json_array();
	char crc[9];
	unsigned int i;

	if (json_object_set_new(all, "files", files) < 0)
		return out_of_memory(why);
	for (i = 0; i < m->files; i++) {
		snprintf(crc, sizeof(crc), "%08" PRIx32, m->file[i].crc);
		if (json_array_append_new(files, json_pack("{s:s,s:I,s:s}",
				"name", m->file[i].name, "length-bytes",
				(json_int_t)m->file[i].length, "crc32c",
				crc)) < 0)
			return out_of_memory(why);
	}
	return 0;
}

static int describe_machine(struct snapshot *s, json_t *all, struct fail *why)
{
	uint32_t cpus;
	struct stat st;
	int rc;

	rc = state_get_u32(&s->root, "cpus", &cpus, why);
	if (rc)
		return rc;
	if (fstat(s->memory_fd, &st))
		return fail(why, -errno, "memory: %s", strerror(errno));
	json_object_set_new(all, "format-version",
			    json_integer(MANIFEST_VERSION));
	json_object_set_new(all, "architecture",
			    json_string(s->manifest.arch));
	json_object_set_new(all, "cpus", json_integer(cpus));
	json_object_set_new(all, "memory-bytes",
			    json_integer((json_int_t)s->memory_size));
	json_object_set_new(all, "memory-allocated-bytes",
			    json_integer((json_int_t)st.st_blocks *
					 BLOCK_SIZE));
	return 0;
}

json_t *inspect_describe(struct snapshot *s, struct fail *why)
{
	json_t *all = json_object();
	int rc;

	rc = all ? describe_machine(s, all, why) : out_of_memory(why);
	if (!rc)
		rc = describe_devices(&s->root, all, why);
	if (!rc)
		rc = describe_versions(&s->root, all, why);
	if (!rc)
		rc = describe_files(&s->manifest, all, why);
	if (!rc)
		return all;
	json_decref(all);
	return NULL;
}

static int show_progress(void *opaque, enum snapshot_phase phase,
			 uint64_t done, uint64_t total)
{
	ctl_progress_show(opaque, snapshot_phase_name(phase), done, total);
	return 0;
}

static int verify(const struct snapshot *s, int progress_fd, struct fail *why)
{
	struct ctl_progress bar;
	int rc;

	ctl_progress_init(&bar, progress_fd, PROGRESS_INTERVAL_MS);
	rc = snapshot_verify(s, show_progress, &bar, why);
	ctl_progress_clear(&bar);
	return rc;
}

static int print(const struct inspect_options *o, struct snapshot *s,
		 struct fail *why)
{
	json_t *all = inspect_describe(s, why);
	int rc;

	rc = !all ? -EINVAL : o->verify ? verify(s, o->progress_fd, why) : 0;
	if (rc) {
		fail_within(why, rc, "snapshot %s", o->path);
		goto free_all;
	}
	json_object_set_new(all, "memory-verified", json_boolean(o->verify));
	rc = ctl_print(o->out, all, !o->json && isatty(fileno(o->out)));
	if (rc)
		fail(why, rc, "standard output: %s", strerror(-rc));
free_all:
	json_decref(all);
	return rc;
}

int inspect_run(const struct inspect_options *o, struct fail *why)
{
	struct snapshot snapshot;
	int rc;

	rc = snapshot_open(o->path, &snapshot, why);
	if (rc)
		return MACHINE_EXIT_ERROR;
	rc = print(o, &snapshot, why);
	snapshot_close(&snapshot);
	return rc ? MACHINE_EXIT_ERROR : 0;
}
