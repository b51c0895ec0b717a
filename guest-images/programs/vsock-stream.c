// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-stream: sends or receives a stream that can be verified, in the
 * guest over vsock and on the host over the AF_UNIX sockets of a monitor.
 *
 *	vsock-stream send|recv [OPTION]... --connect|--listen ADDRESS
 *
 *	vsock:CID:PORT	vsock (CID "any" when listening)
 *	unix:PATH	a stream socket at PATH
 *	hybrid:PATH:PORT  port of the guest behind a monitor's socket:
 *			"CONNECT PORT\n", answered by "OK N\n"
 *
 *	--bytes N	length (suffix K, M, G); 0: send for ever, or
 *			receive until the end (default 1M)
 *	--seed N	of the pattern (default 1)
 *	--chunk N	bytes of one read or write (default 64K)
 *	--pause-ms N	rest after each chunk: a slow peer
 *	--late-ms N	rest once connected: a late peer
 *	--ask		tell a --serve peer bytes, seed and chunk, and, when
 *			sending, wait for its verdict
 *	--serve		take one connection after another, each with such a
 *			request, side by side (with --listen)
 *	--background	return once listening
 *
 * The 64-bit word at offset 8 * i is a function of seed + i alone, so bytes
 * lost, doubled or swapped show at once.  The report is one line,
 * "sent|received bytes=B seconds=S rate=R MiB/s", then " ok", or
 * " mismatch offset=O", or " short" or an error's name; the exit status is 0
 * only for "ok".  A request is the line "BYTES SEED CHUNK\n"; a serving
 * receiver answers with its report line.
 */
#include "vsock.h"
#include <sys/un.h>

#define MAX_CHUNK	(1024 * 1024)

struct options {
	bool sending;
	bool listening;
	bool ask;
	bool serve;
	bool background;
	const char *address;
	uint64_t bytes;
	uint64_t seed;
	uint64_t chunk;
	uint64_t pause_ms;
	uint64_t late_ms;
};

static uint64_t expected[MAX_CHUNK / 8 + 2];
static char incoming[MAX_CHUNK];

/* Fills expected so that offset is at byte offset % 8 of it. */
static const char *pattern(uint64_t seed, uint64_t offset, size_t len)
{
	uint64_t first = offset / 8;
	size_t words = (offset % 8 + len + 7) / 8;

	for (size_t i = 0; i < words; i++) {
		uint64_t word = (seed + first + i) * 0x9e3779b97f4a7c15ull;

		expected[i] = word ^ word >> 32;
	}
	return (const char *)expected + offset % 8;
}

static int unix_address(struct sockaddr_un *addr, const char *path)
{
	if (strlen(path) >= sizeof(addr->sun_path))
		die("path '%s': longer than %zu bytes", path,
		    sizeof(addr->sun_path) - 1);
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	strcpy(addr->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int unix_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_address(&addr, path);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect to '%s': %s (%s)", path, strerror(errno),
		    strerrorname_np(errno));
	return fd;
}

static int unix_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_address(&addr, path);

	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 64))
		die("listen on '%s': %s", path, strerror(errno));
	return fd;
}

/* Reads up to a newline, which it removes; false at the end or an error. */
static bool read_line(int fd, char *line, size_t size)
{
	for (size_t len = 0; len < size; len++) {
		if (read(fd, line + len, 1) != 1)
			return false;
		if (line[len] == '\n') {
			line[len] = '\0';
			return true;
		}
	}
	return false;
}

static int hybrid_connect(const char *path, uint32_t port)
{
	int fd = unix_connect(path);
	char line[64];

	dprintf(fd, "CONNECT %u\n", port);
	if (!read_line(fd, line, sizeof(line)))
		die("connect to port %u behind '%s': refused", port, path);
	if (strncmp(line, "OK ", 3))
		die("connect to port %u behind '%s': answered '%s', expected 'OK N'",
		    port, path, line);
	return fd;
}

/* A socket that listens or is connected, by what the options say. */
static int open_address(const struct options *o)
{
	char *copy = strdup(o->address);
	char *rest = copy ? strchr(copy, ':') : NULL;
	char *port;

	if (!rest)
		die("address '%s': expected vsock:, unix: or hybrid:",
		    o->address);
	*rest++ = '\0';
	if (!strcmp(copy, "unix"))
		return o->listening ? unix_listen(rest) : unix_connect(rest);
	port = strrchr(rest, ':');
	if (!port)
		die("address '%s': expected a port at its end", o->address);
	*port++ = '\0';
	if (!strcmp(copy, "hybrid") && !o->listening)
		return hybrid_connect(rest, parse_port(port));
	if (strcmp(copy, "vsock"))
		die("address '%s': expected vsock: or unix:", o->address);
	if (o->listening)
		return vsock_listen(parse_port(port));
	return vsock_connect(parse_number("cid", rest, UINT32_MAX),
			     parse_port(port));
}

static void rest(uint64_t ms)
{
	if (ms)
		usleep(ms * 1000);
}

