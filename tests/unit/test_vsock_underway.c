// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: connects under way when the guest is saved. Each of the places where
 * one can be (gate.c has the list), and each order in which the driver may come
 * to know: nobody becomes connected to nobody, nobody is left without an
 * answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

static int listener = -1;

static void setup_with(const struct fake_vsock_config *config)
{
	vbed_start(config);
	vbed_probe();
	listener = vbed_listen(VBED_HOST_PORT, 16);
}

static void setup(void)
{
	setup_with(NULL);
}

static void setup_plain(void)
{
	setup_with(&(const struct fake_vsock_config){
		   .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) });
}

static void teardown(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
	vbed_teardown();
}

/* RX work without any other. */
static void rx_work(void)
{
	struct fake_vsock_packet packet;

	while (fake_vsock_recv(&vbed.v, &packet)) {
		fake_sockets_take(&vbed.set, &packet);
		fake_vsock_release(&vbed.v, &packet);
	}
	fake_sockets_flush(&vbed.set);
}

/*
 * Bits of _i in the tests below: the load is in place; the driver's RX work
 * comes before its event work, not after; the guest is saved once more before
 * it has run.
 */
#define WAYS 8

static void restore(int way)
{
	unsigned int times = way & 4 ? 2 : 1;

	while (times--) {
		if (way & 1)
			vbed_restore_in_place();
		else
			vbed_restore();
	}
	if (way & 2)
		rx_work();
}

/* A reader that does not hang: the end, or an error. */
static void expect_over(struct fake_sock *sock)
{
	char c;

	ck_assert_int_ne(sock->state, FAKE_SOCK_SYN_SENT);
	ck_assert_int_ne(fake_sock_recv(sock, &c, 1), -EAGAIN);
}

/* The device still serves whoever connects. */
static void expect_service(void)
{
	struct fake_sock *sock;
	int fd;

	while ((fd = vbed_accept(listener)) >= 0)
		close(fd);
	vbed_run();
	sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
	vbed_send(fd, "hello", 5);
	vbed_run();
	ck_assert_uint_eq(sock->received, 5);
	close(fd);
	fake_sock_close(sock);
	vbed_run();
	vbed_expect_no_connection();
}

START_TEST(response_that_the_driver_has_not_seen_is_taken_back)
{
	struct fake_sock *sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);

	/* Answered; the driver has not looked when vCPUs stop. */
	vbed_run_device();
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx),
			  (uint16_t)(vbed.v.rx->used_seen + 1));
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_over(sock);
	expect_service();
}
END_TEST

START_TEST(response_that_the_save_itself_puts_there_is_taken_back)
{
	struct fake_sock *sock;

	/* The loop has not come to the kick yet. */
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_over(sock);
	expect_service();
}
END_TEST

START_TEST(all_responses_of_a_full_ring_are_taken_back)
{
	struct fake_sock *sock[16];

	for (unsigned int i = 0; i < 16; i++)
		sock[i] = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run_device();
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	for (unsigned int i = 0; i < 16; i++)
		expect_over(sock[i]);
	expect_service();
}
END_TEST

/* The very oldest element that the driver cannot have taken. */
START_TEST(response_at_the_start_of_a_full_ring_is_taken_back)
{
	struct fake_sock *sock, *busy;
	unsigned int size = vbed.v.rx->size;
	int fd;

	busy = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
	fake_vsock_fill_rx(&vbed.v);
	ck_assert_uint_eq(fake_in_flight(vbed.v.rx), size);
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run_device();
	for (unsigned int i = 1; i < size; i++) {
		vbed_send(fd, "x", 1);
		vbed_run_device();
	}
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx),
			  (uint16_t)(vbed.v.rx->used_seen + size));
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_over(sock);
	fake_sock_close(busy);
	close(fd);
	expect_service();
}
END_TEST

