// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What Linux calls the features of CPUID, for messages.
 *
 * Pure: a constant table. The names are those of /proc/cpuinfo, or where Linux
 * shows none those of arch/x86/include/asm/cpufeatures.h in small letters;
 * 0x40000001 as in Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "vmm/x86_64/x86.h"

/**
 * struct names - names of one register's bits
 * @function: leaf
 * @index: subleaf
 * @reg: register
 * @bit: by number; NULL: no name
 */
struct names {
	uint32_t function;
	uint32_t index;
	enum x86_reg reg;
	const char *bit[32];
};

static const struct names all_names[] = {
	{ 0x1, 0, X86_ECX, {
		[0] = "pni", [1] = "pclmulqdq", [2] = "dtes64",
		[3] = "monitor", [4] = "ds_cpl", [5] = "vmx", [6] = "smx",
		[7] = "est", [8] = "tm2", [9] = "ssse3", [10] = "cid",
		[11] = "sdbg", [12] = "fma", [13] = "cx16", [14] = "xtpr",
		[15] = "pdcm", [17] = "pcid", [18] = "dca", [19] = "sse4_1",
		[20] = "sse4_2", [21] = "x2apic", [22] = "movbe",
		[23] = "popcnt", [24] = "tsc_deadline_timer", [25] = "aes",
		[26] = "xsave", [28] = "avx", [29] = "f16c", [30] = "rdrand",
		[31] = "hypervisor",
	} },
	{ 0x1, 0, X86_EDX, {
		[0] = "fpu", [1] = "vme", [2] = "de", [3] = "pse", [4] = "tsc",
		[5] = "msr", [6] = "pae", [7] = "mce", [8] = "cx8",
		[11] = "sep", [12] = "mtrr", [13] = "pge", [14] = "mca",
		[15] = "cmov", [16] = "pat", [17] = "pse36", [18] = "pn",
		[19] = "clflush", [21] = "dts", [22] = "acpi", [23] = "mmx",
		[24] = "fxsr", [25] = "sse", [26] = "sse2", [27] = "ss",
		[29] = "tm", [30] = "ia64", [31] = "pbe",
	} },
	{ 0x6, 0, X86_EAX, {
		[0] = "dtherm", [1] = "ida", [2] = "arat", [4] = "pln",
		[6] = "pts", [7] = "hwp", [8] = "hwp_notify",
		[9] = "hwp_act_window", [10] = "hwp_epp", [11] = "hwp_pkg_req",
		[19] = "hfi",
	} },
	{ 0x7, 0, X86_EBX, {
		[0] = "fsgsbase", [1] = "tsc_adjust", [2] = "sgx",
		[3] = "bmi1", [4] = "hle", [5] = "avx2",
		[6] = "fdp_excptn_only", [7] = "smep", [8] = "bmi2",
		[9] = "erms", [10] = "invpcid", [11] = "rtm", [12] = "cqm",
		[13] = "zero_fcs_fds", [14] = "mpx", [15] = "rdt_a",
		[16] = "avx512f", [17] = "avx512dq", [18] = "rdseed",
		[19] = "adx", [20] = "smap", [21] = "avx512ifma",
		[23] = "clflushopt", [24] = "clwb", [25] = "intel_pt",
		[26] = "avx512pf", [27] = "avx512er", [28] = "avx512cd",
		[29] = "sha_ni", [30] = "avx512bw", [31] = "avx512vl",
	} },
	{ 0x7, 0, X86_ECX, {
		[1] = "avx512vbmi", [2] = "umip", [3] = "pku", [5] = "waitpkg",
		[6] = "avx512_vbmi2", [7] = "shstk", [8] = "gfni",
		[9] = "vaes", [10] = "vpclmulqdq", [11] = "avx512_vnni",
		[12] = "avx512_bitalg", [13] = "tme",
		[14] = "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid",
		[24] = "bus_lock_detect", [25] = "cldemote", [27] = "movdiri",
		[28] = "movdir64b", [29] = "enqcmd", [30] = "sgx_lc",
	} },
	{ 0x7, 0, X86_EDX, {
		[2] = "avx512_4vnniw", [3] = "avx512_4fmaps", [4] = "fsrm",
		[8] = "avx512_vp2intersect", [9] = "srbds_ctrl",
		[10] = "md_clear", [11] = "rtm_always_abort",
		[13] = "tsx_force_abort", [14] = "serialize",
		[15] = "hybrid_cpu", [16] = "tsxldtrk", [18] = "pconfig",
		[19] = "arch_lbr", [20] = "ibt", [22] = "amx_bf16",
		[23] = "avx512_fp16", [24] = "amx_tile", [25] = "amx_int8",
		[26] = "spec_ctrl", [27] = "intel_stibp", [28] = "flush_l1d",
		[29] = "arch_capabilities", [30] = "core_capabilities",
		[31] = "spec_ctrl_ssbd",
	} },
	{ 0x7, 1, X86_EAX, {
		[0] = "sha512", [1] = "sm3", [2] = "sm4", [4] = "avx_vnni",
		[5] = "avx512_bf16", [7] = "cmpccxadd",
		[8] = "arch_perfmon_ext", [10] = "fzrm", [11] = "fsrs",
		[12] = "fsrc", [17] = "fred", [18] = "lkgs", [19] = "wrmsrns",
		[21] = "amx_fp16", [23] = "avx_ifma", [26] = "lam",
	} },
	{ 0x7, 1, X86_EDX, {
		[4] = "avx_vnni_int8", [5] = "avx_ne_convert",
		[8] = "amx_complex", [10] = "avx_vnni_int16",
		[14] = "prefetchiti", [19] = "avx10",
	} },
	{ 0x7, 2, X86_EDX, {
		[0] = "intel_psfd", [1] = "ipred_ctrl", [2] = "rrsba_ctrl",
		[3] = "ddpd_u", [4] = "bhi_ctrl", [5] = "mcdt_no",
	} },
	{ 0xd, 1, X86_EAX, {
		[0] = "xsaveopt", [1] = "xsavec", [2] = "xgetbv1",
		[3] = "xsaves", [4] = "xfd",
	} },
	{ 0x40000001, 0, X86_EAX, {
		[0] = "kvm_clocksource", [1] = "kvm_nop_io_delay",
		[2] = "kvm_mmu_op", [3] = "kvm_clocksource2",
		[4] = "kvm_async_pf", [5] = "kvm_steal_time",
		[6] = "kvm_pv_eoi", [7] = "kvm_pv_unhalt",
		[9] = "kvm_pv_tlb_flush", [10] = "kvm_async_pf_vmexit",
		[11] = "kvm_pv_send_ipi", [12] = "kvm_poll_control",
		[13] = "kvm_pv_sched_yield", [14] = "kvm_async_pf_int",
		[15] = "kvm_msi_ext_dest_id", [16] = "kvm_hc_map_gpa_range",
		[17] = "kvm_migration_control",
		[24] = "kvm_clocksource_stable",
	} },
	{ 0x80000001, 0, X86_ECX, {
		[0] = "lahf_lm", [2] = "svm", [3] = "extapic",
		[4] = "cr8_legacy", [5] = "abm", [6] = "sse4a",
		[7] = "misalignsse", [8] = "3dnowprefetch", [9] = "osvw",
		[10] = "ibs", [11] = "xop", [12] = "skinit", [13] = "wdt",
		[15] = "lwp", [16] = "fma4", [17] = "tce", [19] = "nodeid_msr",
		[21] = "tbm", [22] = "topoext", [23] = "perfctr_core",
		[24] = "perfctr_nb", [26] = "bpext", [27] = "ptsc",
		[28] = "perfctr_llc", [29] = "mwaitx",
	} },
	{ 0x80000001, 0, X86_EDX, {
		[0] = "fpu", [1] = "vme", [2] = "de", [3] = "pse", [4] = "tsc",
		[5] = "msr", [6] = "pae", [7] = "mce", [8] = "cx8",
		[11] = "syscall", [12] = "mtrr", [13] = "pge", [14] = "mca",
		[15] = "cmov", [16] = "pat", [17] = "pse36", [19] = "mp",
		[20] = "nx", [22] = "mmxext", [23] = "mmx", [24] = "fxsr",
		[25] = "fxsr_opt", [26] = "pdpe1gb", [27] = "rdtscp",
		[29] = "lm", [30] = "3dnowext", [31] = "3dnow",
	} },
	{ 0x80000007, 0, X86_EDX, {
		[8] = "constant_tsc", [9] = "cpb", [11] = "proc_feedback",
		[12] = "acc_power",
	} },
	{ 0x80000008, 0, X86_EBX, {
		[0] = "clzero", [1] = "irperf", [2] = "xsaveerptr",
		[4] = "rdpru", [9] = "wbnoinvd", [12] = "amd_ibpb",
		[14] = "amd_ibrs", [15] = "amd_stibp",
		[17] = "amd_stibp_always_on", [23] = "amd_ppin",
		[24] = "amd_ssbd", [25] = "virt_ssbd", [26] = "amd_ssb_no",
		[27] = "cppc", [28] = "amd_psfd", [29] = "btc_no",
		[30] = "ibpb_ret",
	} },
	{ 0x80000021, 0, X86_EAX, {
		[0] = "no_nested_data_bp", [2] = "lfence_rdtsc",
		[6] = "null_sel_clr_base", [8] = "autoibrs",
		[9] = "no_smm_ctl_msr", [27] = "sbpb", [28] = "ibpb_brtype",
		[29] = "srso_no",
	} },
};

const char *x86_cpuid_name(uint32_t function, uint32_t index, enum x86_reg reg,
			   unsigned int bit)
{
	for (size_t i = 0; i < sizeof(all_names) / sizeof(all_names[0]); i++) {
		const struct names *n = &all_names[i];

		if (n->function == function && n->index == index &&
		    n->reg == reg)
			return bit < 32 ? n->bit[bit] : NULL;
	}
	return NULL;
}
