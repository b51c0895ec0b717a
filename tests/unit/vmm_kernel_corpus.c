// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The corpus of the fuzz target "kernel", booted without a KVM: what is valid
 * is taken, what is not is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/kernel_setting.h"
#include "tests/unit/corpus.h"
#include "tests/unit/runner.h"
#include "tests/unit/vmm_kernel_bed.h"

static struct kernel_bed bed;

static int boot(const struct kernel_setting *setting, const char *initrd)
{
	static char append[1 << 16];

	memset(append, 'a', setting->append_size);
	append[setting->append_size] = '\0';
	kernel_give_memory(&bed, setting->ram);
	return strcmp(kernel_boot(&bed, initrd, append), LOADED) ? -EINVAL : 0;
}

static int boot_input(const void *data, size_t len, struct fail *why)
{
	struct kernel_setting setting;
	const uint8_t *file = data;
	char initrd[80];
	int rc;

	if (!kernel_setting_take(&setting, &file, &len))
		return fail(why, -EINVAL, "no setting");
	kernel_bed_setup(&bed);
	snprintf(initrd, sizeof(initrd), "%s.initrd", bed.path);
	if (setting.initrd_size) {
		kernel_write_file(&bed, "", 0, setting.initrd_size);
		ck_assert(!rename(bed.path, initrd));
	}
	kernel_write_file(&bed, file, len, len + setting.zeros);
	rc = boot(&setting, setting.initrd_size ? initrd : NULL);
	*why = bed.why;
	unlink(initrd);
	kernel_bed_teardown(&bed);
	return rc;
}

START_TEST(corpus_is_judged_by_its_names)
{
	corpus_judge("kernel", boot_input);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(corpus_is_judged_by_its_names),
	};

	return UNIT_RUN("vmm_kernel_corpus", cases, NULL, NULL);
}
