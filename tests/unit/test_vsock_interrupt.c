// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: when the driver hears of the buffers it gets back (the end of the
 * theory in devices/vsock/device.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	4000u
/* Longer than a buffer may take, by far. */
#define LONG_MS		1000u

static int fd;

/* Return: how many interrupts came since it was asked last. */
static unsigned int interrupts(void)
{
	uint64_t count;

	if (read(vbed.d->host.irq_fd, &count, sizeof(count)) < 0) {
		ck_assert_int_eq(errno, EAGAIN);
		return 0;
	}
	return (unsigned int)count;
}

static void setup(void)
{
	vbed_setup_raw();
	vbed_raw_connect(GUEST_PORT, 256u << 10, &fd);
	fake_vsock_reap(&vbed.v);
	fake_interrupts_on(vbed.v.tx);
	fake_interrupts_on(vbed.v.rx);
	interrupts();
}

static void teardown(void)
{
	close(fd);
	vbed_run();
	vbed_teardown();
}

static void update_credit(void)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v,
						    VSOCK_OP_CREDIT_UPDATE,
						    GUEST_PORT,
						    VBED_HOST_PORT);

	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, NULL, 0), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run_device();
}

static void send_data(void)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);

	hdr.len = le32_make(5);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "hello", 5), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run_device();
}

/*
 * Nobody is let wait so long in these, but the tests may be: the timer is put
 * out of the way.
 */
static void stop_clock(void)
{
	struct vsock_device *dev = &vbed.d->dev;

	ck_assert_uint_ne(dev->interrupt.slot, 0);
	ck_assert_int_eq(loop_timer_arm(vbed.loop, &dev->interrupt,
					UINT64_MAX), 0);
}

static bool all_returned(void)
{
	fake_vsock_reap(&vbed.v);
	return !fake_in_flight(vbed.v.tx);
}

static unsigned int heard;

static bool has_heard(void)
{
	heard += interrupts();
	return heard > 0;
}

START_TEST(data_interrupts_at_once)
{
	send_data();
	ck_assert_uint_eq(interrupts(), 1);
	ck_assert(all_returned());
	vbed_expect(fd, "hello");
}
END_TEST

/* Whoever polls the ring sees it. */
START_TEST(bare_header_goes_back_at_once)
{
	update_credit();
	stop_clock();
	ck_assert(all_returned());
	ck_assert_uint_eq(interrupts(), 0);
}
END_TEST

START_TEST(bare_header_interrupts_soon)
{
	uint64_t begin;

	update_credit();
	ck_assert_uint_eq(interrupts(), 0);
	begin = vbed_now_ms();
	heard = 0;
	vbed_wait_until(has_heard);
	ck_assert_uint_lt(vbed_now_ms() - begin, LONG_MS);
	/* Once. */
	vbed_wait(25);
	ck_assert_uint_eq(heard + interrupts(), 1);
	ck_assert(all_returned());
}
END_TEST

START_TEST(bare_header_and_data_interrupt_once)
{
	update_credit();
	stop_clock();
	send_data();
	ck_assert_uint_eq(interrupts(), 1);
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	ck_assert(all_returned());
	vbed_expect(fd, "hello");
}
END_TEST

START_TEST(bare_header_and_packet_to_the_guest_interrupt_once)
{
	struct fake_vsock_packet packet;

	update_credit();
	stop_clock();
	vbed_send(fd, "yes", 3);
	ck_assert(vbed_packet(&packet));
	fake_vsock_release(&vbed.v, &packet);
	ck_assert_uint_eq(interrupts(), 1);
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	ck_assert(all_returned());
}
END_TEST

START_TEST(driver_hears_of_a_quarter_of_a_ring)
{
	unsigned int sent = 1;

	update_credit();
	stop_clock();
	for (; !interrupts() && sent < vbed.v.tx->size; sent++)
		update_credit();
	ck_assert_uint_eq(sent, vbed.v.tx->size / 4);
}
END_TEST

/* That it has not heard stands in no file. */
START_TEST(driver_has_heard_of_all_that_is_saved)
{
	struct vbed_snapshot snapshot;

	update_credit();
	stop_clock();
	snapshot = vbed_save();
	ck_assert_uint_eq(interrupts(), 1);
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	free(snapshot.data);
}
END_TEST

START_TEST(driver_that_resets_hears_no_more)
{
	update_credit();
	stop_clock();
	fake_reset(&vbed.v.driver);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	ck_assert_uint_eq(interrupts(), 0);
	/* Nor does the next one of what it has not sent. */
	vbed_probe();
	interrupts();
	vbed_wait(25);
	ck_assert_uint_eq(interrupts(), 0);
	ck_assert_uint_eq(fake_vsock_reap(&vbed.v), 0);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(data_interrupts_at_once),
		UNIT_TEST(bare_header_goes_back_at_once),
		UNIT_TEST(bare_header_interrupts_soon),
		UNIT_TEST(bare_header_and_data_interrupt_once),
		UNIT_TEST(bare_header_and_packet_to_the_guest_interrupt_once),
		UNIT_TEST(driver_hears_of_a_quarter_of_a_ring),
		UNIT_TEST(driver_has_heard_of_all_that_is_saved),
		UNIT_TEST(driver_that_resets_hears_no_more),
	};

	return UNIT_RUN("vsock_interrupt", cases, setup, teardown);
}
