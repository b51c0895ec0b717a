# SPDX-License-Identifier: GPL-2.0-or-later
libvmm_a_SOURCES += \
	vmm/x86_64/acpi.c vmm/x86_64/acpi.h \
	vmm/x86_64/acpi_aml.c vmm/x86_64/acpi_aml.h \
	vmm/x86_64/boot.c vmm/x86_64/boot.h \
	vmm/x86_64/bzimage.c \
	vmm/x86_64/clock.c \
	vmm/x86_64/compat.c \
	vmm/x86_64/cpu.c \
	vmm/x86_64/cpu_state.c \
	vmm/x86_64/cpuid.c \
	vmm/x86_64/cpuid_compare.c \
	vmm/x86_64/cpuid_names.c \
	vmm/x86_64/dump.c \
	vmm/x86_64/elf.c \
	vmm/x86_64/entry.c \
	vmm/x86_64/kernel.c vmm/x86_64/kernel.h \
	vmm/x86_64/layout.h \
	vmm/x86_64/memory.c \
	vmm/x86_64/msrs.c \
	vmm/x86_64/tsc.c \
	vmm/x86_64/vm_state.c \
	vmm/x86_64/x86.h
