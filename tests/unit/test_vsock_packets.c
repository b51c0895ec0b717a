// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: what each packet from the guest is answered with (virtio 1.2,
 * section 5.10.6; V-numbers are those of facts.md), by raw packets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT 5000u

/* V18 and Linux: what belongs to nothing is answered by RST. */
START_TEST(unknown_tuple_gets_rst)
{
	struct vsock_header hdr;

	for (unsigned int op = VSOCK_OP_INVALID;
	     op <= VSOCK_OP_CREDIT_REQUEST + 1; op++) {
		if (op == VSOCK_OP_RST)
			continue;
		vbed_op((enum vsock_op)op, GUEST_PORT, 9);
		hdr = vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, 9);
		ck_assert_uint_eq(le64_get(hdr.src_cid), VSOCK_CID_HOST);
		ck_assert_uint_eq(le64_get(hdr.dst_cid), VBED_CID);
		ck_assert_uint_eq(le16_get(hdr.type), VSOCK_TYPE_STREAM);
	}
	vbed_expect_silence();
	ck_assert_uint_eq(vbed_stats()->resets_sent, 8);
}
END_TEST

START_TEST(rst_is_never_answered)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RST,
						    GUEST_PORT, 9);

	vbed_tx(&hdr);
	hdr.type = le16_make(77);
	vbed_tx(&hdr);
	hdr.src_cid = le64_make(1234);
	vbed_tx(&hdr);
	hdr.dst_cid = le64_make(1234);
	vbed_tx(&hdr);
	hdr.len = le32_make(1000000);
	vbed_tx(&hdr);
	vbed_expect_silence();
	ck_assert_uint_eq(vbed_stats()->resets_sent, 0);
}
END_TEST

static unsigned int sends;

static ssize_t count_send(struct vsock_conn *conn, const struct iovec *iov,
			  unsigned int count, unsigned int flags)
{
	sends++;
	return vsock_unix_ops.send(conn, iov, count, flags);
}

START_TEST(empty_data_packet_costs_no_system_call)
{
	struct vsock_backend_ops ops = vsock_unix_ops;
	int fd;

	ops.send = count_send;
	vbed.d->unx.backend.ops = &ops;
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	sends = 0;
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "", 0);
	ck_assert_uint_eq(sends, 0);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "more", 4);
	ck_assert_uint_eq(sends, 1);
	vbed_expect(fd, "more");
	close(fd);
	vbed_run();
	vbed.d->unx.backend.ops = &vsock_unix_ops;
}
END_TEST

/* V18: a MUST. */
START_TEST(unknown_type_gets_rst)
{
	static const uint16_t types[] = { 0, 2, 3, 77, 65535 };
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_REQUEST,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int listener = vbed_listen(VBED_HOST_PORT, 4);

	for (unsigned int i = 0; i < UNIT_COUNT(types); i++) {
		struct vsock_header rst;

		hdr.type = le16_make(types[i]);
		vbed_tx(&hdr);
		rst = vbed_expect_op(VSOCK_OP_RST, GUEST_PORT,
				     VBED_HOST_PORT);
		ck_assert_uint_eq(le16_get(rst.type), types[i]);
	}
	ck_assert_int_lt(vbed_accept(listener), 0);
	close(listener);
}
END_TEST

START_TEST(unknown_type_on_a_connection_is_not_for_it)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.type = le16_make(VSOCK_TYPE_SEQPACKET);
	vbed_tx(&hdr);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "still", 5);
	vbed_expect(fd, "still");
	close(fd);
}
END_TEST

