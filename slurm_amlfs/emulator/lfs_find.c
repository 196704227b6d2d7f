/* lfs find, the part of it that scripts for HSM use: --type, --name, --maxdepth, --print0, and ! before the first two.
 * (lfs_find, llapi_semantic_traverse, cb_find_init). Names are read, no file is opened or asked for its attributes. */
#define _GNU_SOURCE
#include "lfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES (2 * PATH_MAX)

struct wanted {
	mode_t type;
	bool not_type, not_name, zero_end;
	const char *name;
	long max_depth;
};

static bool matches(const struct wanted *wanted, const char *path, mode_t type)
{
	const char *slash = strrchr(path, '/');

	if (wanted->name != NULL &&
	    (fnmatch(wanted->name, slash != NULL ? slash + 1 : path, 0) == 0) == wanted->not_name)
		return false;
	return wanted->type == 0 || (type == wanted->type) != wanted->not_type;
}

/* llapi_semantic_traverse: the directory itself first, then its entries as they come. The first error is kept, and
 * the walk goes on. */
static int walk(char *path, size_t length, mode_t type, long depth, const struct wanted *wanted)
{
	struct dirent *entry;
	int first = 0;

	if (matches(wanted, path, type)) {
		fputs(path, stdout);
		putchar(wanted->zero_end ? '\0' : '\n');
	}
	if (type != S_IFDIR || depth == wanted->max_depth)
		return 0;

	DIR *folder = opendir(path);

	if (folder == NULL) {
		int error = errno;

		fprintf(stderr, "%s find: %s: Failed to open '%s': %s (%d)\n", progname, "llapi_semantic_traverse", path,
			strerror(error), error);
		return -error;
	}
	while ((entry = readdir(folder)) != NULL) {
		struct stat seen;
		int rc;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;

		int added = snprintf(path + length, PATH_BYTES - length, "/%s", entry->d_name);

		if (length + (size_t)added >= PATH_BYTES) {
			rc = -ENAMETOOLONG;
		} else if (entry->d_type != DT_UNKNOWN) {
			rc = walk(path, length + (size_t)added, DTTOIF(entry->d_type), depth + 1, wanted);
		} else {
			rc = lstat(path, &seen) == 0 ? walk(path, length + (size_t)added, seen.st_mode & S_IFMT,
							    depth + 1, wanted)
						     : -errno;
		}
		path[length] = '\0';
		if (first == 0)
			first = rc;
	}
	closedir(folder);
	return first;
}

static int find(const char *start, const struct wanted *wanted)
{
	char path[PATH_BYTES];
	struct stat seen;

	if (strlen(start) > PATH_MAX)
		return -EINVAL;
	if (stat(start, &seen) != 0 && lstat(start, &seen) != 0)
		return -errno;
	snprintf(path, sizeof(path), "%s", start);
	return walk(path, strlen(path), seen.st_mode & S_IFMT, 0, wanted);
}

static mode_t type_of(char letter)
{
	switch (letter) {
	case 'b':
		return S_IFBLK;
	case 'c':
		return S_IFCHR;
	case 'd':
		return S_IFDIR;
	case 'f':
		return S_IFREG;
	case 'l':
		return S_IFLNK;
	case 'p':
		return S_IFIFO;
	case 's':
		return S_IFSOCK;
	default:
		return 0;
	}
}

static const struct option find_options[] = {
	{"help", no_argument, NULL, 'h'},	    {"maxdepth", required_argument, NULL, 'D'},
	{"name", required_argument, NULL, 'n'}, {"print", no_argument, NULL, 'P'},
	{"print0", no_argument, NULL, '0'},	    {"type", required_argument, NULL, 't'},
	{NULL, 0, NULL, 0},
};

/* lfs_find. Paths stand before the options or after them, not between. */
int lfs_find(int argc, char **argv)
{
	struct wanted wanted = {.max_depth = -1};
	int letter, at, start = -1, end = -1, bad = 0, ret = 0, negated = 0;
	char *rest;

	opterr = 0;
	while (at = optind, (letter = getopt_long_only(argc, argv, "-0D:hn:Pt:", find_options, NULL)) >= 0) {
		bool option = letter != 1 || strcmp(optarg, "!") == 0;

		if (negated > 0)
			negated--;
		if (!option && end != -1) {
			fprintf(stderr, "err: %s: filename|dirname must either precede options or follow options\n",
				argv[0]);
			return CMD_HELP;
		}
		if (!option && start == -1)
			start = at;
		if (option && start != -1 && end == -1)
			end = at;
		switch (letter) {
		case 1:
			if (option)
				negated = 2;
			break;
		case 'D':
			errno = 0;
			wanted.max_depth = strtol(optarg, &rest, 0);
			if (errno != 0 || wanted.max_depth < 0) {
				fprintf(stderr, "error: bad maxdepth '%s'\n", optarg);
				return -1;
			}
			break;
		case 'n':
			wanted.name = optarg;
			wanted.not_name = negated > 0;
			break;
		case 'P':
			break;
		case '0':
			wanted.zero_end = true;
			break;
		case 't':
			wanted.type = type_of(optarg[0]);
			wanted.not_type = negated > 0;
			if (wanted.type == 0) {
				fprintf(stderr, "%s: bad type '%s'\n", progname, optarg);
				return CMD_HELP;
			}
			break;
		default:
			fprintf(stderr, "%s: unrecognized option '%s'\n", progname, argv[optind - 1]);
			return CMD_HELP;
		case 'h':
			return CMD_HELP;
		}
	}
	if (start == -1) {
		fprintf(stderr, "error: %s: no filename|pathname\n", argv[0]);
		return CMD_HELP;
	}
	if (end == -1)
		end = argc;
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	do {
		int rc = find(argv[start], &wanted);

		if (rc != 0 && ret == 0) {
			ret = rc;
			bad = start;
		}
	} while (++start < end);
	fflush(stdout);
	if (ret != 0)
		fprintf(stderr, "%s: failed for '%s': %s\n", progname, argv[bad], strerror(-ret));
	return ret;
}