/* Which lie in a ring that has gone round, and under another CID. */
START_TEST(response_behind_many_others_is_taken_back_under_a_new_cid)
{
	struct vbed_snapshot snapshot;
	struct fake_sock *sock;
	int fd;

	for (unsigned int i = 0; i < 700; i++) {
		sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
		close(fd);
		fake_sock_close(sock);
		vbed_run();
	}
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run_device();
	snapshot = vbed_save();
	vbed_drop();
	vbed_load(snapshot, VBED_CID + 4);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_over(sock);
	expect_service();
}
END_TEST

START_TEST(response_in_a_buffer_of_many_pieces_is_taken_back)
{
	struct fake_sock *sock;

	vbed_start(&(const struct fake_vsock_config){ .rx_seg = { 7, 4000 } });
	vbed_probe();
	listener = vbed_listen(VBED_HOST_PORT, 4);
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run_device();
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_over(sock);
	expect_service();
}
END_TEST

/* What was taken long ago is found, too, and must hit nobody. */
START_TEST(answers_of_old_connections_harm_no_new_one)
{
	struct fake_sock *sock;
	int fd;

	for (unsigned int i = 0; i < 20; i++) {
		sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
		close(fd);
		fake_sock_close(sock);
		vbed_run();
	}
	vbed_restore();
	/* Its REQUEST waits in the ring when the gate opens. */
	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	fd = vbed_accept(listener);
	vbed_send(fd, "still here", 10);
	vbed_run();
	ck_assert_uint_eq(sock->received, 10);
	close(fd);
	fake_sock_close(sock);
	vbed_run();
	expect_service();
}
END_TEST

/* The memory of buffers that the driver has taken may hold anything by now. */
START_TEST(reused_memory_of_taken_buffers_does_no_harm)
{
	struct fake_sock *sock;
	uint32_t seed = 1;
	int fd;

	for (unsigned int i = 0; i < 100; i++) {
		sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
		close(fd);
		fake_sock_close(sock);
		vbed_run();
	}
	for (unsigned int slot = 0; slot < vbed.v.config.rx_count; slot++)
		for (unsigned int i = 0; i < FAKE_VSOCK_HDR; i++)
			vbed.v.rx_mem[slot * vbed.v.rx_stride + i] =
				(uint8_t)((seed = seed * 1103515245u + 12345u)
					  >> 16) & (_i ? 0xff : 3);
	vbed_restore();
	vbed_expect_gate(VSOCK_GATE_OPEN);
	expect_service();
}
END_TEST

/* What the used ring says is the driver's to write, too, and so are tables. */
START_TEST(spoiled_rings_do_no_harm)
{
	struct virtq_used *used = vbed.v.rx->used;
	struct vbed_snapshot snapshot = vbed_save();
	uint16_t size = vbed.v.rx->size;

	for (uint16_t i = 0; i < size; i++) {
		used->ring[i].id = le32_make(_i ? i : UINT32_MAX - i);
		used->ring[i].len = le32_make(FAKE_VSOCK_HDR);
		if (_i)
			fake_desc_set(vbed.v.rx, i, UINT64_MAX - i, 44,
				      VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT,
				      i);
	}
	vbed_drop();
	vbed_load(snapshot, VBED_CID);
	ck_assert_uint_eq(vbed_stats()->resets_sent, 0);
	vbed.loose = true;
}
END_TEST

/* A host client's REQUEST in the ring: the guest's server gets no zombie. */
START_TEST(request_of_a_host_client_ends_at_once)
{
	struct fake_sock *sock;
	int fd = vbed_client();

	vbed_hello(fd, VBED_PORT);
	vbed_run_device();
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_ptr_nonnull(sock);
	expect_over(sock);
	vbed_expect_eof(fd);
	close(fd);
	expect_service();
}
END_TEST

