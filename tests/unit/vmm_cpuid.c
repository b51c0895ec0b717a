// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU that a guest is shown, and which CPU may take it over, at what rate
 * of its time stamp counter.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/runner.h"
#include "vmm/x86_64/x86.h"

static struct x86_cpuid c, other;
static struct fail why;

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx,
		uint32_t ecx, uint32_t edx)
{
	c.entry[c.nent++] = (struct kvm_cpuid_entry2){
		.function = function, .index = index,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx,
	};
}

/* A host that can do everything; vendor "AuthenticAMD". */
static void setup(void)
{
	const uint32_t all = UINT32_MAX;

	memset(&c, 0, sizeof(c));
	memset(&why, 0, sizeof(why));
	add(0, 0, 0x1f, 0x68747541, 0x444d4163, 0x69746e65);
	add(1, 0, 0, all, all, all);
	add(4, 0, 0x121, 0, 0, 0);		/* level 1, data */
	add(4, 1, 0x163, 0, 0, 0);		/* level 3, unified */
	add(7, 0, 1, all, all, all);
	add(0xa, 0, all, all, all, all);
	add(0xb, 0, all, all, all, all);
	add(0xd, 0, 0x600e7, 0, 0, 0);
	add(0x80000000, 0, 0x8000001e, 0, 0, 0);
	add(0x80000001, 0, all, all, all, all);
	add(0x80000008, 0, 0x3030, all, all, all);
	add(0x8000000a, 0, all, all, all, all);
	add(0x8000001e, 0, all, all, all, all);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(&c, function, index);

	ck_assert_ptr_nonnull(e);
	return e;
}

START_TEST(virtualisation_is_hidden_and_the_hypervisor_shown)
{
	ck_assert(!x86_cpuid_filter(&c, 0, 1, true));
	ck_assert_uint_eq(leaf(1, 0)->ecx & (1u << 5 | 1u << 3), 0);
	ck_assert(leaf(1, 0)->ecx & 1u << 31);
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 2, 0);
	ck_assert_uint_eq(leaf(0x8000000a, 0)->eax, 0);
	ck_assert_uint_eq(leaf(0xa, 0)->eax, 0);
	ck_assert_uint_eq(leaf(0xd, 0)->eax, 0xe7);
}
END_TEST

START_TEST(deadline_timer_is_shown_only_if_kvm_has_it)
{
	ck_assert(!x86_cpuid_filter(&c, 0, 1, true));
	ck_assert(leaf(1, 0)->ecx & 1u << 24);
	setup();
	ck_assert(!x86_cpuid_filter(&c, 0, 1, false));
	ck_assert_uint_eq(leaf(1, 0)->ecx & 1u << 24, 0);
}
END_TEST

START_TEST(apic_ids_agree_in_all_leaves)
{
	const uint32_t id = (uint32_t)_i;

	ck_assert(!x86_cpuid_filter(&c, id, 6, true));
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, id);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 16 & 0xff, 8);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->eax, id);
	ck_assert_uint_eq(leaf(0x8000001e, 0)->ebx, id);
	for (uint32_t f = 0xb; f <= 0x1f; f += 0x1f - 0xb) {
		ck_assert_uint_eq(leaf(f, 0)->edx, id);
		ck_assert_uint_eq(leaf(f, 0)->ecx, 0x100);
		ck_assert_uint_eq(leaf(f, 0)->ebx, 1);
		ck_assert_uint_eq(leaf(f, 1)->edx, id);
		ck_assert_uint_eq(leaf(f, 1)->ecx, 0x201);
		ck_assert_uint_eq(leaf(f, 1)->ebx, 6);
		ck_assert_uint_eq(leaf(f, 1)->eax, 3);
		ck_assert_uint_eq(leaf(f, 2)->ecx, 2);
	}
}
END_TEST

START_TEST(only_the_last_level_cache_is_shared)
{
	ck_assert(!x86_cpuid_filter(&c, 1, 4, true));
	ck_assert_uint_eq(leaf(4, 0)->eax >> 14 & 0xfff, 0);
	ck_assert_uint_eq(leaf(4, 1)->eax >> 14 & 0xfff, 3);
	ck_assert_uint_eq(leaf(4, 0)->eax >> 26, 3);
	ck_assert_uint_eq(leaf(0x80000008, 0)->ecx & 0xf0ff, 0x2003);
}
END_TEST

