// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/options.c and vmm/option_value.c: what is taken, and each refusal. Of the
 * commands that are not a machine: vmm_options_client.c.
 */
#include "vmm/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/unix_socket.h"
#include "tests/unit/runner.h"

#define WORDS_MAX 24

/**
 * struct refusal - a command line that cannot be
 * @rule: which rule it breaks
 * @argv: after the program's name
 * @said: what the reason must contain
 */
struct refusal {
	const char *rule;
	const char *argv[WORDS_MAX];
	const char *said;
};

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

	{ "vsock_empty", { RUN, "--vsock=" }, "key=value expected" },
	{ "vsock_no_cid", { RUN, "--vsock=uds=/s" }, "cid=VALUE is missing" },
	{ "vsock_no_uds", { RUN, "--vsock=cid=3" }, "uds=VALUE is missing" },
	{ "vsock_unknown_key", { RUN, "--vsock=cid=3,path=/s" },
	  "unknown key 'path'" },
	{ "vsock_key_prefix", { RUN, "--vsock=ci=3,uds=/s" },
	  "unknown key 'ci'" },
	{ "vsock_key_upper_case", { RUN, "--vsock=CID=3,uds=/s" },
	  "unknown key 'CID'" },
	{ "vsock_cid_twice", { RUN, "--vsock=cid=3,cid=3,uds=/s" },
	  "cid is given twice" },
	{ "vsock_uds_twice", { RUN, "--vsock=uds=/a,cid=3,uds=/s" },
	  "uds is given twice" },
	{ "vsock_no_value", { RUN, "--vsock=cid,uds=/s" },
	  "cid=VALUE expected" },
	{ "vsock_empty_cid", { RUN, "--vsock=cid=,uds=/s" },
	  "cid has an empty value" },
	{ "vsock_empty_uds", { RUN, "--vsock=cid=3,uds=" },
	  "uds has an empty value" },
	{ "vsock_trailing_comma", { RUN, "--vsock=cid=3,uds=/s," },
	  "key=value expected" },
	{ "vsock_leading_comma", { RUN, "--vsock=,cid=3,uds=/s" },
	  "key=value expected" },
	{ "vsock_empty_key", { RUN, "--vsock==3,uds=/s" },
	  "key=value expected" },
	{ "cid_reserved", { RUN, "--vsock=cid=2,uds=/s" },
	  "from 3 to 4294967294" },
	{ "cid_any", { RUN, "--vsock=cid=4294967295,uds=/s" },
	  "cid '4294967295'" },
	{ "cid_of_64_bits", { RUN, "--vsock=cid=4294967299,uds=/s" },
	  "cid '4294967299'" },
	{ "cid_hexadecimal", { RUN, "--vsock=cid=0x10,uds=/s" },
	  "cid '0x10'" },
	{ "cid_negative", { RUN, "--vsock=cid=-3,uds=/s" }, "cid '-3'" },
	{ "uds_directory", { RUN, "--vsock=cid=3,uds=/tmp/" }, "uds '/tmp/'" },

	{ "seqpacket_empty", { RUN, "--vsock=cid=3,uds=/s,seqpacket=" },
	  "seqpacket has an empty value" },
	{ "seqpacket_directory",
	  { RUN, "--vsock=cid=3,uds=/s,seqpacket=/tmp/" },
	  "seqpacket '/tmp/'" },
	{ "seqpacket_twice",
	  { RUN, "--vsock=cid=3,uds=/s,seqpacket=/a,seqpacket=/b" },
	  "seqpacket is given twice" },
	{ "seqpacket_is_the_uds", { RUN, "--vsock=cid=3,uds=/s,seqpacket=/s" },
	  "same socket" },
	{ "mode_empty", { RUN, "--vsock=cid=3,uds=/s,mode=" },
	  "mode has an empty value" },
	{ "mode_twice", { RUN, "--vsock=cid=3,uds=/s,mode=600,mode=600" },
	  "mode is given twice" },
	{ "mode_not_octal", { RUN, "--vsock=cid=3,uds=/s,mode=680" },
	  "mode '680'" },
	{ "mode_text", { RUN, "--vsock=cid=3,uds=/s,mode=rw" }, "mode 'rw'" },
	{ "mode_signed", { RUN, "--vsock=cid=3,uds=/s,mode=+660" },
	  "mode '+660'" },
	{ "mode_negative", { RUN, "--vsock=cid=3,uds=/s,mode=-600" },
	  "mode '-600'" },
	{ "mode_with_a_space", { RUN, "--vsock=cid=3,uds=/s,mode= 660" },
	  "mode ' 660'" },
	{ "mode_trailing", { RUN, "--vsock=cid=3,uds=/s,mode=660x" },
	  "mode '660x'" },
	{ "mode_hexadecimal", { RUN, "--vsock=cid=3,uds=/s,mode=0x1b" },
	  "mode '0x1b'" },
	{ "mode_below_the_owners", { RUN, "--vsock=cid=3,uds=/s,mode=577" },
	  "600 to 777" },
	{ "mode_without_write", { RUN, "--vsock=cid=3,uds=/s,mode=466" },
	  "mode '466'" },
	{ "mode_without_read", { RUN, "--vsock=cid=3,uds=/s,mode=266" },
	  "mode '266'" },
	{ "mode_sticky", { RUN, "--vsock=cid=3,uds=/s,mode=1777" },
	  "mode '1777'" },
	{ "mode_above", { RUN, "--vsock=cid=3,uds=/s,mode=1000" },
	  "mode '1000'" },
	{ "mode_long", { RUN, "--vsock=cid=3,uds=/s,mode=00600" },
	  "mode '00600'" },
	{ "ports_empty", { RUN, "--vsock=cid=3,uds=/s,ports=" },
	  "ports has an empty value" },
	{ "ports_twice", { RUN, "--vsock=cid=3,uds=/s,ports=1,ports=2" },
	  "ports is given twice" },
	{ "ports_text", { RUN, "--vsock=cid=3,uds=/s,ports=ssh" },
	  "ports 'ssh'" },
	{ "ports_open_range", { RUN, "--vsock=cid=3,uds=/s,ports=5-" },
	  "ports '5-'" },
	{ "ports_no_first", { RUN, "--vsock=cid=3,uds=/s,ports=-5" },
	  "ports '-5'" },
	{ "ports_backwards", { RUN, "--vsock=cid=3,uds=/s,ports=6-5" },
	  "ports '6-5'" },
	{ "ports_three", { RUN, "--vsock=cid=3,uds=/s,ports=1-2-3" },
	  "ports '1-2-3'" },
	{ "ports_trailing_plus", { RUN, "--vsock=cid=3,uds=/s,ports=5+" },
	  "ports '5+'" },
	{ "ports_leading_plus", { RUN, "--vsock=cid=3,uds=/s,ports=+5" },
	  "ports '+5'" },
	{ "ports_two_pluses", { RUN, "--vsock=cid=3,uds=/s,ports=5++6" },
	  "ports '5++6'" },
	{ "ports_with_a_space", { RUN, "--vsock=cid=3,uds=/s,ports=5 +6" },
	  "ports '5 +6'" },
	{ "ports_comma", { RUN, "--vsock=cid=3,uds=/s,ports=5,6" },
	  "unknown key '6'" },
	{ "ports_any", { RUN, "--vsock=cid=3,uds=/s,ports=4294967295" },
	  "ports '4294967295'" },
	{ "ports_up_to_any", { RUN, "--vsock=cid=3,uds=/s,ports=1-4294967295" },
	  "ports '1-4294967295'" },
	{ "ports_overflow",
	  { RUN, "--vsock=cid=3,uds=/s,ports=18446744073709551617" },
	  "ports '184467" },
	{ "connections_zero", { RUN, "--vsock=cid=3,uds=/s,connections=0" },
	  "1 to 65535" },
	{ "connections_too_many",
	  { RUN, "--vsock=cid=3,uds=/s,connections=65536" },
	  "connections '65536'" },
	{ "connections_text", { RUN, "--vsock=cid=3,uds=/s,connections=many" },
	  "connections 'many'" },
	{ "connections_twice",
	  { RUN, "--vsock=cid=3,uds=/s,connections=1,connections=1" },
	  "connections is given twice" },
	{ "clients_zero", { RUN, "--vsock=cid=3,uds=/s,clients=0" },
	  "1 to 4096" },
	{ "clients_too_many", { RUN, "--vsock=cid=3,uds=/s,clients=4097" },
	  "clients '4097'" },
	{ "clients_negative", { RUN, "--vsock=cid=3,uds=/s,clients=-1" },
	  "clients '-1'" },
	{ "clients_twice", { RUN, "--vsock=cid=3,uds=/s,clients=1,clients=1" },
	  "clients is given twice" },
	{ "buffer_zero", { RUN, "--vsock=cid=3,uds=/s,buffer=0" },
	  "4K to 16M" },
	{ "buffer_below", { RUN, "--vsock=cid=3,uds=/s,buffer=4095" },
	  "buffer '4095'" },
	{ "buffer_above", { RUN, "--vsock=cid=3,uds=/s,buffer=16777217" },
	  "buffer '16777217'" },
	{ "buffer_far_above", { RUN, "--vsock=cid=3,uds=/s,buffer=4G" },
	  "buffer '4G'" },
	{ "buffer_suffix", { RUN, "--vsock=cid=3,uds=/s,buffer=256KB" },
	  "buffer '256KB'" },
	{ "buffer_overflow",
	  { RUN, "--vsock=cid=3,uds=/s,buffer=17179869184G" },
	  "buffer '17179869184G'" },
	{ "buffer_twice", { RUN, "--vsock=cid=3,uds=/s,buffer=64K,buffer=64K" },
	  "buffer is given twice" },
	{ "queue_size_zero", { RUN, "--vsock=cid=3,uds=/s,queue-size=0" },
	  "from 32 to 1024" },
	{ "queue_size_below", { RUN, "--vsock=cid=3,uds=/s,queue-size=16" },
	  "queue-size '16'" },
	{ "queue_size_above", { RUN, "--vsock=cid=3,uds=/s,queue-size=2048" },
	  "queue-size '2048'" },
	{ "queue_size_no_power", { RUN, "--vsock=cid=3,uds=/s,queue-size=100" },
	  "a power of 2" },
	{ "queue_size_suffix", { RUN, "--vsock=cid=3,uds=/s,queue-size=1K" },
	  "queue-size '1K'" },
	{ "queue_size_twice",
	  { RUN, "--vsock=cid=3,uds=/s,queue-size=64,queue-size=64" },
	  "queue-size is given twice" },
	{ "pcap_empty", { RUN, "--vsock=cid=3,uds=/s,pcap=" },
	  "pcap has an empty value" },
	{ "pcap_twice", { RUN, "--vsock=cid=3,uds=/s,pcap=/a,pcap=/b" },
	  "pcap is given twice" },

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

