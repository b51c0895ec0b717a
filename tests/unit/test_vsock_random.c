// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock against a reference model: thousands of random steps of host programs,
 * of the guest's and of its driver, with restores, pauses and device resets in
 * between. The model knows which bytes each end must see.
 *
 * WHERRY_SEED=n repeats a run; the seed is printed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define CONNS	12
#define STEPS	6000
#define FIXED	8	/* seeds that are the same each time */

/**
 * struct way - one direction of a connection
 * @sent: bytes taken from the writer
 * @got: bytes that came out
 * @shut: the writer has said that there will be no more
 * @ended: the reader has seen the end
 */
struct way {
	uint64_t sent;
	uint64_t got;
	bool shut;
	bool ended;
};

/**
 * struct pair - a connection, as the model sees it
 * @fd: the host's end; -1: closed
 * @sock: the guest's end; NULL: closed
 * @seed: of its bytes
 * @to_guest: from the host
 * @to_host: from the guest
 * @lossy: something happened after which bytes may be missing at the end
 */
struct pair {
	int fd;
	struct fake_sock *sock;
	uint32_t seed;
	struct way to_guest;
	struct way to_host;
	bool lossy;
};

static struct pair pairs[CONNS];
static uint64_t rng;
static uint32_t next_seed;
static int listener;
static bool stalled;
static bool paused;
static bool tight;
static uint8_t buf[128 << 10];
static uint64_t moved;

static uint32_t rnd(uint32_t below)
{
	rng = rng * UINT64_C(6364136223846793005) +
	      UINT64_C(1442695040888963407);
	return (uint32_t)(rng >> 33) % below;
}

/* Sizes from a byte to more than fits anywhere, small ones more often. */
static size_t rnd_size(void)
{
	return 1 + rnd(1u << (1 + rnd(17)));
}

static bool is_free(const struct pair *p)
{
	return p->fd < 0 && !p->sock;
}

/* Credit, connection by connection; the driver watches the right edges. */
static void check_credit(void)
{
	struct vsock_engine *engine = &vbed.d->dev.engine;
	const struct vsock_credit *credit = &engine->credit;
	unsigned int busy = 0;
	uint64_t out = 0;

	for (struct list_node *at = engine->conns.next; at != &engine->conns;
	     at = at->next) {
		const struct vsock_conn *conn =
			list_entry(at, struct vsock_conn, all);
		uint32_t kept = conn->rx_cnt - conn->fwd_cnt;
		uint32_t under_way = conn->rx_cnt - conn->fwd_told;

		ck_assert_uint_le(under_way, conn->buf_alloc);
		ck_assert_uint_le(kept, under_way);
		ck_assert_uint_eq(kept, conn->backlog.used);
		ck_assert_uint_le(vsock_credit_left(conn), conn->buf_alloc);
		busy += !list_empty(&conn->credit.busy);
		out += conn->credit.out;
		ck_assert_int_eq(list_empty(&conn->credit.given),
				 !conn->credit.out);
		if (!list_empty(&conn->credit.line))
			ck_assert_uint_ne(conn->fwd_cnt, conn->fwd_told);
	}
	ck_assert_uint_eq(busy, credit->busy_count);
	ck_assert_uint_eq(out, credit->out);
	/* Nobody waits for ever. */
	ck_assert(list_empty(&credit->line) || credit->patience.slot);
	/* Some runs with next to nothing to share; restores bring it back. */
	if (tight)
		engine->credit.budget = 1;
}

static void run(void)
{
	vbed.raw = stalled;
	vbed_run();
	vbed.raw = false;
	check_credit();
}

/* Let everything flow again. */
static void settle(void)
{
	if (paused)
		vsock_device_set_running(&vbed.d->dev, true);
	paused = false;
	stalled = false;
	vbed_run();
	/* What waited for an interrupt that the stall has swallowed. */
	fake_sockets_work(&vbed.set);
	vbed_run();
}

static void open_pair(struct pair *p, int fd, struct fake_sock *sock)
{
	*p = (struct pair){ .fd = fd, .sock = sock, .seed = next_seed };
	next_seed += 2;
}

static void connect_host(struct pair *p)
{
	struct fake_sock *sock;
	uint8_t early[64];
	int fd;

	settle();
	fd = vbed_client();
	vbed_hello(fd, VBED_PORT);
	open_pair(p, fd, NULL);
	/* Bytes right behind the line. */
	if (rnd(2)) {
		vbed_fill(early, sizeof(early), p->seed, 0);
		vbed_send(fd, early, sizeof(early));
		p->to_guest.sent = sizeof(early);
	}
	vbed_ok(fd);
	sock = fake_sock_accept(&vbed.set, VBED_PORT);
	ck_assert_ptr_nonnull(sock);
	p->sock = sock;
}

