// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bare-metal guest on whatever KVM is here: booting it, serving its exits,
 * what becomes of it, parking it.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/bed.h"
#include "tests/unit/runner.h"

static struct bed bed;

static void setup(void)
{
	bed_make(&bed, 16, -1);
}

static void teardown(void)
{
	bed_free(&bed);
}

static enum vm_event run(const char *guest, const char *append)
{
	bed_boot(&bed, guest, append);
	bed_run(&bed);
	return bed_await_end(&bed);
}

START_TEST(elf_guest_runs_in_64_bit_mode)
{
	ck_assert_int_eq(run("tiny.elf", "p"), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "hello\n");
}
END_TEST

START_TEST(pvh_note_is_preferred_to_the_entry_point)
{
	ck_assert_int_eq(run("tiny-pvh.elf", "some words"),
			 VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "pvh some words\n");
}
END_TEST

START_TEST(reset_register_resets)
{
	ck_assert_int_eq(run("tiny.elf", "r"), VM_EVENT_RESET);
}
END_TEST

START_TEST(triple_fault_is_a_crash)
{
	ck_assert_int_eq(run("tiny.elf", "t"), VM_EVENT_CRASH);
}
END_TEST

START_TEST(instruction_that_kvm_cannot_emulate_is_a_crash)
{
	ck_assert_int_eq(run("tiny.elf", "u"), VM_EVENT_CRASH);
}
END_TEST

START_TEST(crashed_vcpu_can_be_parked_resumed_and_dumped)
{
	char text[4096] = "";
	FILE *out;

	run("tiny.elf", "t");
	vcpus_park(&bed.vm);
	vcpus_resume(&bed.vm);
	vcpus_park(&bed.vm);
	out = fmemopen(text, sizeof(text), "w");
	arch_vcpu_dump(&bed.vm.vcpu[0], out);
	fclose(out);
	/* The instruction that faulted: ud2. AMD's CPUs lose the state. */
	if (!strstr(text, "after a reset")) {
		ck_assert_ptr_nonnull(strstr(text, "<0f> 0b"));
		ck_assert_ptr_nonnull(strstr(text, "RIP=00000000001"));
	}
	ck_assert_uint_eq(bed.events, 1);
}
END_TEST

START_TEST(only_the_first_event_is_reported)
{
	run("tiny.elf", "p");
	vm_report(&bed.vm, VM_EVENT_RESET);
	vm_report(&bed.vm, VM_EVENT_CRASH);
	ck_assert_uint_eq(bed.events, 1);
	ck_assert_int_eq(bed.event, VM_EVENT_POWEROFF);
}
END_TEST

START_TEST(mmio_read_reaches_the_device)
{
	ck_assert_int_eq(run("tiny.elf", "m"), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "1234abcd\n");
	ck_assert_uint_eq(bed.mmio_reads, 1);
}
END_TEST

START_TEST(unknown_mmio_reads_all_ones)
{
	bed.vm.mmio.count = 0;
	ck_assert_int_eq(run("tiny.elf", "m"), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "ffffffff\n");
}
END_TEST

START_TEST(string_port_io_moves_each_element)
{
	ck_assert_int_eq(run("tiny.elf", "s"), VM_EVENT_POWEROFF);
	ck_assert_uint_eq(bed.port_outs, 4);
	ck_assert_mem_eq(bed.port_out, "hell", 4);
	ck_assert_uint_eq(bed.port_ins, 4);
	ck_assert_str_eq(bed.serial, "64636261\n");
}
END_TEST

START_TEST(ioeventfd_takes_its_value_and_no_other)
{
	uint64_t count = 0;
	int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);

	ck_assert(!vm_add_ioeventfd(&bed.vm, BED_MMIO, 1, fd, &bed.why));
	ck_assert(!vm_add_ioeventfd(&bed.vm, BED_MMIO, 2, other, &bed.why));
	ck_assert_int_eq(run("tiny.elf", "k"), VM_EVENT_POWEROFF);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(read(other, &count, sizeof(count)), -1);
	ck_assert_uint_eq(bed.mmio_writes, 0);
}
END_TEST

