// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots on disk, writing: how a directory gets to its place at once.
 *
 * Called by snapshot_write.c; no locks but those on directories.
 *
 * Everything goes to a temporary directory ".NAME.wherry-XXXXXX" beside the
 * target and is synced there. One rename puts it into place; over an existing
 * snapshot, one exchange, the old one then having the temporary name. Once
 * that is on stable storage the old one is removed. So at no moment does a
 * crash leave NAME without a whole snapshot if it had one.
 *
 * A crash leaves at most a directory of the temporary name, which the next
 * save to the directory above removes, whatever its NAME. Whoever works on a
 * temporary directory holds flock(2) on it, which is of mode 0700. Whoever
 * removes one takes the lock first, and checks under it that the name still
 * belongs to the directory that it locked: the maker, who keeps the lock until
 * all is done, may have renamed it into place.
 *
 * Who puts something into place, or sweeps, holds dir_lock.h's lock on the
 * directory above meanwhile: so what was exchanged stays whole until its new
 * owner is sure not to need it any more. It is held for a moment only, by
 * processes of the same user: saves of a thousand guests to one directory write
 * their memory side by side. That it can be had is found out before anything is
 * written, and waited for at the end. Files are removed from a directory only
 * after it has left NAME, and it never returns then; so whoever looks at NAME
 * without that lock, and does not like what is there, looks whether it is
 * there still. Where there are no locks (some network file systems) nothing
 * is swept.
 *
 * What is removed or replaced is an empty directory, or one that holds nothing
 * but files of a snapshot; only those are unlinked, one by one.
 */
#include "vmm/snapshot_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_INFIX	".wherry-"
#define TEMP_RANDOM	6u
#define TEMP_DIGITS	"0123456789abcdefghijklmnopqrstuv"
#define NAME_LONGEST	(NAME_MAX - 1 - strlen(TEMP_INFIX) - TEMP_RANDOM)
/* Somebody else was faster every time: give up at some point. */
#define ATTEMPTS	100
/* How long others may hold the directory above, which they sync meanwhile. */
#define LOCK_WAIT_MS	60000u

#define OPEN_DIR	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static const char *const file_names[] = {
	SNAPSHOT_MANIFEST, SNAPSHOT_STATE, SNAPSHOT_MEMORY,
};
#define FILE_NAMES	(sizeof(file_names) / sizeof(file_names[0]))

/* errno as the reason. */
static int place_fail(const struct snapshot_place *p, struct fail *why,
		      const char *what)
{
	int err = errno;

	return fail(why, -err, "snapshot %s: %s: %s", p->job->path, what,
		    strerror(err));
}

static bool is_file_name(const char *name)
{
	for (size_t i = 0; i < FILE_NAMES; i++)
		if (!strcmp(name, file_names[i]))
			return true;
	return false;
}

/* Is @name in @parent the directory open as @dir? */
static bool same_directory(int parent, const char *name, int dir)
{
	struct stat a, b;

	return !fstatat(parent, name, &a, AT_SYMLINK_NOFOLLOW) &&
	       !fstat(dir, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/**
 * directory_files() - look through a directory
 * @foreign: room for a name that is no file of a snapshot, else ""
 *
 * Return: how many entries, or negative errno.
 */
static int directory_files(int dir, char foreign[NAME_MAX + 1])
{
	/* An open file of its own: a duplicate would share the position. */
	int fd = openat(dir, ".", OPEN_DIR);
	struct dirent *entry;
	int count = 0;
	DIR *stream;

	foreign[0] = '\0';
	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		count = -errno;
		if (fd >= 0)
			close(fd);
		return count;
	}
	while ((errno = 0, entry = readdir(stream))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!is_file_name(entry->d_name))
			snprintf(foreign, NAME_MAX + 1, "%s", entry->d_name);
		count++;
	}
	if (errno)
		count = -errno;
	closedir(stream);
	return count;
}

