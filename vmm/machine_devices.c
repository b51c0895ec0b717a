// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine table: which devices there are. Its order is the order of
 * building, of the guest's description and of saved state.
 *
 * Called by machine.c and machine_state.c on the loop thread, vCPUs parked or
 * not yet started.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "virtio/mmio.h"
#include "vmm/machine_internal.h"

/**
 * struct machine_device - a row of the table
 * @name: of the node in saved state, and in messages
 * @platform: where it is; base 0 and gsi 0 for virtio-mmio and the ged, which
 *     take the window and interrupt of their row
 * @since: first version of the machine (machine_state.c) whose saved state has
 *     its node; 0: all that are read. In older snapshots there is none, and
 *     the device stays as @create made it
 * @wanted: does this machine have it? NULL: every machine does
 * @create: make it; for virtio, without transport
 * @destroy: the opposite; never called without @create
 * @save: into the open node; NULL: nothing to save, no node
 * @load: from its node
 * @inherit: take over what @create left to another machine (machine->heir);
 *     NULL: nothing
 */
struct machine_device {
	const char *name;
	struct platform_device platform;
	uint32_t since;
	bool (*wanted)(const struct machine *m);
	int (*create)(struct machine *m, struct machine_slot *slot,
		      struct fail *why);
	void (*destroy)(struct machine *m);
	void (*save)(struct machine *m, struct machine_slot *slot,
		     struct state_writer *w);
	int (*load)(struct machine *m, struct machine_slot *slot,
		    struct state_node *node, struct fail *why);
	void (*inherit)(struct machine *m, struct machine *old);
};

/* Serial port and console. */

static void console_quit(void *opaque)
{
	struct machine *m = opaque;

	m->host->ended(m->host->opaque, MACHINE_EXIT_POWEROFF, "host-signal");
}

static int serial_create(struct machine *m, struct machine_slot *slot,
			 struct fail *why)
{
	const struct platform_device *p = &slot->platform;
	struct bus_range range = {
		.base = p->base,
		.size = p->size,
		.name = slot->type->name,
		.read = serial_read,
		.write = serial_write,
		.opaque = &m->serial,
	};
	int err;

	err = serial_init(&m->serial, why);
	if (err)
		return err;
	if (!m->heir) {
		m->console = console_new(m->loop, &m->serial,
					 m->options->serial, console_quit, m,
					 why);
		if (!m->console) {
			err = -EINVAL;
			goto destroy_serial;
		}
	}
	err = bus_add(&m->vm.pio, &range, why);
	if (!err)
		err = vm_add_irqfd(&m->vm, p->gsi, m->serial.irq_fd, why);
	if (!err)
		return 0;
	console_free(m->console);
destroy_serial:
	serial_destroy(&m->serial);
	return err;
}

static void serial_inherit(struct machine *m, struct machine *old)
{
	m->console = old->console;
	old->console = NULL;
	console_connect(m->console, &m->serial, m);
}

static void serial_remove(struct machine *m)
{
	console_free(m->console);
	serial_destroy(&m->serial);
}

static void serial_save_slot(struct machine *m, struct machine_slot *slot,
			     struct state_writer *w)
{
	(void)slot;
	serial_save(&m->serial, w);
}

static int serial_load_slot(struct machine *m, struct machine_slot *slot,
			    struct state_node *node, struct fail *why)
{
	(void)slot;
	return serial_load(&m->serial, node, why);
}

/* ACPI power switch. */

static void power_off(void *opaque)
{
	vm_report(opaque, VM_EVENT_POWEROFF);
}

static void power_reset(void *opaque)
{
	vm_report(opaque, VM_EVENT_RESET);
}

static int power_create(struct machine *m, struct machine_slot *slot,
			struct fail *why)
{
	struct bus_range range = {
		.base = slot->platform.base,
		.size = slot->platform.size,
		.name = slot->type->name,
		.read = power_read,
		.write = power_write,
		.opaque = &m->power,
	};

	m->power = (struct power){
		.off = power_off, .reset = power_reset, .opaque = &m->vm,
	};
	return bus_add(&m->vm.pio, &range, why);
}

static void power_remove(struct machine *m)
{
	(void)m;
}

/* ACPI events: power button, new generation. */

static void ged_line(void *opaque, bool high)
{
	struct machine *m = opaque;

	vm_set_irq(&m->vm, m->ged_gsi, high);
}

