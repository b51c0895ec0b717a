// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One machine's life: built, booted or restored, run, taken down.
 *
 * Owns struct machine. Called by monitor.c and by commands, on the main thread,
 * which is the loop thread; vCPU threads only report events, through an
 * eventfd.
 *
 * Theory of operation
 *
 *   built ─▶ booted or loaded ─▶ prelaunch ──cont──▶ running ◀─stop/cont─▶ paused
 *   any ──guest power-off, reset, crash, panic──▶ host->ended() ─▶ freed
 *   running ──panic, --on-panic stop──▶ paused
 *
 * Whatever can fail for a reason of the user's (a socket in use, a damaged
 * snapshot) is tried before KVM is touched, and all of it before a vCPU runs:
 * a machine that runs is whole.
 *
 * An heir is built beside a machine that lives on until the heir is whole. It
 * leaves alone what the two would have to share, the console, the host's
 * sockets and the capture, and takes them over at last: that cannot fail.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/deadline.h"
#include "vmm/event.h"
#include "vmm/machine_internal.h"
#include "vmm/ram.h"
#include "vmm/snapshot.h"

/* Any thread. */
static void on_vm_event(void *opaque, enum vm_event event)
{
	struct machine *m = opaque;
	const uint64_t one = 1;
	ssize_t n;

	/* What follows a panic, a reboot often, is not to be seen. */
	if (event == VM_EVENT_PANIC)
		vcpus_hold(&m->vm);
	atomic_fetch_or(&m->event, 1u << event);
	n = write(m->events.fd, &one, sizeof(one));
	(void)n;
}

static void set_running(struct machine *m, bool running)
{
	if (m->options->vsock.present)
		vsock_device_set_running(&m->vsock, running);
	m->running = running;
	if (running) {
		arch_clock_start(&m->vm);
		vcpus_resume(&m->vm);
		m->started = true;
	} else {
		vcpus_park(&m->vm);
		arch_clock_stop(&m->vm);
	}
	machine_tell(m->control,
		     running ? MACHINE_EVENT_RESUME : MACHINE_EVENT_STOP, NULL);
}

void machine_stop(struct machine *m)
{
	if (m->running)
		set_running(m, false);
}

void machine_cont(struct machine *m)
{
	/* A panic that came as it stopped has to be told of first. */
	if (m->running || atomic_load(&m->event) & 1u << VM_EVENT_PANIC)
		return;
	pvpanic_forget(&m->pvpanic);
	vcpus_release(&m->vm);
	set_running(m, true);
}

/* The guest is over. */
static void end(struct machine *m, int status, const char *reason)
{
	loop_remove(m->loop, &m->events);
	m->host->ended(m->host->opaque, status, reason);
}

/* Was the file changed that the guest's memory is a mapping of? */
static bool image_changed(const struct machine *m, struct fail *why)
{
	return m->vm.memory_private && image_check(&m->vm.image, why);
}

/* What it does without is no longer its own doing. */
static void memory_lost(struct machine *m)
{
	struct fail why;

	if (!image_changed(m, &why))
		fail(&why, -EIO, "snapshot %s: memory: cannot be read any more",
		     m->vm.image.name);
	log_error("the guest cannot go on: %s", why.text);
	end(m, MACHINE_EXIT_ERROR, "host-error");
}

/* A triple fault, or what KVM could not run: was it the guest's own doing? */
static void on_crash(struct machine *m)
{
	struct fail why;

	if (image_changed(m, &why))
		memory_lost(m);
	else
		end(m, MACHINE_EXIT_ERROR, "guest-panic");
}

/* It is held where it said so. */
static void on_panic(struct machine *m)
{
	bool stop = m->options->panic_stop;

	log_warn("the guest has panicked%s",
		 stop ? "; it stays paused, as --on-panic asks" : "");
	machine_tell(m->control, MACHINE_EVENT_GUEST_PANICKED,
		     json_pack("{ss}", "action", stop ? "pause" : "poweroff"));
	if (stop)
		machine_stop(m);
	else
		end(m, MACHINE_EXIT_PANIC, "guest-panic");
}

static void on_events(struct loop_source *source, uint32_t events)
{
	struct machine *m = loop_owner(source, struct machine, events);
	unsigned int event;
	uint64_t count;
	ssize_t n;

	(void)events;
	n = read(source->fd, &count, sizeof(count));
	(void)n;
	event = atomic_exchange(&m->event, 0);
	if (event & 1u << VM_EVENT_CRASH_LOADED)
		machine_tell(m->control, MACHINE_EVENT_GUEST_CRASHLOADED,
			     json_pack("{ss}", "action", "run"));
	/* First: what other vCPUs made of it meanwhile is not to count. */
	if (event & 1u << VM_EVENT_PANIC) {
		on_panic(m);
	} else if (event & 1u << VM_EVENT_MEMORY) {
		memory_lost(m);
	} else if (event & 1u << VM_EVENT_CRASH) {
		on_crash(m);
	} else if (event & 1u << VM_EVENT_POWEROFF) {
		end(m, MACHINE_EXIT_POWEROFF, "guest-shutdown");
	} else if (event & 1u << VM_EVENT_RESET) {
		machine_tell(m->control, MACHINE_EVENT_RESET,
			     json_pack("{sb ss}", "guest", 1, "reason",
				       "guest-reset"));
		end(m, MACHINE_EXIT_RESET, "guest-reset");
	}
}