START_TEST(irqfd_wakes_a_halted_guest)
{
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert(!vm_add_irqfd(&bed.vm, BED_GSI, fd, &bed.why));
	bed_boot(&bed, "tiny.elf", "i");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "<00000001\n");
}
END_TEST

START_TEST(deadline_timer_fires)
{
	ck_assert_int_eq(run("tiny.elf", "d"), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "<00000001\n");
}
END_TEST

static uint64_t counter(void)
{
	struct kvm_regs regs;

	ck_assert(!ioctl(bed.vm.vcpu[0].fd, KVM_GET_REGS, &regs));
	return regs.rbx;
}

static void nap(long ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

START_TEST(parked_guest_stands_still)
{
	uint64_t before;

	bed_boot(&bed, "tiny.elf", "c7fffffff");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	nap(20);
	vcpus_park(&bed.vm);
	before = counter();
	nap(50);
	ck_assert_uint_eq(counter(), before);
	vcpus_resume(&bed.vm);
	nap(50);
	vcpus_park(&bed.vm);
	ck_assert_uint_ne(counter(), before);
}
END_TEST

static void port_holds(void *opaque, uint64_t offset, const void *data,
		       unsigned int len)
{
	(void)opaque;
	(void)offset;
	(void)data;
	(void)len;
	pthread_mutex_lock(&bed.lock);
	bed.port_outs++;
	vcpus_hold(&bed.vm);
	pthread_cond_broadcast(&bed.changed);
	pthread_mutex_unlock(&bed.lock);
}

static void run_into_hold(void)
{
	const struct bus_range port = {
		0x505, 1, "hold", NULL, port_holds, NULL,
	};

	ck_assert(!bus_add(&bed.vm.pio, &port, &bed.why));
	bed_boot(&bed, "tiny.elf", "y1");
	bed_run(&bed);
	bed_await_out(&bed);
}

/* As a save does it that comes before the loop thread knows of the hold. */
START_TEST(held_guest_stays_where_it_is_though_it_is_told_to_run)
{
	run_into_hold();
	for (unsigned int i = 0; i < 100; i++) {
		vcpus_park(&bed.vm);
		vcpus_resume(&bed.vm);
	}
	vcpus_park(&bed.vm);
	ck_assert_str_eq(bed.serial, "");
	vcpus_release(&bed.vm);
	vcpus_resume(&bed.vm);
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "after\n");
	ck_assert_uint_eq(bed.port_outs, 1);
}
END_TEST

START_TEST(held_guest_can_be_ended)
{
	run_into_hold();
	vcpus_stop(&bed.vm);
	ck_assert_str_eq(bed.serial, "");
}
END_TEST

START_TEST(parking_often_loses_nothing)
{
	bed_boot(&bed, "tiny.elf", "l8");
	bed_run(&bed);
	for (unsigned int i = 0; i < 2000 && !bed.ended; i++) {
		vcpus_park(&bed.vm);
		vcpus_resume(&bed.vm);
	}
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
	ck_assert_str_eq(bed.serial, "00000000\n00000001\n00000002\n00000003\n"
			 "00000004\n00000005\n00000006\n00000007\n");
}
END_TEST

START_TEST(park_before_the_first_run_is_fine)
{
	bed_boot(&bed, "tiny.elf", "p");
	vcpus_park(&bed.vm);
	ck_assert(!vcpus_start(&bed.vm, &bed.why));
	vcpus_park(&bed.vm);
	ck_assert_str_eq(bed.serial, "");
	vcpus_resume(&bed.vm);
	ck_assert_int_eq(bed_await_end(&bed), VM_EVENT_POWEROFF);
}
END_TEST

