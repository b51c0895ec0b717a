# SPDX-License-Identifier: GPL-2.0-or-later
# Unit tests: each links only the layers it needs, so that a layering mistake
# is a link error.
if HAVE_CHECK
AM_CFLAGS += $(CHECK_CFLAGS)
check_LIBRARIES += libunit.a
libunit_a_SOURCES = \
	tests/unit/corpus.c tests/unit/corpus.h \
	tests/unit/runner.c tests/unit/runner.h

# virtio: nothing but the layer itself and its driver's side.
virtio_tests = \
	tests/unit/virtio_event_idx \
	tests/unit/virtio_fake \
	tests/unit/virtio_memory \
	tests/unit/virtio_mmio \
	tests/unit/virtio_queue \
	tests/unit/virtio_queue_bad \
	tests/unit/virtio_queue_hold \
	tests/unit/virtio_race \
	tests/unit/virtio_save \
	tests/unit/virtio_status \
	tests/unit/virtio_threads
check_PROGRAMS += $(virtio_tests)
TESTS += $(virtio_tests)
virtio_bed = tests/unit/virtio_bed.c tests/unit/virtio_bed.h
virtio_libs = libunit.a libfake.a libvirtio.a $(CHECK_LIBS) $(FDT_LIBS)
tests_unit_virtio_event_idx_SOURCES = tests/unit/virtio_event_idx.c $(virtio_bed)
tests_unit_virtio_event_idx_LDADD = $(virtio_libs)
tests_unit_virtio_fake_SOURCES = tests/unit/virtio_fake.c $(virtio_bed)
tests_unit_virtio_fake_LDADD = $(virtio_libs)
tests_unit_virtio_memory_SOURCES = tests/unit/virtio_memory.c $(virtio_bed)
tests_unit_virtio_memory_LDADD = $(virtio_libs)
tests_unit_virtio_mmio_SOURCES = tests/unit/virtio_mmio.c $(virtio_bed)
tests_unit_virtio_mmio_LDADD = $(virtio_libs)
tests_unit_virtio_queue_SOURCES = tests/unit/virtio_queue.c $(virtio_bed)
tests_unit_virtio_queue_LDADD = $(virtio_libs)
tests_unit_virtio_queue_bad_SOURCES = tests/unit/virtio_queue_bad.c $(virtio_bed)
tests_unit_virtio_queue_bad_LDADD = $(virtio_libs)
tests_unit_virtio_queue_hold_SOURCES = tests/unit/virtio_queue_hold.c $(virtio_bed)
tests_unit_virtio_queue_hold_LDADD = $(virtio_libs)
tests_unit_virtio_race_SOURCES = tests/unit/virtio_race.c $(virtio_bed)
tests_unit_virtio_race_LDADD = $(virtio_libs)
tests_unit_virtio_save_SOURCES = tests/unit/virtio_save.c $(virtio_bed)
tests_unit_virtio_save_LDADD = $(virtio_libs)
tests_unit_virtio_status_SOURCES = tests/unit/virtio_status.c $(virtio_bed)
tests_unit_virtio_status_LDADD = $(virtio_libs)
tests_unit_virtio_threads_SOURCES = tests/unit/virtio_threads.c $(virtio_bed)
tests_unit_virtio_threads_LDADD = $(virtio_libs)

# Saved state and snapshots.
state_tests = \
	tests/unit/virtio_state \
	tests/unit/virtio_state_version \
	tests/unit/virtio_state_write \
	tests/unit/vmm_image \
	tests/unit/vmm_manifest \
	tests/unit/vmm_snapshot_among \
	tests/unit/vmm_snapshot_crash \
	tests/unit/vmm_snapshot_extent \
	tests/unit/vmm_snapshot_open \
	tests/unit/vmm_snapshot_save
