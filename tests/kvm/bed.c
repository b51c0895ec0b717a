// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See bed.h. Bus handlers run on the vCPU thread, everything else on the
 * test's.
 */
#include "tests/kvm/bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"
#include "tests/unit/runner.h"

#define AWAIT_SECONDS 50

static void on_event(void *opaque, enum vm_event event)
{
	struct bed *bed = opaque;

	pthread_mutex_lock(&bed->lock);
	if (!bed->ended)
		bed->event = event;
	bed->ended = true;
	bed->events++;
	pthread_cond_broadcast(&bed->changed);
	pthread_mutex_unlock(&bed->lock);
}

static void on_off(void *opaque)
{
	struct bed *bed = opaque;

	vm_report(&bed->vm, VM_EVENT_POWEROFF);
}

static void on_reset(void *opaque)
{
	struct bed *bed = opaque;

	vm_report(&bed->vm, VM_EVENT_RESET);
}

static void serial_in(void *opaque, uint64_t offset, void *data,
		      unsigned int len)
{
	(void)opaque;
	(void)offset;
	memset(data, 0, len);
}

static void serial_out(void *opaque, uint64_t offset, const void *data,
		       unsigned int len)
{
	struct bed *bed = opaque;

	if (offset || len != 1)
		return;
	pthread_mutex_lock(&bed->lock);
	if (bed->serial_len < sizeof(bed->serial) - 1)
		memcpy(&bed->serial[bed->serial_len++], data, 1);
	pthread_cond_broadcast(&bed->changed);
	pthread_mutex_unlock(&bed->lock);
}

static void mmio_in(void *opaque, uint64_t offset, void *data,
		    unsigned int len)
{
	const uint32_t value = BED_MMIO_VALUE;
	struct bed *bed = opaque;

	memset(data, 0, len);
	if (offset || len != sizeof(value))
		return;
	pthread_mutex_lock(&bed->lock);
	bed->mmio_reads++;
	pthread_cond_broadcast(&bed->changed);
	while (bed->mmio_hold)
		pthread_cond_wait(&bed->changed, &bed->lock);
	pthread_mutex_unlock(&bed->lock);
	memcpy(data, &value, sizeof(value));
}

static void mmio_out(void *opaque, uint64_t offset, const void *data,
		     unsigned int len)
{
	struct bed *bed = opaque;

	(void)offset;
	(void)data;
	(void)len;
	pthread_mutex_lock(&bed->lock);
	bed->mmio_writes++;
	pthread_mutex_unlock(&bed->lock);
}

static void port_in(void *opaque, uint64_t offset, void *data,
		    unsigned int len)
{
	struct bed *bed = opaque;

	(void)offset;
	memset(data, (int)('a' + bed->port_ins++), len);
}

static void port_out(void *opaque, uint64_t offset, const void *data,
		     unsigned int len)
{
	struct bed *bed = opaque;

	(void)offset;
	if (len == 1 && bed->port_outs < sizeof(bed->port_out))
		memcpy(&bed->port_out[bed->port_outs++], data, 1);
}

const char *bed_skip(void)
{
	static char text[160];
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return NULL;
	}
	snprintf(text, sizeof(text), "/dev/kvm: %s", strerror(errno));
	return text;
}

static void add(struct bed *bed, struct bus *bus, struct bus_range range)
{
	ck_assert_msg(!bus_add(bus, &range, &bed->why), "%s", bed->why.text);
}

void bed_make(struct bed *bed, unsigned int memory, int image_fd)
{
	struct vm *vm = &bed->vm;

	memset(bed, 0, sizeof(*bed));
	pthread_mutex_init(&bed->lock, NULL);
	pthread_cond_init(&bed->changed, NULL);
	bed->power = (struct power){ on_off, on_reset, bed };
	vm->event = on_event;
	vm->opaque = bed;
	ck_assert_msg(!vm_create(vm, 1, &bed->why), "%s", bed->why.text);
	ck_assert_msg(!vm_map_memory(vm, (uint64_t)memory << 20, image_fd,
				     &bed->why), "%s", bed->why.text);
	add(bed, &vm->pio, (struct bus_range){ ARCH_SERIAL_BASE, 8, "serial",
		serial_in, serial_out, bed });
	add(bed, &vm->pio, (struct bus_range){ ARCH_POWER_BASE, POWER_SIZE,
		"power", power_read, power_write, &bed->power });
	add(bed, &vm->pio, (struct bus_range){ BED_PORT, 1, "port",
		port_in, port_out, bed });
	add(bed, &vm->mmio, (struct bus_range){ BED_MMIO, 0x1000, "window",
		mmio_in, mmio_out, bed });
}

