// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the vsock tests: the host's programs, and raw packets. See
 * test_vsock_bed.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

int vbed_client(void)
{
	int fd = unix_socket_connect(vbed.path, SOCK_STREAM, true);

	ck_assert_msg(fd >= 0, "connect: %s", strerror(-fd));
	return fd;
}

int vbed_client_seq(void)
{
	int fd = unix_socket_connect(vbed.seqpacket, SOCK_SEQPACKET, true);

	ck_assert_msg(fd >= 0, "connect: %s", strerror(-fd));
	return fd;
}

void vbed_send(int fd, const void *data, size_t len)
{
	ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

	ck_assert_int_eq(sent, (ssize_t)len);
}

void vbed_hello(int fd, uint32_t port)
{
	char line[32];

	vbed_send(fd, line, (size_t)snprintf(line, sizeof(line),
					     "CONNECT %" PRIu32 "\n", port));
}

ssize_t vbed_read(int fd, void *buf, size_t len)
{
	ssize_t got = recv(fd, buf, len, MSG_DONTWAIT);

	return got < 0 ? -errno : got;
}

uint32_t vbed_ok(int fd)
{
	char line[32] = { 0 };
	size_t len = 0;

	vbed_run();
	do {
		ck_assert_uint_lt(len, sizeof(line) - 1);
		ck_assert_int_eq(vbed_read(fd, line + len, 1), 1);
	} while (line[len++] != '\n');
	ck_assert_int_eq(strncmp(line, "OK ", 3), 0);
	return (uint32_t)strtoul(line + 3, NULL, 10);
}

int vbed_connect(struct fake_sock **sock)
{
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT);
	vbed_ok(fd);
	*sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_ptr_nonnull(*sock);
	return fd;
}

uint32_t vbed_ok_seq(int fd)
{
	char line[32] = { 0 };
	ssize_t got;

	vbed_run();
	got = vbed_read(fd, line, sizeof(line) - 1);
	ck_assert_msg(got > 4, "read said %zd instead of OK", got);
	ck_assert_int_eq(strncmp(line, "OK ", 3), 0);
	ck_assert_int_eq(line[got - 1], '\n');
	return (uint32_t)strtoul(line + 3, NULL, 10);
}

int vbed_connect_seq(struct fake_sock **sock)
{
	int fd = vbed_client_seq();

	vbed_hello(fd, VBED_SEQ_PORT);
	vbed_ok_seq(fd);
	*sock = fake_sock_accept(&vbed.set, VBED_SEQ_PORT);
	ck_assert_ptr_nonnull(*sock);
	return fd;
}

int vbed_listen_type(uint32_t port, int type, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%" PRIu32,
		 vbed.path, port);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr,
			      sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

int vbed_listen(uint32_t port, int backlog)
{
	return vbed_listen_type(port, SOCK_STREAM, backlog);
}

int vbed_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

struct fake_sock *vbed_connect_guest(uint32_t port, int listener, int *fd)
{
	struct fake_sock *sock = fake_sock_connect(&vbed.set, port);

	ck_assert_ptr_nonnull(sock);
	vbed_run();
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	*fd = vbed_accept(listener);
	ck_assert_int_ge(*fd, 0);
	return sock;
}

struct fake_sock *vbed_connect_guest_once(int *fd)
{
	int listener = vbed_listen(VBED_HOST_PORT, 1);
	struct fake_sock *sock = vbed_connect_guest(VBED_HOST_PORT, listener,
						    fd);

	close(listener);
	return sock;
}

void vbed_expect(int fd, const char *text)
{
	char buf[256];
	size_t len = strlen(text);
	ssize_t got;

	ck_assert_uint_le(len, sizeof(buf));
	got = vbed_read(fd, buf, len);
	ck_assert_msg(got == (ssize_t)len && !memcmp(buf, text, len),
		      "%zd bytes \"%.*s\" instead of \"%s\"", got,
		      got > 0 ? (int)got : 0, buf, text);
}

void vbed_expect_eof(int fd)
{
	char byte;
	ssize_t got = vbed_read(fd, &byte, 1);

	ck_assert_msg(got == 0 || got == -ECONNRESET, "read said %zd", got);
}

void vbed_expect_nothing(int fd)
{
	char byte;

	ck_assert_int_eq(vbed_read(fd, &byte, 1), -EAGAIN);
}

uint8_t vbed_pattern(uint32_t seed, uint64_t at)
{
	uint64_t x = (at / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed;

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint8_t)(x >> (at % 8 * 8));
}

void vbed_fill(uint8_t *buf, size_t len, uint32_t seed, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = vbed_pattern(seed, at + i);
}

void vbed_check(const uint8_t *buf, size_t len, uint32_t seed, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != vbed_pattern(seed, at + i))
			ck_abort_msg("stream %u differs at byte %" PRIu64,
				     seed, at + i);
}

size_t vbed_fill_up(struct fake_sock *sock)
{
	static uint8_t data[256 << 10];
	size_t sent = 0;
	ssize_t n;

	do {
		vbed_fill(data, sizeof(data), 2, sent);
		n = fake_sock_send(sock, data, sizeof(data));
		sent += n > 0 ? (size_t)n : 0;
		vbed_run();
	} while (n > 0);
	ck_assert_uint_gt(vbed_conn_of(sock)->backlog.used, 0);
	return sent;
}

void vbed_tx(const struct vsock_header *hdr)
{
	ck_assert_int_eq(fake_vsock_add(&vbed.v, hdr, NULL, 0), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run();
}

void vbed_op(enum vsock_op op, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, op, guest_port,
						    host_port);

	vbed_tx(&hdr);
}

void vbed_rw(uint32_t guest_port, uint32_t host_port, const void *data,
	     uint32_t len)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    guest_port, host_port);

	hdr.len = le32_make(len);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, data, len), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run();
}

bool vbed_packet(struct fake_vsock_packet *packet)
{
	vbed_run();
	return fake_vsock_recv(&vbed.v, packet);
}

struct vsock_header vbed_expect_op(enum vsock_op op, uint32_t guest_port,
				   uint32_t host_port)
{
	struct fake_vsock_packet packet;

	ck_assert_msg(vbed_packet(&packet), "no packet, op %d expected", op);
	ck_assert_uint_ge(packet.used, FAKE_VSOCK_HDR);
	ck_assert_uint_eq(le16_get(packet.hdr.op), op);
	ck_assert_uint_eq(le32_get(packet.hdr.src_port), host_port);
	ck_assert_uint_eq(le32_get(packet.hdr.dst_port), guest_port);
	fake_vsock_release(&vbed.v, &packet);
	return packet.hdr;
}

void vbed_expect_silence(void)
{
	struct fake_vsock_packet packet;

	if (vbed_packet(&packet))
		ck_abort_msg("unexpected packet, op %u",
			     le16_get(packet.hdr.op));
}

void vbed_raw_connect(uint32_t guest_port, uint32_t buf_alloc, int *fd)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_REQUEST,
						    guest_port,
						    VBED_HOST_PORT);
	int listener = vbed_listen(VBED_HOST_PORT, 1);
	char path[128];

	hdr.buf_alloc = le32_make(buf_alloc);
	vbed_tx(&hdr);
	vbed_expect_op(VSOCK_OP_RESPONSE, guest_port, VBED_HOST_PORT);
	*fd = vbed_accept(listener);
	ck_assert_int_ge(*fd, 0);
	close(listener);
	snprintf(path, sizeof(path), "%s_%u", vbed.path, VBED_HOST_PORT);
	unlink(path);
}