/* Fills the listener's backlog: whoever comes now has to wait. */
static unsigned int fill_backlog(int *fd, unsigned int max)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	unsigned int count = 0;

	close(listener);
	listener = -1;
	ck_assert_int_gt(snprintf(addr.sun_path, sizeof(addr.sun_path),
				  "%s_%u", vbed.path, VBED_HOST_PORT), 0);
	unlink(addr.sun_path);
	listener = vbed_listen(VBED_HOST_PORT, 0);
	while (count < max) {
		fd[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fd[count], (struct sockaddr *)&addr,
			    sizeof(addr))) {
			close(fd[count]);
			return count;
		}
		count++;
	}
	ck_abort_msg("the backlog has no end");
}

static bool is_answered(void)
{
	return vbed.set.sock[0].state != FAKE_SOCK_SYN_SENT;
}

START_TEST(connect_that_waits_for_the_host_is_made_anew)
{
	struct fake_sock *sock;
	int fd[8], accepted;
	unsigned int count = fill_backlog(fd, 8);

	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	/* Taken, not answered: the chain is the device's still. */
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 0);
	restore(_i);
	while ((accepted = vbed_accept(listener)) >= 0)
		close(accepted);
	while (count)
		close(fd[--count]);
	ck_assert_ptr_eq(sock, &vbed.set.sock[0]);
	vbed_wait_until(is_answered);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	vbed_run();
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 1);
	accepted = vbed_accept(listener);
	vbed_send(accepted, "hello", 5);
	vbed_run();
	ck_assert_uint_eq(sock->received, 5);
	close(accepted);
	fake_sock_close(sock);
	vbed_run();
}
END_TEST

START_TEST(connect_that_waits_for_the_host_hears_within_a_second)
{
	struct fake_sock *sock;
	int fd[8];
	unsigned int count = fill_backlog(fd, 8);
	uint64_t start;

	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	start = vbed_now_ms();
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	vbed_wait_until(is_answered);
	ck_assert_int_eq(sock->err, ECONNRESET);
	/* Not the two seconds of one that has just begun. */
	ck_assert_uint_lt(vbed_now_ms() - start, 1500);
	while (count)
		close(fd[--count]);
}
END_TEST

START_TEST(connect_that_waits_is_told_if_the_cid_changes)
{
	struct vbed_snapshot snapshot;
	struct fake_sock *sock;
	int fd[8];
	unsigned int count = fill_backlog(fd, 8);

	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	snapshot = vbed_save();
	vbed_drop();
	vbed_load(snapshot, VBED_CID + 4);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_int_eq(sock->err, ECONNRESET);
	while (count)
		close(fd[--count]);
}
END_TEST

START_TEST(source_answers_a_connect_that_waited_over_the_save)
{
	struct vbed_snapshot snapshot;
	struct fake_sock *sock;
	int fd[8], accepted;
	unsigned int count = fill_backlog(fd, 8);

	sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	snapshot = vbed_save();
	free(snapshot.data);
	while ((accepted = vbed_accept(listener)) >= 0)
		close(accepted);
	while (count)
		close(fd[--count]);
	vbed_wait_until(is_answered);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	accepted = vbed_accept(listener);
	close(accepted);
	fake_sock_close(sock);
	vbed_run();
	ck_assert_uint_eq(vbed.d->dev.vdev.queue[VSOCK_QUEUE_TX].held_count,
			  0);
}
END_TEST

START_TEST(half_of_the_ring_may_wait_for_the_host)
{
	struct fake_sock *sock[8], *other;
	int fd[8], client;
	unsigned int count = fill_backlog(fd, 8);

	for (unsigned int i = 0; i < 5; i++)
		sock[i] = fake_sock_connect(&vbed.set, VBED_HOST_PORT);
	vbed_run();
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(sock[i]->state, FAKE_SOCK_SYN_SENT);
	ck_assert_int_eq(sock[4]->err, ECONNRESET);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 1);
	/* Others are not held up by them. */
	client = vbed_connect(&other);
	ck_assert_int_eq(fake_sock_send(other, "hello", 5), 5);
	vbed_run();
	vbed_expect(client, "hello");
	close(client);
	vbed_run();
	/* And a driver that goes takes them along. */
	fake_reset(&vbed.v.driver);
	vbed_run_device();
	vbed_expect_no_connection();
	while (count)
		close(fd[--count]);
	vbed.loose = true;
}
END_TEST

