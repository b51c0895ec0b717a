/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine: one guest with its devices, from the table in machine_devices.c.
 *
 * Everything here is for the loop thread, which is the main thread.
 */
#ifndef WHERRY_VMM_MACHINE_H
#define WHERRY_VMM_MACHINE_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/vsock/device.h"
#include "devices/vsock/unix.h"
#include "virtio/fail.h"
#include "vmm/control_message.h"
#include "vmm/kvm.h"

/* --vsock linger= when it is not given, ms. */
#define VSOCK_LINGER_MS 5000

/* Ranges in --vsock ports=. */
#define VSOCK_OPTION_RANGES 16u

/**
 * struct vsock_options - --vsock cid=N,uds=PATH,...
 * @present: given at all
 * @device: cid=, queue-size=, buffer=, connections=; whether seqpacket= is
 * @host: uds=, seqpacket=, mode=, clients=, ports=
 * @ranges: behind host.ports
 * @linger_ms: linger=: how long at most, at the end of the process, host
 *     programs are waited for that do not take what the guest sent last
 * @pcap: where to write down all packets, or NULL
 */
struct vsock_options {
	bool present;
	struct vsock_device_options device;
	struct vsock_unix_options host;
	struct vsock_port_range ranges[VSOCK_OPTION_RANGES];
	int linger_ms;
	const char *pcap;
};

/**
 * struct machine_options - what the command line asks for
 * @kernel: path; NULL when restoring
 * @initrd: path or NULL
 * @append: kernel command line; "" when none
 * @memory: RAM, bytes, a multiple of 1 MiB
 * @cpus: 1 .. VM_CPUS_MAX
 * @serial: "stdio", "none" or "file=PATH"
 * @control: path of the control socket, or NULL
 * @vsock: --vsock
 * @snapshot: directory to restore from; NULL when booting
 * @incoming: --incoming: wait for `snapshot-load`
 * @clock: --clock
 * @force: --force: restore onto a CPU that lacks what the guest was told of
 * @paused: --paused: leave the guest stopped until `cont`
 * @panic_stop: --on-panic stop: a guest that has panicked stays, paused
 * @end_signals: those that end the process cleanly (SIGINT, SIGTERM, SIGHUP,
 *     less the ones that were ignored when it started); main() has blocked
 *     them, monitor_run() reads them with signalfd(2)
 * @log_fd: what log_open() returned; monitor_run() calls log_service()
 */
struct machine_options {
	const char *kernel;
	const char *initrd;
	const char *append;
	uint64_t memory;
	unsigned int cpus;
	const char *serial;
	const char *control;
	struct vsock_options vsock;
	const char *snapshot;
	bool incoming;
	enum vm_clock clock;
	bool force;
	bool paused;
	bool panic_stop;
	sigset_t end_signals;
	int log_fd;
};

/* Exit status of the process (wherry.1, EXIT STATUS). */
#define MACHINE_EXIT_POWEROFF	0
#define MACHINE_EXIT_ERROR	1
#define MACHINE_EXIT_USAGE	2
#define MACHINE_EXIT_RESET	3
#define MACHINE_EXIT_PANIC	4

struct machine;

/**
 * struct machine_host - what a machine sees of the process
 * @options: what the command line asks for
 * @loop: where its devices run
 * @control: who is told of events; NULL: nobody
 * @ended: the guest is over: exit status of the process, and the "reason" of
 *     the SHUTDOWN event; from the loop. The machine must not be freed in it
 * @opaque: handed to @ended
 */
struct machine_host {
	const struct machine_options *options;
	struct loop *loop;
	struct control *control;
	void (*ended)(void *opaque, int status, const char *reason);
	void *opaque;
};

/**
 * machine_boot() - a new machine with a kernel, paused
 * @host: outlives it
 * @old: NULL, or the machine it is to replace, which goes on meanwhile:
 *     machine_inherit() follows, or machine_free()
 *
 * Return: the machine, NULL with the reason.
 */
struct machine *machine_boot(const struct machine_host *host,
			     const struct machine *old, struct fail *why);
/** machine_restore() - the same from the snapshot in directory @path */
struct machine *machine_restore(const struct machine_host *host,
				const char *path, const struct machine *old,
				struct fail *why);
/**
 * machine_inherit() - take over console, host sockets and capture
 * @m: was made with this @old
 * @old: stopped; what its guest has sent is delivered, and what host sockets do
 *     not take at once is @m's to deliver. Only machine_free() is left to do
 *     with it
 */
void machine_inherit(struct machine *m, struct machine *old);
/** machine_halt() - end its vCPUs, for good */
void machine_halt(struct machine *m);
/**
 * machine_linger() - deliver what the guest sent last
 *
 * After machine_halt(). The guest is gone, what it sent last is not lost with
 * it: its rings are emptied, and host sockets made to take as much as they can.
 * Programs that have to read before there is room for the rest are waited for
 * until options.vsock.linger_ms have passed. What is lost then is logged.
 */
void machine_linger(struct machine *m);
/** machine_free() - NULL is fine */
void machine_free(struct machine *m);

/* What the control socket asks for. */

/** machine_status() - "running", "paused", "prelaunch", "guest-panicked" (QMP
 *  RunState) */
const char *machine_status(const struct machine *m);
bool machine_is_running(const struct machine *m);
/** machine_panicked() - has its guest panicked, and not gone on since? */
bool machine_panicked(const struct machine *m);
/**
 * machine_saving() - is it being saved? It must not be freed until it has been
 * Return: the path of the snapshot, or NULL.
 */
const char *machine_saving(const struct machine *m);
/** machine_stop() - park all vCPUs; no-op when paused */
void machine_stop(struct machine *m);
/**
 * machine_cont() - let them run; no-op when running
 *
 * A guest that has panicked goes on from there, once the panic has been told.
 */
void machine_cont(struct machine *m);
/**
 * machine_powerdown() - press the guest's power button
 *
 * In any state: a guest that does not run finds it pressed when it does, also
 * after a save and restore. Whether it powers off is the guest's business.
 */
void machine_powerdown(struct machine *m);
/**
 * machine_save() - snapshot into directory @path
 * @reply: completed when the snapshot is on stable storage, with a JSON object:
 *     "path", "pause-us", "memory-bytes" (RAM), "memory-written" (thereof not
 *     zero), "state-bytes"; also the data of the SNAPSHOT_SAVED event
 *
 * Returns as soon as memory is copied; a guest that was running runs again by
 * then. SNAPSHOT_PROGRESS events tell how far it is if it takes long.
 *
 * Return: 0, or negative errno: @reply is not used. -EBUSY: one at a time.
 */
int machine_save(struct machine *m, const char *path,
		 struct control_pending *reply, struct fail *why);
/**
 * machine_verify() - check the snapshot in directory @path, memory and all
 * @reply: completed with a JSON object: "path", "memory-bytes", or with what is
 *     wrong with it
 *
 * Return: as machine_save().
 */
int machine_verify(struct machine *m, const char *path,
		   struct control_pending *reply, struct fail *why);
/** machine_query_cpus() - new JSON array, as query-cpus-fast has it */
json_t *machine_query_cpus(const struct machine *m);
/** machine_query_generation() - new JSON object: {"guid": string} */
json_t *machine_query_generation(const struct machine *m);
/** machine_query_vsock() - new JSON object, or NULL: no vsock device */
json_t *machine_query_vsock(const struct machine *m);

#endif
