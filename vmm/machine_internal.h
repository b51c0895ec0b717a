/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between machine.c, machine_devices.c, machine_state.c, machine_query.c,
 * machine_task.c.
 */
#ifndef WHERRY_VMM_MACHINE_INTERNAL_H
#define WHERRY_VMM_MACHINE_INTERNAL_H

#include <stdbool.h>

#include "devices/console.h"
#include "devices/ged.h"
#include "devices/loop.h"
#include "devices/power.h"
#include "devices/pvpanic.h"
#include "devices/rng.h"
#include "devices/serial.h"
#include "devices/virtio_host.h"
#include "devices/vmgenid.h"
#include "devices/vsock/device.h"
#include "devices/vsock/unix.h"
#include "virtio/state.h"
#include "vmm/arch.h"
#include "vmm/control.h"
#include "vmm/gate_events.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define MACHINE_DEVICES_MAX 8u

struct machine_device;

/**
 * struct machine_slot - a row of the machine table, in one machine
 * @type: the row
 * @present: this machine has it
 * @platform: what the guest is told of it
 * @vdev: the device, for rows of PLATFORM_VIRTIO_MMIO
 * @host: its host side, for the same rows
 */
struct machine_slot {
	const struct machine_device *type;
	bool present;
	struct platform_device platform;
	struct virtio_device *vdev;
	struct virtio_host host;
};

/**
 * enum machine_task_kind - what goes on beside the machine, one of each kind
 * @MACHINE_SAVE: a snapshot on its way to stable storage
 * @MACHINE_VERIFY: a snapshot being read
 * @MACHINE_TASKS: how many
 */
enum machine_task_kind { MACHINE_SAVE, MACHINE_VERIFY, MACHINE_TASKS };

struct machine_task;

/**
 * struct machine - one guest with its devices
 * @host: what it is part of
 * @options: what the command line asked for
 * @loop: everything but vCPUs runs there
 * @vm: KVM's part
 * @slot: the devices, in the table's order
 * @control: the control socket, or NULL
 * @serial: the serial port
 * @console: where it leads
 * @power: ACPI power switch
 * @ged: ACPI events
 * @ged_gsi: their interrupt
 * @vmgenid: generation ID
 * @pvpanic: where the guest tells of a panic
 * @rng: entropy device
 * @vsock: socket device, if options.vsock.present
 * @vsock_unix: its host side
 * @vsock_device: what the socket device is to be like: options.vsock.device,
 *     completed by the snapshot
 * @vsock_host: options.vsock.host
 * @gate_events: tells of its gate, from machine_announce() on
 * @image_name: of the snapshot that it was restored from; NULL: it was not
 * @heir: another machine has console, host sockets and capture still
 * @events: eventfd: a vCPU has reported something
 * @event: a bit for each enum vm_event that was reported and not dealt with;
 *     atomic
 * @running: vCPUs are not parked
 * @started: they have run at least once
 * @task: what is going on beside it; NULL: nothing of that kind
 */
struct machine {
	const struct machine_host *host;
	const struct machine_options *options;
	struct loop *loop;
	struct vm vm;
	struct machine_slot slot[MACHINE_DEVICES_MAX];
	struct control *control;
	struct serial serial;
	struct console *console;
	struct power power;
	struct ged ged;
	unsigned int ged_gsi;
	struct vmgenid vmgenid;
	struct pvpanic pvpanic;
	struct rng rng;
	struct vsock_device vsock;
	struct vsock_unix vsock_unix;
	struct vsock_device_options vsock_device;
	struct vsock_unix_options vsock_host;
	struct gate_events gate_events;
	char *image_name;
	bool heir;
	struct loop_source events;
	atomic_uint event;
	bool running;
	bool started;
	struct machine_task *task[MACHINE_TASKS];
};

/* machine_devices.c */

/** machine_add_devices() - make all devices, put them on the buses */
int machine_add_devices(struct machine *m, struct fail *why);
/** machine_remove_devices() - the opposite; after vcpus_stop() */
void machine_remove_devices(struct machine *m);
/** machine_take_devices() - what the devices of an heir are given by @old's */
void machine_take_devices(struct machine *m, struct machine *old);
/** machine_announce() - from now on whoever listens is told of the devices */
void machine_announce(struct machine *m);
/** machine_platform() - the table as the guest's description needs it */
unsigned int machine_platform(const struct machine *m,
			      struct platform_device *device);
/** machine_drain() - do all device work that vCPUs asked for before parking */
void machine_drain(struct machine *m);
int machine_save_devices(struct machine *m, struct state_writer *w);
/** machine_load_devices() - irqchip and vCPUs are loaded already */
int machine_load_devices(struct machine *m, struct state_node *parent,
			 struct fail *why);

/* machine_state.c */

/**
 * struct machine_shape - what has to be known before anything is built
 * @cpus: how many vCPUs
 * @memory: RAM, bytes
 * @vsock_queue_size: of the vsock device; 0: there is none
 * @vsock_seqpacket: the vsock device offers seqpacket sockets
 */
struct machine_shape {
	uint32_t cpus;
	uint64_t memory;
	uint16_t vsock_queue_size;
	bool vsock_seqpacket;
};

/** machine_read_shape() - from a snapshot's tree; checks it against options */
int machine_read_shape(const struct machine_options *options,
		       struct state_node *root, struct machine_shape *shape,
		       struct fail *why);
/** machine_save_state() - all but memory; vCPUs parked, devices at rest */
int machine_save_state(struct machine *m, struct state_writer *w,
		       struct fail *why);
/** machine_load() - vCPUs, irqchip, devices; leaves @root */
int machine_load(struct machine *m, struct state_node *root, struct fail *why);

/* machine_task.c */

/**
 * machine_finish_tasks() - before the machine goes
 *
 * Waits until a save is on stable storage; cuts verifying short. Whoever asked
 * for them is answered.
 */
void machine_finish_tasks(struct machine *m);
/** machine_take_tasks() - what @old has going on is @m's now; no save */
void machine_take_tasks(struct machine *m, struct machine *old);

#endif