static bool has_manifest(int dir)
{
	char text[64];
	struct stat st;
	ssize_t len;
	int fd;

	fd = openat(dir, SNAPSHOT_MANIFEST,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = fstat(fd, &st) || !S_ISREG(st.st_mode) ? -1 :
		pread(fd, text, sizeof(text), 0);
	close(fd);
	return len > 0 && manifest_is_ours(text, len);
}

/* May the directory @dir, which is or was at the target, go? */
static int vet_directory(const struct snapshot_place *p, int dir,
			 struct fail *why)
{
	char foreign[NAME_MAX + 1];
	int count = directory_files(dir, foreign);

	if (count < 0) {
		errno = -count;
		return place_fail(p, why, "cannot read what is there");
	}
	if (foreign[0])
		return fail(why, -EEXIST, "snapshot %s: not replaced: it holds "
			    "\"%s\", which is no part of a snapshot",
			    p->job->path, foreign);
	if (count && !has_manifest(dir))
		return fail(why, -EEXIST, "snapshot %s: not replaced: it has "
			    "no manifest of a snapshot", p->job->path);
	return 0;
}

/**
 * open_target() - what is at the target, if anything
 * @dir: descriptor of a directory that may be replaced; -1: nothing is there
 */
static int open_target(const struct snapshot_place *p, int *dir,
		       struct fail *why)
{
	struct stat st;
	bool stayed;
	int ret;

	do {
		*dir = openat(p->parent, p->name, OPEN_DIR);
		if (*dir < 0)
			break;
		ret = vet_directory(p, *dir, why);
		if (!ret)
			return 0;
		stayed = same_directory(p->parent, p->name, *dir);
		close(*dir);
		*dir = -1;
		if (stayed)
			return ret;
	} while (true);

	if (errno == ENOENT)
		return 0;
	ret = place_fail(p, why, "cannot open what is there");
	if (!fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !S_ISDIR(st.st_mode))
		ret = fail(why, -ENOTDIR, "snapshot %s: not replaced: it is "
			   "%s, no directory", p->job->path,
			   S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	return ret;
}

/* Best effort: what cannot be removed stays, under its temporary name. */
static void remove_directory(int parent, const char *name, int dir)
{
	for (size_t i = 0; i < FILE_NAMES; i++)
		unlinkat(dir, file_names[i], 0);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* ".NAME.wherry-XXXXXX" of any NAME. */
static bool is_temp_name(const char *name)
{
	size_t tail = strlen(TEMP_INFIX) + TEMP_RANDOM;
	size_t len = strlen(name);

	return name[0] == '.' && len > 1 + tail &&
	       !strncmp(name + len - tail, TEMP_INFIX, strlen(TEMP_INFIX)) &&
	       strspn(name + len - TEMP_RANDOM, TEMP_DIGITS) == TEMP_RANDOM;
}

static void remove_stale(const struct snapshot_place *p, const char *name)
{
	int dir = openat(p->parent, name, OPEN_DIR);
	char foreign[NAME_MAX + 1];
	struct stat st;

	if (dir < 0)
		return;
	if (!fstat(dir, &st) && st.st_uid == geteuid() &&
	    !flock(dir, LOCK_EX | LOCK_NB) &&
	    same_directory(p->parent, name, dir) &&
	    directory_files(dir, foreign) >= 0 && !foreign[0])
		remove_directory(p->parent, name, dir);
	close(dir);
}

/* What crashed saves have left; frees room for this one. Under the lock. */
static void sweep(const struct snapshot_place *p)
{
	int fd = openat(p->parent, ".", OPEN_DIR);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)))
		if (is_temp_name(entry->d_name))
			remove_stale(p, entry->d_name);
	closedir(stream);
}

/* Return: 0; 1: there are no locks here; negative errno. */
static int lock_parent(struct snapshot_place *p, unsigned int wait_ms,
		       struct fail *why)
{
	int ret = dir_lock_take(&p->lock, p->parent, wait_ms, why);

