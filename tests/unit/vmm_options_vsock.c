// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/option_vsock.c: --vsock, what is taken, and each refusal.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/unix_socket.h"
#include "tests/unit/vmm_options_bed.h"

#define RUN "run", "--kernel", "k"

static const struct refusal refusals[] = {
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
	{ "linger_empty", { RUN, "--vsock=cid=3,uds=/s,linger=" },
	  "linger has an empty value" },
	{ "linger_text", { RUN, "--vsock=cid=3,uds=/s,linger=long" },
	  "linger 'long'" },
	{ "linger_negative", { RUN, "--vsock=cid=3,uds=/s,linger=-1" },
	  "linger '-1'" },
	{ "linger_too_long", { RUN, "--vsock=cid=3,uds=/s,linger=86401" },
	  "from 0 to 86400" },
	{ "linger_too_fine", { RUN, "--vsock=cid=3,uds=/s,linger=0.0001" },
	  "linger '0.0001'" },
	{ "linger_twice", { RUN, "--vsock=cid=3,uds=/s,linger=1,linger=1" },
	  "linger is given twice" },
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
};

START_TEST(refusal_names_what_is_wrong)
{
	options_refused(&refusals[_i]);
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

	v = vsock("pcap=/p,,q,queue-size=64,buffer=1M,clients=5,linger=1.25,"
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
	ck_assert_int_eq(v->linger_ms, 1250);
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
	ck_assert_int_eq(v->linger_ms, VSOCK_LINGER_MS);
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
	ck_assert_int_eq(vsock("linger=0")->linger_ms, 0);
	ck_assert_int_eq(vsock("linger=86400")->linger_ms, 86400000);
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

int main(void)
{
	const struct unit_case cases[] = {
		UNIT_LOOP(refusal_names_what_is_wrong, UNIT_COUNT(refusals)),
		UNIT_TEST(comma_in_a_value_is_written_twice),
		UNIT_TEST(uds_leaves_room_for_a_port),
		UNIT_TEST(vsock_takes_its_keys_in_any_order),
		UNIT_TEST(what_vsock_is_not_told_has_a_default),
		UNIT_TEST(vsock_values_go_from_end_to_end),
		UNIT_TEST(port_ranges_have_a_limit),
		UNIT_TEST(seqpacket_needs_no_room_for_a_port),
	};

	return UNIT_RUN("vmm_options_vsock", cases, NULL, options_teardown);
}
