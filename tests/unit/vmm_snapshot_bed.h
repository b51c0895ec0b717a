/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder with snapshots of a small guest, for the tests of vmm/snapshot*.c.
 */
#ifndef WHERRY_TESTS_UNIT_VMM_SNAPSHOT_BED_H
#define WHERRY_TESTS_UNIT_VMM_SNAPSHOT_BED_H

#include "vmm/snapshot.h"

#define FIXTURE_PAGE	4096u
/* Two regions of RAM, in bytes. */
#define FIXTURE_LOW	(96 * FIXTURE_PAGE)
#define FIXTURE_HIGH	(32 * FIXTURE_PAGE)
#define FIXTURE_RAM	(FIXTURE_LOW + FIXTURE_HIGH)

/**
 * struct fixture - what a test works on
 * @folder: a fresh one; the working directory too
 * @path: where its snapshot belongs: "snap"
 * @memory: RAM, one private anonymous mapping, all zeros at first
 * @state: for the tree
 * @data: the tree, one property "generation"
 * @len: its length, bytes
 * @why: the last reason
 */
struct fixture {
	char folder[64];
	const char *path;
	struct guest_memory memory;
	struct state_writer state;
	const void *data;
	size_t len;
	struct fail why;
};

extern struct fixture fixture;

void fixture_setup(void);
void fixture_teardown(void);

/**
 * fixture_generation() - change state and RAM so that they tell @generation
 *
 * Pages 1, 2 and 5 of the first region and the last of the second.
 */
void fixture_generation(uint32_t generation);

/** fixture_save() - snapshot_write() of the fixture to its path */
int fixture_save(void);

/**
 * fixture_saved() - which generation does the snapshot at @path tell?
 *
 * Opens it, verifies its memory, and looks at all of it.
 *
 * Return: the generation; -ENOENT: there is none; other negative errno: it
 * is not whole, fixture.why says what is wrong.
 */
int fixture_saved(const char *path);

/** fixture_entries() - how many entries the folder has, without . and .. */
unsigned int fixture_entries(void);

/** fixture_write_file() - make a file, or change one; asserts */
void fixture_write_file(const char *name, const void *data, size_t len);
/** fixture_read_file() - Return: how many bytes; asserts that they fit */
size_t fixture_read_file(const char *name, void *data, size_t size);

#endif
