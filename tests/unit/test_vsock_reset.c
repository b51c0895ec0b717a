// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: TRANSPORT_RESET and the gate, at the whole device: saved, loaded and
 * answered by a driver that behaves as Linux does, or stops half way.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static bool interrupted(void)
{
	struct pollfd pfd = { vbed.d->host.irq_fd, POLLIN, 0 };

	return poll(&pfd, 1, 0) == 1;
}

START_TEST(fresh_device_opens_at_driver_ok)
{
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_CLOSED);
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.d->gates_num, 1);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
}
END_TEST

START_TEST(event_is_delivered_by_the_load_itself)
{
	uint16_t slot, before = fake_used_idx(vbed.v.event);
	bool valid;

	vbed_restore();
	/* No loop has run yet, no vCPU either. */
	ck_assert_uint_eq(fake_used_idx(vbed.v.event), before + 1);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	/* used_length_of_the_event_is_4 */
	ck_assert_int_eq(fake_vsock_event_take(&vbed.v, &slot, &valid), 1);
	ck_assert(valid);
	fake_vsock_event_refill(&vbed.v, slot);
}
END_TEST

START_TEST(load_interrupts_the_driver)
{
	/* It looks at its rings only if both are there. */
	fake_isr(&vbed.v.driver);
	vbed_restore();
	ck_assert(interrupted());
	ck_assert_uint_eq(fake_read(&vbed.v.driver,
				    VIRTIO_MMIO_INTERRUPT_STATUS),
			  VIRTIO_INT_USED);
}
END_TEST

START_TEST(driver_answers_and_the_gate_opens)
{
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 1);
	ck_assert_uint_eq(vbed.d->gates_num, 2);
	ck_assert_int_eq(vbed.d->gates[0], VSOCK_GATE_RESET_SENT);
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 0);
}
END_TEST

START_TEST(guest_gets_its_new_cid)
{
	struct vbed_snapshot snapshot = vbed_save();
	uint32_t generation = vbed.d->dev.vdev.config_generation;

	vbed_drop();
	vbed_load(snapshot, 99);
	ck_assert_uint_ne(vbed.d->dev.vdev.config_generation, generation);
	vbed_run();
	ck_assert_uint_eq(vbed.v.cid, 99);
}
END_TEST

START_TEST(load_before_driver_exists)
{
	vbed_restore();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_PENDING);
	vbed_probe();
	/* The probe's device reset tells the device that all is new. */
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
}
END_TEST

START_TEST(load_between_cid_read_and_driver_ok)
{
	struct vbed_snapshot snapshot;

	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	vbed_run();
	snapshot = vbed_save();
	vbed_drop();
	vbed_load(snapshot, 99);
	vbed_expect_gate(VSOCK_GATE_RESET_PENDING);
	fake_driver_ok(&vbed.v.driver);
	fake_vsock_fill_rx(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_RESET_PENDING);
	fake_vsock_fill_events(&vbed.v);
	/* Without the event the guest would never learn of its new CID. */
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 1);
	ck_assert_uint_eq(vbed.v.cid, 99);
}
END_TEST

START_TEST(load_between_driver_ok_and_first_fill)
{
	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	fake_driver_ok(&vbed.v.driver);
	fake_vsock_fill_rx(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_RESET_PENDING);
	fake_vsock_fill_events(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 1);
}
END_TEST

START_TEST(load_in_the_middle_of_first_fill_waits_for_its_kick)
{
	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	fake_driver_ok(&vbed.v.driver);
	fake_vsock_fill_rx(&vbed.v);
	fake_vsock_add_events(&vbed.v, 3);
	vbed_run();
	vbed_restore();
	/* What it still adds is no answer to anything. */
	fake_vsock_add_events(&vbed.v, 3);
	fake_notify(vbed.v.rx);
	vbed_expect_gate(VSOCK_GATE_RESET_PENDING);
	ck_assert_uint_eq(fake_used_idx(vbed.v.event), 0);
	fake_vsock_fill_events(&vbed.v);
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 1);
}
END_TEST

START_TEST(load_while_reset_pending)
{
	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	fake_driver_ok(&vbed.v.driver);
	vbed_run();
	vbed_restore();
	vbed_run();
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_RESET_PENDING);
	fake_vsock_fill_rx(&vbed.v);
	fake_vsock_fill_events(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	/* One event does for both. */
	ck_assert_uint_eq(vbed.v.resets_seen, 1);
}
END_TEST

START_TEST(load_twice_in_a_row_needs_two_answers)
{
	uint16_t slot[2];
	bool valid;

	vbed_restore();
	vbed_restore();
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
		ck_assert_int_eq(fake_vsock_event_take(&vbed.v, &slot[i],
						       &valid), 1);
		fake_vsock_read_cid(&vbed.v);
		fake_vsock_event_refill(&vbed.v, slot[i]);
		fake_notify(vbed.v.event);
		vbed_run_device();
	}
	vbed_expect_gate(VSOCK_GATE_OPEN);
}
END_TEST

