// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state of a whole machine: writing it down, loading it.
 *
 * Called by machine.c and machine_task.c on the loop thread, vCPUs parked.
 *
 * Order of saving: devices first, because their last work may still raise
 * interrupts; then vCPUs; then irqchip and clock. Order of loading: vCPUs,
 * irqchip and clock, devices last, because what a load itself has to tell the
 * guest goes through the irqchip. An interrupt that was on its way while the
 * snapshot was taken is not in it; each device repeats its own after the load.
 */
#include <errno.h>
#include <string.h>

#include "vmm/machine_internal.h"

/*
 * The root's table. Its version also says which nodes there are: a component
 * that comes with one (machine_devices.c: @since) adds one to it. Version 1 had
 * no generation ID, whose place the guest may have used; 2 had no versions but
 * this one; 3 had no panic device.
 */
static const struct state_field shape_fields[] = {
	STATE_VALUE(struct machine_shape, cpus, "cpus", 1, VM_CPUS_MAX),
	STATE_VALUE(struct machine_shape, memory, "memory", 0, UINT64_MAX),
	STATE_VALUE(struct machine_shape, vsock_queue_size, "vsock-queue-size",
		    0, VIRTQ_SIZE_MAX),
	STATE_VALUE(struct machine_shape, vsock_seqpacket, "vsock-seqpacket",
		    0, 1),
};
static const struct state_table shape_table =
	STATE_TABLE(shape_fields, 4, .oldest = 2);

static void save_shape(const struct machine *m, struct state_writer *w)
{
	const struct machine_shape shape = {
		.cpus = m->vm.cpus,
		.memory = guest_memory_total(&m->vm.memory),
		.vsock_queue_size = m->options->vsock.present ?
			m->vsock.vdev.queue[0].size_max : 0,
		.vsock_seqpacket = m->vsock_device.seqpacket,
	};

	state_put(w, &shape_table, &shape);
}

/* The socket device has to be the one that the driver has seen. */
static int check_vsock(const struct vsock_options *options,
		       const struct machine_shape *shape, struct fail *why)
{
	uint16_t queue_size = shape->vsock_queue_size;

	if (queue_size && !options->present)
		return fail(why, -EINVAL,
			    "the snapshot has a vsock device: --vsock cid=N,uds=PATH expected");
	if (!queue_size && options->present)
		return fail(why, -EINVAL,
			    "--vsock: the snapshot has no vsock device");
	if (queue_size & (queue_size - 1))
		return fail(why, -ERANGE,
			    "state.dtb: vsock-queue-size %u, expected a power of 2",
			    queue_size);
	if (options->device.queue_size &&
	    options->device.queue_size != queue_size)
		return fail(why, -EINVAL,
			    "--vsock queue-size %u: the snapshot has %u",
			    options->device.queue_size, queue_size);
	if (shape->vsock_seqpacket && !options->device.seqpacket)
		return fail(why, -EINVAL,
			    "the snapshot's vsock device has seqpacket sockets: --vsock seqpacket=PATH expected");
	if (!shape->vsock_seqpacket && options->device.seqpacket)
		return fail(why, -EINVAL,
			    "--vsock seqpacket: the snapshot's vsock device has no seqpacket sockets");
	return 0;
}

int machine_read_shape(const struct machine_options *options,
		       struct state_node *root, struct machine_shape *shape,
		       struct fail *why)
{
	int err;

	memset(shape, 0, sizeof(*shape));
	err = state_get(root, &shape_table, shape, why);
	return err ? err : check_vsock(&options->vsock, shape, why);
}

int machine_save_state(struct machine *m, struct state_writer *w,
		       struct fail *why)
{
	int err = 0;

	save_shape(m, w);
	machine_save_devices(m, w);
	for (unsigned int i = 0; i < m->vm.cpus && !err; i++) {
		state_begin(w, "cpu@%x", i);
		err = arch_vcpu_save(&m->vm.vcpu[i], w, why);
		state_end(w);
	}
	if (err)
		return err;
	state_begin(w, "irqchip");
	err = arch_vm_save(&m->vm, w, why);
	state_end(w);
	return err;
}

int machine_load(struct machine *m, struct state_node *root, struct fail *why)
{
	struct state_node node;
	int err = 0;

	for (unsigned int i = 0; i < m->vm.cpus && !err; i++) {
		err = state_enter(root, &node, why, "cpu@%x", i);
		if (!err)
			err = arch_vcpu_load(&m->vm.vcpu[i], &node, why);
		if (!err)
			err = state_leave(&node, why);
	}
	if (!err)
		err = state_enter(root, &node, why, "irqchip");
	if (!err)
		err = arch_vm_load(&m->vm, &node, why);
	if (!err)
		err = state_leave(&node, why);
	if (!err)
		err = machine_load_devices(m, root, why);
	if (!err)
		err = state_leave(root, why);
	return err;
}