check_PROGRAMS += $(state_tests)
TESTS += $(state_tests)
state_bed = tests/unit/virtio_state_bed.c tests/unit/virtio_state_bed.h
snapshot_bed = tests/unit/vmm_snapshot_bed.c tests/unit/vmm_snapshot_bed.h
state_libs = libunit.a libvirtio.a $(CHECK_LIBS) $(FDT_LIBS)
snapshot_libs = libunit.a libvmm.a libdevices.a libvirtio.a $(CHECK_LIBS) $(FDT_LIBS)
tests_unit_virtio_state_SOURCES = tests/unit/virtio_state.c $(state_bed)
tests_unit_virtio_state_LDADD = $(state_libs)
tests_unit_virtio_state_version_SOURCES = tests/unit/virtio_state_version.c $(state_bed)
tests_unit_virtio_state_version_LDADD = $(state_libs)
tests_unit_virtio_state_write_SOURCES = tests/unit/virtio_state_write.c $(state_bed)
tests_unit_virtio_state_write_LDADD = $(state_libs)
tests_unit_vmm_image_SOURCES = tests/unit/vmm_image.c
tests_unit_vmm_image_LDADD = $(snapshot_libs)
tests_unit_vmm_manifest_SOURCES = tests/unit/vmm_manifest.c
tests_unit_vmm_manifest_LDADD = $(snapshot_libs)
tests_unit_vmm_snapshot_among_SOURCES = tests/unit/vmm_snapshot_among.c $(snapshot_bed)
tests_unit_vmm_snapshot_among_LDADD = $(snapshot_libs)
tests_unit_vmm_snapshot_crash_SOURCES = tests/unit/vmm_snapshot_crash.c $(snapshot_bed)
tests_unit_vmm_snapshot_crash_LDADD = $(snapshot_libs)
tests_unit_vmm_snapshot_extent_SOURCES = \
	tests/unit/vmm_snapshot_extent.c $(snapshot_bed)
tests_unit_vmm_snapshot_extent_LDADD = $(snapshot_libs)
tests_unit_vmm_snapshot_open_SOURCES = tests/unit/vmm_snapshot_open.c $(snapshot_bed)
tests_unit_vmm_snapshot_open_LDADD = $(snapshot_libs)
tests_unit_vmm_snapshot_save_SOURCES = tests/unit/vmm_snapshot_save.c $(snapshot_bed)
tests_unit_vmm_snapshot_save_LDADD = $(snapshot_libs)

# Command line, control socket and their clients; the machine is a stub.
control_tests = \
	tests/unit/devices_unix_socket \
	tests/unit/vmm_commands \
	tests/unit/vmm_connect \
	tests/unit/vmm_connect_wait \
	tests/unit/vmm_control \
	tests/unit/vmm_control_clients \
	tests/unit/vmm_ctl \
	tests/unit/vmm_ctl_table \
	tests/unit/vmm_ctl_wait \
	tests/unit/vmm_descriptors \
	tests/unit/vmm_gate_events \
	tests/unit/vmm_inspect \
	tests/unit/vmm_options \
	tests/unit/vmm_options_client \
	tests/unit/vmm_options_vsock \
	tests/unit/vmm_worker
check_PROGRAMS += $(control_tests)
TESTS += $(control_tests)
control_bed = tests/unit/vmm_control_bed.c tests/unit/vmm_control_bed.h
ctl_bed = tests/unit/vmm_ctl_bed.c tests/unit/vmm_ctl_bed.h
options_bed = tests/unit/vmm_options_bed.c tests/unit/vmm_options_bed.h
control_libs = libunit.a libvmm.a libdevices.a libvirtio.a $(CHECK_LIBS) \
	$(JANSSON_LIBS)
tests_unit_devices_unix_socket_SOURCES = tests/unit/devices_unix_socket.c
tests_unit_devices_unix_socket_LDADD = libunit.a libdevices.a libvirtio.a \
	$(CHECK_LIBS)