START_TEST(stop_ends_a_guest_that_spins)
{
	bed_boot(&bed, "tiny.elf", "c7fffffff");
	bed_run(&bed);
	bed_await_text(&bed, "<");
	vcpus_stop(&bed.vm);
	ck_assert(!bed.vm.vcpu[0].started);
}
END_TEST

START_TEST(guest_memory_cannot_be_shrunk)
{
	ck_assert_int_eq(ftruncate(bed.vm.memory_fd, 4096), -1);
}
END_TEST

START_TEST(high_memory_starts_at_4_gib)
{
	static struct bed big;
	const struct guest_memory *memory = &big.vm.memory;

	bed_make(&big, 8192, -1);
	ck_assert_uint_eq(memory->count, 2);
	ck_assert_uint_eq(memory->region[0].size, ARCH_RAM_LOW_MAX);
	ck_assert_uint_eq(memory->region[1].gpa, ARCH_RAM_HIGH_BASE);
	ck_assert_uint_eq(guest_memory_total(memory), UINT64_C(8) << 30);
	bed_boot(&big, "tiny.elf", "p");
	bed_run(&big);
	ck_assert_int_eq(bed_await_end(&big), VM_EVENT_POWEROFF);
	bed_free(&big);
}
END_TEST

START_TEST(image_of_another_size_is_refused)
{
	struct vm *vm = &bed.vm;
	int fd = bed_image(&bed);
	struct fail why = { "" };
	struct vm second = { .event = vm->event, .opaque = vm->opaque };

	ck_assert(!vm_create(&second, 1, &why));
	ck_assert_int_lt(vm_map_memory(&second, UINT64_C(8) << 20, fd, &why),
			 0);
	ck_assert_str_eq(why.text,
			 "memory: 16777216 bytes, 8388608 expected");
	ck_assert_uint_eq(second.memory.count, 0);
	vm_destroy(&second);
	close(fd);
}
END_TEST

START_TEST(too_many_vcpus_are_refused)
{
	struct vm vm = { .fd = 0 };

	ck_assert_int_lt(vm_create(&vm, VM_CPUS_MAX + 1, &bed.why), 0);
	ck_assert_str_eq(bed.why.text, "9 vCPUs: expected 1 .. 8");
	ck_assert_int_eq(vm.fd, -1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(elf_guest_runs_in_64_bit_mode),
		UNIT_TEST(pvh_note_is_preferred_to_the_entry_point),
		UNIT_TEST(reset_register_resets),
		UNIT_TEST(triple_fault_is_a_crash),
		UNIT_TEST(instruction_that_kvm_cannot_emulate_is_a_crash),
		UNIT_TEST(crashed_vcpu_can_be_parked_resumed_and_dumped),
		UNIT_TEST(only_the_first_event_is_reported),
		UNIT_TEST(mmio_read_reaches_the_device),
		UNIT_TEST(unknown_mmio_reads_all_ones),
		UNIT_TEST(string_port_io_moves_each_element),
		UNIT_TEST(ioeventfd_takes_its_value_and_no_other),
		UNIT_TEST(irqfd_wakes_a_halted_guest),
		UNIT_TEST(deadline_timer_fires),
		UNIT_TEST(parked_guest_stands_still),
		UNIT_TEST(held_guest_stays_where_it_is_though_it_is_told_to_run),
		UNIT_TEST(held_guest_can_be_ended),
		UNIT_TEST(parking_often_loses_nothing),
		UNIT_TEST(park_before_the_first_run_is_fine),
		UNIT_TEST(stop_ends_a_guest_that_spins),
		UNIT_TEST(guest_memory_cannot_be_shrunk),
		UNIT_TEST(high_memory_starts_at_4_gib),
		UNIT_TEST(image_of_another_size_is_refused),
		UNIT_TEST(too_many_vcpus_are_refused),
	};
	const char *skip = bed_skip();

	if (skip) {
		printf("1..0 # SKIP %s\n", skip);
		return 0;
	}
	return UNIT_RUN("kvm_run", cases, setup, teardown);
}
