// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a machine tells about itself on its control socket, as JSON. Loop
 * thread, called by commands.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/machine_internal.h"

const char *machine_status(const struct machine *m)
{
	if (m->running)
		return "running";
	if (machine_panicked(m))
		return "guest-panicked";
	return m->started ? "paused" : "prelaunch";
}

/* The topology is that of CPUID: cores of one thread, in one socket. */
json_t *machine_query_cpus(const struct machine *m)
{
	json_t *list = json_array();
	char path[32];

	for (unsigned int i = 0; i < m->vm.cpus; i++) {
		/* Only a name here, but QMP's schema demands it. */
		snprintf(path, sizeof(path), "/machine/cpu[%u]", i);
		json_array_append_new(list, json_pack(
			"{si ss si ss s{si si si}}",
			"cpu-index", (int)i,
			"qom-path", path,
			"thread-id", (int)m->vm.vcpu[i].tid,
			"target", ARCH_NAME,
			"props", "socket-id", 0, "core-id", (int)i,
			"thread-id", 0));
	}
	return list;
}

json_t *machine_query_generation(const struct machine *m)
{
	char text[VMGENID_TEXT + 1];

	vmgenid_text(&m->vmgenid, text);
	return json_pack("{ss}", "guid", text);
}

bool machine_is_running(const struct machine *m)
{
	return m->running;
}

bool machine_panicked(const struct machine *m)
{
	return pvpanic_told(&m->pvpanic);
}

static json_t *describe_conn(const struct vsock_conn *conn)
{
	return json_pack("{sI sI ss ss sI sI sI sI sI sI}",
		"host-port", (json_int_t)conn->host_port,
		"guest-port", (json_int_t)conn->guest_port,
		"type", conn->type == VSOCK_TYPE_STREAM ? "stream"
							: "seqpacket",
		"state", vsock_conn_state_name(conn->state),
		"bytes-to-guest", (json_int_t)conn->bytes_to_guest,
		"bytes-to-host", (json_int_t)conn->bytes_to_host,
		"guest-room", (json_int_t)vsock_conn_room(conn),
		"host-room", (json_int_t)(conn->buf_alloc -
					  (conn->rx_cnt - conn->fwd_cnt)),
		"guest-credit", (json_int_t)vsock_credit_left(conn),
		"backlog", (json_int_t)conn->backlog.used);
}

static json_t *describe_conns(const struct vsock_engine *engine)
{
	json_t *list = json_array();

	for (const struct list_node *at = engine->conns.next;
	     at != &engine->conns; at = at->next) {
		const struct vsock_conn *conn =
			list_entry(at, struct vsock_conn, all);

		json_array_append_new(list, describe_conn(conn));
	}
	return list;
}

static json_t *describe_stats(const struct machine *m)
{
	const struct vsock_stats *s = &m->vsock.engine.stats;
	const struct { const char *name; uint64_t value; } counters[] = {
		{ "connects-from-host", s->connects_host },
		{ "connects-from-guest", s->connects_guest },
		{ "established", s->established },
		{ "refused", s->refused },
		{ "resets-sent", s->resets_sent },
		{ "resets-received", s->resets_received },
		{ "packets-to-host", s->packets_to_host },
		{ "packets-to-guest", s->packets_to_guest },
		{ "bytes-to-host", s->bytes_to_host },
		{ "bytes-to-guest", s->bytes_to_guest },
		{ "malformed", s->malformed },
		{ "credit-overruns", s->credit_overruns },
		{ "connection-limit-hits", s->limit_hits },
		{ "timeouts", s->timeouts },
		{ "losses", s->losses },
		{ "losses-untold", m->vsock_unix.untold },
		{ "bytes-lost", s->bytes_lost },
		{ "clients-refused", m->vsock_unix.refused },
		{ "ports-refused", m->vsock_unix.ports_refused },
		{ "gate-forced", m->vsock.gate_forced },
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_object_set_new(object, counters[i].name,
				    json_integer((json_int_t)
						 counters[i].value));
	return object;
}

json_t *machine_query_vsock(const struct machine *m)
{
	const struct vsock_device *dev = &m->vsock;
	char features[32];

	if (!m->options->vsock.present)
		return NULL;
	snprintf(features, sizeof(features), "0x%" PRIx64,
		 dev->vdev.features);
	return json_pack("{sI ss ss ss sb sI sI sI sI sI sI so so}",
		"guest-cid", (json_int_t)dev->guest_cid,
		"features", features,
		"uds", m->options->vsock.host.path,
		"gate", vsock_gate_state_name(vsock_device_gate(dev)),
		"driver-ok", virtio_device_live(&dev->vdev),
		"resets-owed", (json_int_t)(dev->gate.owed + dev->gate.unsent),
		"connections-max", (json_int_t)dev->engine.conns_max,
		"connections-from-host", (json_int_t)dev->engine.opened[false],
		"connections-from-guest", (json_int_t)dev->engine.opened[true],
		"clients-waiting", (json_int_t)m->vsock_unix.count,
		"connections-busy", (json_int_t)dev->engine.credit.busy_count,
		"connections", describe_conns(&dev->engine),
		"counters", describe_stats(m));
}
