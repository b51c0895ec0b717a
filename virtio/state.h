/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state: tables that run both ways over a flattened device tree.
 *
 * A component describes its state once, in a table of fields; the same table
 * writes and reads it. The reader is strict: a property or node that is
 * missing, unknown, of the wrong length or out of range is refused by name.
 * Bytes from outside go through state_check() before libfdt sees them.
 *
 * Each node says in its property "version" by which version of its component's
 * table it was written; one without is of version 1. A reader takes what is
 * not newer than its own table: a field that came later has its default there,
 * and must not be there itself; a newer node is refused by name. So whoever
 * adds or drops a field adds one to the version of its table, and old
 * snapshots go on loading.
 */
#ifndef WHERRY_VIRTIO_STATE_H
#define WHERRY_VIRTIO_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"

/* Caps on hostile input; libfdt's own checks are quadratic without them. */
#define STATE_SIZE_MAX		(4u << 20)
#define STATE_STRINGS_MAX	(8u << 10)
/* Nodes on the way from the root, which counts, to the deepest. */
#define STATE_DEPTH_MAX		6u
#define STATE_NAME_MAX		31u
/* Of one node. */
#define STATE_PROPERTIES_MAX	256u
#define STATE_CHILDREN_MAX	128u
/* Of the whole tree; they bound the search for duplicate names. */
#define STATE_PROPERTIES_TOTAL	16384u
#define STATE_NODES_TOTAL	1024u

/* Of a node: what its component's table was when it was written. */
#define STATE_VERSION_NAME	"version"

/**
 * enum state_kind - how a field is stored
 * @STATE_UINT: unsigned integer of 1, 2, 4 or 8 bytes (or bool, 1 byte);
 *              a u32 property, or a u64 one when 8 bytes wide
 *              (a wider range than the member can hold is cut to it)
 * @STATE_UINTS: so many of these as another member says, one after another
 * @STATE_BLOB: bytes as they are, exactly @size of them; no range
 */
enum state_kind { STATE_UINT, STATE_UINTS, STATE_BLOB };

/**
 * enum state_rule - what loading does with a value
 * @STATE_SET: the value is stored, after the range check
 * @STATE_MATCH: the value must equal what the object already holds
 */
enum state_rule { STATE_SET, STATE_MATCH };

/**
 * struct state_field - one named value of an object
 * @name: property name, see state_name_valid()
 * @offset: of the member
 * @size: of the member, or of one of its elements (STATE_UINTS), bytes
 * @kind: how it is stored
 * @rule: set or must match; always STATE_SET for STATE_UINTS
 * @min: smallest value accepted (STATE_SET; of each element)
 * @max: largest value accepted (STATE_SET; of each element)
 * @capacity: elements that there is room for (STATE_UINTS)
 * @count_offset: of the member that says how many there are (STATE_UINTS)
 * @count_size: of that member, bytes
 * @since: first version of the table with it; 0: it always was there
 * @until: last version of the table with it; 0: it still is there. One that
 *     has gone is not written any more, but read from the nodes that have it
 * @fallback: its value where a node is of a version without it (STATE_UINT);
 *     zeros for a STATE_BLOB (STATE_SET only), no elements for STATE_UINTS
 */
struct state_field {
	const char *name;
	size_t offset;
	size_t size;
	enum state_kind kind;
	enum state_rule rule;
	uint64_t min;
	uint64_t max;
	size_t capacity;
	size_t count_offset;
	size_t count_size;
	uint32_t since;
	uint32_t until;
	uint64_t fallback;
};

/**
 * struct state_table - all saved fields of one kind of object, a node's own
 * @fields: the fields, in the order they are written
 * @count: how many
 * @version: from 1; one more whenever a field comes or goes, or means
 *     something else
 * @oldest: the oldest version that is still read; 0: all
 */
struct state_table {
	const struct state_field *fields;
	unsigned int count;
	uint32_t version;
	uint32_t oldest;
};

/*
 * The fields of a table. Behind the arguments shown there may be more of
 * struct state_field: STATE_SINCE(2, 0), or ".until = 4".
 */
