// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine's life: built, booted or restored, run, taken down.
 *
 * Owns struct machine. Everything here runs on the main thread, which is the
 * loop thread; vCPU threads only report events, through an eventfd.
 *
 * Theory of operation
 *
 *   built ─▶ booted or loaded ─▶ prelaunch ──cont──▶ running ◀─stop/cont─▶ paused
 *   any ──guest power-off, reset, crash; quit; signal──▶ ending ─▶ gone
 *
 * Whatever can fail for a reason of the user's (a socket in use, a damaged
 * snapshot) is tried before KVM is touched, and all of it before a vCPU runs:
 * a machine that runs is whole.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/commands.h"
#include "vmm/machine_internal.h"
#include "vmm/snapshot.h"

/* How long what the guest sent last may take to reach slow host sockets. */
#define LINGER_MS	5000

static void tell(struct machine *m, enum machine_event event, json_t *data)
{
	control_event(m->control, machine_event_name(event), data);
}

/* Any thread. */
static void on_vm_event(void *opaque, enum vm_event event)
{
	const uint64_t one = 1;
	struct machine *m = opaque;
	ssize_t n;

	atomic_store(&m->event, (unsigned int)event + 1u);
	n = write(m->events.fd, &one, sizeof(one));
	(void)n;
}

static void end(struct machine *m, int status, const char *reason)
{
	if (!m->reason)
		m->reason = reason;
	loop_stop(m->loop, status);
}

static void on_events(struct loop_source *source, uint32_t events)
{
	struct machine *m = loop_owner(source, struct machine, events);
	unsigned int event = atomic_load(&m->event);

	(void)events;
	switch ((enum vm_event)(event - 1u)) {
	case VM_EVENT_POWEROFF:
		end(m, MACHINE_EXIT_POWEROFF, "guest-shutdown");
		break;
	case VM_EVENT_RESET:
		tell(m, MACHINE_EVENT_RESET,
		     json_pack("{sb ss}", "guest", 1, "reason",
			       "guest-reset"));
		end(m, MACHINE_EXIT_RESET, "guest-reset");
		break;
	case VM_EVENT_CRASH:
		end(m, MACHINE_EXIT_ERROR, "guest-panic");
		break;
	}
	loop_remove(m->loop, source);
}

static void on_signal(struct loop_source *source, uint32_t events)
{
	struct machine *m = loop_owner(source, struct machine, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) == sizeof(info))
		log_info("signal %s, ending",
			 sigabbrev_np((int)info.ssi_signo));
	end(m, MACHINE_EXIT_POWEROFF, "host-signal");
}

void machine_quit(struct machine *m, int status)
{
	end(m, status, "host-qmp-quit");
}

static void set_running(struct machine *m, bool running)
{
	if (m->options->vsock.present)
		vsock_device_set_running(&m->vsock, running);
	m->running = running;
	if (running) {
		vcpus_resume(&m->vm);
		m->started = true;
	} else {
		vcpus_park(&m->vm);
	}
	tell(m, running ? MACHINE_EVENT_RESUME : MACHINE_EVENT_STOP, NULL);
}

void machine_stop(struct machine *m)
{
	if (m->running)
		set_running(m, false);
}

void machine_cont(struct machine *m)
{
	/* Not once it is ending: there is nothing left to run. */
	if (!m->running && !m->reason)
		set_running(m, true);
}

void machine_powerdown(struct machine *m)
{
	ged_raise(&m->ged, GED_POWER_BUTTON);
	tell(m, MACHINE_EVENT_POWERDOWN, NULL);
}

static int watch(struct machine *m, struct loop_source *source, int fd,
		 loop_source_fn *fn, struct fail *why)
{
	int err;

	source->fd = fd;
	source->fn = fn;
	err = fd < 0 ? -errno : loop_add(m->loop, source, EPOLLIN);
	if (err)
		return fail(why, err, "event loop: %s", strerror(-err));
	return 0;
}