/* The type is known, but it is not this connection's. */
START_TEST(packet_of_the_other_type_is_not_for_the_connection)
{
	struct vsock_header hdr;
	int fd;

	vbed_start_seq(NULL);
	vbed.raw = true;
	hdr = fake_vsock_header(&vbed.v, VSOCK_OP_SHUTDOWN, GUEST_PORT,
				VBED_HOST_PORT);
	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.type = le16_make(VSOCK_TYPE_SEQPACKET);
	hdr.flags = le32_make(VSOCK_SHUTDOWN_BOTH);
	vbed_tx(&hdr);
	hdr = vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	ck_assert_uint_eq(le16_get(hdr.type), VSOCK_TYPE_SEQPACKET);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "still", 5);
	vbed_expect(fd, "still");
	close(fd);
}
END_TEST

START_TEST(unknown_op_on_a_connection_resets_it)
{
	static const uint16_t ops[] = { VSOCK_OP_INVALID, VSOCK_OP_REQUEST,
					VSOCK_OP_RESPONSE, 8, 65535 };
	int fd;

	for (unsigned int i = 0; i < UNIT_COUNT(ops); i++) {
		vbed_raw_connect(GUEST_PORT, 1000, &fd);
		vbed_op((enum vsock_op)ops[i], GUEST_PORT, VBED_HOST_PORT);
		vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
		vbed_expect_eof(fd);
		close(fd);
		ck_assert_ptr_null(vbed_conn(VBED_HOST_PORT, GUEST_PORT));
	}
	vbed_expect_silence();
}
END_TEST

START_TEST(wrong_dst_cid_gets_rst_and_reaches_nobody)
{
	static const uint64_t cids[] = { 0, 1, 3, 4, UINT32_MAX, UINT64_MAX,
					 UINT64_C(0x100000002) };
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_REQUEST,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int listener = vbed_listen(VBED_HOST_PORT, 16);
	struct fake_vsock_packet packet;

	for (unsigned int i = 0; i < UNIT_COUNT(cids); i++) {
		hdr.dst_cid = le64_make(cids[i]);
		vbed_tx(&hdr);
		ck_assert(vbed_packet(&packet));
		ck_assert_uint_eq(le16_get(packet.hdr.op), VSOCK_OP_RST);
		ck_assert_uint_eq(le64_get(packet.hdr.src_cid), cids[i]);
		fake_vsock_release(&vbed.v, &packet);
		/* V8 is the driver's breach here, not ours. */
		vbed.v.violation = NULL;
	}
	ck_assert_int_lt(vbed_accept(listener), 0);
	close(listener);
}
END_TEST

/* V17; an old life's CID among them. */
START_TEST(wrong_src_cid_gets_rst_to_that_cid)
{
	static const uint64_t cids[] = { 0, 2, 4, UINT32_MAX };
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	for (unsigned int i = 0; i < UNIT_COUNT(cids); i++) {
		struct vsock_header rst;

		hdr.src_cid = le64_make(cids[i]);
		vbed_tx(&hdr);
		rst = vbed_expect_op(VSOCK_OP_RST, GUEST_PORT,
				     VBED_HOST_PORT);
		ck_assert_uint_eq(le64_get(rst.dst_cid), cids[i]);
	}
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "mine", 4);
	vbed_expect(fd, "mine");
	close(fd);
}
END_TEST

