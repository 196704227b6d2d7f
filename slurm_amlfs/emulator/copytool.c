/*
 * What the emulator does most often, in one call each, where Python takes an interpreter's turn for each system call.
 *
 * A restore as it mostly is: a small released file whose blob is a file of the same size. Whatever is not so is left as
 * it is, for transfers.py, which tells. The states of a directory's files, as door.py tells them. And what hsm.py has to
 * know of files that are to be restored.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RECORD "user.amlfs.hsm" /* tree.py */
#define RECORD_BYTES 64         /* of one that names no blob, which is "FLAGS ARCHIVE_ID" in hex and decimal */
#define RELEASED 0x4UL          /* hsm_rules.py */
#define ARCHIVED 0x8UL
#define MOST_BYTES (1 << 14)
#define PUNCHED_BYTES (1 << 20) /* transfers.py: whole blocks of any file system */
#define NOT_SIMPLE (-1)
#define LONGEST_RECORD_BYTES 8192 /* quick_calls.py */
#define LINE_BYTES RECORD_BYTES   /* of an answer; copytool.py makes room for as many as there are names */
#define HIDDEN ".fuse_hidden"     /* tree.py */

/* Write what a released file's record is once its contents are there; return its length, or a negative number. */
static int whole_record(int file, char *text)
{
	char before[RECORD_BYTES + 1], *rest;
	ssize_t length = fgetxattr(file, RECORD, before, RECORD_BYTES);

	if (length < 0)
		return -1;
	before[length] = '\0';
	if (strlen(before) != (size_t)length || strchr(before, '\n'))
		return -1;
	unsigned long flags = strtoul(before, &rest, 16);
	if (*rest != ' ' || !(flags & RELEASED) || !(flags & ARCHIVED))
		return -1;
	length = snprintf(text, RECORD_BYTES, "%lx%s", flags & ~RELEASED, rest);
	return length < RECORD_BYTES ? (int)length : -1;
}

/* Read a blob that has just this size. One that is no regular file is never opened in a way that waits. */
static int read_blob(const char *path, char *bytes, off_t size)
{
	struct stat seen;
	int blob = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (blob < 0)
		return -1;
	int same = !fstat(blob, &seen) && S_ISREG(seen.st_mode) && seen.st_size == size && read(blob, bytes, size) == size;
	close(blob);
	return same ? 0 : -1;
}

static void undo(int file, off_t size, const struct timespec *times)
{
	if (fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PUNCHED_BYTES))
		(void)!ftruncate(file, 0);
	(void)!ftruncate(file, size);
	futimens(file, times);
}

static int64_t restore(int file, const char *blob, uint64_t number, int64_t room)
{
	char bytes[MOST_BYTES], record[RECORD_BYTES];
	struct stat seen;

	if (fstat(file, &seen) || !S_ISREG(seen.st_mode) || seen.st_ino != number)
		return NOT_SIMPLE;
	if (seen.st_size > room || seen.st_size > MOST_BYTES)
		return NOT_SIMPLE;
	int length = whole_record(file, record);
	if (length < 0 || read_blob(blob, bytes, seen.st_size))
		return NOT_SIMPLE;

	const struct timespec times[] = {seen.st_atim, seen.st_mtim};
	/* The record comes last: until then a file whose restore was cut off is a released one. */
	if (pwrite(file, bytes, seen.st_size, 0) == seen.st_size && !futimens(file, times) &&
	    !fsetxattr(file, RECORD, record, length, XATTR_REPLACE))
		return seen.st_size;
	undo(file, seen.st_size, times);
	return NOT_SIMPLE;
}

/*
 * Restore the released file `path` from the file `blob`, if its inode has this number and its bytes fit into `room`.
 * Return its size; or NOT_SIMPLE, and all is as it was.
 */
int64_t amlfs_restore(const char *path, const char *blob, uint64_t number, int64_t room);

int64_t amlfs_restore(const char *path, const char *blob, uint64_t number, int64_t room)
{
	int file = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (file < 0)
		return NOT_SIMPLE;
	int64_t size = restore(file, blob, number, room);
	close(file);
	return size;
}

static bool is_name(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') && !strstr(name, HIDDEN);
}

/* Write one file's line: its record's numbers; "0 0" for a file that has none, "-" for what is no file by that name. */
static int tell(const char *folder, const char *name, char *line)
{
	char path[PATH_MAX], record[LONGEST_RECORD_BYTES];
	struct stat seen;

	if (!is_name(name) || snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_MAX)
		return sprintf(line, "-\n");
	ssize_t length = lgetxattr(path, RECORD, record, sizeof record);
	if (length >= 0) {
		const char *end = memchr(record, '\n', length);
		int numbers = end ? end - record : length;
		return snprintf(line, LINE_BYTES, "%.*s\n", numbers < LINE_BYTES - 2 ? numbers : LINE_BYTES - 2, record);
	}
	return sprintf(line, lstat(path, &seen) || !S_ISREG(seen.st_mode) ? "-\n" : "0 0\n");
}

/* Answer for each of the names, which are `bytes` long with a NUL between them and one behind; return the length. */
int64_t amlfs_tell(const char *folder, const char *names, int64_t bytes, char *answers);

int64_t amlfs_tell(const char *folder, const char *names, int64_t bytes, char *answers)
{
	char *end = answers;

	for (const char *name = names; name <= names + bytes; name += strlen(name) + 1)
		end += tell(folder, name, end);
	return end - answers;
}

/* What is known of a file: its inode's number, or 0 where it is no regular file with a record; flags; archive. */
struct seen {
	uint64_t number;
	uint32_t flags, archive_id;
};

static struct seen look(const char *root, const char *name)
{
	char path[PATH_MAX], record[LONGEST_RECORD_BYTES + 1];
	struct stat facts;
	struct seen seen = {0};

	if (snprintf(path, sizeof path, "%s/%s", root, name) >= PATH_MAX)
		return seen;
	ssize_t length = lgetxattr(path, RECORD, record, LONGEST_RECORD_BYTES);
	if (length < 0 || lstat(path, &facts) || !S_ISREG(facts.st_mode))
		return seen;
	record[length] = '\0';
	if (sscanf(record, "%" SCNx32 " %" SCNu32, &seen.flags, &seen.archive_id) == 2)
		seen.number = facts.st_ino;
	return seen;
}

/* Look at each of the paths below `root`, which are `bytes` long with a NUL between them and one behind. */
void amlfs_look(const char *root, const char *paths, int64_t bytes, struct seen *seen);

void amlfs_look(const char *root, const char *paths, int64_t bytes, struct seen *seen)
{
	for (const char *path = paths; path <= paths + bytes; path += strlen(path) + 1)
		*seen++ = look(root, path);
}
