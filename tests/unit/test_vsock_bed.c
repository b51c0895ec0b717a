// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the vsock tests. See test_vsock_bed.h.
 *
 * One bed a process, set up anew for each test. The driver hears of the device
 * by InterruptStatus alone, and the device of the driver by its doorbells
 * alone, so that a notification forgotten shows as a test that gets stuck.
 */
#include "tests/unit/test_vsock_bed.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"

#define RAM (12u << 20)

struct vbed vbed;

unsigned int vbed_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void on_gate(void *opaque, enum vsock_gate_state from,
		    enum vsock_gate_state to)
{
	struct vbed_device *d = opaque;

	ck_assert_int_ne(from, to);
	if (d->gates_num)
		ck_assert_int_eq(d->gates[d->gates_num - 1], from);
	ck_assert_uint_lt(d->gates_num, VBED_GATES_MAX);
	d->gates[d->gates_num++] = to;
}

/* @heir: listens nowhere, another one does. */
static void new_device(uint64_t cid, bool heir)
{
	struct vbed_device *d = calloc(1, sizeof(*d));
	struct vbed_options *o = &vbed.options;
	struct fail why = { "" };

	ck_assert_ptr_nonnull(d);
	vbed.d = d;
	o->host.path = vbed.path;
	o->host.seqpacket = o->device.seqpacket ? vbed.seqpacket : NULL;
	o->device.guest_cid = cid;
	if (!o->host.mode)
		o->host.mode = 0600;
	ck_assert_msg(!(heir ? vsock_unix_init_heir : vsock_unix_init)
		      (&d->unx, vbed.loop, &o->host, &why), "%s", why.text);
	ck_assert_msg(!vsock_device_init(&d->dev, vbed.loop, &vbed.guest.mem,
					 &d->unx.backend, &o->device, &why),
		      "%s", why.text);
	ck_assert_msg(!virtio_host_init(&d->host, &d->dev.vdev, vbed.loop,
					&why), "%s", why.text);
	d->dev.on_gate = on_gate;
	d->dev.opaque = d;
	vbed.v.driver.vdev = &d->dev.vdev;
}

static void destroy(struct vbed_device *d)
{
	vsock_device_destroy(&d->dev);
	vsock_unix_destroy(&d->unx);
	virtio_host_destroy(&d->host);
	free(d);
}

void vbed_drop(void)
{
	destroy(vbed.d);
	vbed.d = NULL;
}