#define POOL_MAX 256

static struct options options;
static struct fail why;
/* What was parsed points to its words: they stay until the test ends. */
static char *pool[POOL_MAX];
static unsigned int pooled;

static int parse(const char *const *words)
{
	static char program[] = "wherry";
	char *argv[WORDS_MAX + 2] = { program };
	int argc = 1;

	for (; words[argc - 1]; argc++) {
		argv[argc] = strdup(words[argc - 1]);
		ck_assert_uint_lt(pooled, POOL_MAX);
		pool[pooled++] = argv[argc];
	}
	why.text[0] = '\0';
	return options_parse(argc, argv, &options, &why);
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

static void teardown(void)
{
	options_free(&options);
	while (pooled)
		free(pool[--pooled]);
}

START_TEST(refusal_names_what_is_wrong)
{
	const struct refusal *r = &refusals[_i];

	ck_assert_msg(parse(r->argv) == -EINVAL, "%s was accepted", r->rule);
	ck_assert_msg(strstr(why.text, r->said), "%s: '%s' lacks '%s'",
		      r->rule, why.text, r->said);
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
			       "--paused", "--clock", "host", "--verbose"), 0);
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

START_TEST(comma_in_a_value_is_written_twice)
{
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--vsock",
			       "uds=/a,,b,,,,c,cid=4294967294"), 0);
	ck_assert_str_eq(options.machine.vsock.host.path, "/a,b,,c");
	ck_assert_uint_eq(options.machine.vsock.device.guest_cid, 4294967294);
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

