// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock-exec [--background] PORT: reads one line from each connection and
 * runs it with sh -c.  The command's input is the rest of the connection;
 * its output and errors go back, followed by "exit=N\n" (128 + the signal
 * when one ended it) as the very last bytes; then the connection closes.
 *
 * Run in the test guest by guest-images/init, on port 1000; tests speak to
 * it with guest_exec of tests/guest/lib.sh.
 */
#include "vsock.h"
#include <sys/wait.h>

#define LINE_MAX_BYTES	65536

/* Byte by byte: what follows the line belongs to the command. */
static bool read_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, line + len, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (!n && !len))
			return false;
		if (!n || line[len] == '\n')
			break;
		if (++len == size)
			return false;
	}
	line[len] = '\0';
	return true;
}

static void serve(int fd)
{
	static char line[LINE_MAX_BYTES];
	int status = 127 << 8;
	pid_t pid;

	if (!read_line(fd, line, sizeof(line)))
		return;
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (!pid) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		signal(SIGPIPE, SIG_DFL);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				       WEXITSTATUS(status);
	dprintf(fd, "exit=%d\n", status);
	/* For a daemon that the command left behind holds the socket too. */
	shutdown(fd, SHUT_RDWR);
}

int main(int argc, char **argv)
{
	bool background = argc > 1 && !strcmp(argv[1], "--background");
	int listener;

	if (argc != 2 + background)
		die("usage: vsock-exec [--background] PORT");
	listener = vsock_listen(parse_port(argv[1 + background]));
	if (background)
		go_background();
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (!fork()) {
			close(listener);
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
}