tests_unit_vmm_commands_SOURCES = tests/unit/vmm_commands.c $(control_bed)
tests_unit_vmm_commands_LDADD = $(control_libs)
connect_bed = tests/unit/vmm_connect_bed.c tests/unit/vmm_connect_bed.h
tests_unit_vmm_connect_SOURCES = tests/unit/vmm_connect.c $(connect_bed)
tests_unit_vmm_connect_LDADD = $(control_libs)
tests_unit_vmm_connect_wait_SOURCES = tests/unit/vmm_connect_wait.c $(connect_bed)
tests_unit_vmm_connect_wait_LDADD = $(control_libs)
tests_unit_vmm_control_SOURCES = tests/unit/vmm_control.c $(control_bed)
tests_unit_vmm_control_LDADD = $(control_libs)
tests_unit_vmm_control_clients_SOURCES = tests/unit/vmm_control_clients.c $(control_bed)
tests_unit_vmm_control_clients_LDADD = $(control_libs)
tests_unit_vmm_ctl_SOURCES = tests/unit/vmm_ctl.c $(ctl_bed)
tests_unit_vmm_ctl_LDADD = $(control_libs)
tests_unit_vmm_ctl_wait_SOURCES = tests/unit/vmm_ctl_wait.c $(ctl_bed)
tests_unit_vmm_ctl_wait_LDADD = $(control_libs)
tests_unit_vmm_ctl_table_SOURCES = tests/unit/vmm_ctl_table.c
tests_unit_vmm_ctl_table_LDADD = $(control_libs)
tests_unit_vmm_gate_events_SOURCES = tests/unit/vmm_gate_events.c $(control_bed)
tests_unit_vmm_gate_events_LDADD = $(control_libs)
tests_unit_vmm_inspect_SOURCES = tests/unit/vmm_inspect.c $(snapshot_bed)
tests_unit_vmm_inspect_LDADD = $(control_libs) $(FDT_LIBS)
tests_unit_vmm_options_SOURCES = tests/unit/vmm_options.c $(options_bed)
tests_unit_vmm_options_LDADD = $(control_libs)
tests_unit_vmm_options_client_SOURCES = tests/unit/vmm_options_client.c $(options_bed)
tests_unit_vmm_options_client_LDADD = $(control_libs)
tests_unit_vmm_options_vsock_SOURCES = tests/unit/vmm_options_vsock.c $(options_bed)
tests_unit_vmm_options_vsock_LDADD = $(control_libs)
tests_unit_vmm_worker_SOURCES = tests/unit/vmm_worker.c
tests_unit_vmm_worker_LDADD = $(control_libs)

# With the vsock device, whose connections take descriptors.
tests_unit_vmm_descriptors_SOURCES = tests/unit/vmm_descriptors.c \
	tests/unit/test_vsock_bed.c tests/unit/test_vsock_bed.h \
	tests/unit/test_vsock_bed_host.c
tests_unit_vmm_descriptors_LDADD = libunit.a libvmm.a libdevices.a libfake.a \
	libvirtio.a $(CHECK_LIBS) $(FDT_LIBS) $(JANSSON_LIBS)

# Devices, but for vsock.
devices_tests = \
	tests/unit/devices_bus \
	tests/unit/devices_console \
	tests/unit/devices_console_terminal \
	tests/unit/devices_dir_lock \
	tests/unit/devices_ged \
	tests/unit/devices_log \
	tests/unit/devices_log_wait \
	tests/unit/devices_loop \
	tests/unit/devices_power \
	tests/unit/devices_pvpanic \
	tests/unit/devices_rate \
	tests/unit/devices_rng \
	tests/unit/devices_serial \
	tests/unit/devices_serial_state \
	tests/unit/devices_virtio_host \
	tests/unit/devices_vmgenid
check_PROGRAMS += $(devices_tests)
TESTS += $(devices_tests)
serial_bed = tests/unit/devices_serial_bed.c tests/unit/devices_serial_bed.h
console_bed = $(serial_bed) \
	tests/unit/devices_console_bed.c tests/unit/devices_console_bed.h
devices_libs = libunit.a libdevices.a libfake.a libvirtio.a $(CHECK_LIBS) \
	$(FDT_LIBS)