START_TEST(uds_leaves_room_for_a_port)
{
	char text[128] = "cid=3,uds=/";
	size_t len = strlen(text);

	memset(text + len, 'u', 97);
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--vsock", text),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "97 bytes, at most 96"));
	options_free(&options);
	text[len + 96] = '\0';
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--vsock", text), 0);
}
END_TEST

/* The options of a vsock device, of which more follow. */
static const struct vsock_options *vsock(const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "cid=3,uds=/s%s%s", *more ? "," : "",
		 more);
	options_free(&options);
	ck_assert_msg(!PARSE("run", "--kernel", "k", "--vsock", text), "%s: %s",
		      text, why.text);
	return &options.machine.vsock;
}

START_TEST(vsock_takes_its_keys_in_any_order)
{
	const struct vsock_options *v;

	v = vsock("pcap=/p,,q,queue-size=64,buffer=1M,clients=5,"
		  "connections=9,ports=1+3-4,mode=0660,seqpacket=/t");
	ck_assert(v->present);
	ck_assert_uint_eq(v->device.guest_cid, 3);
	ck_assert_str_eq(v->host.path, "/s");
	ck_assert_str_eq(v->host.seqpacket, "/t");
	ck_assert(v->device.seqpacket);
	ck_assert_uint_eq(v->host.mode, 0660);
	ck_assert_uint_eq(v->host.port_count, 2);
	ck_assert_uint_eq(v->ranges[0].first, 1);
	ck_assert_uint_eq(v->ranges[0].last, 1);
	ck_assert_uint_eq(v->ranges[1].first, 3);
	ck_assert_uint_eq(v->ranges[1].last, 4);
	ck_assert_uint_eq(v->device.conns_max, 9);
	ck_assert_uint_eq(v->host.clients_max, 5);
	ck_assert_uint_eq(v->device.buf_alloc, 1u << 20);
	ck_assert_uint_eq(v->device.queue_size, 64);
	ck_assert_str_eq(v->pcap, "/p,q");
}
END_TEST