static int ged_create(struct machine *m, struct machine_slot *slot,
		      struct fail *why)
{
	struct bus_range range = {
		.base = slot->platform.base,
		.size = slot->platform.size,
		.name = slot->type->name,
		.read = ged_read,
		.write = ged_write,
		.opaque = &m->ged,
	};
	int err = bus_add(&m->vm.mmio, &range, why);

	if (err)
		return err;
	m->ged_gsi = slot->platform.gsi;
	ged_init(&m->ged, ged_line, m);
	return 0;
}

static void ged_remove(struct machine *m)
{
	ged_destroy(&m->ged);
}

static void ged_save_slot(struct machine *m, struct machine_slot *slot,
			  struct state_writer *w)
{
	(void)slot;
	ged_save(&m->ged, w);
}

static int ged_load_slot(struct machine *m, struct machine_slot *slot,
			 struct state_node *node, struct fail *why)
{
	(void)slot;
	return ged_load(&m->ged, node, why);
}

static int vmgenid_create(struct machine *m, struct machine_slot *slot,
			  struct fail *why)
{
	return vmgenid_init(&m->vmgenid, &m->vm.memory, slot->platform.base,
			    why);
}

static void vmgenid_remove(struct machine *m)
{
	(void)m;
}

static void vmgenid_save_slot(struct machine *m, struct machine_slot *slot,
			      struct state_writer *w)
{
	(void)slot;
	vmgenid_save(&m->vmgenid, w);
}

/* The event device is loaded already: this comes on top of what it holds. */
static int vmgenid_load_slot(struct machine *m, struct machine_slot *slot,
			     struct state_node *node, struct fail *why)
{
	int err = vmgenid_load(&m->vmgenid, node, why);

	(void)slot;
	if (!err)
		ged_raise(&m->ged, GED_NEW_GENERATION);
	return err;
}

/* Panic device. */

static void on_panic(void *opaque)
{
	vm_tell(opaque, VM_EVENT_PANIC);
}

static void on_crash_loaded(void *opaque)
{
	vm_tell(opaque, VM_EVENT_CRASH_LOADED);
}

static int pvpanic_create(struct machine *m, struct machine_slot *slot,
			  struct fail *why)
{
	struct bus_range range = {
		.base = slot->platform.base,
		.size = slot->platform.size,
		.name = slot->type->name,
		.read = pvpanic_read,
		.write = pvpanic_write,
		.opaque = &m->pvpanic,
	};

	m->pvpanic = (struct pvpanic){
		.panicked = on_panic, .crash_loaded = on_crash_loaded,
		.opaque = &m->vm,
	};
	return bus_add(&m->vm.pio, &range, why);
}

static void pvpanic_remove(struct machine *m)
{
	(void)m;
}

static void pvpanic_save_slot(struct machine *m, struct machine_slot *slot,
			      struct state_writer *w)
{
	(void)slot;
	pvpanic_save(&m->pvpanic, w);
}

static int pvpanic_load_slot(struct machine *m, struct machine_slot *slot,
			     struct state_node *node, struct fail *why)
{
	(void)slot;
	return pvpanic_load(&m->pvpanic, node, why);
}

/* virtio devices. */

static void mmio_read(void *opaque, uint64_t offset, void *data,
		      unsigned int len)
{
	virtio_mmio_read(opaque, offset, data, len);
}

static void mmio_write(void *opaque, uint64_t offset, const void *data,
		       unsigned int len)
{
	virtio_mmio_write(opaque, offset, data, len);
}

/* Register window, doorbells and interrupt of a virtio device. */
static int add_transport(struct machine *m, struct machine_slot *slot,
			 struct fail *why)
{
	const struct platform_device *p = &slot->platform;
	const struct virtio_device_ops *ops = slot->vdev->ops;
	struct bus_range range = {
		.base = p->base,
		.size = p->size,
		.name = slot->type->name,
		.read = mmio_read,
		.write = mmio_write,
		.opaque = slot->vdev,
	};
	int err;

	err = virtio_host_init(&slot->host, slot->vdev, m->loop, why);
	if (!err)
		err = bus_add(&m->vm.mmio, &range, why);
	if (!err)
		err = vm_add_irqfd(&m->vm, p->gsi, slot->host.irq_fd, why);
	for (unsigned int i = 0; i < ops->queues && !err; i++) {
		if (ops->exact_notify & 1u << i)
			continue;
		err = vm_add_ioeventfd(&m->vm,
				       p->base + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				       virtio_host_kick_fd(&slot->host, i),
				       why);
	}
	if (err)
		virtio_host_destroy(&slot->host);
	return err;
}

static void virtio_save(struct machine *m, struct machine_slot *slot,
			struct state_writer *w)
{
	(void)m;
	virtio_device_save(slot->vdev, w);
}