tests_unit_devices_bus_SOURCES = tests/unit/devices_bus.c
tests_unit_devices_bus_LDADD = $(devices_libs)
tests_unit_devices_console_SOURCES = tests/unit/devices_console.c $(console_bed)
tests_unit_devices_console_LDADD = $(devices_libs)
tests_unit_devices_console_terminal_SOURCES = tests/unit/devices_console_terminal.c $(console_bed)
tests_unit_devices_console_terminal_LDADD = $(devices_libs)
tests_unit_devices_ged_SOURCES = tests/unit/devices_ged.c $(state_bed)
tests_unit_devices_ged_LDADD = $(devices_libs)
tests_unit_devices_vmgenid_SOURCES = tests/unit/devices_vmgenid.c $(state_bed)
tests_unit_devices_vmgenid_LDADD = $(devices_libs)
tests_unit_devices_dir_lock_SOURCES = tests/unit/devices_dir_lock.c
tests_unit_devices_dir_lock_LDADD = $(devices_libs)
tests_unit_devices_log_SOURCES = tests/unit/devices_log.c
tests_unit_devices_log_LDADD = $(devices_libs)
tests_unit_devices_log_wait_SOURCES = tests/unit/devices_log_wait.c
tests_unit_devices_log_wait_LDADD = $(devices_libs)
tests_unit_devices_loop_SOURCES = tests/unit/devices_loop.c
tests_unit_devices_loop_LDADD = $(devices_libs)
tests_unit_devices_power_SOURCES = tests/unit/devices_power.c
tests_unit_devices_power_LDADD = $(devices_libs)
tests_unit_devices_pvpanic_SOURCES = tests/unit/devices_pvpanic.c $(state_bed)
tests_unit_devices_pvpanic_LDADD = $(devices_libs)
tests_unit_devices_rate_SOURCES = tests/unit/devices_rate.c
tests_unit_devices_rate_LDADD = $(devices_libs)
tests_unit_devices_rng_SOURCES = tests/unit/devices_rng.c $(state_bed)
tests_unit_devices_rng_LDADD = $(devices_libs)
tests_unit_devices_serial_SOURCES = tests/unit/devices_serial.c $(serial_bed)
tests_unit_devices_serial_LDADD = $(devices_libs)
tests_unit_devices_serial_state_SOURCES = tests/unit/devices_serial_state.c $(serial_bed) $(state_bed)
tests_unit_devices_serial_state_LDADD = $(devices_libs)
tests_unit_devices_virtio_host_SOURCES = tests/unit/devices_virtio_host.c $(virtio_bed)
tests_unit_devices_virtio_host_LDADD = $(devices_libs)

# Booting and the CPU that is shown: pure parts, without a KVM.
x86_tests = \
	tests/unit/vmm_acpi \
	tests/unit/vmm_cpuid \
	tests/unit/vmm_elf \
	tests/unit/vmm_kernel \
	tests/unit/vmm_kernel_corpus
check_PROGRAMS += $(x86_tests)
TESTS += $(x86_tests)
x86_libs = libunit.a libvmm.a libdevices.a libvirtio.a $(CHECK_LIBS) $(FDT_LIBS)
kernel_bed = tests/unit/vmm_kernel_bed.c tests/unit/vmm_kernel_bed.h
tests_unit_vmm_acpi_SOURCES = tests/unit/vmm_acpi.c
tests_unit_vmm_acpi_LDADD = $(x86_libs)
tests_unit_vmm_cpuid_SOURCES = tests/unit/vmm_cpuid.c
tests_unit_vmm_cpuid_LDADD = $(x86_libs)
tests_unit_vmm_elf_SOURCES = tests/unit/vmm_elf.c $(kernel_bed)
tests_unit_vmm_elf_LDADD = $(x86_libs)
tests_unit_vmm_kernel_SOURCES = tests/unit/vmm_kernel.c $(kernel_bed)
tests_unit_vmm_kernel_LDADD = $(x86_libs)
tests_unit_vmm_kernel_corpus_SOURCES = tests/unit/vmm_kernel_corpus.c $(kernel_bed)
tests_unit_vmm_kernel_corpus_LDADD = $(x86_libs)

