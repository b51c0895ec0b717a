// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * State of vCPU and VM: saved from one, loaded into another, which goes on
 * where the first was; and what is refused.
 */
#include <inttypes.h>
#include <libfdt.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/bed.h"
#include "tests/unit/runner.h"
#include "vmm/x86_64/x86.h"

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

static void nap(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* Parks the first machine and saves it; makes the second of its RAM. */
static void save(void)
{
	int image;

	vcpus_park(&bed.vm);
	saved_len = bed_save(&bed, &saved);
	image = bed_image(&bed);
	bed_make(&other, 16, image);
	close(image);
}

/* The same, and loads it. */
static void clone_bed(void)
{
	save();
	ck_assert_msg(!bed_load(&other, saved), "%s", other.why.text);
}

static double seconds_for(uint32_t n)
{
	static struct bed trial;
	struct timespec from, to;
	char append[16];

	snprintf(append, sizeof(append), "c%" PRIx32, n);
	bed_make(&trial, 16, -1);
	bed_boot(&trial, "tiny.elf", append);
	bed_run(&trial);
	bed_await_text(&trial, "<");
	clock_gettime(CLOCK_MONOTONIC, &from);
	bed_await_end(&trial);
	clock_gettime(CLOCK_MONOTONIC, &to);
	bed_free(&trial);
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/*
 * A loop long enough to be met in its middle: a second on this KVM, which may
 * be a thousand times slower than another; at most 2^30 turns.
 */
static uint32_t iterations(void)
{
	const uint32_t max = 0x40000000;
	uint32_t n = 0x4000;
	double seconds = seconds_for(n);

	while (seconds < 0.1 && n < max) {
		n *= 4;
		seconds = seconds_for(n);
	}
	return n / seconds > max ? max : (uint32_t)(n / seconds);
}

START_TEST(loop_saved_midway_ends_with_the_right_count)
{
	char append[16], want[16];
	uint32_t n = iterations();

	snprintf(append, sizeof(append), "c%" PRIx32, n);
	snprintf(want, sizeof(want), "%08" PRIx32 "\n", n * 3);
	bed_boot(&bed, "tiny.elf", append);
	bed_run(&bed);
	bed_await_text(&bed, "<");
	nap(10);
	clone_bed();
	ck_assert_str_eq(bed.serial, "<");
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, want);
	/* Saving does not disturb the source. */
	bed_run(&bed);
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial + 1, want);
}
END_TEST

static void *park(void *opaque)
{
	struct bed *b = opaque;

	vcpus_park(&b->vm);
	return NULL;
}

START_TEST(half_done_mmio_read_completes_before_state_is_saved)
{
	struct kvm_regs regs;
	pthread_t thread;

	bed.mmio_hold = true;
	bed_boot(&bed, "tiny.elf", "m");
	bed_run(&bed);
	bed_await_read(&bed);
	/* The request to park arrives while the device is at work. */
	ck_assert(!pthread_create(&thread, NULL, park, &bed));
	while (!__atomic_load_n(&bed.vm.vcpu[0].run->immediate_exit,
				__ATOMIC_RELAXED))
		nap(1);
	pthread_mutex_lock(&bed.lock);
	bed.mmio_hold = false;
	pthread_cond_broadcast(&bed.changed);
	pthread_mutex_unlock(&bed.lock);
	pthread_join(thread, NULL);
	ck_assert(!ioctl(bed.vm.vcpu[0].fd, KVM_GET_REGS, &regs));
	ck_assert_uint_eq(regs.rbx, BED_MMIO_VALUE);
	clone_bed();
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "1234abcd\n");
	ck_assert_uint_eq(bed.mmio_reads, 1);
	ck_assert_uint_eq(other.mmio_reads, 0);
}
END_TEST

START_TEST(armed_deadline_fires_after_the_load)
{
	bed_boot(&bed, "tiny.elf", "d");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	nap(5);
	clone_bed();
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "00000001\n");
}
END_TEST

