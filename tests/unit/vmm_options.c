// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/options.c and vmm/option_value.c: what is taken, and each refusal. Of
 * --vsock: vmm_options_vsock.c; of the commands that are not a machine:
 * vmm_options_client.c.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "devices/unix_socket.h"
#include "tests/unit/vmm_options_bed.h"

#define RUN "run", "--kernel", "k"

static const struct refusal refusals[] = {
	{ "no_command", { NULL }, "run, restore, ctl, connect" },
	{ "unknown_command", { "walk" }, "'walk'" },
	{ "empty_command", { "" }, "unknown command ''" },
	{ "unknown_option", { RUN, "--frob" }, "'--frob'" },
	{ "unknown_short_option", { RUN, "-m" }, "'-m'" },
	{ "short_option_like_a_long_one", { RUN, "-xhelp" }, "'-xhelp'" },
	{ "abbreviation", { "run", "--kern", "k" }, "'--kern'" },
	{ "option_of_another_command", { "restore", "d", "--kernel", "k" },
	  "'--kernel'" },
	{ "memory_on_restore", { "restore", "d", "--memory", "1G" },
	  "'--memory'" },
	{ "missing_value", { RUN, "--memory" }, "--memory needs a value" },
	{ "unknown_panic_action", { "restore", "d", "--on-panic", "reboot" },
	  "--on-panic 'reboot': stop or exit expected" },
	{ "unknown_clock", { "restore", "d", "--clock", "guest" },
	  "--clock 'guest': continue or host expected" },
	{ "force_on_run", { RUN, "--force" }, "unknown option '--force'" },
	{ "value_for_a_flag", { RUN, "--paused=yes" },
	  "--paused takes no value" },
	{ "option_twice", { RUN, "--kernel", "l" }, "--kernel is given twice" },
	{ "flag_twice", { RUN, "--paused", "--paused" },
	  "--paused is given twice" },
	{ "quiet_and_verbose", { RUN, "--quiet", "--verbose" },
	  "--quiet and --verbose" },
	{ "unexpected_word", { RUN, "extra" }, "'extra'" },
	{ "word_after_the_dashes", { RUN, "--", "--cpus" }, "'--cpus'" },

	{ "no_kernel", { "run" }, "--kernel FILE expected" },
	{ "empty_kernel", { "run", "--kernel=" }, "--kernel: the path is" },
	{ "empty_initrd", { RUN, "--initrd", "" }, "--initrd: the path is" },

	{ "size_without_digits", { RUN, "--memory", "M" }, "'M'" },
	{ "size_empty", { RUN, "--memory=" }, "--memory ''" },
	{ "size_negative", { RUN, "--memory=-1M" }, "'-1M'" },
	{ "size_signed", { RUN, "--memory=+1M" }, "'+1M'" },
	{ "size_hexadecimal", { RUN, "--memory=0x100000" }, "'0x100000'" },
	{ "size_with_a_space", { RUN, "--memory= 1M" }, "' 1M'" },
	{ "size_suffix_unknown", { RUN, "--memory=1P" }, "K, M or G" },
	{ "size_suffix_twice", { RUN, "--memory=1MM" }, "'1MM'" },
	{ "size_suffix_long", { RUN, "--memory=256MiB" }, "'256MiB'" },
	{ "size_fraction", { RUN, "--memory=1.5G" }, "'1.5G'" },
	{ "size_zero", { RUN, "--memory=0" }, "1M to 1024G" },
	{ "size_below_1m", { RUN, "--memory=1048575" }, "1M to 1024G" },
	{ "size_above_1t", { RUN, "--memory=1025G" }, "1M to 1024G" },
	{ "size_not_whole", { RUN, "--memory=1048577" }, "multiple of 1M" },
	{ "size_overflow", { RUN, "--memory=18446744073709551616" },
	  "--memory" },
	{ "size_shift_overflow", { RUN, "--memory=17179869185G" },
	  "--memory" },

	{ "cpus_zero", { RUN, "--cpus=0" }, "1 to 8" },
	{ "cpus_too_many", { RUN, "--cpus=9" }, "--cpus '9'" },
	{ "cpus_text", { RUN, "--cpus=two" }, "'two'" },
	{ "cpus_trailing", { RUN, "--cpus=2x" }, "'2x'" },

	{ "control_empty", { RUN, "--control=" }, "--control: the path is" },
	{ "control_directory", { RUN, "--control=/tmp/" }, "'/tmp/'" },
	{ "control_is_the_uds", { RUN, "--control=/s",
				  "--vsock=cid=3,uds=/s" }, "same socket" },
	{ "control_is_the_seqpacket", { RUN, "--control=/c",
	  "--vsock=cid=3,uds=/s,seqpacket=/c" }, "same socket" },
	{ "serial_unknown", { RUN, "--serial=pty" }, "'pty'" },
	{ "serial_empty", { RUN, "--serial=" }, "stdio, none or" },
	{ "serial_empty_file", { RUN, "--serial=file=" }, "path is empty" },

	{ "restore_nothing", { "restore" }, "snapshot's directory, or --incoming, expected" },
	{ "incoming_without_control", { "restore", "--incoming" },
	  "--incoming needs --control" },
	{ "incoming_and_a_directory",
	  { "restore", "--incoming", "--control", "c", "dir" }, "'dir'" },
	{ "restore_empty", { "restore", "" }, "the path is empty" },
	{ "restore_two", { "restore", "a", "b" }, "'b'" },

	{ "help_unknown", { "help", "frob" }, "'frob'" },
	{ "help_two", { "help", "run", "ctl" }, "'ctl'" },
	{ "version_extra", { "--version", "x" }, "'x'" },
};

