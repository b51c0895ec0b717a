// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: saved state from outside.
 *
 * Whatever state_check() accepts must be safe for libfdt and for the reader.
 * So it is walked by both in full; what libfdt says of it is held against the
 * caps that the check promises.
 */
#include "tests/fuzz/target.h"

#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/state.h"

const char fuzz_target[] = "state";

struct thing {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	uint8_t blob[16];
	uint16_t count;
	uint16_t list[8];
};

static const struct state_field thing_fields[] = {
	STATE_VALUE(struct thing, u8, "u8", 1, 200),
	STATE_VALUE(struct thing, u16, "u16", 0, UINT64_MAX),
	STATE_VALUE(struct thing, u32, "u32", 0, 0x80000000),
	STATE_SAME(struct thing, u64, "u64"),
	STATE_BYTES(struct thing, blob, "blob", .until = 2),
	STATE_LIST(struct thing, list, count, "list", 3, 9, .since = 2),
};
static const struct state_table thing_table = STATE_TABLE(thing_fields, 3);

static void require(int ok)
{
	if (!ok)
		abort();
}

/* Reads every byte, so that a sanitizer sees a bad pointer. */
static void touch(const void *data, size_t len)
{
	const volatile uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		(void)bytes[i];
}

static void walk_properties(const void *fdt, int node)
{
	unsigned int count = 0;
	int at;

	fdt_for_each_property_offset(at, fdt, node) {
		const char *name;
		const void *data;
		int len;

		data = fdt_getprop_by_offset(fdt, at, &name, &len);
		require(data && len >= 0 && (unsigned int)len < STATE_SIZE_MAX);
		require(state_name_valid(name, strlen(name), false));
		touch(data, len);
		/* Unique, so a lookup by name finds this very one. */
		require(fdt_getprop(fdt, node, name, NULL) == data);
		count++;
	}
	require(at == -FDT_ERR_NOTFOUND && count <= STATE_PROPERTIES_MAX);
}

static void walk_libfdt(const void *fdt)
{
	unsigned int nodes = 0;
	int depth = 0;
	int at = 0;

	require(fdt_check_header(fdt) == 0);
	require(fdt_num_mem_rsv(fdt) == 0);
	while (at >= 0 && depth >= 0) {
		const char *name = fdt_get_name(fdt, at, NULL);

		require(name && (!nodes || state_name_valid(name, strlen(name),
							    true)));
		require(depth < (int)STATE_DEPTH_MAX);
		walk_properties(fdt, at);
		nodes++;
		at = fdt_next_node(fdt, at, &depth);
	}
	require(nodes <= STATE_NODES_TOTAL);
}

/* What was taken is what the table allows, whatever the node's version. */
static void read_thing(struct state_node *node, struct thing *thing)
{
	struct fail why = { "" };

	if (state_get(node, &thing_table, thing, &why)) {
		require(why.text[0] != '\0');
		return;
	}
	require(node->version >= 1 && node->version <= thing_table.version);
	require(thing->u8 >= 1 && thing->u8 <= 200);
	require(thing->count <= sizeof(thing->list) / sizeof(thing->list[0]));
	require(node->version >= 2 || !thing->count);
	for (unsigned int i = 0; i < thing->count; i++)
		require(thing->list[i] >= 3 && thing->list[i] <= 9);
}

static void read_properties(struct state_node *node)
{
	struct fail why;
	int at;

	fdt_for_each_property_offset(at, node->fdt, node->offset) {
		const char *name, *text;
		const void *data;
		uint32_t u32;
		uint64_t u64;
		size_t len;

		fdt_getprop_by_offset(node->fdt, at, &name, NULL);
		require(state_has(node, name));
		require(!state_get_blob(node, name, &data, &len, &why));
		touch(data, len);
		require(!state_get_u32(node, name, &u32, &why) == (len == 4));
		require(!state_get_u64(node, name, &u64, &why) == (len == 8));
		if (!state_get_string(node, name, &text, &why))
			require(strlen(text) + 1 == len);
	}
}

/* Depth first, without recursion: a stack of open nodes and next children. */
static void walk_reader(const void *fdt)
{
	struct state_node node[STATE_DEPTH_MAX];
	int next[STATE_DEPTH_MAX];
	struct thing thing = { 0 };
	struct fail why;
	int depth = 0;

	state_root(&node[0], fdt);
	next[0] = fdt_first_subnode(fdt, 0);
	for (;;) {
		struct state_node *here = &node[depth];
		int at = next[depth];
		const char *name;

		if (at < 0) {
			read_thing(here, &thing);
			read_properties(here);
			require(!state_leave(here, &why));
			if (!depth--)
				return;
			continue;
		}
		next[depth] = fdt_next_subnode(fdt, at);
		name = fdt_get_name(fdt, at, NULL);
		require(state_leave(here, NULL) != 0);
		require(state_has_node(here, "%s", name));
		require(depth + 1 < (int)STATE_DEPTH_MAX);
		depth++;
		require(!state_enter(here, &node[depth], &why, "%s", name));
		require(node[depth].offset == at);
		next[depth] = fdt_first_subnode(fdt, at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fail why = { "" };
	/* Exactly as long as the input: one byte too far is seen. */
	void *copy = malloc(len ? len : 1);

	if (!copy)
		return 0;
	memcpy(copy, data, len);
	if (state_check(copy, len, &why)) {
		require(why.text[0] != '\0');
	} else {
		walk_libfdt(copy);
		walk_reader(copy);
	}
	free(copy);
	return 0;
}