START_TEST(deadline_that_had_passed_fires_after_the_load)
{
	uint64_t zero = 0;
	void *copy;

	bed_boot(&bed, "tiny.elf", "d");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	nap(5);
	save();
	/* As KVM gives it once the timer fired, interrupt not delivered. */
	copy = malloc(saved_len);
	memcpy(copy, saved, saved_len);
	ck_assert(!fdt_setprop_inplace(copy, fdt_path_offset(copy, "/cpu@0"),
				       "tsc-deadline", &zero, sizeof(zero)));
	ck_assert_msg(!bed_load(&other, copy), "%s", other.why.text);
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "00000001\n");
	free(copy);
}
END_TEST

START_TEST(interrupt_reaches_a_halted_guest_after_the_load)
{
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK);

	bed_boot(&bed, "tiny.elf", "i");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	nap(5);
	clone_bed();
	ck_assert(!vm_add_irqfd(&other.vm, BED_GSI, fd, &other.why));
	bed_run(&other);
	nap(20);
	ck_assert(!other.ended);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "00000001\n");
}
END_TEST

static uint64_t guest_tsc(struct bed *b)
{
	uint64_t tsc = 0;

	ck_assert(!x86_msr_get(&b->vm.vcpu[0], MSR_TSC, &tsc));
	return tsc;
}

START_TEST(counter_of_a_young_guest_does_not_go_back)
{
	uint64_t before, after;

	bed_boot(&bed, "tiny.elf", "p");
	bed_run(&bed);
	bed_await_end(&bed);
	nap(300);
	vcpus_park(&bed.vm);
	before = guest_tsc(&bed);
	clone_bed();
	after = guest_tsc(&other);
	ck_assert_uint_ge(after, before);
	/* Nor does it leap: 10 GHz for as long as this can have taken. */
	ck_assert_uint_lt(after - before, UINT64_C(100000000000));
}
END_TEST

/* MSRs one by one, so that a failure names the one. */
static void compare_msrs(const uint8_t *a, const uint8_t *b, int len)
{
	struct kvm_msr_entry ea, eb;

	for (; len > 0; len -= (int)sizeof(ea)) {
		memcpy(&ea, a, sizeof(ea));
		memcpy(&eb, b, sizeof(eb));
		ck_assert_uint_eq(ea.index, eb.index);
		ck_assert_msg(ea.data == eb.data, "MSR %#x: %#llx, then %#llx",
			      ea.index, ea.data, eb.data);
		a += sizeof(ea);
		b += sizeof(eb);
	}
}

/*
 * Clock and counter at one instant; false: this KVM does not tell, or (a
 * software one) gives every guest the host's counter as it is.
 */
static bool clock_and_tsc(struct bed *b, uint64_t *clock, uint64_t *tsc)
{
	struct kvm_clock_data data;

	memset(&data, 0, sizeof(data));
	ck_assert(!ioctl(b->vm.fd, KVM_GET_CLOCK, &data));
	*clock = data.clock;
	*tsc = x86_tsc_at(&b->vm, data.host_tsc);
	return (data.flags & KVM_CLOCK_HOST_TSC) && *tsc &&
	       *tsc != data.host_tsc;
}