static void setup_small_ring(void)
{
	setup_with(&(const struct fake_vsock_config){ .queue_size = 8 });
}

/* One RX buffer, which a host client's REQUEST takes. */
static void setup_no_room(void)
{
	int fd;

	setup_with(&(const struct fake_vsock_config){ .rx_count = 1 });
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	vbed_run_device();
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), 1);
	/* The client leaves again. */
	close(fd);
}

START_TEST(connect_whose_answer_has_no_room_is_made_anew)
{
	struct fake_sock *sock = fake_sock_connect(&vbed.set, VBED_HOST_PORT);

	vbed_run_device();
	ck_assert_uint_eq(fake_used_idx(vbed.v.rx), 1);
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 0);
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_int_eq(sock->state, FAKE_SOCK_ESTABLISHED);
	ck_assert_int_eq(sock->err, 0);
	fake_sock_close(sock);
	vbed_run();
	expect_service();
}
END_TEST

START_TEST(refusal_that_has_no_room_is_told)
{
	struct fake_sock *sock = fake_sock_connect(&vbed.set, 4711);

	vbed_run_device();
	ck_assert_uint_eq(fake_used_idx(vbed.v.tx), 0);
	restore(_i);
	vbed_expect_gate(VSOCK_GATE_OPEN);
	ck_assert_int_eq(sock->err, ECONNRESET);
	expect_service();
}
END_TEST

int main(void)
{
	const struct unit_case ring[] = {
		UNIT_LOOP(response_that_the_driver_has_not_seen_is_taken_back,
			  WAYS),
		UNIT_LOOP(response_that_the_save_itself_puts_there_is_taken_back,
			  WAYS),
		UNIT_LOOP(all_responses_of_a_full_ring_are_taken_back, WAYS),
		UNIT_LOOP(response_at_the_start_of_a_full_ring_is_taken_back,
			  WAYS),
		UNIT_TEST(response_behind_many_others_is_taken_back_under_a_new_cid),
		UNIT_TEST(answers_of_old_connections_harm_no_new_one),
		UNIT_LOOP(reused_memory_of_taken_buffers_does_no_harm, 2),
		UNIT_LOOP(spoiled_rings_do_no_harm, 2),
		UNIT_LOOP(request_of_a_host_client_ends_at_once, WAYS),
	};
	const struct unit_case host[] = {
		UNIT_LOOP(connect_that_waits_for_the_host_is_made_anew, 8),
		UNIT_LOOP(connect_that_waits_for_the_host_hears_within_a_second,
			  2),
		UNIT_TEST(connect_that_waits_is_told_if_the_cid_changes),
		UNIT_TEST(source_answers_a_connect_that_waited_over_the_save),
	};
	const struct unit_case small[] = {
		UNIT_TEST(half_of_the_ring_may_wait_for_the_host),
	};
	const struct unit_case pieces[] = {
		UNIT_TEST(response_in_a_buffer_of_many_pieces_is_taken_back),
	};
	const struct unit_case no_room[] = {
		UNIT_LOOP(connect_whose_answer_has_no_room_is_made_anew, WAYS),
		UNIT_LOOP(refusal_that_has_no_room_is_told, WAYS),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("event_idx", ring, setup, teardown),
		UNIT_GROUP("plain", ring, setup_plain, teardown),
		UNIT_GROUP("host", host, setup, teardown),
		UNIT_GROUP("small", small, setup_small_ring, teardown),
		UNIT_GROUP("pieces", pieces, NULL, teardown),
		UNIT_GROUP("no_room", no_room, setup_no_room, teardown),
	};

	return unit_run("vsock_underway", groups, UNIT_COUNT(groups));
}