/* Both return what the report line ends with; *done counts the bytes. */
static const char *send_stream(const struct options *o, int fd,
			       uint64_t *done)
{
	while (!o->bytes || *done < o->bytes) {
		size_t len = o->chunk;

		if (o->bytes && o->bytes - *done < len)
			len = o->bytes - *done;
		if (write_all(fd, pattern(o->seed, *done, len), len))
			return strerrorname_np(errno);
		*done += len;
		rest(o->pause_ms);
	}
	shutdown(fd, SHUT_WR);
	return "ok";
}

static const char *receive_stream(const struct options *o, int fd,
				  uint64_t *done, char *text, size_t size)
{
	while (!o->bytes || *done < o->bytes) {
		size_t len = o->chunk;
		const char *want;
		ssize_t n;

		if (o->bytes && o->bytes - *done < len)
			len = o->bytes - *done;
		n = read(fd, incoming, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return strerrorname_np(errno);
		if (!n)
			return o->bytes ? "short" : "ok";
		want = pattern(o->seed, *done, n);
		if (memcmp(want, incoming, n)) {
			size_t at = 0;

			while (want[at] == incoming[at])
				at++;
			snprintf(text, size, "mismatch offset=%" PRIu64,
				 *done + at);
			return text;
		}
		*done += n;
		rest(o->pause_ms);
	}
	return "ok";
}

static int transfer(const struct options *o, int fd, int report)
{
	double begin = now_seconds(), spent;
	uint64_t done = 0;
	const char *end;
	char text[64];

	rest(o->late_ms);
	if (o->sending)
		end = send_stream(o, fd, &done);
	else
		end = receive_stream(o, fd, &done, text, sizeof(text));

	if (o->sending && o->ask) {
		char line[256];

		/* The verdict, after which all has really arrived. */
		if (!read_line(fd, line, sizeof(line))) {
			end = "no verdict";
		} else {
			size_t len = strlen(line);

			if (len < 3 || strcmp(line + len - 3, " ok"))
				end = "refused";
			fprintf(stderr, "peer: %s\n", line);
		}
	}
	spent = now_seconds() - begin;
	dprintf(report, "%s bytes=%" PRIu64 " seconds=%.3f rate=%.1f MiB/s %s\n",
		o->sending ? "sent" : "received", done, spent,
		spent > 0 ? done / spent / 1048576 : 0.0, end);
	return strcmp(end, "ok") != 0;
}

static void serve(struct options o, int fd)
{
	char line[128];

	if (!read_line(fd, line, sizeof(line)) ||
	    sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &o.bytes,
		   &o.seed, &o.chunk) != 3 || !o.chunk || o.chunk > MAX_CHUNK)
		die("request: expected 'BYTES SEED CHUNK'");
	transfer(&o, fd, o.sending ? STDOUT_FILENO : fd);
	shutdown(fd, SHUT_RDWR);
}

static void serve_all(const struct options *o, int listener)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (!fork()) {
			serve(*o, fd);
			_exit(0);
		}
		close(fd);
	}
}

static void parse(struct options *o, int argc, char **argv)
{
	if (argc < 2 || (strcmp(argv[1], "send") && strcmp(argv[1], "recv")))
		die("usage: vsock-stream send|recv [OPTION]... --connect|--listen ADDRESS");
	o->sending = !strcmp(argv[1], "send");
	for (int i = 2; i < argc; i++) {
		const char *name = argv[i], *value;

		if (!strcmp(name, "--ask")) {
			o->ask = true;
			continue;
		}
		if (!strcmp(name, "--serve")) {
			o->serve = true;
			continue;
		}
		if (!strcmp(name, "--background")) {
			o->background = true;
			continue;
		}
		if (i + 1 == argc)
			die("%s: expected a value", name);
		value = argv[++i];
		if (!strcmp(name, "--bytes")) {
			o->bytes = parse_number(name, value, UINT64_MAX >> 1);
		} else if (!strcmp(name, "--seed")) {
			o->seed = parse_number(name, value, UINT64_MAX >> 1);
		} else if (!strcmp(name, "--chunk")) {
			o->chunk = parse_number(name, value, MAX_CHUNK);
		} else if (!strcmp(name, "--pause-ms")) {
			o->pause_ms = parse_number(name, value, 600000);
		} else if (!strcmp(name, "--late-ms")) {
			o->late_ms = parse_number(name, value, 600000);
		} else if (!strcmp(name, "--connect") ||
			   !strcmp(name, "--listen")) {
			o->listening = name[2] == 'l';
			o->address = value;
		} else {
			die("%s: unknown option", name);
		}
	}
	if (!o->address || !o->chunk || (o->serve && !o->listening))
		die("expected --connect or --listen, and --serve with --listen only");
}

int main(int argc, char **argv)
{
	struct options o = { .bytes = 1 << 20, .seed = 1, .chunk = 65536 };
	int fd;

	signal(SIGPIPE, SIG_IGN);
	parse(&o, argc, argv);
	fd = open_address(&o);
	if (o.listening) {
		int listener = fd;

		if (o.background)
			go_background();
		if (o.serve)
			serve_all(&o, listener);
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			die("accept: %s", strerror(errno));
		close(listener);
	}
	if (o.ask)
		dprintf(fd, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", o.bytes,
			o.seed, o.chunk);
	return transfer(&o, fd, STDOUT_FILENO);
}
