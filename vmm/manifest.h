/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest of a snapshot: what its files are, how long, and their CRC32C.
 *
 *	wherry-snapshot 1
 *	arch x86_64
 *	memory-size 268435456
 *	file state.dtb 14012 1a2b3c4d
 *	file memory 268435456 0badf00d
 *	crc 89abcdef
 *
 * Printable ASCII, single spaces, decimal numbers without leading zeros, eight
 * lower-case hex digits, each line ended by a newline; in this order; 1 to
 * MANIFEST_FILES_MAX `file` lines. So there is one text for each content. The
 * last line is the CRC32C of all lines before it.
 *
 * A file's CRC32C is that of its whole content, holes read as zeros, as any
 * tool computes it (the Castagnoli polynomial, RFC 3720, appendix B.4).
 */
#ifndef WHERRY_VMM_MANIFEST_H
#define WHERRY_VMM_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"

/* Manifests longer than this, in bytes, are refused unread. */
#define MANIFEST_SIZE_MAX	(64u << 10)
/* The format written, and the only one read. */
#define MANIFEST_VERSION	1u
#define MANIFEST_FILES_MAX	8u
#define MANIFEST_WORD_MAX	31u

/**
 * crc32c() - checksum of some bytes
 * @crc: of the bytes before, 0 for none
 * @data: the bytes
 * @len: how many
 *
 * Return: the CRC32C of the bytes before followed by these. Any thread.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/**
 * crc32c_zeros() - checksum of @len zero bytes after others, in O(log @len)
 */
uint32_t crc32c_zeros(uint32_t crc, uint64_t len);

/**
 * struct manifest_file - one `file` line
 * @name: 1 .. 31 characters of [a-z0-9._-], the first a letter or digit
 * @length: bytes, holes included
 * @crc: CRC32C of the content
 */
struct manifest_file {
	char name[MANIFEST_WORD_MAX + 1];
	uint64_t length;
	uint32_t crc;
};

/**
 * struct manifest - a manifest's content
 * @arch: of the guest, as ARCH_NAME: 1 .. 31 characters of [a-z0-9_]
 * @memory_size: RAM of the guest, bytes
 * @files: how many of @file are in use
 * @file: the files, in the order of their lines, names all different
 */
struct manifest {
	char arch[MANIFEST_WORD_MAX + 1];
	uint64_t memory_size;
	unsigned int files;
	struct manifest_file file[MANIFEST_FILES_MAX];
};

/**
 * manifest_add_file() - append a `file` line
 * @name: valid and not there yet; there is room: both asserted
 */
void manifest_add_file(struct manifest *m, const char *name, uint64_t length,
		       uint32_t crc);

/** manifest_find_file() - the file called @name, or NULL */
const struct manifest_file *manifest_find_file(const struct manifest *m,
					       const char *name);

/**
 * manifest_format() - write the text
 * @text: @size bytes; MANIFEST_SIZE_MAX is always enough
 *
 * Return: its length in bytes, without the NUL behind it; -ENOSPC.
 */
int manifest_format(const struct manifest *m, char *text, size_t size);

/**
 * manifest_parse() - read the text
 * @text: @len bytes from outside, no NUL needed
 *
 * Says nothing of whether the content makes sense. Errors name the line; they
 * repeat no byte of @text that is not printable.
 *
 * Return: 0; -ENOTSUP: a version that is not read here; -EBADMSG: the CRC is
 * wrong; -EINVAL: anything else.
 */
int manifest_parse(const char *text, size_t len, struct manifest *m,
		   struct fail *why);

/**
 * manifest_is_ours() - does @text begin as a manifest of any version does?
 */
bool manifest_is_ours(const char *text, size_t len);

#endif