# vsock: the gate on its own, and the whole device under a driver like Linux's.
vsock_tests = \
	tests/unit/test_vsock_ask \
	tests/unit/test_vsock_bounds \
	tests/unit/test_vsock_broken \
	tests/unit/test_vsock_capture \
	tests/unit/test_vsock_close \
	tests/unit/test_vsock_connect \
	tests/unit/test_vsock_credit \
	tests/unit/test_vsock_data \
	tests/unit/test_vsock_ends \
	tests/unit/test_vsock_gate \
	tests/unit/test_vsock_hello \
	tests/unit/test_vsock_hold \
	tests/unit/test_vsock_underway \
	tests/unit/test_vsock_idle \
	tests/unit/test_vsock_interrupt \
	tests/unit/test_vsock_messages \
	tests/unit/test_vsock_messages_wait \
	tests/unit/test_vsock_options \
	tests/unit/test_vsock_packets \
	tests/unit/test_vsock_race \
	tests/unit/test_vsock_random \
	tests/unit/test_vsock_reset \
	tests/unit/test_vsock_rx \
	tests/unit/test_vsock_save \
	tests/unit/test_vsock_seqpacket \
	tests/unit/test_vsock_seqpacket_close \
	tests/unit/test_vsock_share \
	tests/unit/test_vsock_threads \
	tests/unit/test_vsock_unread \
	tests/unit/test_vsock_unix_read
check_PROGRAMS += $(vsock_tests)
TESTS += $(vsock_tests)
vsock_bed = tests/unit/test_vsock_bed.c tests/unit/test_vsock_bed.h \
	tests/unit/test_vsock_bed_host.c
messages_bed = $(vsock_bed) tests/unit/test_vsock_bed_messages.c \
	tests/unit/test_vsock_bed_messages.h
tests_unit_test_vsock_ask_SOURCES = tests/unit/test_vsock_ask.c $(vsock_bed)
tests_unit_test_vsock_ask_LDADD = $(devices_libs)
tests_unit_test_vsock_bounds_SOURCES = tests/unit/test_vsock_bounds.c $(vsock_bed)
tests_unit_test_vsock_bounds_LDADD = $(devices_libs)
tests_unit_test_vsock_broken_SOURCES = tests/unit/test_vsock_broken.c $(vsock_bed)
tests_unit_test_vsock_broken_LDADD = $(devices_libs)
tests_unit_test_vsock_capture_SOURCES = tests/unit/test_vsock_capture.c $(vsock_bed)
tests_unit_test_vsock_capture_LDADD = $(devices_libs)
tests_unit_test_vsock_close_SOURCES = tests/unit/test_vsock_close.c $(vsock_bed)
tests_unit_test_vsock_close_LDADD = $(devices_libs)
tests_unit_test_vsock_connect_SOURCES = tests/unit/test_vsock_connect.c $(vsock_bed)
tests_unit_test_vsock_connect_LDADD = $(devices_libs)
tests_unit_test_vsock_credit_SOURCES = tests/unit/test_vsock_credit.c $(vsock_bed)
tests_unit_test_vsock_credit_LDADD = $(devices_libs)
tests_unit_test_vsock_data_SOURCES = tests/unit/test_vsock_data.c $(vsock_bed)
tests_unit_test_vsock_data_LDADD = $(devices_libs)
tests_unit_test_vsock_ends_SOURCES = tests/unit/test_vsock_ends.c $(messages_bed)
tests_unit_test_vsock_ends_LDADD = $(devices_libs)
tests_unit_test_vsock_gate_SOURCES = tests/unit/test_vsock_gate.c
tests_unit_test_vsock_gate_LDADD = $(devices_libs)
tests_unit_test_vsock_hello_SOURCES = tests/unit/test_vsock_hello.c $(vsock_bed)
tests_unit_test_vsock_hello_LDADD = $(devices_libs)
tests_unit_test_vsock_hold_SOURCES = tests/unit/test_vsock_hold.c $(vsock_bed)
tests_unit_test_vsock_hold_LDADD = $(devices_libs)
tests_unit_test_vsock_underway_SOURCES = tests/unit/test_vsock_underway.c $(vsock_bed)
tests_unit_test_vsock_underway_LDADD = $(devices_libs)
tests_unit_test_vsock_idle_SOURCES = tests/unit/test_vsock_idle.c $(vsock_bed)
tests_unit_test_vsock_idle_LDADD = $(devices_libs)
tests_unit_test_vsock_interrupt_SOURCES = \
	tests/unit/test_vsock_interrupt.c $(vsock_bed)