START_TEST(resets_are_owed_over_a_save_until_the_last_is_answered)
{
	uint16_t slot;
	bool valid;

	vbed_restore();
	vbed_restore();
	fake_vsock_event_take(&vbed.v, &slot, &valid);
	fake_vsock_event_refill(&vbed.v, slot);
	vbed_restore();
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 3);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 2);
}
END_TEST

START_TEST(more_loads_than_event_buffers)
{
	for (int i = 0; i < 20; i++)
		vbed_restore();
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 8);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_PENDING);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 9);
}
END_TEST

START_TEST(save_does_not_disturb_the_source)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	struct vbed_snapshot snapshot;
	char buf[8];

	vsock_device_set_running(&vbed.d->dev, false);
	vbed_send(fd, "hello", 5);
	snapshot = vbed_save();
	free(snapshot.data);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)), 5);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(pause_and_resume_keeps_connections)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock), late;
	char buf[8];

	vsock_device_set_running(&vbed.d->dev, false);
	vbed_run();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	/* Nothing is taken from either side meanwhile. */
	vbed_send(fd, "host", 4);
	fake_sock_send(sock, "guest", 5);
	late = vbed_client();
	vbed_hello(late, VBED_PORT);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)), -EAGAIN);
	vbed_expect_nothing(fd);
	vbed_expect_nothing(late);
	vsock_device_set_running(&vbed.d->dev, true);
	vbed_run();
	ck_assert_int_eq(fake_sock_recv(sock, buf, sizeof(buf)), 4);
	vbed_expect(fd, "guest");
	vbed_ok(late);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
	close(fd);
	close(late);
	vbed_run();
}
END_TEST

/* What each state looks like, made by as little as it takes. */
static void go_to(enum vsock_gate_state state)
{
	fake_vsock_find_vqs(&vbed.v);
	fake_vsock_read_cid(&vbed.v);
	if (state == VSOCK_GATE_CLOSED)
		goto there;
	fake_driver_ok(&vbed.v.driver);
	fake_vsock_fill_rx(&vbed.v);
	if (state == VSOCK_GATE_RESET_PENDING) {
		vbed_restore();
		goto there;
	}
	fake_vsock_fill_events(&vbed.v);
	vbed_run_device();
	if (state == VSOCK_GATE_RESET_SENT)
		vbed_restore();
there:
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), state);
}

START_TEST(device_reset_in_each_state_closes)
{
	go_to((enum vsock_gate_state)_i);
	fake_write(&vbed.v.driver, VIRTIO_MMIO_STATUS, 0);
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_CLOSED);
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 0);
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
}
END_TEST

START_TEST(device_reset_and_probe_at_one_go_is_a_new_driver)
{
	go_to((enum vsock_gate_state)_i);
	/* vCPUs are fast: the loop hears of all of it at once. */
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 0);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
}
END_TEST

/* Work put off from before the reset must not meet the new driver's rings. */
START_TEST(work_from_before_a_device_reset_is_dropped)
{
	int fd;
	struct fake_sock *sock;

	go_to((enum vsock_gate_state)_i);
	if (_i == VSOCK_GATE_OPEN) {
		fd = vbed_connect(&sock);
		fake_sock_abort(sock);
		vbed_send(fd, "stale", 5);
	}
	ck_assert_int_eq(fake_vsock_probe(&vbed.v), 0);
	/* The loop happens to come to the deferred work first. */
	vbed.d->dev.run.fn(&vbed.d->dev.run);
	ck_assert_uint_eq(fake_used_idx(vbed.v.event), 0);
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), 0);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 0);
	if (_i == VSOCK_GATE_OPEN) {
		vbed_expect_eof(fd);
		close(fd);
	}
}
END_TEST

START_TEST(saved_in_each_state_it_opens_in_the_end)
{
	unsigned int owed[] = { 0, 0, 1, 0 };

	go_to((enum vsock_gate_state)_i);
	owed[VSOCK_GATE_OPEN] = 0;
	ck_assert_uint_eq(vbed.d->dev.gate.owed, owed[_i]);
	vbed_restore();
	ck_assert_uint_eq(vbed.d->dev.gate.owed,
			  _i < VSOCK_GATE_RESET_SENT ? 0 : owed[_i] + 1);
	vbed_run();
	if (_i == VSOCK_GATE_CLOSED) {
		fake_driver_ok(&vbed.v.driver);
		fake_vsock_fill_rx(&vbed.v);
	}
	if (_i < VSOCK_GATE_RESET_SENT)
		fake_vsock_fill_events(&vbed.v);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_ge(vbed.v.resets_seen, 1);
}
END_TEST

