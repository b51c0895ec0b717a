// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Saved state, the strict check: may libfdt see these bytes?
 *
 * Called before anything else looks at a tree from outside, and by the writer
 * on what it wrote itself; any thread, no locks, no libfdt calls, no
 * allocation, no recursion.
 *
 * Why not fdt_check_full(): libfdt 1.6.1 (Debian 12) dereferences NULL in it
 * when the header says version 2, accepts a property of length -4 and hands
 * that length out, and is quadratic; no release refuses duplicate names, of
 * which lookups silently take the first. The crashing inputs are kept in
 * tests/fuzz/corpus/state/. With the rules here the version of libfdt on the
 * target does not matter.
 *
 * The rules. Header: the file's length, version 17, compatible with 16, one
 * empty memory reservation, then structure, then strings, without gaps and
 * 4-byte aligned; strings end with NUL. Structure: tags are BEGIN_NODE, PROP,
 * END_NODE, END; one unnamed root; END at the very end; everything inside
 * what remains; padding is zero; state_name_valid() names, each once among
 * its siblings; properties before subnodes; the caps of state.h.
 */
#include "virtio/state.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* Devicetree specification 0.4, chapter 5. */
#define FDT_MAGIC		0xd00dfeedu
#define FDT_VERSION		17u
#define FDT_COMPATIBLE		16u
#define FDT_HEADER_SIZE		40u
#define FDT_RESERVE_SIZE	16u
#define FDT_PROP_SIZE		8u

enum tag { TAG_BEGIN_NODE = 1, TAG_END_NODE = 2, TAG_PROP = 3, TAG_END = 9 };

struct fdt_words {
	uint32_t magic;
	uint32_t totalsize;
	uint32_t off_struct;
	uint32_t off_strings;
	uint32_t off_reserve;
	uint32_t version;
	uint32_t compatible;
	uint32_t boot_cpu;
	uint32_t size_strings;
	uint32_t size_struct;
};
_Static_assert(sizeof(struct fdt_words) == FDT_HEADER_SIZE, "spec 5.2");

/**
 * struct walk - where the walk over the structure block is
 * @data: the structure block
 * @size: its length, bytes
 * @at: next byte to look at
 * @strings: the strings block
 * @strings_size: its length, bytes
 * @depth: open nodes
 * @nodes: seen in the whole tree
 * @total: properties seen in the whole tree
 * @properties: of the open node
 * @property: their names
 * @children: of the open node at each depth; [0] counts roots
 * @child: their names
 */
struct walk {
	const uint8_t *data;
	uint32_t size;
	uint32_t at;
	const char *strings;
	uint32_t strings_size;
	unsigned int depth;
	unsigned int nodes;
	unsigned int total;
	unsigned int properties;
	const char *property[STATE_PROPERTIES_MAX];
	unsigned int children[STATE_DEPTH_MAX + 1];
	const char *child[STATE_DEPTH_MAX + 1][STATE_CHILDREN_MAX];
};

