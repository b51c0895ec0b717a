/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The syntax of what follows an option: numbers, sizes, paths, lists.
 */
#ifndef WHERRY_VMM_OPTION_VALUE_H
#define WHERRY_VMM_OPTION_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"

/* No value is shown longer than this: the end of a message matters more. */
#define SHOWN "'%.64s'"

/**
 * option_digits() - read decimal digits, without sign or space
 * @end: set to what follows them
 *
 * Return: false when there are none or @value cannot hold them.
 */
bool option_digits(const char *text, const char **end, uint64_t *value);

/** option_number() - Return: whether @text is a number from @min to @max */
bool option_number(const char *text, uint64_t min, uint64_t max,
		   uint64_t *value);

/**
 * option_size() - read a number of bytes, K, M or G (1024, 1024^2, 1024^3)
 * Return: false when @text is not one, or @bytes cannot hold it.
 */
bool option_size(const char *text, uint64_t *bytes);

/* The longest time that option_seconds() takes. */
#define OPTION_SECONDS_MAX 86400u

/**
 * option_seconds() - read seconds, with up to three decimals
 * @what: named in the reason
 * @ms: set to milliseconds
 *
 * Return: 0, or -EINVAL: not from 0 to OPTION_SECONDS_MAX.
 */
int option_seconds(const char *what, const char *text, int *ms,
		   struct fail *why);

/**
 * option_check_path() - could @path name a file
 * @what: named in the reason
 *
 * Return: 0, or -EINVAL: empty or too long.
 */
int option_check_path(const char *what, const char *path, struct fail *why);

/**
 * option_check_socket() - could @path name a socket to listen on
 * @name_max: longest last component, bytes
 *
 * Return: 0, or -EINVAL: as above, or its last component is empty or too long.
 */
int option_check_socket(const char *what, const char *path, size_t name_max,
			struct fail *why);

/**
 * struct option_list_rule - a key of a `key=value,...` list
 * @key: before the equals sign; NULL ends a table
 * @required: an error when missing
 * @set: checks and stores; @value is gone after the call, never empty
 */
struct option_list_rule {
	const char *key;
	bool required;
	int (*set)(void *out, const char *value, struct fail *why);
};

/**
 * option_list() - read `key=value,...`
 * @text: a comma within a value is written twice
 * @rules: the keys, at most 32: each may stand once, in any order
 * @out: handed to their set()
 *
 * Return: 0, -EINVAL or -ENOMEM; the reason names the key.
 */
int option_list(const char *text, const struct option_list_rule *rules,
		void *out, struct fail *why);

#endif