static int virtio_load(struct machine *m, struct machine_slot *slot,
		       struct state_node *node, struct fail *why)
{
	(void)m;
	return virtio_device_load(slot->vdev, node, why);
}

static int rng_create(struct machine *m, struct machine_slot *slot,
		      struct fail *why)
{
	int err;

	rng_init(&m->rng, &m->vm.memory);
	slot->vdev = &m->rng.vdev;
	err = add_transport(m, slot, why);
	if (err)
		rng_destroy(&m->rng);
	return err;
}

static void rng_remove(struct machine *m)
{
	rng_destroy(&m->rng);
}

static bool vsock_wanted(const struct machine *m)
{
	return m->options->vsock.present;
}

static void on_gate(void *opaque, enum vsock_gate_state from,
		    enum vsock_gate_state to)
{
	struct machine *m = opaque;

	(void)from;
	gate_events_change(&m->gate_events, to, m->vsock.gate.forced);
}

static int vsock_create(struct machine *m, struct machine_slot *slot,
			struct fail *why)
{
	const struct vsock_options *options = &m->options->vsock;
	int err;

	/* Here, not when parsed: the options may have been copied since. */
	m->vsock_host = options->host;
	m->vsock_host.ports = options->ranges;
	err = m->heir ?
		vsock_unix_init_heir(&m->vsock_unix, m->loop, &m->vsock_host,
				     why) :
		vsock_unix_init(&m->vsock_unix, m->loop, &m->vsock_host, why);
	if (err)
		return err;
	err = vsock_device_init(&m->vsock, m->loop, &m->vm.memory,
				&m->vsock_unix.backend, &m->vsock_device, why);
	if (err)
		goto destroy_unix;
	if (options->pcap && !m->heir) {
		m->vsock.engine.capture = vsock_capture_open(options->pcap,
							     why);
		err = m->vsock.engine.capture ? 0 : -EIO;
	}
	slot->vdev = &m->vsock.vdev;
	if (!err)
		err = add_transport(m, slot, why);
	if (!err)
		return 0;
	vsock_capture_close(m->vsock.engine.capture);
	vsock_device_destroy(&m->vsock);
destroy_unix:
	vsock_unix_destroy(&m->vsock_unix);
	return err;
}

static void vsock_inherit(struct machine *m, struct machine *old)
{
	m->vsock.engine.capture = old->vsock.engine.capture;
	vsock_device_finish(&old->vsock);
	old->vsock.engine.capture = NULL;
	vsock_unix_inherit(&m->vsock_unix, &old->vsock_unix);
}

static void vsock_remove(struct machine *m)
{
	vsock_device_destroy(&m->vsock);
	gate_events_destroy(&m->gate_events);
	vsock_capture_close(m->vsock.engine.capture);
	vsock_unix_destroy(&m->vsock_unix);
}

/*
 * A new row goes to the end, as snapshots and the guests in them hold the
 * places of the others; if it saves anything, it says @since when.
 */
#define VIRTIO_ROW \
	.platform = { PLATFORM_VIRTIO_MMIO, 0, VIRTIO_MMIO_SIZE, 0 }, \
	.save = virtio_save, .load = virtio_load

static const struct machine_device table[] = {
	{ .name = "serial",
	  .platform = { PLATFORM_SERIAL, ARCH_SERIAL_BASE, SERIAL_SIZE,
			ARCH_SERIAL_GSI },
	  .create = serial_create, .destroy = serial_remove,
	  .save = serial_save_slot, .load = serial_load_slot,
	  .inherit = serial_inherit },
	{ .name = "power",
	  .platform = { PLATFORM_POWER, ARCH_POWER_BASE, POWER_SIZE, 0 },
	  .create = power_create, .destroy = power_remove },
	{ .name = "rng", VIRTIO_ROW,
	  .create = rng_create, .destroy = rng_remove },
	{ .name = "vsock", VIRTIO_ROW, .wanted = vsock_wanted,
	  .create = vsock_create, .destroy = vsock_remove,
	  .inherit = vsock_inherit },
	{ .name = "ged",
	  .platform = { PLATFORM_GED, 0, GED_SIZE, 0 },
	  .create = ged_create, .destroy = ged_remove,
	  .save = ged_save_slot, .load = ged_load_slot },
	/* After the ged: loading it raises an event there. */
	{ .name = "vmgenid",
	  .platform = { PLATFORM_VMGENID, ARCH_VMGENID_BASE, VMGENID_SIZE, 0 },
	  .create = vmgenid_create, .destroy = vmgenid_remove,
	  .save = vmgenid_save_slot, .load = vmgenid_load_slot },
	{ .name = "pvpanic", .since = 4,
	  .platform = { PLATFORM_PVPANIC, ARCH_PVPANIC_BASE, PVPANIC_SIZE, 0 },
	  .create = pvpanic_create, .destroy = pvpanic_remove,
	  .save = pvpanic_save_slot, .load = pvpanic_load_slot },
};
#define ROWS (sizeof(table) / sizeof(table[0]))
_Static_assert(ROWS <= MACHINE_DEVICES_MAX, "a slot for each row");
_Static_assert(ARCH_GSI_FIRST + ROWS <= ARCH_GSI_LAST + 1,
	       "an interrupt for each row");