static uint32_t load_be32(const uint8_t *p)
{
	uint32_t be;

	memcpy(&be, p, sizeof(be));
	return be32toh(be);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static int check_header(const uint8_t *data, size_t len, struct fdt_words *h,
			struct fail *why)
{
	uint32_t words[FDT_HEADER_SIZE / 4];

	if (len < FDT_HEADER_SIZE)
		return fail(why, -EINVAL, "%zu bytes: at least %u expected",
			    len, FDT_HEADER_SIZE);
	for (unsigned int i = 0; i < FDT_HEADER_SIZE / 4; i++)
		words[i] = load_be32(data + 4 * i);
	memcpy(h, words, sizeof(*h));
	if (h->magic != FDT_MAGIC)
		return fail(why, -EINVAL, "magic %#x: %#x expected",
			    h->magic, FDT_MAGIC);
	if (h->totalsize != len)
		return fail(why, -EINVAL,
			    "total size %u: %zu, the file's, expected",
			    h->totalsize, len);
	if (h->version != FDT_VERSION || h->compatible != FDT_COMPATIBLE)
		return fail(why, -EINVAL,
			    "version %u, last compatible %u: "
			    "%u and %u expected", h->version, h->compatible,
			    FDT_VERSION, FDT_COMPATIBLE);
	if (h->boot_cpu)
		return fail(why, -EINVAL, "boot CPU %u: 0 expected",
			    h->boot_cpu);
	return 0;
}

/* Header, reservations, structure, strings: adjacent, and nothing else. */
static int check_layout(const uint8_t *data, const struct fdt_words *h,
			struct fail *why)
{
	/* libfdt 1.6.1 aligns the reservations to 8 bytes, others to 16. */
	if ((h->off_reserve != FDT_HEADER_SIZE &&
	     h->off_reserve != FDT_HEADER_SIZE + 8) ||
	    h->off_struct != h->off_reserve + FDT_RESERVE_SIZE ||
	    h->off_struct > h->totalsize)
		return fail(why, -EINVAL, "reservations at %u, structure at %u",
			    h->off_reserve, h->off_struct);
	if (!all_zero(data + FDT_HEADER_SIZE,
		      h->off_struct - FDT_HEADER_SIZE))
		return fail(why, -EINVAL, "memory reservations: none expected");
	if (h->size_struct > h->totalsize - h->off_struct ||
	    h->size_struct % 4 ||
	    h->off_strings != h->off_struct + h->size_struct ||
	    h->size_strings != h->totalsize - h->off_strings)
		return fail(why, -EINVAL,
			    "structure of %u bytes, strings %u at %u: no fit",
			    h->size_struct, h->size_strings, h->off_strings);
	if (h->size_strings > STATE_STRINGS_MAX)
		return fail(why, -EINVAL, "strings of %u bytes: at most %u",
			    h->size_strings, STATE_STRINGS_MAX);
	if (h->size_strings && data[h->totalsize - 1])
		return fail(why, -EINVAL, "strings do not end with NUL");
	return 0;
}

/* Step over @len bytes and their padding to 4. */
static int walk_skip(struct walk *w, uint32_t len, struct fail *why)
{
	uint32_t padding = -len % 4;

	/* What remains is a multiple of 4, so padding fits where @len does. */
	if (len > w->size - w->at)
		return fail(why, -EINVAL, "at %#x: %u bytes, %u remain",
			    w->at, len, w->size - w->at);
	if (!all_zero(w->data + w->at + len, padding))
		return fail(why, -EINVAL, "at %#x: padding is not zero",
			    w->at + len);
	w->at += len + padding;
	return 0;
}

static bool name_known(const char *const *names, unsigned int count,
		       const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* Is this node one more than allowed, there, or in all? */
static int check_room(const struct walk *w, struct fail *why)
{
	if (!w->depth && w->nodes)
		return fail(why, -EINVAL, "at %#x: a second root", w->at);
	if (w->depth >= STATE_DEPTH_MAX)
		return fail(why, -EINVAL, "at %#x: nodes nest deeper than %u",
			    w->at, STATE_DEPTH_MAX);
	if (w->nodes >= STATE_NODES_TOTAL)
		return fail(why, -EINVAL, "at %#x: more than %u nodes",
			    w->at, STATE_NODES_TOTAL);
	if (w->children[w->depth] >= STATE_CHILDREN_MAX)
		return fail(why, -EINVAL, "at %#x: more than %u subnodes",
			    w->at, STATE_CHILDREN_MAX);
	return 0;
}

static int walk_begin_node(struct walk *w, struct fail *why)
{
	const char *name = (const char *)w->data + w->at;
	size_t len = strnlen(name, w->size - w->at);
	unsigned int *children = &w->children[w->depth];
	int ret = check_room(w, why);

	if (ret)
		return ret;
	if (len == w->size - w->at)
		return fail(why, -EINVAL, "at %#x: name does not end", w->at);
	if (w->depth ? !state_name_valid(name, len, true) : len != 0)
		return fail(why, -EINVAL, "at %#x: no name for a %s", w->at,
			    w->depth ? "node" : "root");
	if (name_known(w->child[w->depth], *children, name))
		return fail(why, -EINVAL, "at %#x: a second node %s", w->at,
			    name);
	w->child[w->depth][(*children)++] = name;
	w->nodes++;
	w->depth++;
	w->children[w->depth] = 0;
	w->properties = 0;
	return walk_skip(w, (uint32_t)len + 1, why);
}

static int walk_end_node(struct walk *w, struct fail *why)
{
	if (!w->depth)
		return fail(why, -EINVAL, "at %#x: end of no node", w->at);
	w->depth--;
	return 0;
}

/* The name of a property, or NULL. */
static const char *property_name(const struct walk *w, uint32_t offset)
{
	const char *name;

	if (offset >= w->strings_size)
		return NULL;
	/* The last string ends with NUL, so all do. */
	name = w->strings + offset;
	if (!state_name_valid(name, strnlen(name, STATE_NAME_MAX + 1), false))
		return NULL;
	return name;
}

static int walk_property(struct walk *w, struct fail *why)
{
	uint32_t at = w->at;
	const char *name;
	uint32_t len;

	if (!w->depth || w->children[w->depth])
		return fail(why, -EINVAL, "at %#x: a property behind %s", at,
			    w->depth ? "a subnode" : "the root");
	if (w->size - at < FDT_PROP_SIZE)
		return fail(why, -EINVAL, "at %#x: cut off in a property", at);
	len = load_be32(w->data + at);
	name = property_name(w, load_be32(w->data + at + 4));
	if (!name)
		return fail(why, -EINVAL, "at %#x: no name for a property", at);
	if (w->properties >= STATE_PROPERTIES_MAX ||
	    w->total >= STATE_PROPERTIES_TOTAL)
		return fail(why, -EINVAL,
			    "at %#x: more than %u properties, or %u in all",
			    at, STATE_PROPERTIES_MAX, STATE_PROPERTIES_TOTAL);
	if (name_known(w->property, w->properties, name))
		return fail(why, -EINVAL, "at %#x: a second property %s", at,
			    name);
	w->property[w->properties++] = name;
	w->total++;
	w->at += FDT_PROP_SIZE;
	return walk_skip(w, len, why);
}

static int walk_end(const struct walk *w, struct fail *why)
{
	if (w->depth || !w->nodes)
		return fail(why, -EINVAL, "at %#x: end inside of a node",
			    w->at);
	if (w->at != w->size)
		return fail(why, -EINVAL, "at %#x: %u bytes behind the end",
			    w->at, w->size - w->at);
	return 0;
}

static int walk_all(struct walk *w, struct fail *why)
{
	for (;;) {
		uint32_t tag;
		int ret;

		if (w->at == w->size)
			return fail(why, -EINVAL, "at %#x: no end", w->at);
		tag = load_be32(w->data + w->at);
		w->at += 4;
		if (tag == TAG_BEGIN_NODE)
			ret = walk_begin_node(w, why);
		else if (tag == TAG_END_NODE)
			ret = walk_end_node(w, why);
		else if (tag == TAG_PROP)
			ret = walk_property(w, why);
		else if (tag == TAG_END)
			return walk_end(w, why);
		else
			ret = fail(why, -EINVAL, "at %#x: tag %#x", w->at - 4,
				   tag);
		if (ret)
			return ret;
	}
}

int state_check(const void *data, size_t len, struct fail *why)
{
	struct fdt_words header = { 0 };
	struct walk w;
	int ret;

	assert((uintptr_t)data % 8 == 0);
	if (len > STATE_SIZE_MAX)
		return fail(why, -EINVAL, "%zu bytes: at most %u", len,
			    STATE_SIZE_MAX);
	ret = check_header(data, len, &header, why);
	if (!ret)
		ret = check_layout(data, &header, why);
	if (ret)
		return fail_within(why, ret, "state tree header");

	memset(&w, 0, sizeof(w));
	w.data = (const uint8_t *)data + header.off_struct;
	w.size = header.size_struct;
	w.strings = (const char *)data + header.off_strings;
	w.strings_size = header.size_strings;
	ret = walk_all(&w, why);
	if (ret)
		return fail_within(why, ret, "state tree structure");
	return 0;
}
