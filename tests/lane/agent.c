// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first process of the lane's machine (L1): runs the one command that
 * relay.py sends over a virtio-serial port, and streams its input, output,
 * exit status and result files.
 *
 * Started by tests/lane/init (switch_root); built statically by base.sh.
 *
 * Everything travels in frames over one port: a type byte, a 32-bit
 * little-endian length and the payload.  From the host: 'a' argument,
 * 'v' NAME=value, 'd' working directory, 'l' the folder of result files,
 * 'w' rows and columns of a terminal (two 32-bit numbers), 'g' go (its one
 * byte: with a terminal?), 'i' input (none: end of input).  To the host:
 * 'r' ready, 'o' output, 'e' errors, 'c' bytes of input taken (the host
 * keeps no more than WINDOW in flight, so the agent never has to hold up
 * the port), 't' a piece of the tar of result files, 'x' exit status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WINDOW		(256 * 1024)
#define CHUNK		(32 * 1024)
#define FRAME_MAX	(1024 * 1024)

struct job {
	char *argv[4096];
	unsigned int argc;
	const char *cwd;
	const char *logs;
	struct winsize size;
	bool terminal;
};

struct streams {
	pid_t pid;
	int in;			/* to the command, -1 once closed */
	int out;		/* from it, -1 once at its end */
	int err;
	bool terminal;
	bool ended;		/* the host has no more input */
	size_t held;		/* bytes of input waiting in buffer */
	unsigned char buffer[WINDOW];
};

static int port = -1;
static int child_pipe[2];

static void fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(STDERR_FILENO, format, args);
	va_end(args);
	dprintf(STDERR_FILENO, ": %s\n", strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void put_le32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = value >> (8 * i);
}

static uint32_t get_le32(const unsigned char *from)
{
	uint32_t value = 0;

	for (int i = 3; i >= 0; i--)
		value = value << 8 | from[i];
	return value;
}

static void write_all(int fd, const void *data, size_t len)
{
	const unsigned char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fatal("agent: write");
		at += n;
		len -= n;
	}
}

static void send_frame(char type, const void *data, size_t len)
{
	static unsigned char frame[5 + CHUNK];

	frame[0] = type;
	put_le32(frame + 1, len);
	if (len)
		memcpy(frame + 5, data, len);
	write_all(port, frame, 5 + len);
}

static void send_number(char type, uint32_t value)
{
	unsigned char bytes[4];

	put_le32(bytes, value);
	send_frame(type, bytes, sizeof(bytes));
}

