// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The corpora of the fuzz targets as cases for a unit test. See corpus.h.
 */
#include "tests/unit/corpus.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/runner.h"

/* Return: bytes. */
static size_t read_file(const char *path, void *data, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t len;

	ck_assert_msg(file, "%s cannot be opened", path);
	len = fread(data, 1, size, file);
	ck_assert_msg(len < size, "%s is too long", path);
	fclose(file);
	return len;
}

void corpus_judge(const char *target,
		  int (*parse)(const void *data, size_t len, struct fail *why))
{
	const char *source = getenv("WHERRY_SRC");
	static uint64_t data[16 << 10];
	struct dirent **entry;
	char folder[4096];
	int n;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
		 source ? source : ".", target);
	n = scandir(folder, &entry, NULL, alphasort);
	ck_assert_int_gt(n, 10);
	for (int i = 0; i < n; free(entry[i++])) {
		const char *name = entry[i]->d_name;
		bool valid = !strncmp(name, "valid", 5);
		struct fail why = { "" };
		char path[8192];
		size_t len;

		if (name[0] == '.' || !strncmp(name, "found-", 6))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		len = read_file(path, data, sizeof(data));
		ck_assert_msg(!parse(data, len, &why) == valid, "%s: %s", name,
			      valid ? why.text : "accepted");
	}
	free(entry);
}
