// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-insist [--background] PORT CLIENTS: each of CLIENTS processes connects
 * to a port of the host, where vsock-storm serves, again and again, whatever
 * happens.  Only what goes wrong is told:
 *
 *	lost CLIENT how=ECONNRESET at T		it had been connected
 *	late CLIENT how=ETIMEDOUT at T		neither connected nor refused
 *	hung CLIENT how=EAGAIN at T		no answer on a connection
 *	wrong CLIENT how=data at T		an answer to something else
 *
 * T is CLOCK_MONOTONIC in seconds.  A client's connection of the time before
 * a restore is lost, once.
 *
 * Run in the test guest by tests/migration/storm.test.sh.
 */
#include "vsock-storm.h"
#include <sys/wait.h>

#define ANSWER_SECONDS	60	/* the patience of a client */
#define CONNECT_SECONDS	5

static void tell(const char *what, unsigned int client, const char *how)
{
	printf("%s %u how=%s at %.6f\n", what, client, how, now_seconds());
	fflush(stdout);
}

static int storm_socket(void)
{
	struct timeval answer = { .tv_sec = ANSWER_SECONDS };
	struct timeval connect = { .tv_sec = CONNECT_SECONDS };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof(answer));
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &connect,
		   sizeof(connect));
	return fd;
}

static void exchange(int fd, unsigned int client, uint64_t id)
{
	char data[BYTES], echo[BYTES], byte;

	fill(data, id);
	if (read_all(fd, &byte, 1) || write_all(fd, data, BYTES) ||
	    read_all(fd, echo, BYTES)) {
		tell(errno == EAGAIN ? "hung" : "lost", client,
		     errno == ENODATA ? "EOF" : socket_error_name(fd, errno));
		return;
	}
	byte = memcmp(data, echo, BYTES) ? BAD : GOOD;
	if (byte == BAD)
		tell("wrong", client, "data");
	/* The host closes when it has this. */
	if (!write_all(fd, &byte, 1))
		(void)!read(fd, &byte, 1);
}

static void guest_client(uint32_t port, unsigned int client)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};

	for (uint64_t n = 0;; n++) {
		int fd = storm_socket();

		if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			exchange(fd, client, (uint64_t)client << 32 | n);
		else if (errno == ETIMEDOUT)
			tell("late", client, "ETIMEDOUT");
		else
			usleep(50000);	/* nobody listens: ask again */
		close(fd);
	}
}

int main(int argc, char **argv)
{
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	unsigned int clients;
	uint32_t port;

	if (argc != 3 + background)
		die("usage: vsock-insist [--background] PORT CLIENTS");
	port = parse_port(argv[1 + background]);
	clients = parse_number("clients", argv[2 + background], 256);
	signal(SIGPIPE, SIG_IGN);
	if (background)
		go_background();
	for (unsigned int i = 0; i < clients; i++)
		if (!fork())
			guest_client(port, i);
	while (wait(NULL) > 0)
		;
	return 0;
}
