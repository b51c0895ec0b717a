// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor: what lives as long as the process does, around one machine at a
 * time.
 *
 * Owns struct monitor: loop, control socket, signals, the machine. Everything
 * here runs on the main thread, which is the loop thread.
 *
 * Theory of operation
 *
 *   inmigrate ──snapshot-load──┐
 *   (nothing) ──boot, restore──┴▶ a machine ──its end; quit; signal──▶ ending
 *                                  ▲      │
 *                                  └──────┘ snapshot-load, system_reset
 *
 * A machine is replaced by building another one beside it. Only when that is
 * whole does the first one stop, and hand over the host's side; when it fails,
 * the first one has not noticed.
 */
#include "vmm/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices/log.h"
#include "vmm/control.h"
#include "vmm/event.h"

/**
 * struct monitor - the process
 * @options: what the command line asked for
 * @loop: everything but vCPUs runs there
 * @control: the control socket, or NULL
 * @signals: signalfd of options.end_signals
 * @log: options.log_fd
 * @host: what machines get to see of this
 * @machine: the machine; NULL: there is none yet
 * @reason: SHUTDOWN event's "reason"; NULL: not ending
 */
struct monitor {
	const struct machine_options *options;
	struct loop *loop;
	struct control *control;
	struct loop_source signals;
	struct loop_source log;
	struct machine_host host;
	struct machine *machine;
	const char *reason;
};

/* The first reason counts. */
static void end(void *opaque, int status, const char *reason)
{
	struct monitor *mon = opaque;

	if (mon->reason)
		return;
	mon->reason = reason;
	loop_stop(mon->loop, status);
}

static void on_signal(struct loop_source *source, uint32_t events)
{
	struct monitor *mon = loop_owner(source, struct monitor, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) == sizeof(info))
		log_info("signal %s, ending",
			 sigabbrev_np((int)info.ssi_signo));
	end(mon, MACHINE_EXIT_POWEROFF, "host-signal");
}

struct machine *monitor_machine(const struct monitor *mon)
{
	return mon->machine;
}

const char *monitor_status(const struct monitor *mon)
{
	return mon->machine ? machine_status(mon->machine) : "inmigrate";
}

void monitor_cont(struct monitor *mon)
{
	/* Not once it is ending: there is nothing left to run. */
	if (mon->machine && !mon->reason)
		machine_cont(mon->machine);
}

/*
 * A machine that is there for the first time. One that was saved after its
 * guest's panic is there to be looked at: only `cont` lets it go on.
 */
static void start(struct monitor *mon)
{
	if (machine_panicked(mon->machine))
		log_warn("the guest had panicked when it was saved: it stays "
			 "paused until 'cont'");
	else
		monitor_cont(mon);
}

void monitor_quit(struct monitor *mon)
{
	end(mon, MACHINE_EXIT_POWEROFF, "host-qmp-quit");
}

/* Both are whole; from here on nothing can fail. Return: goes on running? */
static bool replace(struct monitor *mon, struct machine *new)
{
	struct machine *old = mon->machine;
	bool running = old ? machine_is_running(old) : !mon->options->paused;

	if (old) {
		machine_stop(old);
		machine_inherit(new, old);
		machine_free(old);
	}
	mon->machine = new;
	return running;
}

static int may_replace(const struct monitor *mon, struct fail *why)
{
	const char *saving = mon->machine ? machine_saving(mon->machine) : NULL;

	if (mon->reason)
		return fail(why, -ESHUTDOWN, "the machine is ending");
	if (saving)
		return fail(why, -EBUSY, "snapshot %s is still being saved: "
			    "wait for that to end", saving);
	return 0;
}