static void connect_guest(struct pair *p)
{
	struct fake_sock *sock;
	int fd;

	settle();
	sock = vbed_connect_guest(VBED_HOST_PORT, listener, &fd);
	open_pair(p, fd, sock);
}

static void host_writes(struct pair *p)
{
	size_t len = rnd_size();
	ssize_t n;

	if (p->fd < 0 || p->to_guest.shut)
		return;
	vbed_fill(buf, len, p->seed, p->to_guest.sent);
	n = send(p->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		p->to_guest.sent += (size_t)n;
	else
		ck_assert(errno == EAGAIN || errno == EPIPE ||
			  errno == ECONNRESET);
}

static void guest_writes(struct pair *p)
{
	size_t len = rnd_size();
	ssize_t n;

	if (!p->sock || p->to_host.shut)
		return;
	vbed_fill(buf, len, p->seed + 1, p->to_host.sent);
	n = fake_sock_send(p->sock, buf, len);
	if (n > 0)
		p->to_host.sent += (size_t)n;
}

/* What came out of a way, @n as recv() tells. */
static void account(const struct pair *p, struct way *way, uint32_t seed,
		    ssize_t n)
{
	if (n == -EAGAIN)
		return;
	if (n > 0) {
		ck_assert_msg(!way->ended, "bytes behind the end");
		vbed_check(buf, (size_t)n, seed, way->got);
		way->got += (size_t)n;
		moved += (size_t)n;
		ck_assert_uint_le(way->got, way->sent);
		return;
	}
	way->ended = true;
	ck_assert_msg(way->shut || p->lossy, "the end came by itself");
	ck_assert_msg(p->lossy || way->got == way->sent,
		      "%llu bytes of %llu, then the end",
		      (unsigned long long)way->got,
		      (unsigned long long)way->sent);
}

static void host_reads(struct pair *p)
{
	if (p->fd >= 0)
		account(p, &p->to_host, p->seed + 1,
			vbed_read(p->fd, buf, rnd_size()));
}

static void guest_reads(struct pair *p)
{
	if (p->sock)
		account(p, &p->to_guest, p->seed,
			fake_sock_recv(p->sock, buf, rnd_size()));
}

static void host_shuts(struct pair *p)
{
	if (p->fd < 0 || p->to_guest.shut)
		return;
	shutdown(p->fd, SHUT_WR);
	p->to_guest.shut = true;
}

static void guest_shuts(struct pair *p)
{
	if (!p->sock || p->to_host.shut)
		return;
	fake_sock_shutdown(p->sock, VSOCK_SHUTDOWN_SEND);
	p->to_host.shut = true;
}

/*
 * Whoever closes takes no more, so the other way may come to an end early; its
 * own way has to arrive in full.
 */
static void host_closes(struct pair *p)
{
	if (p->fd < 0)
		return;
	close(p->fd);
	p->fd = -1;
	p->to_guest.shut = true;
}

static void guest_closes(struct pair *p)
{
	if (!p->sock)
		return;
	fake_sock_close(p->sock);
	p->sock = NULL;
	p->to_host.shut = true;
}

static void guest_aborts(struct pair *p)
{
	if (!p->sock)
		return;
	p->lossy = true;
	fake_sock_abort(p->sock);
	p->sock = NULL;
}

/* All connections are lost, and both ends have to hear of it. */
static void lose_all(void)
{
	for (int i = 0; i < CONNS; i++) {
		struct pair *p = &pairs[i];

		p->lossy = true;
		/* One that was closed from here may still be read out. */
		if (p->sock && p->sock->listed)
			ck_assert_int_eq(p->sock->state, FAKE_SOCK_CLOSED);
		guest_closes(p);
		while (p->fd >= 0 && !p->to_host.ended) {
			ssize_t n = vbed_read(p->fd, buf, sizeof(buf));

			ck_assert_int_ne(n, -EAGAIN);
			account(p, &p->to_host, p->seed + 1, n);
		}
		host_closes(p);
	}
}

/* Hook: no packet before the gate opens. */
static void nothing_passed(struct fake_vsock *v, enum fake_vsock_step step)
{
	const uint16_t *before = v->hook_opaque;

	vbed_run_device();
	if (step < FAKE_VSOCK_REFILLED) {
		ck_assert_int_eq(vbed_gate(), VSOCK_GATE_RESET_SENT);
		ck_assert_uint_eq(fake_used_idx(v->rx), *before);
	}
}

static void restore(void)
{
	uint16_t before;
	uint64_t cid = vbed.d->dev.guest_cid;
	struct vbed_snapshot snapshot;

	if (rnd(2))
		cid = 3 + rnd(100);
	snapshot = vbed_save();
	vbed_drop();
	vbed_load(snapshot, cid);
	/* The save itself may have sent something. */
	before = fake_used_idx(vbed.v.rx);
	vbed.v.hook = nothing_passed;
	vbed.v.hook_opaque = &before;
	paused = false;
	settle();
	vbed.v.hook = NULL;
	ck_assert_int_eq(vbed_gate(), VSOCK_GATE_OPEN);
	ck_assert_uint_eq(vbed.v.cid, cid);
	lose_all();
	vbed_run();
}

static void reset_device(void)
{
	settle();
	fake_reset(&vbed.v.driver);
	/* As virtio_vsock_vqs_del(): what was queued is gone. */
	vbed.set.pending_num = 0;
	fake_sockets_sweep(&vbed.set);
	vbed_run_device();
	/* What the guest had sent may linger: read it out. */
	for (int i = 0; i < CONNS; i++) {
		pairs[i].lossy = true;
		while (pairs[i].fd >= 0 && !pairs[i].to_host.ended) {
			host_reads(&pairs[i]);
			vbed_run_device();
		}
	}
	lose_all();
	vbed_probe();
}

static void pause_or_resume(void)
{
	vsock_device_set_running(&vbed.d->dev, paused);
	paused = !paused;
}

static void step(void)
{
	struct pair *p = &pairs[rnd(CONNS)];
	uint32_t what = rnd(1000);

	if (is_free(p)) {
		if (rnd(2))
			connect_host(p);
		else
			connect_guest(p);
		return;
	}
	if (what < 250)
		host_writes(p);
	else if (what < 500)
		guest_writes(p);
	else if (what < 700)
		host_reads(p);
	else if (what < 900)
		guest_reads(p);
	else if (what < 915)
		host_shuts(p);
	else if (what < 930)
		guest_shuts(p);
	else if (what < 940)
		host_closes(p);
	else if (what < 950)
		guest_closes(p);
	else if (what < 954)
		guest_aborts(p);
	else if (what < 970)
		stalled = !stalled;
	else if (what < 980)
		pause_or_resume();
	else if (what < 982)
		restore();
	else if (what < 983)
		reset_device();
	else
		settle();
	if (rnd(3))
		run();
}

static void host_reads_on(struct pair *p, bool *busy)
{
	if (p->fd < 0 || p->to_host.ended)
		return;
	host_reads(p);
	*busy = true;
}

static void guest_reads_on(struct pair *p, bool *busy)
{
	if (!p->sock || p->to_guest.ended)
		return;
	guest_reads(p);
	*busy = true;
}

/* Everyone reads on to the end, then closes. */
static void finish(void)
{
	bool busy = true;

	for (int i = 0; i < CONNS; i++) {
		host_shuts(&pairs[i]);
		guest_shuts(&pairs[i]);
	}
	settle();
	while (busy) {
		busy = false;
		for (int i = 0; i < CONNS; i++) {
			struct pair *p = &pairs[i];

			host_reads_on(p, &busy);
			guest_reads_on(p, &busy);
		}
		settle();
	}
	for (int i = 0; i < CONNS; i++) {
		host_closes(&pairs[i]);
		guest_closes(&pairs[i]);
	}
	settle();
}

static const struct fake_vsock_config makes[] = {
	{ .tx_slots = 16 },
	{ .rx_seg = { 44, 4096 }, .buf_alloc = 70000 },
	{ .rx_count = 8, .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) },
	{ .rx_seg = { 1000 }, .queue_size = 16, .buf_alloc = 5000 },
};

