// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio socket device: puts gate, engine and transport together.
 *
 * Owns struct vsock_device. Called by virtio_host.c (kicks, status changes),
 * by the transport (configuration space, save, load) and by the machine, on
 * the loop thread; only config_read() also runs on vCPU threads. Everything
 * that touches queues or gate runs under the device's lock.
 *
 * Theory of operation. Whatever happens - a kick, a readable host socket, a
 * change of status - only asks for run_queues() at the end of the loop's turn.
 * It looks at the gate; with the gate open it takes what the guest sent, then
 * gives it what the host has, and sends one interrupt for both. With the gate
 * shut it does nothing at all, and so nothing is lost: packets stay in the TX
 * ring, clients in the listen backlog.
 *
 * What the driver has sent goes back to it at once, but not every such buffer
 * is worth an interrupt: one that was nothing but a header (a credit update,
 * say) holds nothing that anybody waits for, whereas with payload there is
 * memory, and perhaps a program that waits for it (MSG_ZEROCOPY). Of headers
 * the driver hears with the next interrupt that there is reason for, when they
 * make up a quarter of the ring, or ten milliseconds later.
 */
#include "devices/vsock/device.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>

#include "devices/log.h"
#include "devices/vsock/ready.h"

#define INTERRUPT_MS	10u
#define ROUNDS_MAX	8	/* a turn, of both rings */

static struct vsock_device *to_vsock(struct virtio_device *vdev)
{
	return list_entry(vdev, struct vsock_device, vdev);
}

enum vsock_gate_state vsock_device_gate(const struct vsock_device *dev)
{
	return vsock_gate_state(&dev->gate, virtio_device_live(&dev->vdev));
}

static struct virtq *event_queue(struct vsock_device *dev)
{
	return &dev->vdev.queue[VSOCK_QUEUE_EVENT];
}

static void schedule(struct vsock_device *dev)
{
	loop_defer(dev->loop, &dev->run);
}

static void wake(struct vsock_engine *engine)
{
	schedule(list_entry(engine, struct vsock_device, engine));
}

/* The driver broke a ring: the device is dead until it is reset. */
static void give_up(struct vsock_device *dev, const struct fail *why)
{
	virtio_device_break(&dev->vdev, why);
	vsock_engine_reset(&dev->engine);
}

/* Which socket types may be used (virtio 1.2, section 5.10.3.1, 5.10.3.2)? */
static void take_features(struct vsock_device *dev)
{
	const struct virtio_device *vdev = &dev->vdev;
	bool stream = virtio_device_has(vdev, VIRTIO_VSOCK_F_STREAM);
	bool seqpacket = virtio_device_has(vdev, VIRTIO_VSOCK_F_SEQPACKET);
	bool implied = !virtio_device_has(vdev,
					  VIRTIO_VSOCK_F_NO_IMPLIED_STREAM);

	dev->engine.stream = stream || implied;
	dev->engine.seqpacket = seqpacket;
}

/* Follows the gate's state: listener, patience, whoever wants to know. */
static void follow_gate(struct vsock_device *dev)
{
	enum vsock_gate_state from = dev->state, to = vsock_device_gate(dev);

	if (vsock_gate_half_way(&dev->gate) && to == VSOCK_GATE_RESET_SENT) {
		if (!dev->patience.slot)
			(void)loop_timer_arm(dev->loop, &dev->patience,
					     dev->patience_ms);
	} else {
		loop_timer_cancel(dev->loop, &dev->patience);
	}
	/* Also from open to open: a driver may be gone and another there. */
	if (to == VSOCK_GATE_OPEN)
		take_features(dev);
	dev->engine.backend->gate(dev->engine.backend,
				  to == VSOCK_GATE_OPEN && dev->engine.running);
	if (from == to)
		return;
	dev->state = to;
	log_guest(LOG_LEVEL_DEBUG, "vsock: gate %s, was %s",
		  vsock_gate_state_name(to), vsock_gate_state_name(from));
	if (dev->on_gate)
		dev->on_gate(dev->opaque, from, to);
}

/*
 * Whatever is owed or open is not the driver's any more if it has reset the
 * device. It does so on a vCPU thread, and may have set up the device anew
 * before we hear of it: asked before each look at the queues. A broken device
 * has nobody to talk to, either.
 */
static void notice_reset(struct vsock_device *dev)
{
	if (dev->resets != dev->vdev.resets) {
		dev->resets = dev->vdev.resets;
		loop_timer_cancel(dev->loop, &dev->interrupt);
		dev->engine.unheard = false;
		dev->interrupted = 0;
		vsock_gate_reset(&dev->gate);
		vsock_engine_reset(&dev->engine);
	}
	if (!virtio_device_live(&dev->vdev))
		vsock_engine_reset(&dev->engine);
}

/* Whatever there is to hear, the driver hears of it now. */
static void interrupt_now(struct vsock_device *dev)
{
	loop_timer_cancel(dev->loop, &dev->interrupt);
	dev->engine.unheard = false;
	dev->interrupted = dev->engine.tx->flushed;
	virtio_device_signal(&dev->vdev);
}