START_TEST(what_vsock_is_not_told_has_a_default)
{
	const struct vsock_options *v = vsock("");

	ck_assert_uint_eq(v->host.mode, 0600);
	ck_assert_ptr_null(v->host.seqpacket);
	ck_assert(!v->device.seqpacket);
	ck_assert_ptr_null(v->pcap);
	/* 0: as the device has it. */
	ck_assert_uint_eq(v->host.port_count, 0);
	ck_assert_uint_eq(v->host.clients_max, 0);
	ck_assert_uint_eq(v->device.conns_max, 0);
	ck_assert_uint_eq(v->device.buf_alloc, 0);
	ck_assert_uint_eq(v->device.queue_size, 0);
}
END_TEST

START_TEST(vsock_values_go_from_end_to_end)
{
	ck_assert_uint_eq(vsock("mode=600")->host.mode, 0600);
	ck_assert_uint_eq(vsock("mode=777")->host.mode, 0777);
	ck_assert_uint_eq(vsock("mode=0777")->host.mode, 0777);
	ck_assert_uint_eq(vsock("connections=1")->device.conns_max, 1);
	ck_assert_uint_eq(vsock("connections=65535")->device.conns_max, 65535);
	ck_assert_uint_eq(vsock("clients=1")->host.clients_max, 1);
	ck_assert_uint_eq(vsock("clients=4096")->host.clients_max, 4096);
	ck_assert_uint_eq(vsock("buffer=4096")->device.buf_alloc, 4096);
	ck_assert_uint_eq(vsock("buffer=16M")->device.buf_alloc, 16u << 20);
	ck_assert_uint_eq(vsock("queue-size=32")->device.queue_size, 32);
	ck_assert_uint_eq(vsock("queue-size=1024")->device.queue_size, 1024);
	ck_assert_uint_eq(vsock("ports=0-4294967294")->ranges[0].first, 0);
	ck_assert_uint_eq(vsock("ports=0-4294967294")->ranges[0].last,
			  4294967294);
}
END_TEST

START_TEST(port_ranges_have_a_limit)
{
	char text[1024] = "ports=1";
	size_t len = strlen(text);

	for (unsigned int i = 1; i < VSOCK_OPTION_RANGES; i++)
		len += (size_t)sprintf(text + len, "+%u", i + 1);
	ck_assert_uint_eq(vsock(text)->host.port_count, VSOCK_OPTION_RANGES);
	options_free(&options);
	memmove(text + strlen("cid=3,uds=/s,"), text, len + 1);
	memcpy(text, "cid=3,uds=/s,", strlen("cid=3,uds=/s,"));
	strcat(text, "+9");
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--vsock", text),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "ranges"));
}
END_TEST

START_TEST(seqpacket_needs_no_room_for_a_port)
{
	char text[160] = "seqpacket=/";
	size_t len = strlen(text);

	memset(text + len, 'q', UNIX_SOCKET_NAME_MAX);
	ck_assert_str_eq(vsock(text)->host.seqpacket, text + len - 1);
	memset(text, 0, sizeof(text));
	strcpy(text, "cid=3,uds=/s,seqpacket=/");
	len = strlen(text);
	memset(text + len, 'q', UNIX_SOCKET_NAME_MAX + 1);
	options_free(&options);
	ck_assert_int_eq(PARSE("run", "--kernel", "k", "--vsock", text),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "seqpacket"));
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
	ck_assert_int_eq(PARSE("restore", "dir", "--clock=host", "--force"), 0);
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
		UNIT_TEST(comma_in_a_value_is_written_twice),
		UNIT_TEST(long_paths_are_refused_and_longest_taken),
		UNIT_TEST(uds_leaves_room_for_a_port),
		UNIT_TEST(vsock_takes_its_keys_in_any_order),
		UNIT_TEST(what_vsock_is_not_told_has_a_default),
		UNIT_TEST(vsock_values_go_from_end_to_end),
		UNIT_TEST(port_ranges_have_a_limit),
		UNIT_TEST(seqpacket_needs_no_room_for_a_port),
		UNIT_TEST(restore_takes_its_options),
		UNIT_TEST(dashes_end_the_options),
		UNIT_TEST(help_and_version),
		UNIT_TEST(a_command_line_may_be_empty),
		UNIT_TEST(options_are_freed_twice_in_peace),
	};

	return UNIT_RUN("vmm_options", cases, NULL, teardown);
}