static int build_loop(struct machine *m, struct fail *why)
{
	int err;

	m->loop = loop_new(why);
	if (!m->loop)
		return -ENOMEM;
	err = watch(m, &m->signals,
		    signalfd(-1, &m->options->end_signals,
			     SFD_CLOEXEC | SFD_NONBLOCK), on_signal, why);
	if (!err)
		err = watch(m, &m->events,
			    eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_events,
			    why);
	if (err || !m->options->control)
		return err;
	m->control = control_new(m->loop, m->options->control,
				 machine_commands, m, why);
	return m->control ? 0 : -EINVAL;
}

static int build_vm(struct machine *m, const struct machine_shape *shape,
		    int image_fd, struct fail *why)
{
	int err;

	m->vm.event = on_vm_event;
	m->vm.opaque = m;
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

static int restore(struct machine *m, struct fail *why)
{
	struct machine_shape shape;
	struct snapshot snapshot;
	int err;

	err = snapshot_open(m->options->snapshot, &snapshot, why);
	if (err)
		return err;
	err = machine_read_shape(m->options, &snapshot.root, &shape, why);
	if (!err && shape.memory != snapshot.memory_size)
		err = fail(why, -EINVAL,
			   "memory: %" PRIu64 " bytes, state.dtb expects %"
			   PRIu64, snapshot.memory_size, shape.memory);
	if (!err && shape.vsock_queue_size)
		m->vsock_device.queue_size = shape.vsock_queue_size;
	if (!err)
		err = build_vm(m, &shape, snapshot.memory_fd, why);
	if (!err)
		err = machine_load(m, &snapshot.root, why);
	snapshot_close(&snapshot);
	if (err)
		return fail_within(why, err, "restore %s",
				   m->options->snapshot);
	m->started = true;
	return 0;
}

static int build(struct machine *m, struct fail *why)
{
	int err;

	err = build_loop(m, why);
	if (!err)
		err = m->options->snapshot ? restore(m, why) : boot(m, why);
	if (!err)
		err = vcpus_start(&m->vm, why);
	return err;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/*
 * The guest is gone; what it sent last is not lost with it: rings are run once
 * more, backlogs go out as long as the host sockets take them in time.
 */
static void finish(struct machine *m)
{
	uint64_t now = now_ms(), deadline = now + LINGER_MS;

	machine_drain(m);
	if (!m->options->vsock.present)
		return;
	vsock_device_set_running(&m->vsock, false);
	vsock_engine_reset(&m->vsock.engine);
	while (m->vsock.engine.lingering && now < deadline) {
		loop_run_once(m->loop, (int)(deadline - now));
		now = now_ms();
	}
}

static void destroy(struct machine *m)
{
	vcpus_stop(&m->vm);
	machine_remove_devices(m);
	vm_destroy(&m->vm);
	control_free(m->control);
	if (m->events.fd >= 0) {
		loop_remove(m->loop, &m->events);
		close(m->events.fd);
	}
	if (m->signals.fd >= 0) {
		loop_remove(m->loop, &m->signals);
		close(m->signals.fd);
	}
	loop_free(m->loop);
	free(m);
}

int machine_run(const struct machine_options *options, struct fail *why)
{
	struct machine *m = calloc(1, sizeof(*m));
	int status = MACHINE_EXIT_ERROR;

	if (!m) {
		fail(why, -ENOMEM, "out of memory");
		return MACHINE_EXIT_ERROR;
	}
	m->options = options;
	m->vsock_device = options->vsock.device;
	m->vm.kvm_fd = m->vm.fd = m->vm.memory_fd = -1;
	m->signals.fd = m->events.fd = -1;
	if (build(m, why))
		goto gone;
	why->text[0] = '\0';
	if (!options->paused)
		machine_cont(m);
	status = loop_run(m->loop);
	vcpus_stop(&m->vm);
	m->running = false;
	machine_finish_tasks(m);
	if (status == MACHINE_EXIT_POWEROFF || status == MACHINE_EXIT_RESET)
		finish(m);
	tell(m, MACHINE_EVENT_SHUTDOWN,
	     json_pack("{sb ss}", "guest", !strncmp(m->reason, "guest", 5),
		       "reason", m->reason));
gone:
	destroy(m);
	return status;
}