START_TEST(single_processor_is_no_multithreading)
{
	ck_assert(!x86_cpuid_filter(&c, 0, 1, true));
	ck_assert_uint_eq(leaf(1, 0)->edx & 1u << 28, 0);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 16 & 0xff, 1);
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 1, 0);
}
END_TEST

START_TEST(leaves_beyond_the_last_are_not_added)
{
	c.entry[0].eax = 7;
	ck_assert(!x86_cpuid_filter(&c, 0, 2, true));
	ck_assert_ptr_null(x86_cpuid_find(&c, 0x1f, 0));
}
END_TEST

START_TEST(full_table_has_no_room)
{
	while (c.nent < X86_CPUID_MAX)
		add(0x40000100, c.nent, 0, 0, 0, 0);
	ck_assert_int_eq(x86_cpuid_filter(&c, 0, 2, true), -E2BIG);
}
END_TEST

START_TEST(same_cpu_may_take_over)
{
	ck_assert(!x86_cpuid_filter(&c, 0, 1, true));
	other = c;
	ck_assert_msg(!x86_cpuid_compare(&c, &other, &why), "%s", why.text);
}
END_TEST

START_TEST(better_cpu_may_take_over)
{
	other = c;
	c.entry[1].ecx &= ~(1u << 12);
	c.entry[4].ebx = 0;
	ck_assert(!x86_cpuid_compare(&c, &other, &why));
}
END_TEST

START_TEST(bits_that_follow_the_state_do_not_matter)
{
	other = c;
	other.entry[1].ecx &= ~(1u << 27);	/* OSXSAVE */
	other.entry[1].edx &= ~(1u << 9 | 1u << 28);
	other.entry[4].ecx &= ~(1u << 4);	/* OSPKE */
	ck_assert(!x86_cpuid_compare(&c, &other, &why));
}
END_TEST

START_TEST(lost_feature_is_named)
{
	other = c;
	other.entry[4].ebx &= ~(1u << 5 | 1u << 16);
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_str_eq(why.text, "this host lacks avx2, avx512f, which the "
			 "guest was told it has");
}
END_TEST

START_TEST(lost_features_of_all_leaves_are_named_together)
{
	other = c;
	other.entry[1].ecx &= ~(1u << 21);
	other.entry[4].ebx &= ~(1u << 8);
	other.entry[9].edx &= ~(1u << 27);
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_str_eq(why.text, "this host lacks x2apic, bmi2, rdtscp, "
			 "which the guest was told it has");
}
END_TEST

START_TEST(lost_feature_without_a_name_is_shown_by_leaf_and_bit)
{
	other = c;
	other.entry[1].ecx &= ~(1u << 16);
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_str_eq(why.text, "this host lacks CPUID 0x1.0 ECX bit 16, "
			 "which the guest was told it has");
}
END_TEST

START_TEST(list_too_long_for_a_line_is_counted)
{
	const char *end = ", which the guest was told it has";
	const char *text = why.text;

	other = c;
	other.nent = 1;
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(text, "lacks pni, pclmulqdq, "));
	ck_assert_ptr_nonnull(strstr(text, " more, "));
	ck_assert_str_eq(text + strlen(text) - strlen(end), end);
}
END_TEST

START_TEST(names_are_of_bits_that_exist)
{
	ck_assert_str_eq(x86_cpuid_name(7, 0, X86_EBX, 5), "avx2");
	ck_assert_str_eq(x86_cpuid_name(0x80000001, 0, X86_EDX, 20), "nx");
	ck_assert_str_eq(x86_cpuid_name(0xd, 1, X86_EAX, 3), "xsaves");
	ck_assert_str_eq(x86_cpuid_name(0x40000001, 0, X86_EAX, 3),
			 "kvm_clocksource2");
	ck_assert_ptr_null(x86_cpuid_name(7, 0, X86_EBX, 32));
	ck_assert_ptr_null(x86_cpuid_name(7, 9, X86_EBX, 5));
	ck_assert_ptr_null(x86_cpuid_name(0x12345, 0, X86_EAX, 0));
}
END_TEST