/* It can wait, unless too much does already. */
static void interrupt_later(struct vsock_device *dev)
{
	const struct virtq *tx = dev->engine.tx;
	uint16_t unheard = tx->flushed - dev->interrupted;

	if (unheard >= tx->size / 4)
		interrupt_now(dev);
	else if (!dev->interrupt.slot &&
		 loop_timer_arm(dev->loop, &dev->interrupt, INTERRUPT_MS))
		interrupt_now(dev);
}

static void interrupt_is_due(struct loop_timer *timer)
{
	struct vsock_device *dev =
		list_entry(timer, struct vsock_device, interrupt);

	pthread_mutex_lock(&dev->vdev.lock);
	/* After a reset it would be nothing worse than one too many. */
	if (virtio_device_live(&dev->vdev))
		interrupt_now(dev);
	pthread_mutex_unlock(&dev->vdev.lock);
}

/* Both rings, guest to host first: its packets make room and replies. */
static void run_rings(struct vsock_device *dev)
{
	bool interrupt = false, again = false, blocked;
	unsigned int rounds = 0;
	struct fail why;
	int to_host, to_guest = 0;

	do {
		to_host = vsock_engine_to_host(&dev->engine, &interrupt, &why);
		if (to_host < 0)
			break;
		blocked = vsock_engine_blocked(&dev->engine);
		to_guest = vsock_engine_to_guest(&dev->engine, &interrupt,
						 &why);
		if (to_guest < 0)
			break;
		/* Replies went out: the TX ring may go on (5.10.6.1.2). */
		again = blocked && !vsock_engine_blocked(&dev->engine);
		/* Another vCPU may refill both rings all the while. */
	} while (again && ++rounds < ROUNDS_MAX);
	if (interrupt)
		interrupt_now(dev);
	else if (dev->engine.unheard)
		interrupt_later(dev);
	/* What was asked for meanwhile is done. */
	loop_undefer(dev->loop, &dev->run);
	if (to_host < 0 || to_guest < 0)
		give_up(dev, &why);
	else if (to_host || to_guest || again)
		schedule(dev);
}

/* Counts answers to resets, sends one that is due. */
static void look_at_gate(struct vsock_device *dev)
{
	struct fail why;
	int ret;

	ret = vsock_gate_look(&dev->gate, event_queue(dev),
			      virtio_device_live(&dev->vdev), &why);
	if (ret > 0)
		interrupt_now(dev);
	if (ret < 0)
		give_up(dev, &why);
}

static void run_queues(struct loop_task *task)
{
	struct vsock_device *dev = list_entry(task, struct vsock_device, run);

	pthread_mutex_lock(&dev->vdev.lock);
	notice_reset(dev);
	look_at_gate(dev);
	follow_gate(dev);
	if (dev->state == VSOCK_GATE_OPEN && dev->engine.running)
		run_rings(dev);
	follow_gate(dev);
	pthread_mutex_unlock(&dev->vdev.lock);
	/* For whoever looks on, and for the day we crash. */
	if (dev->engine.capture)
		vsock_capture_flush(dev->engine.capture);
	/* Without the lock: a vCPU may want it. */
	if (vsock_credit_should_yield(&dev->engine.credit))
		sched_yield();
}

static void patience_is_over(struct loop_timer *timer)
{
	struct vsock_device *dev =
		list_entry(timer, struct vsock_device, patience);

	pthread_mutex_lock(&dev->vdev.lock);
	notice_reset(dev);
	/* The answer may have come this very moment. */
	look_at_gate(dev);
	/* A paused guest could not have answered. */
	if (dev->engine.running && vsock_gate_force(&dev->gate)) {
		dev->gate_forced++;
		log_guest(LOG_LEVEL_WARN,
			  "vsock: after a reset the driver has %s, but for %" PRIu32 " ms not %s: going on without",
			  dev->gate.returned ? "returned the event buffer" :
					       "read its CID",
			  dev->patience_ms,
			  dev->gate.returned ? "read its CID" :
					       "returned the event buffer");
		schedule(dev);
	}
	follow_gate(dev);
	pthread_mutex_unlock(&dev->vdev.lock);
}

static void status_changed(struct virtio_device *vdev)
{
	struct vsock_device *dev = to_vsock(vdev);

	notice_reset(dev);
	follow_gate(dev);
	schedule(dev);
}

static void queue_notify(struct virtio_device *vdev, unsigned int queue)
{
	(void)queue;
	schedule(to_vsock(vdev));
}

static void config_read(struct virtio_device *vdev, uint32_t offset, void *buf,
			uint32_t len)
{
	struct vsock_device *dev = to_vsock(vdev);
	struct vsock_config config = {
		.guest_cid = le64_make(dev->guest_cid),
	};

	if (offset >= sizeof(config))
		return;
	if (len > sizeof(config) - offset)
		len = (uint32_t)sizeof(config) - offset;
	memcpy(buf, (const uint8_t *)&config + offset, len);
	/* Not the status: that has not changed, so nobody would be called. */
	if (virtio_device_live(vdev) && vsock_gate_cid_read(&dev->gate))
		vdev->host_ops->kick(vdev->host, VSOCK_QUEUE_EVENT);
}

