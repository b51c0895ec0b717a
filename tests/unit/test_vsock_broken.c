// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: drivers that break their rings. The device waits for a reset, the
 * host's programs are not left hanging, and the process lives on.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static void expect_broken(void)
{
	uint32_t isr;

	vbed.raw = true;
	vbed_run();
	ck_assert_uint_ne(fake_read(&vbed.v.driver, VIRTIO_MMIO_STATUS) &
			  VIRTIO_STATUS_NEEDS_RESET, 0);
	isr = fake_read(&vbed.v.driver, VIRTIO_MMIO_INTERRUPT_STATUS);
	ck_assert_uint_ne(isr & VIRTIO_INT_CONFIG, 0);
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_CLOSED);
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
	/* What the guest may still say falls on deaf ears. */
	fake_isr(&vbed.v.driver);
	fake_notify(vbed.v.tx);
	fake_notify(vbed.v.rx);
	vbed_run();
	ck_assert_uint_eq(fake_read(&vbed.v.driver,
				    VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* The driver resets the device, and all is well. */
static void expect_well_after_reset(void)
{
	struct fake_sock *sock;
	int fd;

	vbed.raw = false;
	fake_sockets_sweep(&vbed.set);
	vbed_probe();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	while ((sock = fake_sock_accept(&vbed.set, VBED_PORT)))
		fake_sock_close(sock);
	fd = vbed_connect(&sock);
	fake_sock_send(sock, "well", 4);
	vbed_run();
	vbed_expect(fd, "well");
	close(fd);
	vbed_run();
}

static void break_ring(struct fake_queue *q, int how)
{
	uint16_t next = q->free_head;

	switch (how) {
	case 0:
		fake_avail_idx_set(q, (uint16_t)(q->avail_idx + 1000));
		break;
	case 1:
		fake_avail_put(q, 5000);
		break;
	case 2:
		fake_desc_set(q, next, 0x1000, 44, VIRTQ_DESC_F_NEXT, next);
		fake_avail_put(q, next);
		break;
	default:
		fake_desc_set(q, next, UINT64_C(0x900000000), 44, 0, 0);
		fake_avail_put(q, next);
		break;
	}
}

START_TEST(malformed_tx_ring_breaks_the_device)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock), client = vbed_client();

	vbed_send(client, "CONN", 4);
	vbed_run();
	break_ring(vbed.v.tx, _i);
	fake_notify(vbed.v.tx);
	expect_broken();
	vbed_expect_eof(fd);
	close(fd);
	close(client);
	expect_well_after_reset();
}
END_TEST

START_TEST(packets_before_the_malformed_one_are_delivered)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	vbed.set.cork = true;
	fake_sock_send(sock, "last ", 5);
	fake_sock_send(sock, "words", 5);
	vbed.set.cork = false;
	break_ring(vbed.v.tx, 1 + _i);
	fake_notify(vbed.v.tx);
	expect_broken();
	vbed_expect(fd, "last words");
	vbed_expect_eof(fd);
	close(fd);
	expect_well_after_reset();
}
END_TEST

START_TEST(malformed_rx_ring_breaks_the_device)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	/* The chain that comes next. */
	uint16_t head = le16_get(vbed.v.rx->avail->ring[
		fake_used_idx(vbed.v.rx) % 256]);

	if (_i)
		fake_desc_set(vbed.v.rx, head, UINT64_C(0x900000000), 3776,
			      VIRTQ_DESC_F_WRITE, 0);
	else
		fake_desc_set(vbed.v.rx, head, 0x1000, 3776,
			      VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 9999);
	vbed_send(fd, "hello", 5);
	expect_broken();
	vbed_expect_eof(fd);
	close(fd);
	expect_well_after_reset();
}
END_TEST

START_TEST(clients_wait_for_a_broken_device)
{
	struct fake_sock *sock;
	int fd;

	break_ring(vbed.v.tx, 1);
	fake_notify(vbed.v.tx);
	vbed_run();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	vbed_expect_nothing(fd);
	vbed_probe();
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_ptr_nonnull(sock);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(data_lingers_beyond_the_break)
{
	static uint8_t buf[65536];
	struct fake_sock *sock;
	size_t sent = 0, got = 0;
	int fd = vbed_connect(&sock);
	ssize_t n;

	do {
		vbed_fill(buf, sizeof(buf), 1, sent);
		n = fake_sock_send(sock, buf, sizeof(buf));
		sent += n > 0 ? (size_t)n : 0;
		vbed_run();
	} while (n > 0);
	fake_vsock_reap(&vbed.v);
	break_ring(vbed.v.tx, 1);
	fake_notify(vbed.v.tx);
	expect_broken();
	while ((n = vbed_read(fd, buf, sizeof(buf))) > 0) {
		vbed_check(buf, (size_t)n, 1, got);
		got += (size_t)n;
		vbed_run();
	}
	/* Then it is cut: the guest might have had more to say. */
	ck_assert_int_eq(n, -ECONNRESET);
	ck_assert_uint_eq(got, sent);
	close(fd);
	expect_well_after_reset();
}
END_TEST

START_TEST(broken_device_can_be_saved_and_loaded)
{
	break_ring(vbed.v.tx, 1);
	fake_notify(vbed.v.tx);
	vbed_run();
	vbed_restore();
	vbed_run();
	ck_assert_uint_ne(fake_read(&vbed.v.driver, VIRTIO_MMIO_STATUS) &
			  VIRTIO_STATUS_NEEDS_RESET, 0);
	ck_assert_int_ne(vbed_gate(), VSOCK_GATE_OPEN);
	expect_well_after_reset();
}
END_TEST

START_TEST(event_ring_is_left_alone_when_nothing_is_due)
{
	vbed_restore();
	vbed_restore();
	vbed_run();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	/* Nothing is due: the device does not look into that ring. */
	break_ring(vbed.v.event, 0);
	fake_notify(vbed.v.event);
	vbed_run();
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
}
END_TEST

/* Found by the register file, on a vCPU thread: the device is told as well. */
START_TEST(bad_queue_address_ends_connections)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	fake_write(&vbed.v.driver, VIRTIO_MMIO_QUEUE_SEL, VSOCK_QUEUE_RX);
	fake_write(&vbed.v.driver, VIRTIO_MMIO_QUEUE_READY, 0);
	fake_write(&vbed.v.driver, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xfffffff0);
	fake_write(&vbed.v.driver, VIRTIO_MMIO_QUEUE_READY, 1);
	vbed.raw = true;
	vbed_run();
	vbed_expect_eof(fd);
	close(fd);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(malformed_tx_ring_breaks_the_device, 4),
		UNIT_LOOP(packets_before_the_malformed_one_are_delivered, 3),
		UNIT_LOOP(malformed_rx_ring_breaks_the_device, 2),
		UNIT_TEST(clients_wait_for_a_broken_device),
		UNIT_TEST(data_lingers_beyond_the_break),
		UNIT_TEST(broken_device_can_be_saved_and_loaded),
		UNIT_TEST(event_ring_is_left_alone_when_nothing_is_due),
		UNIT_TEST(bad_queue_address_ends_connections),
	};

	return UNIT_RUN("vsock_broken", cases, vbed_setup_live,
			vbed_teardown);
}
