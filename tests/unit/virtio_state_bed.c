// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bed of the tests of saved state. See virtio_state_bed.h.
 */
#include "tests/unit/virtio_state_bed.h"

#include <string.h>

struct state_writer writer;
struct state_node root;
struct fail why;

void state_bed_setup(void)
{
	ck_assert_int_eq(state_writer_init(&writer), 0);
	memset(&why, 0, sizeof(why));
}

void state_bed_teardown(void)
{
	state_writer_free(&writer);
}

int finish(void)
{
	const void *data;
	size_t len;
	int ret;

	ret = state_writer_finish(&writer, &data, &len, &why);
	if (!ret)
		state_root(&root, data);
	return ret;
}

void finish_well(void)
{
	int ret = finish();

	ck_assert_msg(!ret, "%s", why.text);
}

void enter_well(struct state_node *node, const char *name)
{
	finish_well();
	ck_assert_msg(!state_enter(&root, node, &why, "%s", name), "%s",
		      why.text);
}
