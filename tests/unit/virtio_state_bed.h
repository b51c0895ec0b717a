/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of saved state stand on, and those of what devices save: a
 * tree that is written and then read.
 */
#ifndef WHERRY_TESTS_UNIT_VIRTIO_STATE_BED_H
#define WHERRY_TESTS_UNIT_VIRTIO_STATE_BED_H

#include "tests/unit/runner.h"

#include "virtio/state.h"

/* The tree while it is written. */
extern struct state_writer writer;
/* Its root, once finish() has succeeded; good as long as the writer is. */
extern struct state_node root;
/* The last reason. */
extern struct fail why;

/** state_bed_setup() - fixture: an empty tree, no reason */
void state_bed_setup(void);
void state_bed_teardown(void);

/** finish() - end writing. Return: what state_writer_finish() said. */
int finish(void);
/** finish_well() - the same, and it has to succeed */
void finish_well(void);
/** enter_well() - finish_well(), and enter node @name of the root */
void enter_well(struct state_node *node, const char *name);

#endif