/* V19 */
START_TEST(request_to_a_port_nobody_listens_on_gets_rst)
{
	vbed_op(VSOCK_OP_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_silence();
	ck_assert_uint_eq(vbed_stats()->refused, 1);
	ck_assert_uint_eq(vbed_stats()->connects_guest, 1);
}
END_TEST

/* V19, V14 */
START_TEST(request_to_a_listener_gets_response_with_credit)
{
	int listener = vbed_listen(VBED_HOST_PORT, 4);
	struct vsock_header hdr;

	vbed_op(VSOCK_OP_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	hdr = vbed_expect_op(VSOCK_OP_RESPONSE, GUEST_PORT, VBED_HOST_PORT);
	ck_assert_uint_eq(le32_get(hdr.buf_alloc), VSOCK_BUF_ALLOC);
	ck_assert_uint_eq(le32_get(hdr.fwd_cnt), 0);
	ck_assert_uint_eq(vbed_stats()->established, 1);
	close(vbed_accept(listener));
	close(listener);
}
END_TEST

/* V15 */
START_TEST(credit_request_is_answered_by_credit_update)
{
	struct vsock_header hdr;
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "12345", 5);
	vbed_op(VSOCK_OP_CREDIT_REQUEST, GUEST_PORT, VBED_HOST_PORT);
	hdr = vbed_expect_op(VSOCK_OP_CREDIT_UPDATE, GUEST_PORT,
			     VBED_HOST_PORT);
	ck_assert_uint_eq(le32_get(hdr.buf_alloc), VSOCK_BUF_ALLOC);
	ck_assert_uint_eq(le32_get(hdr.fwd_cnt), 5);
	close(fd);
}
END_TEST

/* V15 */
START_TEST(unsolicited_credit_update_is_fine)
{
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	vbed_op(VSOCK_OP_CREDIT_UPDATE, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_silence();
	vbed_rw(GUEST_PORT, VBED_HOST_PORT, "x", 1);
	vbed_expect(fd, "x");
	close(fd);
}
END_TEST

/* V10: buffers may be larger, only the first len bytes count. */
START_TEST(only_len_bytes_of_a_chain_count)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.len = le32_make(5);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "hello, world", 12),
			 0);
	hdr.len = le32_make(0);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "nothing", 7), 0);
	hdr.len = le32_make(1);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "!?", 2), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run();
	vbed_expect(fd, "hello!");
	vbed_expect_nothing(fd);
	ck_assert_uint_eq(vbed_conn(VBED_HOST_PORT, GUEST_PORT)->fwd_cnt, 6);
	close(fd);
}
END_TEST

START_TEST(len_beyond_the_chain_loses_only_that_connection)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	int fd, other;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	vbed_raw_connect(GUEST_PORT + 1, 1000, &other);
	hdr.len = le32_make(9);
	ck_assert_int_eq(fake_vsock_add(&vbed.v, &hdr, "12345678", 8), 0);
	fake_vsock_kick(&vbed.v);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	vbed_expect_eof(fd);
	vbed_rw(GUEST_PORT + 1, VBED_HOST_PORT, "fine", 4);
	vbed_expect(other, "fine");
	ck_assert_uint_eq(vbed_stats()->malformed, 1);
	close(fd);
	close(other);
}
END_TEST

START_TEST(payload_above_64_kib_is_refused)
{
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	gpa_t big = fake_guest_alloc(&vbed.guest, 65537, 4096);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.len = le32_make(65536);
	ck_assert_int_eq(fake_vsock_add_at(&vbed.v, &hdr, big, 65536), 0);
	fake_vsock_kick(&vbed.v);
	vbed_expect_silence();
	hdr.len = le32_make(65537);
	ck_assert_int_eq(fake_vsock_add_at(&vbed.v, &hdr, big, 65537), 0);
	fake_vsock_kick(&vbed.v);
	vbed_expect_op(VSOCK_OP_RST, GUEST_PORT, VBED_HOST_PORT);
	close(fd);
}
END_TEST

static void add_out(const struct fake_seg *seg, unsigned int out,
		    unsigned int in)
{
	/* In the name of a slot, as fake_vsock_add() would. */
	uint16_t slot = vbed.v.tx_free[--vbed.v.tx_free_num];

	ck_assert_int_ge(fake_add(vbed.v.tx, seg, out, in, FAKE_ALL_DIRECT,
				  (void *)(uintptr_t)(slot + 1u)), 0);
	fake_vsock_kick(&vbed.v);
	vbed_run();
	fake_vsock_reap(&vbed.v);
}

START_TEST(chain_too_short_for_a_header_is_dropped)
{
	gpa_t at = fake_guest_alloc(&vbed.guest, 64, 64);

	for (uint32_t len = 1; len < FAKE_VSOCK_HDR; len++)
		add_out(&(struct fake_seg){ at, len }, 1, 0);
	vbed_expect_silence();
	ck_assert_uint_eq(vbed_stats()->malformed, FAKE_VSOCK_HDR - 1);
	ck_assert(virtio_device_live(&vbed.d->dev.vdev));
}
END_TEST

