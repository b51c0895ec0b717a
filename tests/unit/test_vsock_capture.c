// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: packet capture. The file is parsed here by hand; what others make of
 * it is in capture_tshark.sh.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/vsock/capture.h"
#include "tests/unit/test_vsock_bed.h"

#define FILE_HEADER	24u
#define PACKET_HEADER	16u
#define MON_HEADER	32u
#define VIRTIO_HEADER	44u

static char path[128];
static uint8_t file[1u << 20], chunk[4096];
static size_t file_len, file_at;
static uint64_t last_time;

/**
 * struct packet - a packet of the file
 * @hdr: as on the wire
 * @op: of the monitor's header
 * @payload: in @file
 * @len: bytes of it
 */
struct packet {
	struct vsock_header hdr;
	uint16_t op;
	const uint8_t *payload;
	uint32_t len;
};

static void open_capture(const char *at)
{
	struct fail why = { "" };

	vbed.d->dev.engine.capture = vsock_capture_open(at, &why);
	ck_assert_msg(vbed.d->dev.engine.capture != NULL, "%s", why.text);
}

static struct vsock_capture *capture(void)
{
	return vbed.d->dev.engine.capture;
}

static void close_capture(void)
{
	vsock_capture_close(vbed.d->dev.engine.capture);
	vbed.d->dev.engine.capture = NULL;
}

static void setup(void)
{
	vbed_start_with(NULL, &(const struct vbed_options){
				.device.seqpacket = true });
	snprintf(path, sizeof(path), "%s/vsock.pcap", vbed.dir);
	open_capture(path);
	vbed_probe();
}

static void setup_without(void)
{
	vbed_setup_live();
	snprintf(path, sizeof(path), "%s/vsock.pcap", vbed.dir);
}

static void teardown(void)
{
	close_capture();
	vbed_teardown();
}

static uint32_t u32_at(size_t at)
{
	uint32_t value;

	memcpy(&value, file + at, sizeof(value));
	return value;
}

static uint16_t u16_at(size_t at)
{
	uint16_t value;

	memcpy(&value, file + at, sizeof(value));
	return value;
}

static void read_file(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	ck_assert_int_ge(fd, 0);
	got = read(fd, file, sizeof(file));
	ck_assert_int_ge(got, (ssize_t)FILE_HEADER);
	ck_assert_uint_lt((size_t)got, sizeof(file));
	close(fd);
	file_len = (size_t)got;
	file_at = FILE_HEADER;
	last_time = 0;
	ck_assert_uint_eq(u32_at(0), 0xa1b23c4d);
	ck_assert_uint_eq(u16_at(4), 2);
	ck_assert_uint_eq(u16_at(6), 4);
	ck_assert_uint_eq(u32_at(8), 0);
	ck_assert_uint_eq(u32_at(12), 0);
	ck_assert_uint_ge(u32_at(16), MON_HEADER + VIRTIO_HEADER +
			  VSOCK_PAYLOAD_MAX);
	ck_assert_uint_eq(u32_at(20), 271);
}

/* Numbers of the monitor's header are little-endian, and so are we. */
static void check_mon(const struct packet *p)
{
	const uint8_t *mon = file + file_at;

	ck_assert_mem_eq(mon, &p->hdr.src_cid, 8);
	ck_assert_mem_eq(mon + 8, &p->hdr.dst_cid, 8);
	ck_assert_mem_eq(mon + 16, &p->hdr.src_port, 4);
	ck_assert_mem_eq(mon + 20, &p->hdr.dst_port, 4);
	ck_assert_mem_eq(mon + 26, "\2\0\54\0\0\0", 6);
}

/* Return: is there another whole packet? */
static bool next_packet(struct packet *p)
{
	uint64_t now;
	uint32_t captured;

	if (file_len - file_at < PACKET_HEADER)
		return false;
	now = (uint64_t)u32_at(file_at) * 1000000000 + u32_at(file_at + 4);
	ck_assert_uint_lt(u32_at(file_at + 4), 1000000000);
	ck_assert_uint_ge(now, last_time);
	last_time = now;
	captured = u32_at(file_at + 8);
	ck_assert_uint_eq(u32_at(file_at + 12), captured);
	ck_assert_uint_ge(captured, MON_HEADER + VIRTIO_HEADER);
	file_at += PACKET_HEADER;
	if (file_len - file_at < captured)
		return false;
	memcpy(&p->hdr, file + file_at + MON_HEADER, VIRTIO_HEADER);
	check_mon(p);
	p->op = u16_at(file_at + 24);
	p->payload = file + file_at + MON_HEADER + VIRTIO_HEADER;
	p->len = captured - MON_HEADER - VIRTIO_HEADER;
	file_at += captured;
	return true;
}

