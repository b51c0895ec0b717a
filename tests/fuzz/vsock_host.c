// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's side of the world: the loop, doorbells as virtio_host.c answers
 * them, the device's lives.
 */
#include "tests/fuzz/vsock_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/log.h"

/* More turns than any script can need: the device chases its own tail. */
#define TURNS_MAX	2000u

struct world world;

void world_violated(const char *file, int line, const char *rule)
{
	fprintf(stderr, "%s:%d: broken rule: %s\n", file, line, rule);
	abort();
}

/* The loop, as devices/loop.h has it. */

int loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t ms)
{
	loop_timer_cancel(loop, timer);
	if (loop->timers == WORLD_TIMERS)
		return -ENOMEM;
	timer->deadline = loop->now + ms;
	loop->timer[loop->timers++] = timer;
	timer->slot = loop->timers;
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *last;

	if (!timer->slot)
		return;
	world_require(loop->timer[timer->slot - 1] == timer);
	last = loop->timer[--loop->timers];
	loop->timer[timer->slot - 1] = last;
	last->slot = timer->slot;
	timer->slot = 0;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
}

void loop_undefer(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at = &loop->tasks;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (!*at)
		loop->tasks_end = at;
	task->queued = false;
}

void world_advance(uint64_t ms)
{
	struct loop *loop = &world.loop;
	struct loop_timer *due;

	loop->now += ms;
	/* What a handler arms anew is due later, if only by a millisecond. */
	do {
		due = NULL;
		for (unsigned int i = 0; i < loop->timers; i++)
			if (loop->timer[i]->deadline <= loop->now &&
			    (!due || loop->timer[i]->deadline < due->deadline))
				due = loop->timer[i];
		if (due) {
			loop_timer_cancel(loop, due);
			oracle_step_begin();
			due->fn(due);
			oracle_step_end();
		}
	} while (due);
}

/* Doorbells. */

static void host_interrupt(void *host)
{
	(void)host;
	world.interrupts++;
}

static void host_kick(void *host, unsigned int queue)
{
	(void)host;
	world_require(queue <= VIRTIO_KICK_STATUS);
	world.pending |= 1u << queue;
	if (queue < VSOCK_QUEUES)
		oracle_kicked(queue);
}

static void host_broken(void *host, const struct fail *why)
{
	(void)host;
	world_require(why->text[0] != '\0');
	world_require(world.dev->vdev.status & VIRTIO_STATUS_NEEDS_RESET);
	/* As virtio_host.c: the register file may have found it. */
	host_kick(NULL, VIRTIO_KICK_STATUS);
}

static const struct virtio_host_ops host_ops = {
	.interrupt = host_interrupt,
	.kick = host_kick,
	.broken = host_broken,
};

void world_ring(unsigned int queue)
{
	host_kick(NULL, queue);
}

static void notify(unsigned int queue)
{
	struct virtio_device *vdev = &world.dev->vdev;

	if (virtio_device_live(vdev) && vdev->queue[queue].ready)
		vdev->ops->queue_notify(vdev, queue);
}

static void notify_all(void)
{
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++)
		notify(i);
}

static void show_status(void)
{
	struct virtio_device *vdev = &world.dev->vdev;
	bool reset = world.resets != vdev->resets;
	bool was_ok = world.status & VIRTIO_STATUS_DRIVER_OK;

	if (!reset && world.status == vdev->status)
		return;
	world.resets = vdev->resets;
	world.status = vdev->status;
	vdev->ops->status_changed(vdev);
	if (reset || !was_ok)
		notify_all();
}

static void answer_doorbells(unsigned int bits)
{
	struct virtio_device *vdev = &world.dev->vdev;

	pthread_mutex_lock(&vdev->lock);
	show_status();
	for (unsigned int i = 0; i < VSOCK_QUEUES; i++)
		if (bits & 1u << i)
			notify(i);
	pthread_mutex_unlock(&vdev->lock);
}

bool world_turn(void)
{
	struct loop *loop = &world.loop;
	unsigned int bits = world.pending, tasks = 0;

	if (!bits && !loop->tasks)
		return false;
	oracle_step_begin();
	world.pending = 0;
	if (bits)
		answer_doorbells(bits);
	for (struct loop_task *t = loop->tasks; t; t = t->next)
		tasks++;
	while (tasks--) {
		struct loop_task *task = loop->tasks;

		loop_undefer(loop, task);
		task->fn(task);
	}
	oracle_step_end();
	return true;
}

