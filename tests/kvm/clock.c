// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's clocks and the time in which it does not run. What KVM says the
 * clocks show is compared with how much time has passed by the host's.
 */
#include <inttypes.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/bed.h"
#include "tests/unit/runner.h"
#include "vmm/x86_64/x86.h"

#define MS	UINT64_C(1000000)
#define S	(1000 * MS)
#define HOUR	(3600 * S)

/* Long enough to be told from the time that a few ioctls take. */
#define WAIT	(300 * MS)

static struct bed bed, other;
static void *saved;
static size_t saved_len;

static void setup(void)
{
	bed_make(&bed, 16, -1);
}

static void teardown(void)
{
	bed_free(&bed);
	bed_free(&other);
	free(saved);
	saved = NULL;
}

static uint64_t host_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

static void pass(uint64_t ns)
{
	const struct timespec ts = { .tv_nsec = (long)ns };

	nanosleep(&ts, NULL);
}

static struct x86_clock read_clock(struct bed *b)
{
	struct x86_clock now;

	ck_assert_msg(!x86_clock_read(&b->vm, &now, &b->why), "%s",
		      b->why.text);
	return now;
}

/*
 * Does this KVM move counters? A software one may take an offset and give the
 * guest the host's counter all the same.
 */
static bool counters_move(struct bed *b)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
	};
	uint64_t before, moved, after = 0;

	attr.addr = (uintptr_t)&before;
	if (ioctl(b->vm.vcpu[0].fd, KVM_GET_DEVICE_ATTR, &attr))
		return false;
	moved = before - 1000000;
	attr.addr = (uintptr_t)&moved;
	ck_assert(!ioctl(b->vm.vcpu[0].fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.addr = (uintptr_t)&after;
	ck_assert(!ioctl(b->vm.vcpu[0].fd, KVM_GET_DEVICE_ATTR, &attr));
	attr.addr = (uintptr_t)&before;
	ck_assert(!ioctl(b->vm.vcpu[0].fd, KVM_SET_DEVICE_ATTR, &attr));
	return after == moved;
}

/* Nanoseconds as ticks of the counter. */
static uint64_t ticks(struct bed *b, uint64_t ns)
{
	int khz = ioctl(b->vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);

	ck_assert_int_gt(khz, 0);
	return (uint64_t)((unsigned __int128)ns * (unsigned int)khz / 1000000);
}

/*
 * Starts the clocks: they must show @from and @more nanoseconds then, and go
 * on. What passes while they are started and looked at is measured; the host
 * may be steering its own clock, by up to 500 ppm.
 */
static void start_at(struct bed *b, const struct x86_clock *from, uint64_t more)
{
	uint64_t begin = host_ns(CLOCK_MONOTONIC_RAW), passed;
	bool counters = counters_move(b);
	struct x86_clock now;

	arch_clock_start(&b->vm);
	now = read_clock(b);
	passed = host_ns(CLOCK_MONOTONIC_RAW) - begin + MS;
	ck_assert_uint_ge(now.clock, from->clock + more - more / 2000);
	ck_assert_uint_le(now.clock, from->clock + more + more / 2000 + passed);
	if (!counters || !from->tsc) {
		fprintf(stderr, "# this KVM does not move counters\n");
		return;
	}
	ck_assert_uint_ge(now.tsc, from->tsc + ticks(b, more - more / 2000));
	ck_assert_uint_le(now.tsc, from->tsc + ticks(b, more + more / 2000 +
						     passed));
}

static void run_a_little(struct bed *b)
{
	bed_boot(b, "tiny.elf", "c7fffffff");
	bed_run(b);
	bed_await_text(b, "<");
	vcpus_park(&b->vm);
}

static void load(const void *state)
{
	int image = bed_image(&bed);
	enum vm_clock clock = other.vm.clock;

	bed_make(&other, 16, image);
	other.vm.clock = clock;
	close(image);
	ck_assert_msg(!bed_load(&other, state), "%s", other.why.text);
}

static void move_saved_realtime(int64_t ns)
{
	int node = fdt_path_offset(saved, "/irqchip"), len;
	const void *p = fdt_getprop(saved, node, "realtime", &len);
	fdt64_t value;

	ck_assert_int_eq(len, sizeof(value));
	memcpy(&value, p, sizeof(value));
	value = cpu_to_fdt64(fdt64_to_cpu(value) + (uint64_t)ns);
	ck_assert(!fdt_setprop_inplace(saved, node, "realtime", &value,
				       sizeof(value)));
}

static uint64_t saved_u64(const char *path, const char *name)
{
	int len;
	const void *p = fdt_getprop(saved, fdt_path_offset(saved, path), name,
				    &len);
	fdt64_t value;

	ck_assert_int_eq(len, sizeof(value));
	memcpy(&value, p, sizeof(value));
	return fdt64_to_cpu(value);
}

/* Stops the clocks; what they showed is between two looks at them. */
static void stop(struct bed *b, struct x86_clock *at)
{
	struct x86_clock before = read_clock(b), after;

	arch_clock_stop(&b->vm);
	after = read_clock(b);
	*at = b->vm.arch->clock;
	ck_assert_uint_ge(at->clock, before.clock);
	ck_assert_uint_le(at->clock, after.clock);
	ck_assert_uint_ge(at->tsc, before.tsc);
	ck_assert_uint_le(at->tsc, after.tsc);
}

/* The same for what a running guest is saved with. */
static void save_running(struct x86_clock *at)
{
	struct x86_clock before, after;

	run_a_little(&bed);
	before = read_clock(&bed);
	saved_len = bed_save(&bed, &saved);
	after = read_clock(&bed);
	at->clock = saved_u64("/irqchip", "clock");
	at->tsc = saved_u64("/irqchip", "clock-tsc");
	at->realtime = saved_u64("/irqchip", "realtime");
	ck_assert_uint_ge(at->clock, before.clock);
	ck_assert_uint_le(at->clock, after.clock);
	ck_assert_uint_ge(at->tsc, before.tsc);
	ck_assert_uint_le(at->tsc, after.tsc);
}

START_TEST(clock_stands_still_from_stop_to_cont)
{
	struct x86_clock before, between;

	run_a_little(&bed);
	stop(&bed, &before);
	pass(WAIT);
	/* KVM's own does not: what follows was done by us. */
	between = read_clock(&bed);
	ck_assert_uint_ge(between.clock - before.clock, WAIT - WAIT / 100);
	start_at(&bed, &before, 0);
	bed_run(&bed);
}
END_TEST

START_TEST(clock_of_the_host_goes_on_from_stop_to_cont)
{
	struct x86_clock before;
	uint64_t begin;

	run_a_little(&bed);
	bed.vm.clock = VM_CLOCK_HOST;
	stop(&bed, &before);
	pass(WAIT);
	begin = before.realtime;
	start_at(&bed, &before, host_ns(CLOCK_REALTIME) - begin);
}
END_TEST

START_TEST(stopping_or_starting_twice_changes_nothing)
{
	struct x86_clock before, after;

	run_a_little(&bed);
	stop(&bed, &before);
	pass(WAIT);
	arch_clock_stop(&bed.vm);
	start_at(&bed, &before, 0);
	pass(WAIT);
	arch_clock_start(&bed.vm);
	after = read_clock(&bed);
	ck_assert_uint_ge(after.clock - before.clock, WAIT - WAIT / 100);
}
END_TEST

START_TEST(loaded_clock_stands_still_until_cont)
{
	struct x86_clock at;

	save_running(&at);
	pass(WAIT);
	load(saved);
	pass(WAIT);
	start_at(&other, &at, 0);
	bed_run(&other);
}
END_TEST

START_TEST(loaded_clock_goes_on_after_hours)
{
	struct x86_clock at;

	save_running(&at);
	move_saved_realtime(-(int64_t)(5 * HOUR));
	load(saved);
	start_at(&other, &at, 0);
}
END_TEST

START_TEST(loaded_clock_of_the_host_has_the_hours_added)
{
	struct x86_clock at;
	uint64_t begin;

	save_running(&at);
	begin = at.realtime;
	move_saved_realtime(-(int64_t)(5 * HOUR));
	other.vm.clock = VM_CLOCK_HOST;
	load(saved);
	pass(WAIT);
	start_at(&other, &at, 5 * HOUR + host_ns(CLOCK_REALTIME) - begin);
	bed_run(&other);
}
END_TEST

START_TEST(years_do_not_overflow_the_counter)
{
	struct x86_clock at;

	save_running(&at);
	move_saved_realtime(-(int64_t)(24 * 365 * 10 * HOUR));
	other.vm.clock = VM_CLOCK_HOST;
	load(saved);
	start_at(&other, &at, 24 * 365 * 10 * HOUR);
}
END_TEST

START_TEST(snapshot_of_the_future_does_not_turn_the_clock_back)
{
	struct x86_clock at;

	save_running(&at);
	move_saved_realtime(HOUR);
	other.vm.clock = VM_CLOCK_HOST;
	load(saved);
	start_at(&other, &at, 0);
}
END_TEST

START_TEST(stopped_guest_is_saved_with_the_time_of_its_stop)
{
	struct x86_clock before, after;

	run_a_little(&bed);
	stop(&bed, &before);
	after = read_clock(&bed);
	pass(WAIT);
	saved_len = bed_save(&bed, &saved);
	ck_assert_uint_eq(saved_u64("/irqchip", "clock"), before.clock);
	ck_assert_uint_eq(saved_u64("/irqchip", "clock-tsc"), before.tsc);
	ck_assert_uint_eq(saved_u64("/irqchip", "realtime"), before.realtime);
	ck_assert_uint_ge(saved_u64("/cpu@0", "tsc"), before.tsc);
	ck_assert_uint_le(saved_u64("/cpu@0", "tsc"), after.tsc);
	load(saved);
	start_at(&other, &before, 0);
}
END_TEST

START_TEST(loaded_guest_that_never_ran_is_saved_as_it_was)
{
	static const char *const same[] = { "clock", "clock-tsc", "realtime" };
	uint64_t first[3], tsc, deadline;
	struct x86_clock at;

	save_running(&at);
	for (unsigned int i = 0; i < 3; i++)
		first[i] = saved_u64("/irqchip", same[i]);
	tsc = saved_u64("/cpu@0", "tsc");
	deadline = saved_u64("/cpu@0", "tsc-deadline");
	load(saved);
	pass(WAIT);
	free(saved);
	saved_len = bed_save(&other, &saved);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(saved_u64("/irqchip", same[i]), first[i]);
	ck_assert_uint_eq(saved_u64("/cpu@0", "tsc"), tsc);
	/* One of 0 is replaced by the counter: see x86_tsc_load(). */
	ck_assert_uint_eq(saved_u64("/cpu@0", "tsc-deadline"),
			  deadline ? deadline : tsc);
}
END_TEST

START_TEST(deadline_that_passed_during_a_stop_fires_after_it)
{
	bed_boot(&bed, "tiny.elf", "d");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	vcpus_park(&bed.vm);
	arch_clock_stop(&bed.vm);
	pass(WAIT);
	arch_clock_start(&bed.vm);
	bed_run(&bed);
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "<00000001\n");
}
END_TEST

