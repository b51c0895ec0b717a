// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The front-end of vhost-user, as QEMU's documentation docs/interop/vhost-user
 * describes the protocol: enough to have our guest driver use another vsock
 * device. See device.h.
 *
 * The driver programs a register file of our own, behind which there is no
 * device; where it put its rings is then told to the other side, as a monitor
 * would. Queues 0 and 1 are the other side's; nobody serves the event queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/bench/device.h"
#include "tests/bench/guest.h"

/* Requests, flags and feature bits of the vhost-user protocol. */
enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

#define VERSION			1u
#define F_PROTOCOL_FEATURES	30
#define PROTOCOL_F_MQ		0
#define PROTOCOL_F_CONFIG	9
#define QUEUES			2u

struct header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct vring_state {
	uint32_t index;
	uint32_t num;
};

struct vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct mem_table {
	uint32_t count;
	uint32_t padding;
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

struct config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[8];
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 20, "vhost-user: GET_CONFIG");

static int kick_fd[VIRTIO_QUEUES_MAX];

static void say(int fd, enum request request, const void *payload,
		uint32_t size, int pass_fd)
{
	struct header header = {
		.request = request, .flags = VERSION, .size = size,
	};
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ (void *)(uintptr_t)payload, size },
	};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };
	struct cmsghdr *cmsg;

	if (pass_fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &pass_fd, sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) !=
	    (ssize_t)(sizeof(header) + size))
		bench_die("vhost-user: request %u: %s", request,
			  strerror(errno));
}

static void hear(int fd, enum request request, void *payload, uint32_t size)
{
	struct header header;

	if (recv(fd, &header, sizeof(header), MSG_WAITALL) !=
	    sizeof(header) || header.request != request ||
	    header.size != size ||
	    recv(fd, payload, size, MSG_WAITALL) != (ssize_t)size)
		bench_die("vhost-user: request %u: no answer", request);
}

static uint64_t ask_u64(int fd, enum request request)
{
	uint64_t value;

	say(fd, request, NULL, 0, -1);
	hear(fd, request, &value, sizeof(value));
	return value;
}

static void say_u64(int fd, enum request request, uint64_t value, int pass_fd)
{
	say(fd, request, &value, sizeof(value), pass_fd);
}

static int vhost_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		bench_die("path '%s': longer than %zu bytes", path,
			  sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	for (int i = 0; i < 200; i++) {
		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return fd;
		usleep(10000);
	}
	bench_die("connect to %s: %s", path, strerror(errno));
}

static pid_t peer_pid(int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.pid;
}

static void on_kick(void *opaque, unsigned int queue)
{
	const uint64_t one = 1;
	ssize_t n;

	(void)opaque;
	n = queue < QUEUES ? write(kick_fd[queue], &one, sizeof(one)) : 0;
	(void)n;
}

static void on_interrupt(void *opaque)
{
	(void)opaque;
}

static void on_broken(void *opaque, const struct fail *why)
{
	(void)opaque;
	bench_die("vhost-user: %s", why->text);
}

static void on_queue(struct virtio_device *vdev, unsigned int queue)
{
	(void)vdev;
	(void)queue;
}

static const struct virtio_host_ops host_ops = {
	.interrupt = on_interrupt,
	.kick = on_kick,
	.broken = on_broken,
};

static const struct virtio_device_ops device_ops = {
	.name = "vhost-user-vsock",
	.id = VIRTIO_ID_VSOCK,
	.queues = VSOCK_QUEUES,
	.queue_notify = on_queue,
};

/* Protocol features, the device's features, its CID. */
static uint64_t negotiate(int fd)
{
	uint64_t features = ask_u64(fd, GET_FEATURES), protocol;
	struct config config = { .size = sizeof(config.data) };
	le64 cid;

	say(fd, SET_OWNER, NULL, 0, -1);
	if (!(features & VIRTIO_BIT(F_PROTOCOL_FEATURES)))
		return features;
	protocol = ask_u64(fd, GET_PROTOCOL_FEATURES);
	protocol &= VIRTIO_BIT(PROTOCOL_F_MQ) | VIRTIO_BIT(PROTOCOL_F_CONFIG);
	say_u64(fd, SET_PROTOCOL_FEATURES, protocol, -1);
	if (!(protocol & VIRTIO_BIT(PROTOCOL_F_CONFIG)))
		return features;
	say(fd, GET_CONFIG, &config, sizeof(config), -1);
	hear(fd, GET_CONFIG, &config, sizeof(config));
	memcpy(&cid, config.data, sizeof(cid));
	if (le64_get(cid) != BENCH_CID)
		bench_die("vhost-user: guest CID %ju, %u expected",
			  (uintmax_t)le64_get(cid), BENCH_CID);
	return features;
}

static void give_memory(int fd, const struct guest *guest)
{
	const struct guest_region *region = &guest->ram.mem.region[0];
	struct mem_table table = {
		.count = 1,
		.gpa = region->gpa,
		.size = region->size,
		.user_addr = (uintptr_t)region->host,
	};

	say(fd, SET_MEM_TABLE, &table, sizeof(table), guest->ram_fd);
}

static void give_queue(int fd, const struct guest *guest, unsigned int index)
{
	const struct fake_queue *q = &guest->driver.queue[index];
	struct vring_state state = { .index = index, .num = q->size };
	struct vring_addr addr = {
		.index = index,
		.desc = (uintptr_t)q->desc,
		.used = (uintptr_t)q->used,
		.avail = (uintptr_t)q->avail,
	};

	kick_fd[index] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	say(fd, SET_VRING_NUM, &state, sizeof(state), -1);
	state.num = 0;
	say(fd, SET_VRING_BASE, &state, sizeof(state), -1);
	say(fd, SET_VRING_ADDR, &addr, sizeof(addr), -1);
	/* One interrupt for all queues, as on virtio-mmio. */
	say_u64(fd, SET_VRING_CALL, index, guest->irq_fd);
	say_u64(fd, SET_VRING_KICK, index, kick_fd[index]);
	state.num = 1;
	say(fd, SET_VRING_ENABLE, &state, sizeof(state), -1);
}

void vhost_user_main(int ctl, void *arg)
{
	const struct device_order *order = arg;
	static struct virtio_device vdev;
	static struct guest guest;
	int fd = vhost_connect(order->vhost_user), err;
	uint64_t features = negotiate(fd);

	guest_ram_init(&guest, order->measure, order->queue_size);
	virtio_device_init(&vdev, &device_ops, &guest.ram.mem, 0,
			   (uint16_t)order->queue_size, NULL);
	vdev.offered = features;
	vdev.host_ops = &host_ops;
	fake_driver_init(&guest.driver, &guest.ram, &vdev);
	guest.driver.doorbell_direct = true;
	err = fake_probe(&guest.driver, guest_features(),
			 (uint16_t)order->queue_size);
	if (err)
		bench_die("vhost-user: probe: %s", strerror(-err));
	guest.irq_fd = eventfd(0, EFD_CLOEXEC);
	features = guest.driver.features |
		   (features & VIRTIO_BIT(F_PROTOCOL_FEATURES));
	say_u64(fd, SET_FEATURES, features, -1);
	give_memory(fd, &guest);
	for (unsigned int i = 0; i < QUEUES; i++)
		give_queue(fd, &guest, i);
	/* Its answer says that all before was heard. */
	(void)ask_u64(fd, GET_FEATURES);
	guest.device_pid = peer_pid(fd);
	guest_main(ctl, &guest);
}