#define STATE_FIELD_(type, member, nm, k, r, lo, hi, ...) \
	{ .name = (nm), .offset = offsetof(type, member), \
	  .size = sizeof(((type *)0)->member), .kind = (k), .rule = (r), \
	  .min = (lo), .max = (hi), ## __VA_ARGS__ }
/* A value that loading sets, within [lo, hi]. */
#define STATE_VALUE(type, member, nm, lo, hi, ...) \
	STATE_FIELD_(type, member, nm, STATE_UINT, STATE_SET, lo, hi, \
		     ## __VA_ARGS__)
/* A value that must be the same on both sides. */
#define STATE_SAME(type, member, nm, ...) \
	STATE_FIELD_(type, member, nm, STATE_UINT, STATE_MATCH, 0, UINT64_MAX, \
		     ## __VA_ARGS__)
/* The first @counter of the array @member, each within [lo, hi]. */
#define STATE_LIST(type, member, counter, nm, lo, hi, ...) \
	{ .name = (nm), .offset = offsetof(type, member), \
	  .size = sizeof(((type *)0)->member[0]), .kind = STATE_UINTS, \
	  .rule = STATE_SET, .min = (lo), .max = (hi), \
	  .capacity = sizeof(((type *)0)->member) / \
		      sizeof(((type *)0)->member[0]), \
	  .count_offset = offsetof(type, counter), \
	  .count_size = sizeof(((type *)0)->counter), ## __VA_ARGS__ }
/* Bytes, native layout. */
#define STATE_BYTES(type, member, nm, ...) \
	STATE_FIELD_(type, member, nm, STATE_BLOB, STATE_SET, 0, 0, \
		     ## __VA_ARGS__)
/* Bytes that must be the same on both sides. */
#define STATE_SAME_BYTES(type, member, nm) \
	STATE_FIELD_(type, member, nm, STATE_BLOB, STATE_MATCH, 0, 0)
/* Came with @version; nodes written before mean @value by its absence. */
#define STATE_SINCE(version, value) .since = (version), .fallback = (value)
#define STATE_TABLE(array, v, ...) \
	{ .fields = (array), .count = sizeof(array) / sizeof((array)[0]), \
	  .version = (v), ## __VA_ARGS__ }

/**
 * state_name_valid() - may a property or node be called so?
 * @name: @len bytes, not necessarily NUL-terminated
 * @node: a node's name: one '@' inside is allowed
 *
 * 1 .. 31 characters of [0-9a-zA-Z,._+*#?-]: what dtc takes without a word
 * (devicetree specification 0.4, 2.2.1 and 2.2.4).
 */
bool state_name_valid(const char *name, size_t len, bool node);

/**
 * state_field_value() - a STATE_UINT member of @object, as a number
 * @i: which element of it (STATE_UINTS), or 0
 */
uint64_t state_field_value(const struct state_field *field,
			   const void *object, size_t i);
/** state_field_count() - how many elements of a STATE_UINTS are in use */
uint64_t state_field_count(const struct state_field *field,
			   const void *object);
/** state_cell_size() - of a value of it in the file, bytes: 4 or 8 */
size_t state_cell_size(const struct state_field *field);
/** state_field_there() - does a node of @version have it? */
bool state_field_there(const struct state_field *field, uint32_t version);
/** state_field_max() - the largest number that a STATE_UINT member can hold */
uint64_t state_field_max(const struct state_field *field);

/**
 * struct state_writer - a tree being written, front to back
 * @fdt: the growing buffer, malloc()ed
 * @size: its size, bytes
 * @depth: how many nodes are open
 * @err: the first error; every later call does nothing
 * @why: its reason
 */
struct state_writer {
	void *fdt;
	int size;
	unsigned int depth;
	int err;
	struct fail why;
};

/**
 * state_writer_init() - start a tree; the root node is open afterwards
 * Return: 0 or -ENOMEM, which state_writer_finish() will tell too.
 */
int state_writer_init(struct state_writer *w);
void state_writer_free(struct state_writer *w);

/**
 * state_begin() - open a node below the open one
 * @fmt: its name, such as "virtio-mmio@%x"; see state_name_valid()
 *
 * A node's properties come before its subnodes.
 */
void state_begin(struct state_writer *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void state_end(struct state_writer *w);

/**
 * state_put_version() - say by which version of its component a node is written
 * @version: from 1
 *
 * For nodes without a table, first of all properties; state_put() does it for
 * those with one.
 */
void state_put_version(struct state_writer *w, uint32_t version);

/**
 * state_put() - write version and fields of a node's table
 *
 * A value that loading would refuse as out of range is refused here already,
 * with -ERANGE: the guest still runs, and its state is not lost.
 */
void state_put(struct state_writer *w, const struct state_table *table,
	       const void *object);
void state_put_u32(struct state_writer *w, const char *name, uint32_t value);
void state_put_u64(struct state_writer *w, const char *name, uint64_t value);
void state_put_blob(struct state_writer *w, const char *name, const void *data,
		    size_t len);
void state_put_string(struct state_writer *w, const char *name,
		      const char *text);

/**
 * state_writer_finish() - close the root, make the tree whole
 * @data: the tree, owned by @w until state_writer_free()
 * @len: its length, bytes
 *
 * The tree passes state_check(), or it is refused here: what was saved can be
 * loaded.
 *
 * Return: 0, or the first error of all the calls before, with the reason.
 */
int state_writer_finish(struct state_writer *w, const void **data, size_t *len,
			struct fail *why);

/**
 * state_check() - is this a tree that libfdt can be trusted with?
 * @data: private memory (never a mapping that others can write), 8-aligned
 * @len: bytes, the whole file
 *
 * Refuses whatever a state_writer could not have written: see state_check.c
 * for the rules and for what libfdt does without them. Takes a time that is
 * linear in @len. The reason holds no bytes of @data but valid names.
 *
 * Return: 0 or -EINVAL with the reason.
 */
int state_check(const void *data, size_t len, struct fail *why);

/**
 * struct state_node - a node being read; the caller's, not to be copied
 * @fdt: the checked tree
 * @offset: the node's, in libfdt's sense
 * @parent: the node it was entered from, NULL for the root
 * @index: which subnode of @parent it is
 * @name: its full name, unit address included; "" for the root
 * @version: of the component that wrote it, once state_get_version() or
 *     state_get() read it; 0 before
 * @properties: a bit for each property that was read, in tree order
 * @children: a bit for each subnode that was read and left
 */
struct state_node {
	const void *fdt;
	int offset;
	struct state_node *parent;
	unsigned int index;
	const char *name;
	uint32_t version;
	uint64_t properties[STATE_PROPERTIES_MAX / 64];
	uint64_t children[STATE_CHILDREN_MAX / 64];
};

/**
 * state_root() - start reading a tree that passed state_check()
 */
void state_root(struct state_node *root, const void *fdt);

/**
 * state_enter() - open a subnode by its full name, unit address included
 * @parent: must outlive @node
 *
 * Return: 0, or -ENOENT naming it.
 */
int state_enter(struct state_node *parent, struct state_node *node,
		struct fail *why, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * state_enter_since() - open a subnode that not all versions of its parent have
 * @parent: its version is known
 * @since: first version of @parent with the subnode; 0: all have it
 *
 * Return: as state_enter(); 1: @parent is older, and nothing is entered: what
 * the subnode describes keeps the state that it was made with. (A subnode that
 * is there all the same is one that nobody enters: state_leave() refuses it.)
 */
int state_enter_since(struct state_node *parent, struct state_node *node,
		      uint32_t since, struct fail *why, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/**
 * state_leave() - done with a node (the root too)
 *
 * Return: 0, or -EINVAL naming a property that nobody read, or a subnode that
 * nobody entered and left.
 */
int state_leave(struct state_node *node, struct fail *why);

/** state_has() - is there a property @name? Does not count as reading it. */
bool state_has(const struct state_node *node, const char *name);
/** state_has_node() - is there a subnode of this full name? */
bool state_has_node(const struct state_node *node, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * state_subnode_name() - which subnodes are there?
 * @index: 0 for the first in the tree
 *
 * Return: the full name, in the tree; NULL: there are not so many.
 */
const char *state_subnode_name(const struct state_node *node,
			       unsigned int index);

/**
 * state_get_version() - read a node's version, into node->version
 * @oldest: the oldest that the caller reads; 0: all
 * @newest: the caller's own
 *
 * For nodes without a table; state_get() does it for those with one.
 *
 * Return: 0; -ENOTSUP: written by a newer wherry, or by one too old; -EINVAL:
 * no number from 1. The reason names the node.
 */
int state_get_version(struct state_node *node, uint32_t oldest,
		      uint32_t newest, struct fail *why);

/**
 * state_get() - read version and fields of a node's table
 *
 * A field that the node's version does not have gets its default, which is
 * held against its rule and range as if it had been read.
 *
 * Errors name node path, property, the value found and what was expected.
 *
 * Return: 0; -ENOENT: the property is missing; -ERANGE: a number is out of
 * range; -EINVAL: wrong length, or not the value that it must be; -ENOTSUP: a
 * version that is not read here. @object may then be half set: throw it away.
 */
int state_get(struct state_node *node, const struct state_table *table,
	      void *object, struct fail *why);
int state_get_u32(struct state_node *node, const char *name, uint32_t *value,
		  struct fail *why);
int state_get_u64(struct state_node *node, const char *name, uint64_t *value,
		  struct fail *why);
/** state_get_string() - Return: 0 with a NUL-terminated string in the tree. */
int state_get_string(struct state_node *node, const char *name,
		     const char **text, struct fail *why);
/**
 * state_get_blob() - bytes of any length
 * @data: into the tree, 4-byte aligned only: copy, never cast
 * @len: bytes; may be 0
 */
int state_get_blob(struct state_node *node, const char *name,
		   const void **data, size_t *len, struct fail *why);
/** state_get_exact() - a blob of exactly @len bytes, copied to @buf */
int state_get_exact(struct state_node *node, const char *name, void *buf,
		    size_t len, struct fail *why);

#endif