START_TEST(deadline_that_passed_before_the_first_run_fires_then)
{
	bed_boot(&bed, "tiny.elf", "d");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	vcpus_park(&bed.vm);
	saved_len = bed_save(&bed, &saved);
	other.vm.clock = _i ? VM_CLOCK_HOST : VM_CLOCK_CONTINUE;
	load(saved);
	pass(WAIT);
	arch_clock_start(&other.vm);
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "00000001\n");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(clock_stands_still_from_stop_to_cont),
		UNIT_TEST(clock_of_the_host_goes_on_from_stop_to_cont),
		UNIT_TEST(stopping_or_starting_twice_changes_nothing),
		UNIT_TEST(loaded_clock_stands_still_until_cont),
		UNIT_TEST(loaded_clock_goes_on_after_hours),
		UNIT_TEST(loaded_clock_of_the_host_has_the_hours_added),
		UNIT_TEST(years_do_not_overflow_the_counter),
		UNIT_TEST(snapshot_of_the_future_does_not_turn_the_clock_back),
		UNIT_TEST(stopped_guest_is_saved_with_the_time_of_its_stop),
		UNIT_TEST(loaded_guest_that_never_ran_is_saved_as_it_was),
		UNIT_TEST(deadline_that_passed_during_a_stop_fires_after_it),
		UNIT_LOOP(deadline_that_passed_before_the_first_run_fires_then,
			  2),
	};
	const char *skip = bed_skip();

	if (skip) {
		printf("1..0 # SKIP %s\n", skip);
		return 0;
	}
	return UNIT_RUN("kvm_clock", cases, setup, teardown);
}