static void read_all(void *data, size_t len)
{
	unsigned char *at = data;

	while (len) {
		ssize_t n = read(port, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("agent: the host closed the port");
		at += n;
		len -= n;
	}
}

/* Returns the payload in memory of its own, with a NUL after it. */
static char *read_frame(char *type, uint32_t *len)
{
	unsigned char header[5];
	char *data;

	read_all(header, sizeof(header));
	*type = header[0];
	*len = get_le32(header + 1);
	if (*len > FRAME_MAX)
		fatal("agent: frame of %u bytes, at most %u are expected",
		      *len, FRAME_MAX);
	data = malloc(*len + 1);
	if (!data)
		fatal("agent: no memory");
	read_all(data, *len);
	data[*len] = '\0';
	return data;
}

static void take_size(struct winsize *size, const char *data, uint32_t len)
{
	if (len != 8)
		return;
	size->ws_row = get_le32((const unsigned char *)data);
	size->ws_col = get_le32((const unsigned char *)data + 4);
}

static void read_job(struct job *job)
{
	const unsigned int max = sizeof(job->argv) / sizeof(*job->argv) - 1;

	for (;;) {
		uint32_t len;
		char type;
		char *data = read_frame(&type, &len);

		switch (type) {
		case 'a':
			if (job->argc == max)
				fatal("agent: more than %u arguments", max);
			job->argv[job->argc++] = data;
			continue;
		case 'v':
			putenv(data);
			continue;
		case 'd':
			job->cwd = data;
			continue;
		case 'l':
			job->logs = data;
			continue;
		case 'w':
			take_size(&job->size, data, len);
			break;
		case 'g':
			job->terminal = len && data[0];
			free(data);
			return;
		default:
			fatal("agent: unknown frame '%c'", type);
		}
		free(data);
	}
}

static void make_folders(const char *path)
{
	char *copy = strdup(path);

	for (char *at = copy + 1; copy && *at; at++) {
		if (*at == '/') {
			*at = '\0';
			mkdir(copy, 0755);
			*at = '/';
		}
	}
	if (copy)
		mkdir(copy, 0755);
	free(copy);
}

static void on_child(int signo)
{
	int saved = errno;

	(void)signo;
	/* When the pipe is full the loop wakes up anyway. */
	(void)!write(child_pipe[1], "", 1);
	errno = saved;
}

static void run_command(const struct job *job)
{
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (job->cwd) {
		make_folders(job->cwd);
		if (chdir(job->cwd))
			dprintf(STDERR_FILENO, "lane: %s: %s\n", job->cwd,
				strerror(errno));
	}
	execvp(job->argv[0], job->argv);
	dprintf(STDERR_FILENO, "lane: %s: %s\n", job->argv[0],
		strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void start(const struct job *job, struct streams *s)
{
	int in[2], out[2], err[2];

	s->terminal = job->terminal;
	if (job->terminal) {
		int fd;

		s->pid = forkpty(&fd, NULL, NULL, &job->size);
		if (s->pid < 0)
			fatal("agent: forkpty");
		if (!s->pid)
			run_command(job);
		s->in = fd;
		s->out = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		s->err = -1;
	} else {
		if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
		    pipe2(err, O_CLOEXEC))
			fatal("agent: pipe");
		s->pid = fork();
		if (s->pid < 0)
			fatal("agent: fork");
		if (!s->pid) {
			setsid();
			dup2(in[0], STDIN_FILENO);
			dup2(out[1], STDOUT_FILENO);
			dup2(err[1], STDERR_FILENO);
			run_command(job);
		}
		close(in[0]);
		close(out[1]);
		close(err[1]);
		s->in = in[1];
		s->out = out[0];
		s->err = err[0];
	}
	fcntl(s->in, F_SETFL, fcntl(s->in, F_GETFL) | O_NONBLOCK);
	fcntl(s->out, F_SETFL, fcntl(s->out, F_GETFL) | O_NONBLOCK);
	if (s->err >= 0)
		fcntl(s->err, F_SETFL, fcntl(s->err, F_GETFL) | O_NONBLOCK);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Passes on what is there; returns false when there is no more for now. */
static bool pass_output(int *fd, char type)
{
	static unsigned char data[CHUNK];
	ssize_t n;

	if (*fd < 0)
		return false;
	n = read(*fd, data, sizeof(data));
	if (n > 0) {
		send_frame(type, data, n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	/* The end: of a pipe by 0, of a terminal by EIO. */
	close_fd(fd);
	return false;
}

static void pass_input(struct streams *s)
{
	ssize_t n = 0;

	if (s->held && s->in >= 0) {
		n = write(s->in, s->buffer, s->held);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			close_fd(&s->in);
	}
	/* Input that nobody reads is thrown away, as by a closed pipe. */
	if (s->held && s->in < 0)
		n = s->held;
	if (n > 0) {
		send_number('c', n);
		s->held -= n;
		memmove(s->buffer, s->buffer + n, s->held);
	}
	if (s->ended && !s->held && s->in >= 0) {
		if (s->terminal) {
			if (write(s->in, "\004", 1) < 0)
				return;
			s->ended = false;
		} else {
			close_fd(&s->in);
		}
	}
}

static void take_frame(struct streams *s)
{
	struct winsize size = { 0 };
	uint32_t len;
	char type;
	char *data = read_frame(&type, &len);

	switch (type) {
	case 'i':
		if (!len)
			s->ended = true;
		if (len > sizeof(s->buffer) - s->held)
			fatal("agent: %u bytes of input beyond the window",
			      len);
		memcpy(s->buffer + s->held, data, len);
		s->held += len;
		pass_input(s);
		break;
	case 'w':
		take_size(&size, data, len);
		if (s->terminal && s->in >= 0)
			ioctl(s->in, TIOCSWINSZ, &size);
		break;
	}
	free(data);
}

/* Buries all that died; true when the command itself was among them. */
static bool bury(pid_t pid, int *status)
{
	bool ours = false;
	char bin[64];
	int found;
	pid_t dead;

	while (read(child_pipe[0], bin, sizeof(bin)) > 0)
		;
	while ((dead = waitpid(-1, &found, WNOHANG)) > 0) {
		if (dead == pid) {
			*status = found;
			ours = true;
		}
	}
	return ours;
}

static int serve(struct streams *s)
{
	int status = 0;

	for (;;) {
		bool full = s->held && s->in >= 0;
		struct pollfd fds[] = {
			{ .fd = port, .events = POLLIN },
			{ .fd = child_pipe[0], .events = POLLIN },
			{ .fd = s->out, .events = POLLIN },
			{ .fd = s->err, .events = POLLIN },
			{ .fd = full ? s->in : -1, .events = POLLOUT },
		};

		if (poll(fds, 5, -1) < 0 && errno != EINTR)
			fatal("agent: poll");
		if (fds[0].revents & POLLIN)
			take_frame(s);
		if (fds[2].revents)
			pass_output(&s->out, 'o');
		if (fds[3].revents)
			pass_output(&s->err, 'e');
		if (full && fds[4].revents)
			pass_input(s);
		if (fds[1].revents && bury(s->pid, &status))
			break;
	}

	/*
	 * What was written before the end is in the pipes by now.  Daemons
	 * left behind may keep them open, so stop when they are empty.
	 */
	while (pass_output(&s->out, 'o') || pass_output(&s->err, 'e'))
		;
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void send_results(const char *logs)
{
	static unsigned char data[CHUNK];
	int out[2];
	pid_t pid;
	ssize_t n;

	if (!logs || pipe2(out, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		signal(SIGPIPE, SIG_DFL);
		execlp("tar", "tar", "-C", logs, "-S", "-cf", "-",
		       "--warning=no-file-changed", ".", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while ((n = read(out[0], data, sizeof(data))) > 0 ||
	       (n < 0 && errno == EINTR)) {
		if (n > 0)
			send_frame('t', data, n);
	}
	close(out[0]);
}

int main(int argc, char **argv)
{
	static struct streams streams;
	static struct job job;
	struct rlimit files = { 65536, 65536 };
	int status;

	port = open(argc > 1 ? argv[1] : "/dev/vport0p1", O_RDWR | O_CLOEXEC);
	if (port < 0)
		fatal("agent: port");
	if (pipe2(child_pipe, O_CLOEXEC | O_NONBLOCK))
		fatal("agent: pipe");
	signal(SIGCHLD, on_child);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);

	send_frame('r', NULL, 0);
	read_job(&job);
	if (job.logs)
		make_folders(job.logs);
	start(&job, &streams);
	status = serve(&streams);
	send_results(job.logs);
	send_number('x', status);

	/* The host ends the machine; this is for one that does not. */
	sleep(5);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
