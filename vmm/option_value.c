// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The syntax of what follows an option. Pure: looks at no file.
 *
 * Called by options.c on the main thread.
 */
#include "vmm/option_value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

bool option_digits(const char *text, const char **end, uint64_t *value)
{
	const char *p = text;
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	}
	*end = p;
	*value = n;
	return p != text;
}

bool option_number(const char *text, uint64_t min, uint64_t max,
		   uint64_t *value)
{
	const char *end;

	return option_digits(text, &end, value) && !*end && *value >= min &&
	       *value <= max;
}

bool option_size(const char *text, uint64_t *bytes)
{
	const char *end;
	unsigned int shift = 0;

	if (!option_digits(text, &end, bytes))
		return false;
	switch (*end) {
	case 'k': case 'K':
		shift = 10;
		break;
	case 'm': case 'M':
		shift = 20;
		break;
	case 'g': case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift)
		end++;
	return !*end &&
	       !__builtin_mul_overflow(*bytes, UINT64_C(1) << shift, bytes);
}

int option_seconds(const char *what, const char *text, int *ms,
		   struct fail *why)
{
	unsigned int unit = 100, part = 0;
	const char *end;
	uint64_t s;

	if (!option_digits(text, &end, &s) || s > OPTION_SECONDS_MAX)
		goto bad;
	if (*end == '.') {
		for (end++; unit && isdigit((unsigned char)*end); end++) {
			part += unit * (unsigned int)(*end - '0');
			unit /= 10;
		}
	}
	if (*end)
		goto bad;
	*ms = (int)(s * 1000 + part);
	return 0;
bad:
	return fail(why, -EINVAL, "%s " SHOWN ": seconds from 0 to %u "
		    "expected, with up to three decimals", what, text,
		    OPTION_SECONDS_MAX);
}

int option_check_path(const char *what, const char *path, struct fail *why)
{
	size_t len = strlen(path);

	if (!len)
		return fail(why, -EINVAL, "%s: the path is empty", what);
	if (len >= PATH_MAX)
		return fail(why, -EINVAL, "%s: the path has %zu bytes, at most "
			    "%d expected", what, len, PATH_MAX - 1);
	return 0;
}

int option_check_socket(const char *what, const char *path, size_t name_max,
			struct fail *why)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int rc = option_check_path(what, path, why);

	if (rc < 0)
		return rc;
	if (!*name)
		return fail(why, -EINVAL, "%s " SHOWN ": the path of a socket "
			    "expected, not of a directory", what, path);
	if (strlen(name) > name_max)
		return fail(why, -EINVAL, "%s: the last component of the path "
			    "has %zu bytes, at most %zu expected", what,
			    strlen(name), name_max);
	return 0;
}

static const struct option_list_rule *
find_key(const struct option_list_rule *rules, const char *key, size_t len)
{
	for (; rules->key; rules++) {
		if (strlen(rules->key) == len &&
		    !strncmp(rules->key, key, len))
			return rules;
	}
	return NULL;
}

/* Copy a value up to the comma that ends it; ",," stands for a comma. */
static char *take_value(const char **text)
{
	const char *in = *text;
	char *value = malloc(strlen(in) + 1);
	char *out = value;

	if (!value)
		return NULL;
	for (; *in; in++) {
		if (*in == ',') {
			if (in[1] != ',')
				break;
			in++;
		}
		*out++ = *in;
	}
	*out = '\0';
	*text = in;
	return value;
}

/* One `key=value`; leaves @text at the comma after it, or at the end. */
static int take_pair(const char **text, const struct option_list_rule *rules,
		     unsigned int *seen, void *out, struct fail *why)
{
	const struct option_list_rule *rule;
	size_t len = strcspn(*text, "=,");
	unsigned int bit;
	char *value;
	int rc;

	if (!len)
		return fail(why, -EINVAL, "key=value expected");
	rule = find_key(rules, *text, len);
	if (!rule)
		return fail(why, -EINVAL, "unknown key '%.*s'",
			    (int)(len > 64 ? 64 : len), *text);
	bit = 1u << (rule - rules);
	if (*seen & bit)
		return fail(why, -EINVAL, "%s is given twice", rule->key);
	*seen |= bit;
	if ((*text)[len] != '=')
		return fail(why, -EINVAL, "%s=VALUE expected", rule->key);

	*text += len + 1;
	value = take_value(text);
	if (!value)
		return fail(why, -ENOMEM, "out of memory");
	if (*value)
		rc = rule->set(out, value, why);
	else
		rc = fail(why, -EINVAL, "%s has an empty value", rule->key);
	free(value);
	return rc;
}

int option_list(const char *text, const struct option_list_rule *rules,
		void *out, struct fail *why)
{
	unsigned int seen = 0;
	int rc;

	for (;;) {
		rc = take_pair(&text, rules, &seen, out, why);
		if (rc < 0)
			return rc;
		if (!*text)
			break;
		text++;
	}
	for (unsigned int i = 0; rules[i].key; i++) {
		if (rules[i].required && !(seen & 1u << i))
			return fail(why, -EINVAL, "%s=VALUE is missing",
				    rules[i].key);
	}
	return 0;
}