void world_idle(void)
{
	unsigned int turns = 0;

	while (world_turn())
		world_require(turns++ < TURNS_MAX);
	oracle_at_rest();
}

/* The device's lives. */

static void new_device(uint64_t cid)
{
	const struct vsock_device_options options = {
		.guest_cid = cid,
		.queue_size = WORLD_QUEUE_MAX,
		.seqpacket = true,
	};
	struct vsock_device *dev = calloc(1, sizeof(*dev));
	struct fail why;

	world_require(dev);
	world.backend = (struct vsock_backend){
		.ops = &world_backend_ops, .gate = world_gate,
	};
	world.gate_open = false;
	world.pending = 0;
	world_require(!vsock_device_init(dev, &world.loop, &world.guest.mem,
					 &world.backend, &options, &why));
	/* No luck here: the same input is the same run. */
	dev->engine.next_host_port = 0;
	dev->engine.buf_alloc = world.buf_alloc;
	dev->engine.conns_max = world.conns_max;
	if (world.tight)
		dev->engine.credit.budget = 1;
	dev->vdev.host_ops = &host_ops;
	world.resets = dev->vdev.resets;
	world.status = dev->vdev.status;
	world.dev = dev;
}

static void drop_device(void)
{
	world.ending = true;
	vsock_device_destroy(world.dev);
	world.ending = false;
	free(world.dev);
	world.dev = NULL;
	world_require(!world.conns_num && list_empty(&world.conns));
	world_require(!world.loop.timers && !world.loop.tasks);
}

static void load(const void *data, size_t len, uint64_t cid)
{
	struct state_node root;
	struct fail why;

	new_device(cid);
	world_require(!state_check(data, len, &why));
	state_root(&root, data);
	/* Whatever a guest does, it cannot spoil its own snapshot. */
	if (virtio_device_load(&world.dev->vdev, &root, &why) ||
	    state_leave(&root, &why))
		world_violated(__FILE__, __LINE__, why.text);
	oracle_device_new(true);
	oracle_step_begin();
	world_require(!virtio_device_loaded(&world.dev->vdev, &why));
	oracle_step_end();
}

void world_reload(uint64_t cid, bool drain)
{
	struct virtio_device *vdev = &world.dev->vdev;
	struct state_writer w;
	struct fail why;
	const void *data;
	size_t len;

	if (drain) {
		pthread_mutex_lock(&vdev->lock);
		show_status();
		notify_all();
		pthread_mutex_unlock(&vdev->lock);
		world_idle();
	}
	world_require(!state_writer_init(&w));
	oracle_step_begin();
	virtio_device_save(vdev, &w);
	oracle_step_end();
	/* It looked at the event queue; the doorbell is yet to come. */
	world.oracle.lagging = !drain;
	if (state_writer_finish(&w, &data, &len, &why))
		world_violated(__FILE__, __LINE__, why.text);
	if (cid) {
		oracle_memory();
		drop_device();
		load(data, len, cid);
	}
	state_writer_free(&w);
}

/* RAM as each run finds it; allocated once, for speed. */
static void power_on(void)
{
	static struct fake_guest guest;
	static uint8_t pattern[WORLD_RX_SIZE];

	if (!guest.mem.count) {
		fake_guest_init(&guest, WORLD_LOW, WORLD_HIGH);
		for (unsigned int i = 0; i < sizeof(pattern); i++)
			pattern[i] = (uint8_t)(i * 7 + i / 256);
	}
	world.guest = guest;
	memset(guest.mem.region[0].host, 0, WORLD_RX);
	memcpy(guest.mem.region[0].host + WORLD_RX, pattern, WORLD_RX_SIZE);
	memset(guest.mem.region[1].host, 0, WORLD_HIGH);
}

void world_begin(uint32_t buf_alloc, uint32_t conns_max, bool tight)
{
	/* That a driver is slow or wrong is no news here. */
	log_set_level(LOG_LEVEL_ERROR);
	memset(&world, 0, sizeof(world));
	world.buf_alloc = buf_alloc;
	world.conns_max = conns_max;
	world.tight = tight;
	world.fresh_room = UINT32_MAX;
	world.answer = 1;
	world.loop.tasks_end = &world.loop.tasks;
	list_init(&world.conns);
	power_on();
	oracle_begin();
	new_device(WORLD_CID);
	oracle_device_new(false);
}

void world_end(void)
{
	oracle_memory();
	drop_device();
}
