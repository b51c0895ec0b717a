/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest physical memory: checked access and nothing else.
 */
#ifndef WHERRY_VIRTIO_MEMORY_H
#define WHERRY_VIRTIO_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* A guest physical address. Never cast to a pointer: guest_memory_at() it. */
typedef uint64_t gpa_t;

/* RAM below and above the hole under 4 GiB, and room for what may come. */
#define GUEST_REGIONS_MAX 4

/**
 * struct guest_region - one run of RAM
 * @gpa: where the guest sees it, bytes
 * @size: its length, bytes
 * @host: where this process sees it
 */
struct guest_region {
	gpa_t gpa;
	uint64_t size;
	uint8_t *host;
};

/**
 * struct guest_memory - all RAM of one guest, regions ascending and disjoint
 * @count: how many of @region are in use
 * @region: the regions; constant while the guest exists
 */
struct guest_memory {
	unsigned int count;
	struct guest_region region[GUEST_REGIONS_MAX];
};

/**
 * guest_memory_at() - the host's view of a run of guest memory
 * @mem: the guest's RAM
 * @gpa: first byte
 * @len: bytes; 0 is allowed inside RAM
 *
 * Return: a pointer good for @len bytes, or NULL when any byte of the run is
 * not RAM or the run crosses two regions. The guest may write what it points
 * to at any time: copy once, check the copy, use the copy.
 */
void *guest_memory_at(const struct guest_memory *mem, gpa_t gpa, uint64_t len);

/**
 * guest_memory_read() - copy out of guest memory
 * Return: 0, or -EFAULT with nothing copied when the run is not all RAM.
 */
int guest_memory_read(const struct guest_memory *mem, gpa_t gpa, void *buf,
		      size_t len);

/**
 * guest_memory_write() - copy into guest memory
 * Return: 0, or -EFAULT with nothing written when the run is not all RAM.
 */
int guest_memory_write(const struct guest_memory *mem, gpa_t gpa,
		       const void *buf, size_t len);

/**
 * guest_memory_total() - bytes of RAM in all regions
 */
uint64_t guest_memory_total(const struct guest_memory *mem);

#endif
