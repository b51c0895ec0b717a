# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libvmm.a
libvmm_a_SOURCES = \
	vmm/arch.h \
	vmm/commands.c vmm/commands.h \
	vmm/connect.c vmm/connect.h \
	vmm/control.c vmm/control.h \
	vmm/control_message.c vmm/control_message.h \
	vmm/ctl.c vmm/ctl.h \
	vmm/ctl_progress.c vmm/ctl_progress.h \
	vmm/ctl_request.c vmm/ctl_request.h \
	vmm/ctl_table.c vmm/ctl_table.h \
	vmm/deadline.h \
	vmm/descriptors.c vmm/descriptors.h \
	vmm/event.c vmm/event.h \
	vmm/gate_events.c vmm/gate_events.h \
	vmm/image.c vmm/image.h \
	vmm/inspect.c vmm/inspect.h \
	vmm/json_stream.c vmm/json_stream.h \
	vmm/kvm.c vmm/kvm.h \
	vmm/machine.c vmm/machine.h \
	vmm/machine_devices.c \
	vmm/machine_internal.h \
	vmm/machine_query.c \
	vmm/machine_state.c \
	vmm/machine_task.c \
	vmm/monitor.c vmm/monitor.h \
	vmm/manifest.c vmm/manifest.h \
	vmm/option_value.c vmm/option_value.h \
	vmm/option_vsock.c vmm/option_vsock.h \
	vmm/options.c vmm/options.h \
	vmm/ram.c vmm/ram.h \
	vmm/snapshot.c vmm/snapshot.h vmm/snapshot_internal.h \
	vmm/snapshot_extent.c \
	vmm/snapshot_place.c \
	vmm/snapshot_write.c \
	vmm/vcpu.c vmm/vcpu.h \
	vmm/vm.c vmm/vm.h \
	vmm/worker.c vmm/worker.h

bin_PROGRAMS += wherry
wherry_SOURCES = vmm/main.c
dist_man_MANS += vmm/wherry.1
wherry_LDADD = libvmm.a libdevices.a libvirtio.a $(FDT_LIBS) $(JANSSON_LIBS)

include vmm/x86_64/local.mk