tests_unit_test_vsock_interrupt_LDADD = $(devices_libs)
tests_unit_test_vsock_messages_SOURCES = tests/unit/test_vsock_messages.c $(messages_bed)
tests_unit_test_vsock_messages_LDADD = $(devices_libs)
tests_unit_test_vsock_messages_wait_SOURCES = tests/unit/test_vsock_messages_wait.c $(messages_bed)
tests_unit_test_vsock_messages_wait_LDADD = $(devices_libs)
tests_unit_test_vsock_options_SOURCES = tests/unit/test_vsock_options.c $(vsock_bed)
tests_unit_test_vsock_options_LDADD = $(devices_libs)
tests_unit_test_vsock_packets_SOURCES = tests/unit/test_vsock_packets.c $(vsock_bed)
tests_unit_test_vsock_packets_LDADD = $(devices_libs)
tests_unit_test_vsock_race_SOURCES = tests/unit/test_vsock_race.c $(vsock_bed)
tests_unit_test_vsock_race_LDADD = $(devices_libs)
tests_unit_test_vsock_random_SOURCES = tests/unit/test_vsock_random.c $(vsock_bed)
tests_unit_test_vsock_random_LDADD = $(devices_libs)
tests_unit_test_vsock_reset_SOURCES = tests/unit/test_vsock_reset.c $(vsock_bed)
tests_unit_test_vsock_reset_LDADD = $(devices_libs)
tests_unit_test_vsock_rx_SOURCES = tests/unit/test_vsock_rx.c $(vsock_bed)
tests_unit_test_vsock_rx_LDADD = $(devices_libs)
tests_unit_test_vsock_save_SOURCES = tests/unit/test_vsock_save.c $(vsock_bed)
tests_unit_test_vsock_save_LDADD = $(devices_libs)
tests_unit_test_vsock_seqpacket_SOURCES = tests/unit/test_vsock_seqpacket.c $(messages_bed)
tests_unit_test_vsock_seqpacket_LDADD = $(devices_libs)
tests_unit_test_vsock_seqpacket_close_SOURCES = tests/unit/test_vsock_seqpacket_close.c $(messages_bed)
tests_unit_test_vsock_seqpacket_close_LDADD = $(devices_libs)
tests_unit_test_vsock_share_SOURCES = tests/unit/test_vsock_share.c $(vsock_bed)
tests_unit_test_vsock_share_LDADD = $(devices_libs)
tests_unit_test_vsock_threads_SOURCES = tests/unit/test_vsock_threads.c $(vsock_bed)
tests_unit_test_vsock_threads_LDADD = $(devices_libs)
tests_unit_test_vsock_unread_SOURCES = tests/unit/test_vsock_unread.c $(messages_bed)
tests_unit_test_vsock_unread_LDADD = $(devices_libs)
tests_unit_test_vsock_unix_read_SOURCES = tests/unit/test_vsock_unix_read.c
tests_unit_test_vsock_unix_read_LDADD = $(devices_libs)

# What tshark makes of a capture.
check_PROGRAMS += tests/unit/capture_write
tests_unit_capture_write_SOURCES = tests/unit/capture_write.c
tests_unit_capture_write_LDADD = libdevices.a libvirtio.a
dist_check_SCRIPTS += tests/unit/capture_tshark.sh
TESTS += tests/unit/capture_tshark.sh
endif

# For a build with --enable-sanitizers=thread: the tests that cross threads.
THREAD_TESTS = \
	tests/unit/devices_log_wait \
	tests/unit/devices_loop tests/unit/devices_virtio_host \
	tests/unit/test_vsock_threads tests/unit/virtio_threads \
	tests/unit/vmm_worker
check-threads:
	$(MAKE) $(AM_MAKEFLAGS) check check_PROGRAMS='$(THREAD_TESTS)' TESTS='$(THREAD_TESTS)'
.PHONY: check-threads