void bed_boot(struct bed *bed, const char *name, const char *append)
{
	const struct platform_device device[] = {
		{ PLATFORM_SERIAL, ARCH_SERIAL_BASE, 8, ARCH_SERIAL_GSI },
		{ PLATFORM_POWER, ARCH_POWER_BASE, POWER_SIZE, 0 },
	};
	const char *build = getenv("WHERRY_BUILD");
	char path[512];
	struct arch_boot boot = {
		.kernel = path, .append = append, .device = device,
		.devices = sizeof(device) / sizeof(device[0]),
	};

	snprintf(path, sizeof(path), "%s/tests/kvm/%s", build ? build : ".",
		 name);
	ck_assert_msg(!arch_boot(&bed->vm, &boot, &bed->why), "%s",
		      bed->why.text);
}

void bed_free(struct bed *bed)
{
	if (!bed->vm.event)
		return;
	vcpus_stop(&bed->vm);
	vm_destroy(&bed->vm);
	pthread_cond_destroy(&bed->changed);
	pthread_mutex_destroy(&bed->lock);
	memset(bed, 0, sizeof(*bed));
}

void bed_run(struct bed *bed)
{
	if (!bed->vm.vcpu[0].started)
		ck_assert_msg(!vcpus_start(&bed->vm, &bed->why), "%s",
			      bed->why.text);
	vcpus_resume(&bed->vm);
}

/* Waits for a change, the lock held; returns whether there is time left. */
static bool await(struct bed *bed, const struct timespec *until)
{
	return !pthread_cond_timedwait(&bed->changed, &bed->lock, until);
}

static struct timespec deadline(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += AWAIT_SECONDS;
	return ts;
}

void bed_await_text(struct bed *bed, const char *text)
{
	struct timespec until = deadline();
	bool found, going = true;

	pthread_mutex_lock(&bed->lock);
	while (!(found = strstr(bed->serial, text)) && going)
		going = await(bed, &until);
	pthread_mutex_unlock(&bed->lock);
	ck_assert_msg(found, "the guest printed '%s', expected '%s'",
		      bed->serial, text);
}

enum vm_event bed_await_end(struct bed *bed)
{
	struct timespec until = deadline();
	bool going = true;

	pthread_mutex_lock(&bed->lock);
	while (!bed->ended && going)
		going = await(bed, &until);
	pthread_mutex_unlock(&bed->lock);
	ck_assert_msg(bed->ended, "the guest does not end; it printed '%s'",
		      bed->serial);
	return bed->event;
}

void bed_await_read(struct bed *bed)
{
	struct timespec until = deadline();
	bool going = true;

	pthread_mutex_lock(&bed->lock);
	while (!bed->mmio_reads && going)
		going = await(bed, &until);
	pthread_mutex_unlock(&bed->lock);
	ck_assert_uint_eq(bed->mmio_reads, 1);
}

void bed_await_out(struct bed *bed)
{
	struct timespec until = deadline();
	bool going = true;

	pthread_mutex_lock(&bed->lock);
	while (!bed->port_outs && going)
		going = await(bed, &until);
	pthread_mutex_unlock(&bed->lock);
	ck_assert_uint_eq(bed->port_outs, 1);
}

size_t bed_save(struct bed *bed, void **data)
{
	struct state_writer w;
	const void *tree;
	size_t len;

	ck_assert(!state_writer_init(&w));
	state_begin(&w, "cpu@0");
	ck_assert_msg(!arch_vcpu_save(&bed->vm.vcpu[0], &w, &bed->why), "%s",
		      bed->why.text);
	state_end(&w);
	state_begin(&w, "irqchip");
	ck_assert_msg(!arch_vm_save(&bed->vm, &w, &bed->why), "%s",
		      bed->why.text);
	state_end(&w);
	ck_assert_msg(!state_writer_finish(&w, &tree, &len, &bed->why), "%s",
		      bed->why.text);
	ck_assert_msg(!state_check(tree, len, &bed->why), "%s", bed->why.text);
	*data = malloc(len);
	ck_assert_ptr_nonnull(*data);
	memcpy(*data, tree, len);
	state_writer_free(&w);
	return len;
}

int bed_load(struct bed *bed, const void *data)
{
	struct state_node root, node;
	int err;

	state_root(&root, data);
	err = state_enter(&root, &node, &bed->why, "cpu@0");
	if (!err)
		err = arch_vcpu_load(&bed->vm.vcpu[0], &node, &bed->why);
	if (!err)
		err = state_leave(&node, &bed->why);
	if (!err)
		err = state_enter(&root, &node, &bed->why, "irqchip");
	if (!err)
		err = arch_vm_load(&bed->vm, &node, &bed->why);
	if (!err)
		err = state_leave(&node, &bed->why);
	return err ? err : state_leave(&root, &bed->why);
}

int bed_image(const struct bed *bed)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (unsigned int i = 0; i < bed->vm.memory.count; i++) {
		const struct guest_region *r = &bed->vm.memory.region[i];

		ck_assert(write(fd, r->host, r->size) == (ssize_t)r->size);
	}
	return fd;
}