/* Hook: a snapshot is taken and loaded in the middle of the answer. */
static void restore_here(struct fake_vsock *v, enum fake_vsock_step step)
{
	const int *where = v->hook_opaque;

	if ((int)step != *where)
		return;
	v->hook = NULL;
	vbed_run_device();
	vbed_restore();
	vbed_run_device();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
}

START_TEST(load_at_each_step_of_the_answer_to_another)
{
	struct fake_sock *sock;
	int fd;

	vbed.v.hook = restore_here;
	vbed.v.hook_opaque = &_i;
	vbed_restore();
	/* Until the second restore takes the first socket away. */
	while (vbed.v.hook)
		fake_sockets_interrupt(&vbed.set);
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.resets_seen, 2);
	ck_assert_uint_eq(vbed.d->dev.gate.owed, 0);
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	ck_assert_int_eq(sock->err, 0);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(new_features_count_after_a_device_reset)
{
	/* NO_IMPLIED_STREAM without STREAM: no streams, V2. */
	vbed.v.config.features =
		~VIRTIO_BIT(VIRTIO_VSOCK_F_STREAM);
	ck_assert(vbed.d->dev.engine.stream);
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert(!vbed.d->dev.engine.stream);
}
END_TEST

START_TEST(host_ports_start_elsewhere_after_a_load)
{
	int fd = vbed_client();
	uint32_t port;

	vbed_hello(fd, VBED_PORT);
	port = vbed_ok(fd);
	vbed_restore();
	close(fd);
	vbed_run();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	/* One in 2^30 that they meet. */
	ck_assert_uint_gt(vbed_ok(fd) - port, 4);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(malformed_event_ring_breaks_the_device_not_the_load)
{
	struct vbed_snapshot snapshot = vbed_save();
	struct fail why = { "" };

	/* The driver's next event buffer is readable: its fault, its loss. */
	fake_desc_set(vbed.v.event, 0, vbed.v.event_gpa, 4, 0, 0);
	vbed_drop();
	ck_assert_msg(!vbed_try_load(snapshot, VBED_CID, &why), "%s",
		      why.text);
	ck_assert_uint_ne(fake_read(&vbed.v.driver, VIRTIO_MMIO_STATUS) &
			  VIRTIO_STATUS_NEEDS_RESET, 0);
	vbed_run();
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
}
END_TEST

int main(void)
{
	const struct unit_case fresh[] = {
		UNIT_TEST(fresh_device_opens_at_driver_ok),
		UNIT_TEST(load_before_driver_exists),
		UNIT_TEST(load_between_cid_read_and_driver_ok),
		UNIT_TEST(load_between_driver_ok_and_first_fill),
		UNIT_TEST(load_in_the_middle_of_first_fill_waits_for_its_kick),
		UNIT_TEST(load_while_reset_pending),
		UNIT_LOOP(device_reset_in_each_state_closes,
			  VSOCK_GATE_STATES),
		UNIT_LOOP(device_reset_and_probe_at_one_go_is_a_new_driver,
			  VSOCK_GATE_STATES),
		UNIT_LOOP(work_from_before_a_device_reset_is_dropped,
			  VSOCK_GATE_STATES),
		UNIT_LOOP(saved_in_each_state_it_opens_in_the_end,
			  VSOCK_GATE_STATES),
	};
	const struct unit_case live[] = {
		UNIT_TEST(event_is_delivered_by_the_load_itself),
		UNIT_TEST(load_interrupts_the_driver),
		UNIT_TEST(driver_answers_and_the_gate_opens),
		UNIT_TEST(guest_gets_its_new_cid),
		UNIT_TEST(load_twice_in_a_row_needs_two_answers),
		UNIT_TEST(resets_are_owed_over_a_save_until_the_last_is_answered),
		UNIT_TEST(more_loads_than_event_buffers),
		UNIT_TEST(save_does_not_disturb_the_source),
		UNIT_TEST(pause_and_resume_keeps_connections),
		UNIT_LOOP(load_at_each_step_of_the_answer_to_another,
			  FAKE_VSOCK_KICKED + 1),
		UNIT_TEST(new_features_count_after_a_device_reset),
		UNIT_TEST(host_ports_start_elsewhere_after_a_load),
		UNIT_TEST(malformed_event_ring_breaks_the_device_not_the_load),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("fresh", fresh, vbed_setup, vbed_teardown),
		UNIT_GROUP("live", live, vbed_setup_live, vbed_teardown),
	};

	return unit_run("vsock_reset", groups, UNIT_COUNT(groups));
}