	if (ret == -ENOTSUP)
		return 1;
	return ret ? fail_within(why, ret, "snapshot %s", p->job->path) : 0;
}

/* Who is busy there sweeps, or will: no need to wait. */
static int sweep_parent(struct snapshot_place *p, struct fail *why)
{
	struct fail reason;
	int ret = lock_parent(p, 0, &reason);

	if (!ret)
		sweep(p);
	dir_lock_release(&p->lock);
	return ret < 0 && ret != -EBUSY ? fail(why, ret, "%s", reason.text) : 0;
}

/* Splits the path; opens the directory that holds the last part. */
static int open_parent(struct snapshot_place *p, struct fail *why)
{
	const char *path = p->job->path;
	char folder[PATH_MAX];
	size_t len = strlen(path);
	size_t start;

	while (len > 1 && path[len - 1] == '/')
		len--;
	for (start = len; start && path[start - 1] != '/'; start--)
		;
	if (start == len || !strncmp(path + start, ".", len - start) ||
	    !strncmp(path + start, "..", len - start))
		return fail(why, -EINVAL, "snapshot \"%s\": the path does not "
			    "end with a name", path);
	if (len - start > NAME_LONGEST || start >= sizeof(folder))
		return fail(why, -ENAMETOOLONG, "snapshot %s: the path is too "
			    "long: %u bytes at most, the name alone %zu",
			    path, PATH_MAX - 1, NAME_LONGEST);
	snprintf(p->name, sizeof(p->name), "%.*s", (int)(len - start),
		 path + start);
	snprintf(folder, sizeof(folder), "%.*s", (int)start, path);
	p->parent = open(start ? folder : ".",
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->parent < 0)
		return place_fail(p, why, "cannot open the directory above");
	return 0;
}

static int random_temp(struct snapshot_place *p)
{
	uint8_t bytes[TEMP_RANDOM];
	size_t len;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -1;
	len = snprintf(p->temp, sizeof(p->temp), ".%s" TEMP_INFIX, p->name);
	for (unsigned int i = 0; i < TEMP_RANDOM; i++)
		p->temp[len++] = TEMP_DIGITS[bytes[i] % strlen(TEMP_DIGITS)];
	p->temp[len] = '\0';
	return 0;
}

/*
 * Between mkdir and flock somebody's sweep() may take it: then it is theirs to
 * remove, and we try another name. File systems without locks have no sweep.
 */
static int make_temp(struct snapshot_place *p, struct fail *why)
{
	for (unsigned int i = 0; i < ATTEMPTS; i++) {
		if (random_temp(p))
			return place_fail(p, why, "no random name");
		if (mkdirat(p->parent, p->temp, 0700)) {
			if (errno == EEXIST)
				continue;
			return place_fail(p, why,
					  "cannot make a directory beside it");
		}
		p->dir = openat(p->parent, p->temp, OPEN_DIR);
		if (p->dir < 0 && errno != ENOENT) {
			int ret = place_fail(p, why, "cannot open what is new");

			unlinkat(p->parent, p->temp, AT_REMOVEDIR);
			return ret;
		}
		if (p->dir < 0)
			continue;
		if ((!flock(p->dir, LOCK_EX | LOCK_NB) ||
		     errno != EWOULDBLOCK) &&
		    same_directory(p->parent, p->temp, p->dir)) {
			p->ours = true;
			return 0;
		}
		close(p->dir);
		p->dir = -1;
	}
	errno = EBUSY;
	return place_fail(p, why, "cannot make a directory beside it");
}

int snapshot_place_begin(struct snapshot_place *p,
			 const struct snapshot_job *job, struct fail *why)
{
	int ret, old;

	memset(p, 0, sizeof(*p));
	p->job = job;
	p->parent = -1;
	p->dir = -1;
	p->lock = (struct dir_lock)DIR_LOCK_INIT;
	ret = open_parent(p, why);
	if (ret)
		return ret;
	ret = open_target(p, &old, why);
	if (old >= 0)
		close(old);
	if (!ret)
		ret = sweep_parent(p, why);
	if (!ret)
		ret = make_temp(p, why);
	if (ret) {
		snapshot_place_end(p);
		return ret;
	}
	snapshot_reached(job, "temporary directory");
	return 0;
}