/* V16 */
START_TEST(writable_tx_chain_is_dropped)
{
	gpa_t at = fake_guest_alloc(&vbed.guest, 128, 64);
	const struct fake_seg seg[] = { { at, 44 }, { at + 64, 64 } };

	add_out(seg, 1, 1);
	add_out(seg, 0, 1);
	vbed_expect_silence();
	ck_assert_uint_eq(vbed_stats()->malformed, 2);
}
END_TEST

/* Q2: no assumptions on framing: the header cut at every byte. */
START_TEST(header_split_over_descriptors_is_one)
{
	gpa_t at = fake_guest_alloc(&vbed.guest, 64, 64);
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	uint8_t *mem = fake_guest_at(&vbed.guest, at, 64);
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.len = le32_make(6);
	memcpy(mem, &hdr, sizeof(hdr));
	memcpy(mem + sizeof(hdr), "abcdef", 6);
	for (uint32_t cut = 1; cut < 50; cut++) {
		const struct fake_seg seg[] = {
			{ at, cut }, { at + cut, 50 - cut },
		};

		add_out(seg, 2, 0);
		vbed_expect(fd, "abcdef");
	}
	close(fd);
}
END_TEST

START_TEST(header_in_bytes_and_empty_descriptors_is_one)
{
	gpa_t at = fake_guest_alloc(&vbed.guest, 64, 64);
	struct vsock_header hdr = fake_vsock_header(&vbed.v, VSOCK_OP_RW,
						    GUEST_PORT,
						    VBED_HOST_PORT);
	uint8_t *mem = fake_guest_at(&vbed.guest, at, 64);
	struct fake_seg seg[100];
	int fd;

	vbed_raw_connect(GUEST_PORT, 1000, &fd);
	hdr.len = le32_make(6);
	memcpy(mem, &hdr, sizeof(hdr));
	memcpy(mem + sizeof(hdr), "abcdef", 6);
	for (unsigned int i = 0; i < 50; i++) {
		seg[2 * i] = (struct fake_seg){ at + i, 1 };
		seg[2 * i + 1] = (struct fake_seg){ at, 0 };
	}
	add_out(seg, 100, 0);
	vbed_expect(fd, "abcdef");
	close(fd);
}
END_TEST

/* Anything but a RESPONSE, or an RST, is no answer to a REQUEST. */
START_TEST(other_op_before_the_response_resets)
{
	static const uint16_t ops[] = {
		VSOCK_OP_INVALID, VSOCK_OP_REQUEST, VSOCK_OP_SHUTDOWN,
		VSOCK_OP_RW, VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST,
		99,
	};
	int fd = vbed_client();
	struct fake_vsock_packet packet;
	uint32_t port;

	vbed_hello(fd, VBED_PORT);
	ck_assert(vbed_packet(&packet));
	ck_assert_uint_eq(le16_get(packet.hdr.op), VSOCK_OP_REQUEST);
	port = le32_get(packet.hdr.src_port);
	fake_vsock_release(&vbed.v, &packet);
	vbed_op((enum vsock_op)ops[_i], VBED_PORT, port);
	vbed_expect_op(VSOCK_OP_RST, VBED_PORT, port);
	vbed_expect_eof(fd);
	close(fd);
}
END_TEST

static struct fake_vsock_packet kept[256];

/* All RX buffers are with the driver: nothing can be said to it. */
static void keep_all_buffers(void)
{
	for (unsigned int count = 0; vbed.v.rx_num; count++) {
		vbed_op(VSOCK_OP_RW, GUEST_PORT, 9);
		ck_assert(vbed_packet(&kept[count]));
	}
}

static void give_back_all_buffers(void)
{
	for (unsigned int i = 0; i < vbed.v.config.rx_count; i++)
		fake_vsock_release(&vbed.v, &kept[i]);
}