START_TEST(refusal_names_what_is_wrong)
{
	options_refused(&refusals[_i]);
}
END_TEST

START_TEST(what_is_not_said_has_a_default)
{
	ck_assert_int_eq(PARSE("run", "--kernel", "k"), 0);
	ck_assert_int_eq(options.command, COMMAND_RUN);
	ck_assert_str_eq(options.machine.kernel, "k");
	ck_assert_ptr_null(options.machine.initrd);
	ck_assert_str_eq(options.machine.append, "");
	ck_assert_uint_eq(options.machine.memory, 256u << 20);
	ck_assert_uint_eq(options.machine.cpus, 1);
	ck_assert_str_eq(options.machine.serial, "stdio");
	ck_assert_ptr_null(options.machine.control);
	ck_assert_ptr_null(options.machine.snapshot);
	ck_assert(!options.machine.vsock.present);
	ck_assert(!options.machine.paused);
	ck_assert(!options.machine.panic_stop);
	ck_assert_int_eq(options.machine.clock, VM_CLOCK_CONTINUE);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_WARN);
}
END_TEST

START_TEST(run_takes_its_options)
{
	ck_assert_int_eq(PARSE("run", "--kernel=k=1", "--initrd", "i",
			       "--append", "a b=c,d --x", "--memory", "1G",
			       "--cpus", "8", "--vsock", "uds=/u,cid=42",
			       "--control=c", "--serial=file=/f,x",
			       "--paused", "--clock", "host", "--verbose",
			       "--on-panic", "stop"), 0);
	ck_assert(options.machine.panic_stop);
	ck_assert_str_eq(options.machine.kernel, "k=1");
	ck_assert_str_eq(options.machine.initrd, "i");
	ck_assert_str_eq(options.machine.append, "a b=c,d --x");
	ck_assert_uint_eq(options.machine.memory, UINT64_C(1) << 30);
	ck_assert_uint_eq(options.machine.cpus, 8);
	ck_assert(options.machine.vsock.present);
	ck_assert_uint_eq(options.machine.vsock.device.guest_cid, 42);
	ck_assert_str_eq(options.machine.vsock.host.path, "/u");
	ck_assert_str_eq(options.machine.control, "c");
	ck_assert_str_eq(options.machine.serial, "file=/f,x");
	ck_assert(options.machine.paused);
	ck_assert_int_eq(options.machine.clock, VM_CLOCK_HOST);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
}
END_TEST

START_TEST(sizes_are_in_units_of_1024)
{
	static const struct { const char *text; uint64_t bytes; } sizes[] = {
		{ "1048576", 1u << 20 }, { "1024K", 1u << 20 },
		{ "1024k", 1u << 20 }, { "1M", 1u << 20 },
		{ "0000000000000000000000001M", 1u << 20 },
		{ "3m", 3u << 20 }, { "1g", 1u << 30 },
		{ "1024G", UINT64_C(1) << 40 },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ck_assert_int_eq(PARSE("run", "--kernel", "k", "--memory",
				       sizes[i].text), 0);
		ck_assert_uint_eq(options.machine.memory, sizes[i].bytes);
		options_free(&options);
	}
}
END_TEST