static void random_run(uint32_t seed)
{
	printf("# seed %u\n", seed);
	fflush(stdout);
	rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	vbed_start(&makes[seed % UNIT_COUNT(makes)]);
	tight = seed / UNIT_COUNT(makes) % 2;
	vbed_probe();
	listener = vbed_listen(VBED_HOST_PORT, 16);
	for (int i = 0; i < CONNS; i++)
		pairs[i].fd = -1;
	for (int i = 0; i < STEPS; i++)
		step();
	finish();
	vbed_expect_no_connection();
	ck_assert_uint_eq(fake_sockets_used(&vbed.set), 0);
	ck_assert_uint_eq(fake_in_flight(vbed.v.tx), 0);
	ck_assert_uint_eq(vbed_stats()->malformed, 0);
	ck_assert_uint_eq(vbed_stats()->credit_overruns, 0);
	ck_assert_uint_eq(vbed_stats()->limit_hits, 0);
	ck_assert_uint_gt(moved, 1u << 20);
	close(listener);
}

START_TEST(random_steps_agree_with_the_model)
{
	const char *wish = getenv("WHERRY_SEED");
	uint32_t seed = (uint32_t)_i;

	if (wish)
		seed = (uint32_t)strtoul(wish, NULL, 10);
	else if (_i >= FIXED)
		seed = (uint32_t)time(NULL) * 4 + (uint32_t)_i;
	random_run(seed);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(random_steps_agree_with_the_model, FIXED + 4),
	};

	return UNIT_RUN("vsock_random", cases, NULL, vbed_teardown);
}
