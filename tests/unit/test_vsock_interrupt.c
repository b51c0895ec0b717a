// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: when the driver hears of the buffers it gets back (the end of the
 * theory in devices/vsock/device.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	4000u
/* As long as nobody notices. */
#define SOON_NS		UINT64_C(25000000)

static int fd;
static bool stopped;
static struct timespec stopped_at;

/*
 * In place of the C library's. A busy host may keep a test waiting for longer
 * than a timer runs: where none is to come in between, time stands still.
 */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!stopped || id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = stopped_at;
	return 0;
}

static void stop_clock(void)
{
	clock_gettime(CLOCK_MONOTONIC, &stopped_at);
	stopped = true;
}

static void start_clock(void)
{
	stopped = false;
}

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
	stop_clock();
}

static void teardown(void)
{
	start_clock();
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

/* It waits to be told, and not for long. */
static void expect_waiting(void)
{
	const struct loop_timer *timer = &vbed.d->dev.interrupt;
	uint64_t now = (uint64_t)stopped_at.tv_sec * 1000000000u +
		       (uint64_t)stopped_at.tv_nsec;

	ck_assert_uint_ne(timer->slot, 0);
	ck_assert_uint_le(timer->deadline, now + SOON_NS);
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
	expect_waiting();
	ck_assert(all_returned());
	ck_assert_uint_eq(interrupts(), 0);
}
END_TEST

START_TEST(bare_header_interrupts_soon)
{
	update_credit();
	expect_waiting();
	ck_assert_uint_eq(interrupts(), 0);
	start_clock();
	heard = 0;
	vbed_wait_until(has_heard);
	/* Once. */
	vbed_wait(25);
	ck_assert_uint_eq(heard + interrupts(), 1);
	ck_assert(all_returned());
}
END_TEST

START_TEST(bare_header_and_data_interrupt_once)
{
	update_credit();
	expect_waiting();
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
	expect_waiting();
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
	expect_waiting();
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
	expect_waiting();
	snapshot = vbed_save();
	ck_assert_uint_eq(interrupts(), 1);
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	free(snapshot.data);
}
END_TEST

START_TEST(driver_that_resets_hears_no_more)
{
	update_credit();
	expect_waiting();
	fake_reset(&vbed.v.driver);
	vbed_run_device();
	ck_assert_uint_eq(vbed.d->dev.interrupt.slot, 0);
	ck_assert_uint_eq(interrupts(), 0);
	/* Nor does the next one of what it has not sent. */
	start_clock();
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