void machine_powerdown(struct machine *m)
{
	ged_raise(&m->ged, GED_POWER_BUTTON);
	machine_tell(m->control, MACHINE_EVENT_POWERDOWN, NULL);
}

static int watch_events(struct machine *m, struct fail *why)
{
	int err;

	m->events.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->events.fn = on_events;
	err = m->events.fd < 0 ? -errno :
		loop_add(m->loop, &m->events, EPOLLIN);
	return err ? fail(why, err, "event loop: %s", strerror(-err)) : 0;
}

static int build_vm(struct machine *m, const struct machine_shape *shape,
		    int image_fd, struct fail *why)
{
	int err;

	m->vm.event = on_vm_event;
	m->vm.opaque = m;
	m->vm.clock = m->options->clock;
	m->vm.force = m->options->force;
	err = vm_create(&m->vm, shape->cpus, why);
	if (!err)
		err = vm_map_memory(&m->vm, shape->memory, image_fd, why);
	if (!err)
		err = machine_add_devices(m, why);
	return err;
}

static int boot(struct machine *m, struct fail *why)
{
	const struct machine_options *options = m->options;
	const struct machine_shape shape = {
		.cpus = options->cpus, .memory = options->memory,
	};
	struct platform_device device[MACHINE_DEVICES_MAX];
	struct arch_boot what = {
		.kernel = options->kernel,
		.initrd = options->initrd,
		.append = options->append,
		.device = device,
	};
	int err;

	err = build_vm(m, &shape, -1, why);
	if (err)
		return err;
	what.devices = machine_platform(m, device);
	return arch_boot(&m->vm, &what, why);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static int restore(struct machine *m, const char *path, struct fail *why)
{
	uint64_t begin = now_us(), opened = begin, built = begin;
	struct machine_shape shape;
	struct snapshot snapshot;
	int err;

	m->image_name = strdup(path);
	if (!m->image_name)
		return fail(why, -ENOMEM, "restore %s: out of memory", path);
	m->vm.image.name = m->image_name;
	err = snapshot_open(path, &snapshot, why);
	if (err)
		return err;
	err = machine_read_shape(m->options, &snapshot.root, &shape, why);
	if (!err && shape.memory != snapshot.memory_size)
		err = fail(why, -EINVAL,
			   "memory: %" PRIu64 " bytes, state.dtb expects %"
			   PRIu64, snapshot.memory_size, shape.memory);
	if (!err && shape.vsock_queue_size)
		m->vsock_device.queue_size = shape.vsock_queue_size;
	opened = now_us();
	if (!err)
		err = build_vm(m, &shape, snapshot.memory_fd, why);
	built = now_us();
	if (!err)
		err = machine_load(m, &snapshot.root, why);
	/* Loading has looked at memory. */
	if (!err)
		err = image_check(&m->vm.image, why);
	snapshot_close(&snapshot);
	if (err)
		return fail_within(why, err, "restore %s", path);
	/* For tests/bench/restore.py. */
	log_debug("restore: parsed in %" PRIu64 " us, KVM and devices %" PRIu64
		  " us, state %" PRIu64 " us", opened - begin, built - opened,
		  now_us() - built);
	m->started = true;
	return 0;
}

static struct machine *build(const struct machine_host *host, const char *path,
			     const struct machine *old, struct fail *why)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m) {
		fail(why, -ENOMEM, "out of memory");
		return NULL;
	}
	m->host = host;
	m->options = host->options;
	m->loop = host->loop;
	m->control = host->control;
	m->heir = old;
	m->vsock_device = m->options->vsock.device;
	m->vm.kvm_fd = m->vm.fd = m->vm.memory_fd = -1;
	m->events.fd = -1;
	err = watch_events(m, why);
	if (!err)
		err = path ? restore(m, path, why) : boot(m, why);
	if (!err)
		err = vcpus_start(&m->vm, why);
	if (err) {
		machine_free(m);
		return NULL;
	}
	if (!old)
		machine_announce(m);
	return m;
}

struct machine *machine_boot(const struct machine_host *host,
			     const struct machine *old, struct fail *why)
{
	return build(host, NULL, old, why);
}

struct machine *machine_restore(const struct machine_host *host,
				const char *path, const struct machine *old,
				struct fail *why)
{
	return build(host, path, old, why);
}

void machine_inherit(struct machine *m, struct machine *old)
{
	vcpus_stop(&old->vm);
	old->running = false;
	machine_drain(old);
	machine_take_devices(m, old);
	machine_take_tasks(m, old);
	m->heir = false;
	machine_announce(m);
}

void machine_halt(struct machine *m)
{
	vcpus_stop(&m->vm);
	m->running = false;
	machine_finish_tasks(m);
}

void machine_linger(struct machine *m)
{
	int64_t deadline = deadline_in(m->options->vsock.linger_ms);
	int left;

	if (!m->options->vsock.present) {
		machine_drain(m);
		return;
	}
	/* What hosts have for the guest is not to be taken for nobody. */
	vsock_device_set_running(&m->vsock, false);
	machine_drain(m);
	vsock_device_finish(&m->vsock);
	vsock_engine_hand_over(&m->vsock.engine);
	while (m->vsock.engine.lingering && (left = deadline_left(deadline)))
		loop_run_once(m->loop, left);
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vcpus_stop(&m->vm);
	machine_remove_devices(m);
	vm_destroy(&m->vm);
	if (m->events.fd >= 0) {
		loop_remove(m->loop, &m->events);
		close(m->events.fd);
	}
	free(m->image_name);
	free(m);
}