static void saving(struct virtio_device *vdev)
{
	struct vsock_device *dev = to_vsock(vdev);

	notice_reset(dev);
	look_at_gate(dev);
	/* No file says what the driver has not heard. */
	if (dev->engine.unheard)
		interrupt_now(dev);
	/* The source goes on: what was found is not only for the file. */
	follow_gate(dev);
	schedule(dev);
}

/*
 * A snapshot was loaded: publish the reset, now, before any vCPU runs. The
 * interrupt comes whatever EVENT_IDX says: a spurious one does no harm
 * (section 2.7.7.2), a missing one would.
 */
static int loaded(struct virtio_device *vdev, struct fail *why)
{
	struct vsock_device *dev = to_vsock(vdev);
	int ret;

	vdev->config_generation++;
	dev->resets = vdev->resets;
	ret = vsock_gate_loaded(&dev->gate, event_queue(dev),
				virtio_device_live(vdev), why);
	/* The driver's fault, found now and not later: load all the same. */
	if (ret < 0)
		give_up(dev, why);
	if (virtio_device_live(vdev))
		vsock_engine_loaded(&dev->engine);
	interrupt_now(dev);
	follow_gate(dev);
	schedule(dev);
	return 0;
}

static const struct virtio_device_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.queues = VSOCK_QUEUES,
	.exact_notify = 1u << VSOCK_QUEUE_EVENT,
	.holds = 1u << VSOCK_QUEUE_TX,
	.status_changed = status_changed,
	.queue_notify = queue_notify,
	.config_read = config_read,
	.state = &vsock_gate_table,
	.saving = saving,
	.loaded = loaded,
};

static uint64_t offered(const struct vsock_device_options *options)
{
	uint64_t features = VIRTIO_BIT(VIRTIO_VSOCK_F_STREAM) |
			    VIRTIO_BIT(VIRTIO_VSOCK_F_NO_IMPLIED_STREAM);

	if (options->seqpacket)
		features |= VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET);
	return features;
}

int vsock_device_init(struct vsock_device *dev, struct loop *loop,
		      const struct guest_memory *mem,
		      struct vsock_backend *backend,
		      const struct vsock_device_options *options,
		      struct fail *why)
{
	uint16_t queue_size = options->queue_size;
	uint32_t port;

	if (getrandom(&port, sizeof(port), 0) != sizeof(port))
		return fail(why, -EIO, "vsock: no random numbers: %s",
			    strerror(errno));
	if (vsock_engine_init(&dev->engine, loop, backend,
			      options->conns_max ? options->conns_max :
			      VSOCK_CONNS_MAX, port))
		return fail(why, -ENOMEM, "vsock: out of memory");
	if (options->buf_alloc)
		dev->engine.buf_alloc = options->buf_alloc;
	virtio_device_init(&dev->vdev, &vsock_ops, mem, offered(options),
			   queue_size ? queue_size : VSOCK_QUEUE_SIZE,
			   &dev->gate);
	dev->loop = loop;
	dev->run.fn = run_queues;
	dev->patience.fn = patience_is_over;
	dev->patience_ms = VSOCK_GATE_PATIENCE;
	dev->interrupt.fn = interrupt_is_due;
	dev->guest_cid = options->guest_cid;
	dev->engine.guest_cid = options->guest_cid;
	dev->engine.rx = &dev->vdev.queue[VSOCK_QUEUE_RX];
	dev->engine.tx = &dev->vdev.queue[VSOCK_QUEUE_TX];
	dev->engine.wake = wake;
	return 0;
}

void vsock_device_destroy(struct vsock_device *dev)
{
	if (!dev->loop)
		return;
	vsock_engine_destroy(&dev->engine);
	loop_timer_cancel(dev->loop, &dev->patience);
	loop_timer_cancel(dev->loop, &dev->interrupt);
	loop_undefer(dev->loop, &dev->run);
	virtio_device_destroy(&dev->vdev);
	dev->loop = NULL;
}

void vsock_device_set_running(struct vsock_device *dev, bool running)
{
	dev->engine.running = running;
	pthread_mutex_lock(&dev->vdev.lock);
	follow_gate(dev);
	pthread_mutex_unlock(&dev->vdev.lock);
	schedule(dev);
}

void vsock_device_finish(struct vsock_device *dev)
{
	dev->engine.running = false;
	pthread_mutex_lock(&dev->vdev.lock);
	notice_reset(dev);
	/* Behind a gate that is shut are packets of another life. */
	vsock_engine_finish(&dev->engine,
			    vsock_device_gate(dev) == VSOCK_GATE_OPEN);
	follow_gate(dev);
	pthread_mutex_unlock(&dev->vdev.lock);
}