static void expect_packet(uint64_t from, uint16_t type, enum vsock_op op,
			  uint16_t mon, const char *text)
{
	struct packet p;

	ck_assert_msg(next_packet(&p), "no packet, op %d expected", op);
	ck_assert_uint_eq(le64_get(p.hdr.src_cid), from);
	ck_assert_uint_eq(le16_get(p.hdr.type), type);
	ck_assert_uint_eq(le16_get(p.hdr.op), op);
	ck_assert_uint_eq(p.op, mon);
	ck_assert_uint_eq(le32_get(p.hdr.len), strlen(text));
	ck_assert_uint_eq(p.len, strlen(text));
	ck_assert_mem_eq(p.payload, text, p.len);
}

static void expect_end(void)
{
	ck_assert_uint_eq(file_at, file_len);
}

START_TEST(every_packet_of_a_conversation_in_order)
{
	const uint64_t host = VSOCK_CID_HOST, guest = VBED_CID;
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	vbed_send(fd, "ping", 4);
	vbed_run();
	fake_sock_send(sock, "pong", 4);
	vbed_run();
	fake_sock_shutdown(sock, VSOCK_SHUTDOWN_SEND);
	vbed_run();
	close(fd);
	vbed_run();
	close_capture();
	read_file();
	expect_packet(host, 1, VSOCK_OP_REQUEST, 1, "");
	expect_packet(guest, 1, VSOCK_OP_RESPONSE, 1, "");
	expect_packet(host, 1, VSOCK_OP_RW, 4, "ping");
	expect_packet(guest, 1, VSOCK_OP_RW, 4, "pong");
	expect_packet(guest, 1, VSOCK_OP_SHUTDOWN, 2, "");
	expect_packet(host, 1, VSOCK_OP_SHUTDOWN, 2, "");
	/* What the guest has not read delays its RST: it sends none here. */
	expect_end();
}
END_TEST

START_TEST(messages_are_captured_with_their_flags)
{
	const uint64_t host = VSOCK_CID_HOST, guest = VBED_CID;
	struct fake_sock *sock;
	struct packet p;
	int fd = vbed_connect_seq(&sock);

	vbed_send(fd, "ping", 4);
	vbed_run();
	fake_sock_send_message(sock, "pong", 4, 0);
	fake_sock_send_message(sock, "", 0, VSOCK_SEQ_EOM | VSOCK_SEQ_EOR);
	vbed_run();
	close_capture();
	read_file();
	expect_packet(host, 2, VSOCK_OP_REQUEST, 1, "");
	expect_packet(guest, 2, VSOCK_OP_RESPONSE, 1, "");
	ck_assert(next_packet(&p));
	ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SEQ_EOM);
	ck_assert_uint_eq(p.len, 4);
	ck_assert(next_packet(&p));
	ck_assert_uint_eq(le32_get(p.hdr.flags), 0);
	ck_assert_mem_eq(p.payload, "pong", 4);
	ck_assert(next_packet(&p));
	ck_assert_uint_eq(le32_get(p.hdr.flags),
			  VSOCK_SEQ_EOM | VSOCK_SEQ_EOR);
	ck_assert_uint_eq(p.len, 0);
	expect_end();
	close(fd);
	vbed_run();
}
END_TEST

/* Bytes of both streams, put together from the packets. */
static void check_flows(size_t total)
{
	size_t done[2] = { 0 };
	struct packet p;
	uint64_t count = 0;

	read_file();
	while (next_packet(&p)) {
		bool to_host = le64_get(p.hdr.dst_cid) == VSOCK_CID_HOST;

		vbed_check(p.payload, p.len, to_host, done[to_host]);
		done[to_host] += p.len;
		count++;
	}
	expect_end();
	ck_assert_uint_eq(done[0], total);
	ck_assert_uint_eq(done[1], total);
	ck_assert_uint_eq(count, vbed_stats()->packets_to_guest +
			  vbed_stats()->packets_to_host);
}

START_TEST(payloads_are_captured_whole)
{
	static uint8_t data[150000];
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	vbed_fill(data, sizeof(data), 0, 0);
	vbed_send(fd, data, sizeof(data));
	vbed_run();
	vbed_fill(data, sizeof(data), 1, 0);
	/* Several packets in one batch: one run to the host. */
	vbed.set.cork = true;
	for (size_t at = 0; at < sizeof(data); at += 30000)
		ck_assert_int_eq(fake_sock_send(sock, data + at, 30000),
				 30000);
	vbed.set.cork = false;
	fake_sockets_flush(&vbed.set);
	vbed_run();
	close_capture();
	check_flows(sizeof(data));
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(file_is_complete_while_the_device_runs)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);

	read_file();
	expect_packet(VSOCK_CID_HOST, 1, VSOCK_OP_REQUEST, 1, "");
	expect_packet(VBED_CID, 1, VSOCK_OP_RESPONSE, 1, "");
	expect_end();
	ck_assert_uint_eq(capture()->packets, 2);
	close(fd);
	vbed_run();
}
END_TEST

