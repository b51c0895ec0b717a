// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * RAM of a guest that does not exist. See guest.h.
 *
 * Called by tests, fuzzers and benchmarks while they set up, on one thread.
 */
#include "tests/fake/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

static void __attribute__((noreturn)) give_up(const char *what)
{
	fprintf(stderr, "fake guest: %s\n", what);
	abort();
}

static void add_region(struct fake_guest *guest, gpa_t gpa, uint64_t size)
{
	void *host;

	if (posix_memalign(&host, PAGE, size))
		give_up("no memory");
	memset(host, 0, size);
	guest->mem.region[guest->mem.count++] = (struct guest_region){
		.gpa = gpa, .size = size, .host = host,
	};
}

void fake_guest_init(struct fake_guest *guest, uint64_t low, uint64_t high)
{
	*guest = (struct fake_guest){ 0 };
	add_region(guest, 0, low);
	if (high)
		add_region(guest, FAKE_GUEST_HIGH, high);
	/* Guest address 0 is valid RAM, but a poor address for a buffer. */
	guest->next[0] = PAGE;
}

void fake_guest_destroy(struct fake_guest *guest)
{
	for (unsigned int i = 0; i < guest->mem.count; i++)
		free(guest->mem.region[i].host);
	*guest = (struct fake_guest){ 0 };
}

static gpa_t alloc(struct fake_guest *guest, unsigned int i, uint64_t len,
		   uint64_t align)
{
	const struct guest_region *r = &guest->mem.region[i];
	uint64_t off;

	if (i >= guest->mem.count)
		give_up("no such region");
	off = (guest->next[i] + align - 1) / align * align;
	if (off > r->size || len > r->size - off)
		give_up("RAM is used up");
	guest->next[i] = off + len;
	return r->gpa + off;
}

gpa_t fake_guest_alloc(struct fake_guest *guest, uint64_t len, uint64_t align)
{
	return alloc(guest, 0, len, align);
}

gpa_t fake_guest_alloc_high(struct fake_guest *guest, uint64_t len,
			    uint64_t align)
{
	return alloc(guest, 1, len, align);
}

void *fake_guest_at(const struct fake_guest *guest, gpa_t gpa, uint64_t len)
{
	void *p = guest_memory_at(&guest->mem, gpa, len);

	if (!p)
		give_up("address outside RAM");
	return p;
}
