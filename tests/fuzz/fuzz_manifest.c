// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz target: a snapshot's manifest from outside.
 *
 * There is one text for each content, so whatever is accepted must come out
 * of manifest_format() byte by byte as it went in. As no fuzzer guesses a
 * CRC, each input is also tried with a right one put behind it.
 */
#include "tests/fuzz/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/manifest.h"

const char fuzz_target[] = "manifest";

static void require(int ok)
{
	if (!ok)
		abort();
}

static void try_text(const char *text, size_t len)
{
	char *again = malloc(MANIFEST_SIZE_MAX);
	struct fail why = { "" };
	struct manifest m;
	int ret;

	if (!again)
		return;
	if (manifest_parse(text, len, &m, &why)) {
		require(why.text[0] != '\0' && !m.files);
		for (const char *p = why.text; *p; p++)
			require(*p >= ' ' && *p <= '~');
	} else {
		require(m.files && m.files <= MANIFEST_FILES_MAX);
		require(manifest_is_ours(text, len));
		ret = manifest_format(&m, again, MANIFEST_SIZE_MAX);
		require(ret >= 0 && (size_t)ret == len);
		require(!memcmp(again, text, len));
	}
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t room = len + sizeof("crc 01234567\n");
	/* Exactly as long as the input: one byte too far is seen. */
	char *exact = malloc(len ? len : 1);
	char *with_crc = malloc(room);

	if (exact && with_crc) {
		memcpy(exact, data, len);
		try_text(exact, len);
		memcpy(with_crc, data, len);
		snprintf(with_crc + len, room - len, "crc %08" PRIx32 "\n",
			 crc32c(0, data, len));
		try_text(with_crc, room - 1);
	}
	free(exact);
	free(with_crc);
	return 0;
}