/* Return: 0; 1: something is there now, look again; negative errno. */
static int rename_new(struct snapshot_place *p, struct fail *why)
{
	int ret;

	ret = renameat2(p->parent, p->temp, p->parent, p->name,
			RENAME_NOREPLACE);
	/* Some file systems know no flags. Without, an empty directory may be
	 * replaced, which is as good. */
	if (ret && (errno == EINVAL || errno == ENOSYS))
		ret = renameat(p->parent, p->temp, p->parent, p->name);
	if (!ret) {
		p->ours = false;
		return 0;
	}
	if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
		return 1;
	return place_fail(p, why, "cannot rename it into place");
}

static int exchange(const struct snapshot_place *p)
{
	return renameat2(p->parent, p->temp, p->parent, p->name,
			 RENAME_EXCHANGE);
}

/* As rename_new(). @old is at the target, or was when we looked last. */
static int exchange_old(struct snapshot_place *p, int *old, struct fail *why)
{
	int ret;

	if (exchange(p)) {
		if (errno == ENOENT)
			return 1;
		if (errno == EINVAL || errno == ENOSYS)
			return fail(why, -ENOTSUP, "snapshot %s: this file "
				    "system cannot exchange directories: "
				    "remove it first, or save to another path",
				    p->job->path);
		return place_fail(p, why, "cannot exchange it");
	}
	p->ours = false;
	if (same_directory(p->parent, p->temp, *old))
		return 0;
	/* Another one was put there just now: may that go too? */
	close(*old);
	*old = openat(p->parent, p->temp, OPEN_DIR);
	ret = *old < 0 ? fail(why, -EEXIST, "snapshot %s: not replaced: "
			      "somebody else put something there",
			      p->job->path) : vet_directory(p, *old, why);
	if (ret && !exchange(p))
		p->ours = true;
	return ret;
}

/* The new name is not known to be on stable storage: undo it. */
static void take_back(struct snapshot_place *p, bool exchanged)
{
	if (exchanged)
		p->ours = !exchange(p);
	else
		p->ours = !renameat(p->parent, p->name, p->parent, p->temp);
}

int snapshot_place_commit(struct snapshot_place *p, struct fail *why)
{
	int old = -1;
	int ret = lock_parent(p, LOCK_WAIT_MS, why);

	if (ret < 0)
		return ret;
	ret = 1;
	for (unsigned int i = 0; i < ATTEMPTS && ret == 1; i++) {
		if (old >= 0)
			close(old);
		ret = open_target(p, &old, why);
		if (!ret)
			ret = old < 0 ? rename_new(p, why) :
				exchange_old(p, &old, why);
	}
	if (ret == 1)
		ret = fail(why, -EBUSY, "snapshot %s: others save there too",
			   p->job->path);
	if (!ret) {
		snapshot_reached(p->job, "rename");
		if (fsync(p->parent)) {
			ret = place_fail(p, why,
					 "cannot sync the directory above");
			take_back(p, old >= 0);
		}
	}
	if (!ret) {
		snapshot_reached(p->job, "sync");
		if (old >= 0)
			remove_directory(p->parent, p->temp, old);
	}
	if (old >= 0)
		close(old);
	dir_lock_release(&p->lock);
	return ret;
}

void snapshot_place_end(struct snapshot_place *p)
{
	if (p->ours)
		remove_directory(p->parent, p->temp, p->dir);
	if (p->dir >= 0)
		close(p->dir);
	if (p->parent >= 0)
		close(p->parent);
	p->ours = false;
	p->dir = -1;
	p->parent = -1;
}
