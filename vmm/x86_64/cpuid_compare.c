// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which CPU may take a guest over: a comparison of what the guest was shown
 * with what this host would show it.
 *
 * Pure: tables in, an answer out. Called by cpu_state.c, any thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/x86_64/x86.h"

#define BIT(n) (UINT32_C(1) << (n))

/* Of a list of features in a message; FAIL_TEXT_MAX less what surrounds it. */
#define LIST_MAX 320

static const char *const reg_name[] = { "EAX", "EBX", "ECX", "EDX" };
_Static_assert(sizeof(reg_name) / sizeof(reg_name[0]) == X86_EDX + 1,
	       "a name for each register");

/**
 * struct feature_word - a register whose bits are features
 * @function: leaf
 * @index: subleaf
 * @reg: register
 * @bits: which
 */
struct feature_word {
	uint32_t function;
	uint32_t index;
	enum x86_reg reg;
	uint32_t bits;
};

/*
 * Bits that mean a feature, and so must not vanish under a running guest.
 * Left out: those that KVM computes from the vCPU's state (APIC, OSXSAVE,
 * OSPKE), whatever the table says, and those that describe the topology (HTT,
 * CMP_LEGACY).
 */
static const struct feature_word features[] = {
	{ 0x1, 0, X86_ECX, ~BIT(27) },
	{ 0x1, 0, X86_EDX, ~(BIT(9) | BIT(28)) },
	{ 0x6, 0, X86_EAX, UINT32_MAX },
	{ 0x7, 0, X86_EBX, UINT32_MAX },
	{ 0x7, 0, X86_ECX, ~BIT(4) },
	{ 0x7, 0, X86_EDX, UINT32_MAX },
	{ 0x7, 1, X86_EAX, UINT32_MAX },
	{ 0x7, 1, X86_EBX, UINT32_MAX },
	{ 0x7, 1, X86_ECX, UINT32_MAX },
	{ 0x7, 1, X86_EDX, UINT32_MAX },
	{ 0x7, 2, X86_EDX, UINT32_MAX },
	{ 0xd, 0, X86_EAX, UINT32_MAX },
	{ 0xd, 0, X86_EDX, UINT32_MAX },
	{ 0xd, 1, X86_EAX, UINT32_MAX },
	{ 0xd, 1, X86_ECX, UINT32_MAX },
	{ 0xd, 1, X86_EDX, UINT32_MAX },
	{ 0x14, 0, X86_EBX, UINT32_MAX },
	{ 0x14, 0, X86_ECX, UINT32_MAX },
	{ 0x40000001, 0, X86_EAX, UINT32_MAX },
	{ 0x80000001, 0, X86_ECX, ~BIT(1) },
	{ 0x80000001, 0, X86_EDX, ~BIT(9) },
	{ 0x80000007, 0, X86_EDX, UINT32_MAX },
	{ 0x80000008, 0, X86_EBX, UINT32_MAX },
	{ 0x80000021, 0, X86_EAX, UINT32_MAX },
};

/**
 * struct list - features named so far
 * @text: ends with NUL, cut between two names
 * @len: bytes of it
 * @left_out: how many did not fit
 */
struct list {
	char text[LIST_MAX];
	size_t len;
	unsigned int left_out;
};

static void name_feature(struct list *list, const struct feature_word *word,
			 unsigned int bit)
{
	const char *known = x86_cpuid_name(word->function, word->index,
					   word->reg, bit);
	char name[64];
	int len;

	if (known)
		snprintf(name, sizeof(name), "%s", known);
	else
		snprintf(name, sizeof(name), "CPUID 0x%" PRIx32 ".%" PRIu32
			 " %s bit %u", word->function, word->index,
			 reg_name[word->reg], bit);
	len = (int)strlen(name) + (list->len ? 2 : 0);
	if (list->left_out || list->len + (size_t)len >= sizeof(list->text)) {
		list->left_out++;
		return;
	}
	snprintf(list->text + list->len, sizeof(list->text) - list->len,
		 "%s%s", list->len ? ", " : "", name);
	list->len += (size_t)len;
}

static uint32_t lost_bits(const struct feature_word *word,
			  const struct x86_cpuid *saved,
			  const struct x86_cpuid *host)
{
	const struct kvm_cpuid_entry2 *s, *h;
	uint32_t lost;

	s = x86_cpuid_find(saved, word->function, word->index);
	h = x86_cpuid_find(host, word->function, word->index);
	lost = s ? x86_reg_get(s, word->reg) & word->bits : 0;
	return h ? lost & ~x86_reg_get(h, word->reg) : lost;
}

static int compare_features(const struct x86_cpuid *saved,
			    const struct x86_cpuid *host, struct fail *why)
{
	struct list list = { .len = 0 };
	char more[32] = "";

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		uint32_t lost = lost_bits(&features[i], saved, host);

		for (unsigned int bit = 0; bit < 32; bit++)
			if (lost & BIT(bit))
				name_feature(&list, &features[i], bit);
	}
	if (!list.len)
		return 0;
	if (list.left_out)
		snprintf(more, sizeof(more), " and %u more", list.left_out);
	return fail(why, -EINVAL, "this host lacks %s%s, which the guest was "
		    "told it has", list.text, more);
}

static void vendor_of(const struct x86_cpuid *c, char name[13])
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 0, 0);

	memset(name, 0, 13);
	if (!e)
		return;
	memcpy(name, &e->ebx, 4);
	memcpy(name + 4, &e->edx, 4);
	memcpy(name + 8, &e->ecx, 4);
	for (unsigned int i = 0; i < 12; i++)
		if (name[i] && (name[i] < ' ' || name[i] > '~'))
			name[i] = '?';
}

static int compare_vendor(const struct x86_cpuid *saved,
			  const struct x86_cpuid *host, struct fail *why)
{
	char theirs[13], ours[13];

	vendor_of(saved, theirs);
	vendor_of(host, ours);
	if (!memcmp(theirs, ours, sizeof(ours)))
		return 0;
	return fail(why, -EINVAL, "the guest was told its CPU is made by %s, "
		    "this host's is by %s", theirs, ours);
}

static int compare_address_bits(const struct x86_cpuid *saved,
				const struct x86_cpuid *host, struct fail *why)
{
	const struct kvm_cpuid_entry2 *s = x86_cpuid_find(saved, 0x80000008, 0);
	const struct kvm_cpuid_entry2 *h = x86_cpuid_find(host, 0x80000008, 0);
	uint32_t want = s ? s->eax & 0xff : 36, have = h ? h->eax & 0xff : 36;

	if (want <= have)
		return 0;
	return fail(why, -EINVAL, "the guest was told of %u physical address "
		    "bits, this host has %u", want, have);
}

int x86_cpuid_compare(const struct x86_cpuid *saved,
		      const struct x86_cpuid *host, struct fail *why)
{
	int err = compare_vendor(saved, host, why);

	if (!err)
		err = compare_features(saved, host, why);
	return err ? err : compare_address_bits(saved, host, why);
}