START_TEST(same_counter_rate_needs_nothing)
{
	ck_assert_int_eq(x86_tsc_compare(2899900, 2899900, false, &why), 0);
	/* What two boots of one machine measure differs: 250 ppm. */
	ck_assert_int_eq(x86_tsc_compare(2899900, 2900600, false, &why), 0);
	ck_assert_int_eq(x86_tsc_compare(2900600, 2899900, false, &why), 0);
}
END_TEST

START_TEST(other_counter_rate_needs_scaling)
{
	ck_assert_int_eq(x86_tsc_compare(2899900, 2445400, true, &why), 1);
	ck_assert_int_eq(x86_tsc_compare(2899900, 2445400, false, &why),
			 -EOPNOTSUPP);
	ck_assert_str_eq(why.text, "the guest's time stamp counter runs at "
			 "2899.900 MHz, this host's at 2445.400 MHz, and this "
			 "KVM has no TSC scaling");
	ck_assert_int_eq(x86_tsc_compare(2445400, 2899900, false, &why),
			 -EOPNOTSUPP);
	ck_assert_int_eq(x86_tsc_compare(2900000, 2901000, false, &why),
			 -EOPNOTSUPP);
}
END_TEST

START_TEST(lost_leaf_is_a_lost_feature)
{
	other = c;
	other.entry[4].function = 0x40000200;
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_says(&why, "avx2");
}
END_TEST

START_TEST(other_vendor_is_refused)
{
	other = c;
	memcpy(&other.entry[0].ebx, "Genu", 4);
	memcpy(&other.entry[0].edx, "ineI", 4);
	memcpy(&other.entry[0].ecx, "ntel", 4);
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_str_eq(why.text, "the guest was told its CPU is made by "
			 "AuthenticAMD, this host's is by GenuineIntel");
}
END_TEST

START_TEST(vendor_that_is_no_text_is_shown_safely)
{
	other = c;
	memcpy(&c.entry[0].ebx, "\033[2J", 4);
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_ptr_null(strchr(why.text, '\033'));
}
END_TEST

START_TEST(fewer_address_bits_are_refused)
{
	other = c;
	other.entry[10].eax = 0x302f;
	ck_assert_int_eq(x86_cpuid_compare(&c, &other, &why), -EINVAL);
	ck_assert_str_eq(why.text, "the guest was told of 48 physical address "
			 "bits, this host has 47");
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_TEST(virtualisation_is_hidden_and_the_hypervisor_shown),
		UNIT_TEST(deadline_timer_is_shown_only_if_kvm_has_it),
		UNIT_LOOP(apic_ids_agree_in_all_leaves, 6),
		UNIT_TEST(only_the_last_level_cache_is_shared),
		UNIT_TEST(single_processor_is_no_multithreading),
		UNIT_TEST(leaves_beyond_the_last_are_not_added),
		UNIT_TEST(full_table_has_no_room),
		UNIT_TEST(same_cpu_may_take_over),
		UNIT_TEST(better_cpu_may_take_over),
		UNIT_TEST(bits_that_follow_the_state_do_not_matter),
		UNIT_TEST(lost_feature_is_named),
		UNIT_TEST(lost_features_of_all_leaves_are_named_together),
		UNIT_TEST(lost_feature_without_a_name_is_shown_by_leaf_and_bit),
		UNIT_TEST(list_too_long_for_a_line_is_counted),
		UNIT_TEST(names_are_of_bits_that_exist),
		UNIT_TEST(same_counter_rate_needs_nothing),
		UNIT_TEST(other_counter_rate_needs_scaling),
		UNIT_TEST(lost_leaf_is_a_lost_feature),
		UNIT_TEST(other_vendor_is_refused),
		UNIT_TEST(vendor_that_is_no_text_is_shown_safely),
		UNIT_TEST(fewer_address_bits_are_refused),
	};

	return UNIT_RUN("vmm_cpuid", cases, setup, NULL);
}