START_TEST(packet_that_lies_about_its_length_is_captured_as_it_is)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW, 9,
						    9);
	struct packet p;

	hdr.len = le32_make(100000);
	fake_vsock_add(&vbed.v, &hdr, "short", 5);
	hdr.len = le32_make(2);
	hdr.op = le16_make(99);
	fake_vsock_add(&vbed.v, &hdr, "long", 4);
	fake_vsock_kick(&vbed.v);
	vbed_run();
	read_file();
	ck_assert(next_packet(&p));
	ck_assert_uint_eq(le32_get(p.hdr.len), 100000);
	ck_assert_uint_eq(p.len, 5);
	ck_assert_mem_eq(p.payload, "short", 5);
	ck_assert(next_packet(&p));
	ck_assert_uint_eq(p.op, 0);
	ck_assert_uint_eq(p.len, 2);
	ck_assert_mem_eq(p.payload, "lo", 2);
	/* Both were answered. */
	expect_packet(VSOCK_CID_HOST, 1, VSOCK_OP_RST, 2, "");
	expect_packet(VSOCK_CID_HOST, 1, VSOCK_OP_RST, 2, "");
	expect_end();
}
END_TEST

START_TEST(file_is_its_owners_and_of_this_run)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	close_capture();
	ck_assert_int_eq(truncate(path, 100000), 0);
	open_capture(path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, FILE_HEADER);
}
END_TEST

static void expect_open_error(const char *at, const char *said)
{
	struct fail why = { "" };

	ck_assert_ptr_null(vsock_capture_open(at, &why));
	ck_assert_msg(strstr(why.text, at) && strstr(why.text, said),
		      "'%s' lacks '%s'", why.text, said);
}

START_TEST(path_that_cannot_be_written_is_refused)
{
	snprintf(path, sizeof(path), "%s/none/vsock.pcap", vbed.dir);
	expect_open_error(path, "No such file or directory");
	expect_open_error(vbed.dir, "Is a directory");
	vsock_capture_close(NULL);
}
END_TEST

/* A conversation goes on, whatever becomes of the file. */
static void converse(unsigned int rounds)
{
	struct fake_sock *sock;
	int fd = vbed_connect(&sock);
	char buf[4];

	for (unsigned int i = 0; i < rounds; i++) {
		vbed_send(fd, "ping", 4);
		vbed_run();
		ck_assert_int_eq(fake_sock_recv(sock, buf, 4), 4);
		fake_sock_send(sock, "pong", 4);
		vbed_run();
		vbed_expect(fd, "pong");
	}
	close(fd);
	vbed_run();
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.engine.count, 0);
}

START_TEST(full_disk_ends_the_capture_not_the_conversation)
{
	open_capture("/dev/full");
	converse(100);
	ck_assert(capture()->failed);
	converse(100);
}
END_TEST

START_TEST(capture_that_failed_has_no_gaps)
{
	struct packet p;
	unsigned int count = 0;
	ssize_t got;
	int fd[2];

	open_capture(path);
	/* In place of a disk that is full, and then is not. */
	ck_assert_int_eq(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(fd[1], F_SETPIPE_SZ, 4096), 4096);
	ck_assert_int_ge(dup3(fd[1], capture()->fd, O_CLOEXEC), 0);
	close(fd[1]);
	converse(100);
	ck_assert(capture()->failed);
	read_file();
	got = read(fd[0], file + file_len, sizeof(file) - file_len);
	ck_assert_int_gt(got, 0);
	file_len += (size_t)got;
	converse(100);
	close_capture();
	ck_assert_int_eq(read(fd[0], chunk, sizeof(chunk)), 0);
	close(fd[0]);
	while (next_packet(&p))
		count++;
	ck_assert_uint_gt(count, 20);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(every_packet_of_a_conversation_in_order),
		UNIT_TEST(messages_are_captured_with_their_flags),
		UNIT_TEST(payloads_are_captured_whole),
		UNIT_TEST(file_is_complete_while_the_device_runs),
		UNIT_TEST(packet_that_lies_about_its_length_is_captured_as_it_is),
		UNIT_TEST(file_is_its_owners_and_of_this_run),
	};
	const struct unit_case failures[] = {
		UNIT_TEST(path_that_cannot_be_written_is_refused),
		UNIT_TEST(full_disk_ends_the_capture_not_the_conversation),
		UNIT_TEST(capture_that_failed_has_no_gaps),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("file", cases, setup, teardown),
		UNIT_GROUP("failures", failures, setup_without, teardown),
	};

	return unit_run("vsock_capture", groups, UNIT_COUNT(groups));
}
