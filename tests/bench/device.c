// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Our device in a process of its own: event loop, vsock device and AF_UNIX
 * back-end as the monitor has them, hosted by struct virtio_host.
 *
 * The registers are programmed here, before the guest is forked off; from then
 * on guest and device share RAM, kick eventfds and the interrupt eventfd, and
 * nothing else, as under KVM with ioeventfd and irqfd. What the guest inherits
 * of the device's other memory is a dead copy that only tells its driver which
 * eventfd is which.
 */
#include "tests/bench/device.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "devices/loop.h"
#include "devices/virtio_host.h"
#include "devices/vsock/device.h"
#include "devices/vsock/unix.h"
#include "tests/bench/guest.h"

static struct loop *loop;
static struct vsock_unix_options host_options = { .mode = 0600 };
static struct vsock_unix unx;
static struct vsock_device dev;
static struct virtio_host host;
static struct guest guest;

static void on_term(int signal)
{
	(void)signal;
	loop_stop(loop, 0);
}

static void make_device(const struct device_order *order)
{
	const struct vsock_device_options options = {
		.guest_cid = BENCH_CID,
		.queue_size = (uint16_t)order->queue_size,
	};
	struct fail why;

	host_options.path = order->path;
	guest_ram_init(&guest, order->measure, order->queue_size);
	loop = loop_new(&why);
	if (!loop ||
	    vsock_unix_init(&unx, loop, &host_options, &why) ||
	    vsock_device_init(&dev, loop, &guest.ram.mem, &unx.backend,
			      &options, &why) ||
	    virtio_host_init(&host, &dev.vdev, loop, &why))
		bench_die("%s", why.text);
	vsock_device_set_running(&dev, true);
}

static void probe(unsigned int queue_size)
{
	int err;

	fake_driver_init(&guest.driver, &guest.ram, &dev.vdev);
	err = fake_probe(&guest.driver, guest_features(),
			 (uint16_t)queue_size);
	if (err)
		bench_die("probe: %s", strerror(-err));
	guest_events_fill(&guest);
	guest.driver.doorbell_direct = true;
	/* The guest sleeps in read(); whoever writes does not care. */
	guest.irq_fd = host.irq_fd;
	fcntl(guest.irq_fd, F_SETFL,
	      fcntl(guest.irq_fd, F_GETFL) & ~O_NONBLOCK);
}

void device_main(int ctl, void *arg)
{
	const struct device_order *order = arg;
	struct sigaction action = { .sa_handler = on_term };
	const struct vsock_stats *stats;
	pid_t parent, pid;

	make_device(order);
	probe(order->queue_size);
	parent = getpid();
	pid = fork();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "guest");
		if (getppid() != parent)
			_exit(1);
		guest_main(order->guest_ctl, &guest);
		_exit(0);
	}
	close(order->guest_ctl);
	(void)ctl;
	sigaction(SIGTERM, &action, NULL);
	loop_run(loop);
	kill(pid, SIGKILL);
	stats = &dev.engine.stats;
	if (stats->malformed || stats->credit_overruns)
		fprintf(stderr, "bench: the device saw %ju malformed packets and %ju credit overruns\n",
			(uintmax_t)stats->malformed,
			(uintmax_t)stats->credit_overruns);
	vsock_device_destroy(&dev);
	vsock_unix_destroy(&unx);
	virtio_host_destroy(&host);
	loop_free(loop);
}
