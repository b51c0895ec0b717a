// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Feeds stored inputs to a fuzz target: the fuzzer's work as a plain test,
 * with any compiler.
 *
 * Arguments are files and folders of files; without any, the target's folder
 * in $WHERRY_SRC/tests/fuzz/corpus/. TAP, one line for the target; an input
 * that kills it is named on standard error before.
 */
#include "tests/fuzz/target.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX	(16u << 20)
#define PATH_SIZE	4096

/* For the signal handler. */
static char current[PATH_SIZE + sizeof("# died of \n")];

static void say_current(int signal)
{
	(void)!write(STDOUT_FILENO, current, strlen(current));
	raise(signal);
}

static bool replay_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file || !data) {
		printf("# %s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		free(data);
		return false;
	}
	len = fread(data, 1, INPUT_MAX, file);
	fclose(file);
	snprintf(current, sizeof(current), "# died of %s\n", path);
	LLVMFuzzerTestOneInput(data, len);
	current[0] = '\0';
	free(data);
	return true;
}

static bool replay_folder(const char *path, unsigned int *count)
{
	struct dirent **entry;
	bool ok = true;
	int n;

	n = scandir(path, &entry, NULL, alphasort);
	if (n < 0) {
		printf("# %s: %s\n", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		char name[PATH_SIZE];

		snprintf(name, sizeof(name), "%s/%s", path, entry[i]->d_name);
		if (entry[i]->d_name[0] != '.') {
			ok = replay_file(name) && ok;
			++*count;
		}
		free(entry[i]);
	}
	free(entry);
	return ok;
}

static bool replay(const char *path, unsigned int *count)
{
	struct stat st;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return replay_folder(path, count);
	++*count;
	return replay_file(path);
}

int main(int argc, char **argv)
{
	const char *source = getenv("WHERRY_SRC");
	struct sigaction action = {
		.sa_handler = say_current,
		.sa_flags = (int)SA_RESETHAND,
	};
	unsigned int count = 0;
	char path[PATH_SIZE];
	bool ok = true;

	sigaction(SIGABRT, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	printf("1..1\n");
	fflush(stdout);
	for (int i = 1; i < argc; i++)
		ok = replay(argv[i], &count) && ok;
	if (argc == 1) {
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s",
			 source ? source : ".", fuzz_target);
		ok = replay(path, &count);
	}
	ok = ok && count;
	printf("%s 1 - %s: %u inputs\n", ok ? "ok" : "not ok", fuzz_target,
	       count);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