START_TEST(counter_and_clock_keep_their_distance)
{
	uint64_t clock[2], tsc[2];
	int64_t off, ticks;
	int khz;

	bed_boot(&bed, "tiny.elf", "p");
	bed_run(&bed);
	bed_await_end(&bed);
	clone_bed();
	if (!clock_and_tsc(&bed, &clock[0], &tsc[0]) ||
	    !clock_and_tsc(&other, &clock[1], &tsc[1])) {
		fprintf(stderr, "# no offset to look at\n");
		return;
	}
	khz = ioctl(bed.vm.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
	ticks = (int64_t)(clock[1] - clock[0]) * khz / 1000000;
	off = (int64_t)(tsc[1] - tsc[0]) - ticks;
	/*
	 * Ten microseconds, as the clock's scale is rounded; and 500 ppm of
	 * the time between, by which the host may be steering its clock.
	 */
	ck_assert_int_lt(llabs(off), khz / 100 + llabs(ticks) / 2000);
}
END_TEST

START_TEST(state_loaded_and_saved_again_is_the_same)
{
	const char *const same[] = {
		"mp-state", "regs", "sregs", "xsave", "xcrs", "debugregs",
		"tsc-khz", "cpuid", "msrs", "events",
	};
	void *again;
	int a, b, la, lb;

	bed_boot(&bed, "tiny.elf", "c7fffffff");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	clone_bed();
	bed_save(&other, &again);
	a = fdt_path_offset(saved, "/cpu@0");
	b = fdt_path_offset(again, "/cpu@0");
	for (unsigned int i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		const void *pa = fdt_getprop(saved, a, same[i], &la);
		const void *pb = fdt_getprop(again, b, same[i], &lb);

		ck_assert_msg(pa && pb && la == lb, "%s: length", same[i]);
		if (!strcmp(same[i], "msrs"))
			compare_msrs(pa, pb, la);
		for (int at = 0; at < la; at++)
			ck_assert_msg(!memcmp((const char *)pa + at,
					      (const char *)pb + at, 1),
				      "%s differs at %d", same[i], at);
	}
	free(again);
}
END_TEST

/* Loads what was saved, with a property replaced; expects a refusal. */
static void refuse(const char *property, const void *value, int len,
		   const char *reason)
{
	char *copy = malloc(saved_len + 65536);
	int node;

	ck_assert(!fdt_open_into(saved, copy, (int)saved_len + 65536));
	node = fdt_path_offset(copy, "/cpu@0");
	ck_assert(!fdt_setprop(copy, node, property, value, len));
	ck_assert_int_lt(bed_load(&other, copy), 0);
	ck_assert_msg(strstr(other.why.text, reason), "'%s', expected '%s'",
		      other.why.text, reason);
	free(copy);
}

static const void *property(const char *name, int *len)
{
	const void *p = fdt_getprop(saved, fdt_path_offset(saved, "/cpu@0"),
				    name, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void save_idle(void)
{
	bed_boot(&bed, "tiny.elf", "p");
	save();
}

START_TEST(blob_of_another_size_is_refused)
{
	static const char *const names[] = {
		"mp-state", "regs", "sregs", "xsave", "xcrs", "debugregs",
		"lapic", "events",
	};
	static const uint8_t zero[8192];
	int len;

	save_idle();
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		property(names[i], &len);
		refuse(names[i], zero, len - 4, names[i]);
		refuse(names[i], zero, len + 4, names[i]);
		refuse(names[i], zero, 0, names[i]);
	}
}
END_TEST

START_TEST(table_with_half_an_entry_or_too_many_is_refused)
{
	static const uint8_t zero[40000];

	save_idle();
	refuse("msrs", zero, 0, "msrs: 0 bytes");
	refuse("msrs", zero, 20, "msrs: 20 bytes");
	refuse("msrs", zero, 16 * (X86_MSRS_MAX + 1), "expected 1 .. 1024");
	refuse("cpuid", zero, 0, "cpuid: 0 bytes");
	refuse("cpuid", zero, 44, "cpuid: 44 bytes");
	refuse("cpuid", zero, 40 * (X86_CPUID_MAX + 1), "expected 1 .. 256");
}
END_TEST

START_TEST(xcrs_count_out_of_range_is_refused)
{
	struct kvm_xcrs xcrs;
	int len;

	save_idle();
	memcpy(&xcrs, property("xcrs", &len), sizeof(xcrs));
	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	refuse("xcrs", &xcrs, sizeof(xcrs), "17 registers");
}
END_TEST

START_TEST(unknown_msr_is_refused_by_its_number)
{
	struct kvm_msr_entry entry = { .index = 0x12345, .data = 1 };

	save_idle();
	refuse("msrs", &entry, sizeof(entry), "MSR 0x12345");
}
END_TEST

START_TEST(cpu_feature_that_the_host_lacks_is_refused_by_name)
{
	struct kvm_cpuid_entry2 *table;
	const void *cpuid;
	int len, count;

	save_idle();
	cpuid = property("cpuid", &len);
	table = malloc((size_t)len);
	memcpy(table, cpuid, (size_t)len);
	count = len / (int)sizeof(*table);
	for (int i = 0; i < count; i++)
		if (table[i].function == 1)
			table[i].ecx |= 1u << 5;	/* VMX: never shown */
	refuse("cpuid", table, len, "this host lacks vmx, which");
	for (int i = 0; i < count; i++)
		if (table[i].function == 0)
			memcpy(&table[i].ebx, "What", 4);
	refuse("cpuid", table, len, "made by What");
	free(table);
}
END_TEST

START_TEST(impossible_clock_rate_is_refused)
{
	uint32_t khz = 0;

	save_idle();
	refuse("tsc-khz", &khz, sizeof(khz), "tsc-khz: 0");
	khz = UINT32_MAX;
	refuse("tsc-khz", &khz, sizeof(khz), "tsc-khz: 4294967295");
}
END_TEST

START_TEST(clock_rate_that_the_host_cannot_have_is_refused)
{
	uint32_t khz;
	int len;

	save_idle();
	other.vm.arch->has_tsc_control = false;
	memcpy(&khz, property("tsc-khz", &len), sizeof(khz));
	khz = fdt32_to_cpu(khz);
	khz = cpu_to_fdt32(khz + khz / 100);
	refuse("tsc-khz", &khz, sizeof(khz), "this host's at");
}
END_TEST

/* Loads what was saved, with a property replaced, and runs it to its end. */
static void force(const char *name, const void *value, int len)
{
	char *copy = malloc(saved_len + 65536);

	ck_assert(!fdt_open_into(saved, copy, (int)saved_len + 65536));
	ck_assert(!fdt_setprop(copy, fdt_path_offset(copy, "/cpu@0"), name,
			       value, len));
	other.vm.force = true;
	ck_assert_msg(!bed_load(&other, copy), "%s", other.why.text);
	bed_run(&other);
	ck_assert_int_eq(bed_await_end(&other), VM_EVENT_POWEROFF);
	ck_assert_str_eq(other.serial, "hello\n");
	free(copy);
}

START_TEST(other_clock_rate_goes_on_if_forced)
{
	uint32_t khz;
	int len, image;

	save_idle();
	other.vm.arch->has_tsc_control = false;
	memcpy(&khz, property("tsc-khz", &len), sizeof(khz));
	khz = cpu_to_fdt32(fdt32_to_cpu(khz) / 2);
	refuse("tsc-khz", &khz, sizeof(khz), "this KVM has no TSC scaling");
	bed_free(&other);
	image = bed_image(&bed);
	bed_make(&other, 16, image);
	close(image);
	other.vm.arch->has_tsc_control = false;
	force("tsc-khz", &khz, sizeof(khz));
}
END_TEST

START_TEST(lost_feature_goes_on_if_forced)
{
	struct kvm_cpuid_entry2 *table;
	const void *cpuid;
	int len;

	save_idle();
	cpuid = property("cpuid", &len);
	table = malloc((size_t)len);
	memcpy(table, cpuid, (size_t)len);
	for (int i = 0; i < len / (int)sizeof(*table); i++)
		if (table[i].function == 1)
			table[i].ecx |= 1u << 5;	/* VMX: never shown */
	force("cpuid", table, len);
	/* What the guest was told stays so, for its next snapshot too. */
	ck_assert(x86_cpuid_find(&other.vm.arch->shown[0], 1, 0)->ecx &
		  1u << 5);
	free(table);
}
END_TEST

/* The same, after it was refused without --force for this reason. */
static void refuse_and_force(const char *name, const void *value, int len,
			     const char *reason)
{
	int image = bed_image(&bed);

	refuse(name, value, len, reason);
	bed_free(&other);
	bed_make(&other, 16, image);
	close(image);
	force(name, value, len);
}

START_TEST(lost_part_of_xsave_is_left_out_if_forced)
{
	const void *saved_area;
	uint64_t present;
	uint8_t *area;
	int len;

	save_idle();
	saved_area = property("xsave", &len);
	area = malloc((size_t)len);
	memcpy(area, saved_area, (size_t)len);
	/* XSTATE_BV: a component that no CPU has. */
	memcpy(&present, area + 512, sizeof(present));
	present |= UINT64_C(1) << 40;
	memcpy(area + 512, &present, sizeof(present));
	refuse_and_force("xsave", area, len, "xsave: KVM does not take it");
	free(area);
}
END_TEST

START_TEST(lost_part_of_xcr0_is_left_out_if_forced)
{
	struct kvm_xcrs xcrs;
	int len;

	save_idle();
	memcpy(&xcrs, property("xcrs", &len), sizeof(xcrs));
	xcrs.nr_xcrs = 1;
	xcrs.xcrs[0].xcr = 0;
	xcrs.xcrs[0].value = UINT64_C(1) << 40 | 1;
	refuse_and_force("xcrs", &xcrs, len, "xcrs: ");
}
END_TEST

START_TEST(unknown_msr_is_left_out_if_forced)
{
	const struct kvm_msr_entry entry = { .index = 0x12345, .data = 1 };
	const void *msrs;
	uint8_t *table;
	int len;

	save_idle();
	msrs = property("msrs", &len);
	table = malloc((size_t)len + sizeof(entry));
	memcpy(table, msrs, (size_t)len);
	memcpy(table + len, &entry, sizeof(entry));
	force("msrs", table, len + (int)sizeof(entry));
	free(table);
}
END_TEST

START_TEST(registers_that_kvm_refuses_are_named)
{
	struct kvm_sregs sregs;
	int len;

	save_idle();
	memcpy(&sregs, property("sregs", &len), sizeof(sregs));
	sregs.cr4 = UINT64_MAX;
	refuse("sregs", &sregs, sizeof(sregs), "vCPU 0: sregs: KVM does not");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(loop_saved_midway_ends_with_the_right_count),
		UNIT_TEST(half_done_mmio_read_completes_before_state_is_saved),
		UNIT_TEST(armed_deadline_fires_after_the_load),
		UNIT_TEST(deadline_that_had_passed_fires_after_the_load),
		UNIT_TEST(interrupt_reaches_a_halted_guest_after_the_load),
		UNIT_TEST(counter_of_a_young_guest_does_not_go_back),
		UNIT_TEST(counter_and_clock_keep_their_distance),
		UNIT_TEST(state_loaded_and_saved_again_is_the_same),
		UNIT_TEST(blob_of_another_size_is_refused),
		UNIT_TEST(table_with_half_an_entry_or_too_many_is_refused),
		UNIT_TEST(xcrs_count_out_of_range_is_refused),
		UNIT_TEST(unknown_msr_is_refused_by_its_number),
		UNIT_TEST(cpu_feature_that_the_host_lacks_is_refused_by_name),
		UNIT_TEST(impossible_clock_rate_is_refused),
		UNIT_TEST(clock_rate_that_the_host_cannot_have_is_refused),
		UNIT_TEST(other_clock_rate_goes_on_if_forced),
		UNIT_TEST(lost_feature_goes_on_if_forced),
		UNIT_TEST(lost_part_of_xsave_is_left_out_if_forced),
		UNIT_TEST(lost_part_of_xcr0_is_left_out_if_forced),
		UNIT_TEST(unknown_msr_is_left_out_if_forced),
		UNIT_TEST(registers_that_kvm_refuses_are_named),
	};
	const char *skip = bed_skip();

	if (skip) {
		printf("1..0 # SKIP %s\n", skip);
		return 0;
	}
	return UNIT_RUN("kvm_state", cases, setup, teardown);
}