START_TEST(long_paths_are_refused_and_longest_taken)
{
	char path[PATH_MAX + 1];
	char name[2 + UNIX_SOCKET_NAME_MAX + 2];

	memset(path, 'p', sizeof(path));
	path[PATH_MAX] = '\0';
	ck_assert_int_eq(PARSE("run", "--kernel", path), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "4096 bytes"));
	options_free(&options);
	path[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(PARSE("run", "--kernel", path), 0);
	options_free(&options);

	memset(name, 'n', sizeof(name));
	memcpy(name, "d/", 2);
	name[2 + UNIX_SOCKET_NAME_MAX + 1] = '\0';
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--control", name),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "108 bytes"));
	options_free(&options);
	name[2 + UNIX_SOCKET_NAME_MAX] = '\0';
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--control", name), 0);
}
END_TEST

START_TEST(restore_takes_its_options)
{
	ck_assert_int_eq(PARSE("restore", "--paused", "dir", "--vsock",
			       "cid=5,uds=u", "--quiet"), 0);
	ck_assert_int_eq(options.command, COMMAND_RESTORE);
	ck_assert_str_eq(options.machine.snapshot, "dir");
	ck_assert_ptr_null(options.machine.kernel);
	ck_assert(options.machine.paused);
	ck_assert_uint_eq(options.machine.vsock.device.guest_cid, 5);
	ck_assert_int_eq(options.machine.clock, VM_CLOCK_CONTINUE);
	ck_assert(!options.machine.force);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_ERROR);
	options_free(&options);
	ck_assert_int_eq(PARSE("restore", "dir", "--clock=host", "--force",
			       "--on-panic=exit"), 0);
	ck_assert(!options.machine.panic_stop);
	ck_assert_int_eq(options.machine.clock, VM_CLOCK_HOST);
	ck_assert(options.machine.force);
	options_free(&options);
	ck_assert_int_eq(PARSE("restore", "dir", "--clock", "continue"), 0);
	ck_assert_int_eq(options.machine.clock, VM_CLOCK_CONTINUE);
}
END_TEST

START_TEST(dashes_end_the_options)
{
	ck_assert_int_eq(PARSE("restore", "--", "--dir"), 0);
	ck_assert_str_eq(options.machine.snapshot, "--dir");
}
END_TEST

START_TEST(help_and_version)
{
	ck_assert_int_eq(PARSE("--help"), 0);
	ck_assert_int_eq(options.command, COMMAND_HELP);
	ck_assert_int_eq(options.topic, COMMAND_HELP);
	options_free(&options);
	ck_assert_int_eq(PARSE("help", "run"), 0);
	ck_assert_int_eq(options.topic, COMMAND_RUN);
	options_free(&options);
	/* Also when something required is missing. */
	ck_assert_int_eq(PARSE("connect", "--help"), 0);
	ck_assert_int_eq(options.command, COMMAND_HELP);
	ck_assert_int_eq(options.topic, COMMAND_CONNECT);
	options_free(&options);
	ck_assert_int_eq(PARSE("--version"), 0);
	ck_assert_int_eq(options.command, COMMAND_VERSION);
}
END_TEST

START_TEST(a_command_line_may_be_empty)
{
	char *argv[] = { NULL };

	ck_assert_int_eq(options_parse(0, argv, &options, &why), -EINVAL);
}
END_TEST

START_TEST(options_are_freed_twice_in_peace)
{
	ck_assert_int_eq(PARSE("run", "--kernel", "k"), 0);
	options_free(&options);
}
END_TEST

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(refusal_names_what_is_wrong, UNIT_COUNT(refusals)),
		UNIT_TEST(what_is_not_said_has_a_default),
		UNIT_TEST(run_takes_its_options),
		UNIT_TEST(sizes_are_in_units_of_1024),
		UNIT_TEST(long_paths_are_refused_and_longest_taken),
		UNIT_TEST(restore_takes_its_options),
		UNIT_TEST(dashes_end_the_options),
		UNIT_TEST(help_and_version),
		UNIT_TEST(a_command_line_may_be_empty),
		UNIT_TEST(options_are_freed_twice_in_peace),
	};

	return UNIT_RUN("vmm_options", cases, NULL, options_teardown);
}