START_TEST(client_that_left_before_its_request_is_not_told_of)
{
	int fd = vbed_client();

	keep_all_buffers();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	ck_assert_uint_eq(vbed_stats()->connects_host, 1);
	close(fd);
	vbed_run();
	vbed_expect_no_connection();
	give_back_all_buffers();
	vbed_expect_silence();
}
END_TEST

/* Whoever answers what was never asked has guessed the port. */
START_TEST(response_before_the_request_is_sent_resets)
{
	const struct vsock_engine *engine = &vbed.d->dev.engine;
	const struct vsock_conn *conn;
	int fd = vbed_client();
	uint32_t port;

	keep_all_buffers();
	vbed_hello(fd, VBED_PORT);
	vbed_run();
	ck_assert(!list_empty(&engine->conns));
	conn = list_entry(engine->conns.next, struct vsock_conn, all);
	ck_assert_uint_ne(conn->due & VSOCK_DUE_REQUEST, 0);
	port = conn->host_port;
	vbed_op(VSOCK_OP_RESPONSE, VBED_PORT, port);
	vbed_expect_eof(fd);
	ck_assert_uint_eq(vbed_stats()->established, 0);
	give_back_all_buffers();
	vbed_expect_op(VSOCK_OP_RST, VBED_PORT, port);
	vbed_expect_silence();
	close(fd);
}
END_TEST

START_TEST(rst_refuses_a_host_connect)
{
	struct fake_vsock_packet packet;
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT);
	ck_assert(vbed_packet(&packet));
	vbed_op(VSOCK_OP_RST, VBED_PORT, le32_get(packet.hdr.src_port));
	fake_vsock_release(&vbed.v, &packet);
	vbed_expect_eof(fd);
	vbed_expect_silence();
	close(fd);
	ck_assert_uint_eq(vbed_stats()->refused, 1);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(unknown_tuple_gets_rst),
		UNIT_TEST(rst_is_never_answered),
		UNIT_TEST(empty_data_packet_costs_no_system_call),
		UNIT_TEST(unknown_type_gets_rst),
		UNIT_TEST(unknown_type_on_a_connection_is_not_for_it),
		UNIT_TEST(unknown_op_on_a_connection_resets_it),
		UNIT_TEST(wrong_dst_cid_gets_rst_and_reaches_nobody),
		UNIT_TEST(wrong_src_cid_gets_rst_to_that_cid),
		UNIT_TEST(request_to_a_port_nobody_listens_on_gets_rst),
		UNIT_TEST(request_to_a_listener_gets_response_with_credit),
		UNIT_TEST(credit_request_is_answered_by_credit_update),
		UNIT_TEST(unsolicited_credit_update_is_fine),
		UNIT_TEST(only_len_bytes_of_a_chain_count),
		UNIT_TEST(len_beyond_the_chain_loses_only_that_connection),
		UNIT_TEST(payload_above_64_kib_is_refused),
		UNIT_TEST(chain_too_short_for_a_header_is_dropped),
		UNIT_TEST(writable_tx_chain_is_dropped),
		UNIT_TEST(header_split_over_descriptors_is_one),
		UNIT_TEST(header_in_bytes_and_empty_descriptors_is_one),
		UNIT_LOOP(other_op_before_the_response_resets, 7),
		UNIT_TEST(client_that_left_before_its_request_is_not_told_of),
		UNIT_TEST(response_before_the_request_is_sent_resets),
		UNIT_TEST(rst_refuses_a_host_connect),
	};

	const struct unit_case seq[] = {
		UNIT_TEST(packet_of_the_other_type_is_not_for_the_connection),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("raw", cases, vbed_setup_raw, vbed_teardown),
		UNIT_GROUP("seq", seq, NULL, vbed_teardown),
	};

	return unit_run("vsock_packets", groups, UNIT_COUNT(groups));
}
