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
#include <inttypes.h>

#include "vmm/machine_internal.h"

#define STATE_VERSION 2

static void save_shape(const struct machine *m, struct state_writer *w)
{
	state_put_u32(w, "version", STATE_VERSION);
	state_put_u32(w, "cpus", m->vm.cpus);
	state_put_u64(w, "memory", guest_memory_total(&m->vm.memory));
	state_put_u32(w, "vsock-queue-size", m->options->vsock.present ?
		      m->vsock.vdev.queue[0].size_max : 0);
	state_put_u32(w, "vsock-seqpacket", m->vsock_device.seqpacket);
}

/* The socket device has to be the one that the driver has seen. */
static int check_vsock(const struct vsock_options *options, uint32_t queue_size,
		       bool seqpacket, struct fail *why)
{
	if (queue_size && !options->present)
		return fail(why, -EINVAL,
			    "the snapshot has a vsock device: --vsock cid=N,uds=PATH expected");
	if (!queue_size && options->present)
		return fail(why, -EINVAL,
			    "--vsock: the snapshot has no vsock device");
	if (queue_size > VIRTQ_SIZE_MAX || (queue_size & (queue_size - 1)))
		return fail(why, -ERANGE,
			    "state.dtb: vsock-queue-size %" PRIu32
			    ", expected a power of 2 up to %u", queue_size,
			    VIRTQ_SIZE_MAX);
	if (options->device.queue_size &&
	    options->device.queue_size != queue_size)
		return fail(why, -EINVAL,
			    "--vsock queue-size %u: the snapshot has %" PRIu32,
			    options->device.queue_size, queue_size);
	if (seqpacket && !options->device.seqpacket)
		return fail(why, -EINVAL,
			    "the snapshot's vsock device has seqpacket sockets: --vsock seqpacket=PATH expected");
	if (!seqpacket && options->device.seqpacket)
		return fail(why, -EINVAL,
			    "--vsock seqpacket: the snapshot's vsock device has no seqpacket sockets");
	return 0;
}

int machine_read_shape(const struct machine_options *options,
		       struct state_node *root, struct machine_shape *shape,
		       struct fail *why)
{
	uint32_t version, queue_size, seqpacket;
	int err;

	err = state_get_u32(root, "version", &version, why);
	if (!err && version != STATE_VERSION)
		err = fail(why, -ENOTSUP,
			   "state.dtb: version %" PRIu32 ", expected %u",
			   version, STATE_VERSION);
	if (!err)
		err = state_get_u32(root, "cpus", &shape->cpus, why);
	if (!err)
		err = state_get_u64(root, "memory", &shape->memory, why);
	if (!err)
		err = state_get_u32(root, "vsock-queue-size", &queue_size, why);
	if (!err)
		err = state_get_u32(root, "vsock-seqpacket", &seqpacket, why);
	if (err)
		return err;
	if (shape->cpus < 1 || shape->cpus > VM_CPUS_MAX)
		return fail(why, -ERANGE,
			    "state.dtb: cpus %" PRIu32 ", expected 1 to %u",
			    shape->cpus, VM_CPUS_MAX);
	shape->vsock_queue_size = (uint16_t)queue_size;
	return check_vsock(&options->vsock, queue_size, seqpacket, why);
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