int monitor_load(struct monitor *mon, const char *path, struct fail *why)
{
	struct machine *new;
	bool running;
	int err = may_replace(mon, why);

	if (err)
		return err;
	new = machine_restore(&mon->host, path, mon->machine, why);
	if (!new)
		return -EINVAL;
	running = replace(mon, new);
	machine_tell(mon->control, MACHINE_EVENT_SNAPSHOT_LOADED,
		     json_pack("{ss}", "path", path));
	if (running)
		start(mon);
	return 0;
}

int monitor_reset(struct monitor *mon, struct fail *why)
{
	struct machine *new;
	bool running;
	int err = may_replace(mon, why);

	if (err)
		return err;
	if (!mon->options->kernel)
		return fail(why, -ENOTSUP, "this process was started with "
			    "'wherry restore' and knows of no kernel to boot: "
			    "use snapshot-load");
	new = machine_boot(&mon->host, mon->machine, why);
	if (!new)
		return -EINVAL;
	running = replace(mon, new);
	machine_tell(mon->control, MACHINE_EVENT_RESET,
		     json_pack("{sb ss}", "guest", 0, "reason",
			       "host-qmp-system-reset"));
	if (running)
		machine_cont(new);
	return 0;
}

static void on_log(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	log_service();
}

/* Lines that wait go out with the next one at the latest: not worth failing. */
static void watch_log(struct monitor *mon)
{
	mon->log.fd = mon->options->log_fd;
	mon->log.fn = on_log;
	if (mon->log.fd >= 0)
		(void)loop_add(mon->loop, &mon->log, EPOLLIN | EPOLLET);
}

static int watch_signals(struct monitor *mon, struct fail *why)
{
	int err;

	mon->signals.fd = signalfd(-1, &mon->options->end_signals,
				   SFD_CLOEXEC | SFD_NONBLOCK);
	mon->signals.fn = on_signal;
	err = mon->signals.fd < 0 ? -errno :
		loop_add(mon->loop, &mon->signals, EPOLLIN);
	return err ? fail(why, err, "event loop: %s", strerror(-err)) : 0;
}

static int build(struct monitor *mon, const struct control_command *commands,
		 struct fail *why)
{
	const struct machine_options *options = mon->options;
	int err;

	mon->loop = loop_new(why);
	if (!mon->loop)
		return -ENOMEM;
	err = watch_signals(mon, why);
	if (err)
		return err;
	watch_log(mon);
	if (options->control) {
		mon->control = control_new(mon->loop, options->control,
					   commands, mon, why);
		if (!mon->control)
			return -EINVAL;
	}
	mon->host = (struct machine_host){
		.options = options,
		.loop = mon->loop,
		.control = mon->control,
		.ended = end,
		.opaque = mon,
	};
	if (options->incoming)
		return 0;
	mon->machine = options->snapshot ?
		machine_restore(&mon->host, options->snapshot, NULL, why) :
		machine_boot(&mon->host, NULL, why);
	return mon->machine ? 0 : -EINVAL;
}

static void destroy(struct monitor *mon)
{
	machine_free(mon->machine);
	control_free(mon->control);
	if (mon->signals.fd >= 0)
		loop_close(mon->loop, &mon->signals);
	loop_remove(mon->loop, &mon->log);
	loop_free(mon->loop);
}

int monitor_run(const struct machine_options *options,
		const struct control_command *commands, struct fail *why)
{
	struct monitor mon = { .options = options, .signals.fd = -1 };
	int status = MACHINE_EXIT_ERROR;

	if (build(&mon, commands, why))
		goto gone;
	why->text[0] = '\0';
	if (mon.machine && !options->paused)
		start(&mon);
	status = loop_run(mon.loop);
	if (mon.machine)
		machine_halt(mon.machine);
	if (mon.machine)
		machine_linger(mon.machine);
	machine_tell(mon.control, MACHINE_EVENT_SHUTDOWN,
		     json_pack("{sb ss}", "guest",
			       !strncmp(mon.reason, "guest", 5), "reason",
			       mon.reason));
gone:
	destroy(&mon);
	return status;
}