void vbed_start_with(const struct fake_vsock_config *config,
		     const struct vbed_options *options)
{
	struct fail why;

	memset(&vbed, 0, sizeof(vbed));
	vbed.options = *options;
	log_set_level(LOG_LEVEL_ERROR);
	vbed.fds = vbed_fds();
	strcpy(vbed.dir, "/tmp/wherry-vsock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(vbed.dir));
	snprintf(vbed.path, sizeof(vbed.path), "%s/vsock", vbed.dir);
	snprintf(vbed.seqpacket, sizeof(vbed.seqpacket), "%s/seqpacket",
		 vbed.dir);
	fake_guest_init(&vbed.guest, RAM, 0);
	vbed.loop = loop_new(&why);
	ck_assert_ptr_nonnull(vbed.loop);
	/* The driver is there before the device, and outlives it. */
	fake_vsock_init(&vbed.v, &vbed.guest, NULL, config);
	vbed.v.driver.doorbell_direct = true;
	fake_sockets_init(&vbed.set, &vbed.v);
	fake_sockets_listen(&vbed.set, VBED_PORT);
	fake_sockets_listen_type(&vbed.set, VBED_SEQ_PORT,
				 VSOCK_TYPE_SEQPACKET);
	new_device(VBED_CID, false);
}

void vbed_start(const struct fake_vsock_config *config)
{
	vbed_start_with(config, &(const struct vbed_options){ 0 });
}

void vbed_setup(void)
{
	vbed_start(NULL);
}

void vbed_probe(void)
{
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	vbed_run();
}

void vbed_setup_live(void)
{
	vbed_start(NULL);
	vbed_probe();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}

void vbed_setup_raw(void)
{
	vbed_start(NULL);
	vbed.raw = true;
	vbed_probe();
}

void vbed_start_seq(const struct fake_vsock_config *config)
{
	vbed_start_with(config, &(const struct vbed_options){
				.device.seqpacket = true });
	vbed_probe();
}

void vbed_setup_seq(void)
{
	vbed_start_seq(NULL);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}

static bool is_settled(void)
{
	return !vbed.d->dev.interrupt.slot &&
	       !vbed.d->dev.engine.credit.patience.slot;
}

void vbed_settle(void)
{
	vbed_wait_until(is_settled);
}

/* Nothing is popped and not pushed but what is held, nor pushed and not published. */
static void check_rest(void)
{
	const struct virtio_device *vdev = &vbed.d->dev.vdev;

	for (unsigned int i = 0; i < VSOCK_QUEUES; i++) {
		const struct virtq *q = &vdev->queue[i];

		ck_assert_uint_eq((uint16_t)(q->last_avail - q->used_idx),
				  q->held_count);
		ck_assert_uint_eq(q->flushed, q->used_idx);
	}
}

static void check_dir(void)
{
	char command[96];

	/* The device removes its path; listeners of tests are theirs. */
	ck_assert_int_ne(access(vbed.path, F_OK), 0);
	ck_assert_int_ne(access(vbed.seqpacket, F_OK), 0);
	snprintf(command, sizeof(command), "rm -rf %s", vbed.dir);
	ck_assert_int_eq(system(command), 0);
}

void vbed_teardown(void)
{
	ck_assert_msg(!vbed.v.violation, "%s", vbed.v.violation);
	ck_assert(fake_vsock_guards(&vbed.v));
	check_rest();
	vbed_drop();
	loop_free(vbed.loop);
	fake_sockets_destroy(&vbed.set);
	fake_guest_destroy(&vbed.guest);
	check_dir();
	if (!vbed.loose)
		ck_assert_uint_eq(vbed_fds(), vbed.fds);
}

void vbed_run_device(void)
{
	unsigned int turns = 0;

	while (loop_run_once(vbed.loop, 0) > 0)
		ck_assert_msg(turns++ < 100000, "the device spins");
}

void vbed_run(void)
{
	unsigned int turns = 0, ran;

	do {
		ran = 0;
		while (loop_run_once(vbed.loop, 0) > 0)
			ck_assert_msg(ran++ < 100000, "the device spins");
		if (!vbed.raw)
			ran += fake_sockets_interrupt(&vbed.set);
		ck_assert_msg(turns++ < 100000, "device and driver spin");
		ck_assert_msg(!vbed.v.violation, "%s", vbed.v.violation);
	} while (ran);
}

uint64_t vbed_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void vbed_wait(unsigned int ms)
{
	uint64_t end = vbed_now_ms() + ms, now;

	while ((now = vbed_now_ms()) < end) {
		loop_run_once(vbed.loop, (int)(end - now));
		vbed_run();
	}
}

void vbed_wait_until(bool (*done)(void))
{
	uint64_t end = vbed_now_ms() + 10000;

	vbed_run();
	while (!done()) {
		ck_assert_msg(vbed_now_ms() < end, "waited in vain");
		loop_run_once(vbed.loop, 10);
		vbed_run();
	}
}

enum vsock_gate_state vbed_gate(void)
{
	return vsock_device_gate(&vbed.d->dev);
}

void vbed_expect_gate(enum vsock_gate_state state)
{
	vbed_run();
	ck_assert_str_eq(vsock_gate_state_name(vbed_gate()),
			 vsock_gate_state_name(state));
	/* What was announced is what is. */
	if (vbed.d->gates_num)
		ck_assert_int_eq(vbed.d->gates[vbed.d->gates_num - 1], state);
	else
		ck_assert_int_eq(state, VSOCK_GATE_CLOSED);
}

struct vbed_snapshot vbed_save(void)
{
	struct vbed_snapshot snapshot = { 0 };
	struct state_writer w;
	const void *data;
	struct fail why;

	/* As machine_drain() does it. */
	virtio_host_drain(&vbed.d->host);
	loop_run_deferred(vbed.loop);
	ck_assert_int_eq(state_writer_init(&w), 0);
	virtio_device_save(&vbed.d->dev.vdev, &w);
	ck_assert_msg(!state_writer_finish(&w, &data, &snapshot.len, &why),
		      "%s", why.text);
	snapshot.data = malloc(snapshot.len);
	ck_assert_ptr_nonnull(snapshot.data);
	memcpy(snapshot.data, data, snapshot.len);
	state_writer_free(&w);
	return snapshot;
}

/* Frees the snapshot. */
static int load(struct vbed_snapshot snapshot, struct fail *why)
{
	struct state_node root;
	int err;

	ck_assert_msg(!state_check(snapshot.data, snapshot.len, why), "%s",
		      why->text);
	state_root(&root, snapshot.data);
	err = virtio_device_load(&vbed.d->dev.vdev, &root, why);
	if (!err)
		err = state_leave(&root, why);
	if (!err)
		err = virtio_device_loaded(&vbed.d->dev.vdev, why);
	free(snapshot.data);
	return err;
}

int vbed_try_load(struct vbed_snapshot snapshot, uint64_t cid,
		  struct fail *why)
{
	new_device(cid, false);
	return load(snapshot, why);
}

void vbed_load(struct vbed_snapshot snapshot, uint64_t cid)
{
	struct fail why = { "" };
	int err = vbed_try_load(snapshot, cid, &why);

	ck_assert_msg(!err, "%s", why.text);
}

void vbed_restore(void)
{
	struct vbed_snapshot snapshot = vbed_save();
	uint64_t cid = vbed.d->dev.guest_cid;

	vbed_drop();
	vbed_load(snapshot, cid);
}

void vbed_restore_in_place(void)
{
	struct vbed_snapshot snapshot = vbed_save();
	struct vbed_device *old = vbed.d;
	struct fail why = { "" };

	new_device(old->dev.guest_cid, true);
	ck_assert_msg(!load(snapshot, &why), "%s", why.text);
	vsock_device_finish(&old->dev);
	vsock_unix_inherit(&vbed.d->unx, &old->unx);
	destroy(old);
}

struct vsock_conn *vbed_conn(uint32_t host_port, uint32_t guest_port)
{
	return vsock_engine_find(&vbed.d->dev.engine, host_port, guest_port);
}

struct vsock_conn *vbed_conn_of(const struct fake_sock *sock)
{
	return vbed_conn(sock->host_port, sock->guest_port);
}

void vbed_expect_no_connection(void)
{
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	ck_assert_uint_eq(vbed.d->dev.engine.lingering, 0);
}

const struct vsock_stats *vbed_stats(void)
{
	return &vbed.d->dev.engine.stats;
}