/* Window and interrupt belong to the row, whether or not others are there. */
static void place(struct machine_slot *slot, unsigned int row)
{
	slot->type = &table[row];
	slot->platform = table[row].platform;
	if (slot->platform.kind == PLATFORM_VIRTIO_MMIO ||
	    slot->platform.kind == PLATFORM_GED) {
		slot->platform.base = ARCH_WINDOW_BASE +
				      row * ARCH_WINDOW_SIZE;
		slot->platform.gsi = ARCH_GSI_FIRST + row;
	}
}

int machine_add_devices(struct machine *m, struct fail *why)
{
	for (unsigned int i = 0; i < ROWS; i++) {
		struct machine_slot *slot = &m->slot[i];
		int err;

		place(slot, i);
		if (table[i].wanted && !table[i].wanted(m))
			continue;
		err = table[i].create(m, slot, why);
		if (err)
			return err;
		slot->present = true;
	}
	return 0;
}

void machine_remove_devices(struct machine *m)
{
	for (unsigned int i = ROWS; i-- > 0; ) {
		struct machine_slot *slot = &m->slot[i];

		if (!slot->present)
			continue;
		virtio_host_destroy(&slot->host);
		table[i].destroy(m);
		slot->present = false;
	}
}

void machine_take_devices(struct machine *m, struct machine *old)
{
	for (unsigned int i = 0; i < ROWS; i++)
		if (m->slot[i].present && table[i].inherit)
			table[i].inherit(m, old);
}

void machine_announce(struct machine *m)
{
	enum vsock_gate_state gate;

	if (!m->options->vsock.present)
		return;
	gate_events_init(&m->gate_events, m->loop, m->control);
	gate = vsock_device_gate(&m->vsock);
	if (gate != VSOCK_GATE_CLOSED)
		on_gate(m, VSOCK_GATE_CLOSED, gate);
	m->vsock.on_gate = on_gate;
	m->vsock.opaque = m;
}

unsigned int machine_platform(const struct machine *m,
			      struct platform_device *device)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < ROWS; i++)
		if (m->slot[i].present)
			device[count++] = m->slot[i].platform;
	return count;
}

void machine_drain(struct machine *m)
{
	for (unsigned int i = 0; i < ROWS; i++)
		if (m->slot[i].present && m->slot[i].vdev)
			virtio_host_drain(&m->slot[i].host);
	loop_run_deferred(m->loop);
}

int machine_save_devices(struct machine *m, struct state_writer *w)
{
	for (unsigned int i = 0; i < ROWS; i++) {
		struct machine_slot *slot = &m->slot[i];

		if (!slot->present || !table[i].save)
			continue;
		state_begin(w, "%s@%" PRIx64, table[i].name,
			    slot->platform.base);
		table[i].save(m, slot, w);
		state_end(w);
	}
	return w->err;
}

static int load_slot(struct machine *m, struct machine_slot *slot,
		     struct state_node *parent, struct fail *why)
{
	struct state_node node;
	int err;

	err = state_enter_since(parent, &node, slot->type->since, why,
				"%s@%" PRIx64, slot->type->name,
				slot->platform.base);
	if (err)
		return err < 0 ? err : 0;
	err = slot->type->load(m, slot, &node, why);
	return err ? err : state_leave(&node, why);
}

int machine_load_devices(struct machine *m, struct state_node *parent,
			 struct fail *why)
{
	int err = 0;

	for (unsigned int i = 0; i < ROWS && !err; i++)
		if (m->slot[i].present && table[i].load)
			err = load_slot(m, &m->slot[i], parent, why);
	for (unsigned int i = 0; i < ROWS && !err; i++)
		if (m->slot[i].present && m->slot[i].vdev)
			err = virtio_device_loaded(m->slot[i].vdev, why);
	return err;
}
