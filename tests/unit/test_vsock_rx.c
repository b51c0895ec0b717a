// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock: the chains that the driver provides for packets to it, of any size,
 * in any order. Raw: buffers come back and are not posted again.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_vsock_bed.h"

#define GUEST_PORT	5000u
#define CHAINS_MAX	32u

static uint8_t chunk[256 << 10];

/**
 * struct chains - what the driver has posted, one behind the other
 * @len: bytes of each
 * @gpa: where it lies
 * @count: how many
 */
static struct {
	uint32_t len[CHAINS_MAX];
	gpa_t gpa[CHAINS_MAX];
	unsigned int count;
} chains;

static void *token_of(unsigned int i)
{
	return (void *)(uintptr_t)(i + 1);
}

static void post(uint32_t len)
{
	unsigned int i = chains.count++;
	const struct fake_seg seg = {
		fake_guest_alloc(&vbed.guest, len, 4096), len,
	};

	ck_assert_uint_lt(i, CHAINS_MAX);
	chains.len[i] = len;
	chains.gpa[i] = seg.gpa;
	ck_assert_int_ge(fake_add(vbed.v.rx, &seg, 0, 1, FAKE_ALL_DIRECT,
				  token_of(i)), 0);
}

/**
 * next_packet() - the next chain that came back
 * @chain: which one
 * @hdr: what is in it, if anything is
 *
 * Return: bytes used; -1: none came.
 */
static int64_t next_packet(unsigned int *chain, struct vsock_header *hdr)
{
	struct fake_used used;

	if (!fake_harvest(vbed.v.rx, &used))
		return -1;
	*chain = (unsigned int)(uintptr_t)used.token - 1;
	ck_assert_uint_lt(*chain, chains.count);
	ck_assert_uint_le(used.len, chains.len[*chain]);
	if (used.len >= sizeof(*hdr)) {
		memcpy(hdr, fake_guest_at(&vbed.guest, chains.gpa[*chain],
					  sizeof(*hdr)), sizeof(*hdr));
		ck_assert_uint_eq(used.len, sizeof(*hdr) + le32_get(hdr->len));
	}
	return used.len;
}

/* A connection whose packets meet only chains that the test posts. */
static int connect_bare(uint32_t buf_alloc)
{
	const struct fake_vsock_config config = { .rx_count = 1 };
	int fd;

	vbed_start(&config);
	vbed.raw = true;
	vbed_probe();
	memset(&chains, 0, sizeof(chains));
	vbed_raw_connect(GUEST_PORT, buf_alloc, &fd);
	/* What that took was posted again: a chain of its own to be used up. */
	vbed_op(VSOCK_OP_RW, GUEST_PORT + 1, 9);
	vbed_run();
	return fd;
}

static void use_up_the_drivers_own(void)
{
	struct fake_used used;

	while (fake_harvest(vbed.v.rx, &used) > 0)
		;
	ck_assert_uint_eq(fake_in_flight(vbed.v.rx), 0);
}

/* Linux takes no more, whatever room there is. */
START_TEST(no_packet_holds_more_than_64_kib)
{
	int fd = connect_bare(1u << 20);
	struct vsock_header hdr;
	unsigned int chain, largest = 0;
	uint64_t got = 0;
	int64_t used;

	use_up_the_drivers_own();
	for (unsigned int i = 0; i < 16; i++)
		post(200000);
	vbed_fill(chunk, sizeof(chunk), 1, 0);
	/* All there is at once, once it is known that so much comes. */
	vbed_conn(VBED_HOST_PORT, GUEST_PORT)->read_hint = sizeof(chunk);
	vbed_send(fd, chunk, 150000);
	fake_kick(vbed.v.rx);
	vbed_run_device();
	while ((used = next_packet(&chain, &hdr)) >= 0) {
		uint32_t len = le32_get(hdr.len);

		ck_assert_uint_le(len, VSOCK_PAYLOAD_MAX);
		largest = len > largest ? len : largest;
		vbed_check(fake_guest_at(&vbed.guest,
					 chains.gpa[chain] + sizeof(hdr), len),
			   len, 1, got);
		got += len;
	}
	ck_assert_uint_eq(got, 150000);
	ck_assert_uint_eq(largest, VSOCK_PAYLOAD_MAX);
	close(fd);
}
END_TEST

/* In the midst of a read into many: it ends there, and goes on behind. */
START_TEST(chain_too_short_among_others_goes_back_unused)
{
	static const uint32_t lens[] = { 1000, 1000, 10, 1000, 43, 44, 1000 };
	int fd = connect_bare(1u << 20);
	struct vsock_header hdr;
	unsigned int chain, packets = 0;
	uint64_t got = 0;
	int64_t used;

	use_up_the_drivers_own();
	for (unsigned int i = 0; i < UNIT_COUNT(lens); i++)
		post(lens[i]);
	vbed_fill(chunk, sizeof(chunk), 1, 0);
	vbed_send(fd, chunk, 4 * (1000 - sizeof(hdr)));
	fake_kick(vbed.v.rx);
	vbed_run_device();
	while ((used = next_packet(&chain, &hdr)) >= 0) {
		/* In the order in which they were posted, all of them. */
		ck_assert_uint_eq(chain, packets++);
		ck_assert_int_eq(used, lens[chain] == 1000 ? 1000 : 0);
		if (!used)
			continue;
		vbed_check(fake_guest_at(&vbed.guest,
					 chains.gpa[chain] + sizeof(hdr),
					 1000 - sizeof(hdr)),
			   1000 - sizeof(hdr), 1, got);
		got += 1000 - sizeof(hdr);
	}
	ck_assert_uint_eq(packets, UNIT_COUNT(lens));
	ck_assert_uint_eq(vbed_stats()->malformed, 3);
	close(fd);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(no_packet_holds_more_than_64_kib),
		UNIT_TEST(chain_too_short_among_others_goes_back_unused),
	};

	return UNIT_RUN("vsock_rx", cases, NULL, vbed_teardown);
}
