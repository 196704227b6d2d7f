/* lfs df (lfs_df, mntdf, showdf). The emulator is one MDT, which holds no data, and one OST. */
#define _GNU_SOURCE
#include "lfs.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define NUMBER_BYTES 32
#define LINE_FORMAT "%-20s %11s %11s %11s %4s %-s"

struct show {
	bool inodes, cooked, decimal;
};

struct amount {
	unsigned long long total, free;
};

/* How showdf writes one number: as it is, or with -h and -H down to the unit in which it is at most 1024 or 1000. */
static void write_number(char *text, unsigned long long number, const struct show *show)
{
	const char *suffix = show->decimal ? "kMGTPEZY" : "KMGTPEZY";
	double value = (double)number, base = show->decimal ? 1000 : 1024;
	int unit = 0;

	if (show->cooked)
		for (; value > base; unit++)
			value /= base;
	if (unit > 0)
		snprintf(text, NUMBER_BYTES, "%8.1f%c", value, suffix[unit - 1]);
	else
		snprintf(text, NUMBER_BYTES, "%11llu", number);
}

/* showdf, with obd_statfs_ratio's rounding up. */
static void show_line(const char *mount, const char *uuid, const char *target, struct amount amount,
		      const struct show *show)
{
	char total[NUMBER_BYTES], used[NUMBER_BYTES], available[NUMBER_BYTES], percent[NUMBER_BYTES];
	int shift = show->cooked || show->inodes ? 0 : 10;
	unsigned long long in_use = amount.total - amount.free;
	double ratio = amount.total > 0 ? (double)in_use / (double)amount.total * 100 : 0;

	write_number(total, amount.total >> shift, show);
	write_number(used, in_use >> shift, show);
	write_number(available, amount.free >> shift, show);
	snprintf(percent, sizeof(percent), "%3d%%", ratio > (int)ratio ? (int)ratio + 1 : (int)ratio);
	printf(LINE_FORMAT "%s\n", uuid, total, used, available, percent, mount, target);
}

/* mntdf. */
static int show_mount(const char *mount, const char *fsname, const struct show *show)
{
	struct amount ost, mdt = {0, 0};
	struct statvfs seen;
	char uuid[64];

	if (statvfs(mount, &seen) != 0) {
		int error = errno;

		fprintf(stderr, "%s: cannot open '%s': %s\n", progname, mount, strerror(error));
		return -error;
	}
	if (show->inodes) {
		ost = (struct amount){seen.f_files, seen.f_ffree};
		mdt = ost;
	} else {
		ost = (struct amount){(unsigned long long)seen.f_blocks * seen.f_frsize,
				      (unsigned long long)seen.f_bavail * seen.f_frsize};
	}
	printf(LINE_FORMAT "\n", "UUID", show->inodes ? "Inodes" : (show->cooked ? "bytes" : "1K-blocks"),
	       show->inodes ? "IUsed" : "Used", show->inodes ? "IFree" : "Available",
	       show->inodes ? "IUse%" : "Use%", "Mounted on");
	snprintf(uuid, sizeof(uuid), "%.32s-MDT0000_UUID", fsname);
	show_line(mount, uuid, "[MDT:0]", mdt, show);
	snprintf(uuid, sizeof(uuid), "%.32s-OST0000_UUID", fsname);
	show_line(mount, uuid, "[OST:0]", ost, show);
	printf("\n");
	show_line(mount, "filesystem_summary:", "", ost, show);
	printf("\n");
	return 0;
}

/* Show the mount that holds `path`, or all mounts for NULL (llapi_search_mounts). Returns 0 if one was shown, a
 * negative errno, or 1 if there was none. */
static int show_mounts(const char *path, const struct show *show)
{
	struct mntent *entry;
	int rc = 1;
	FILE *table = setmntent("/proc/self/mounts", "r");

	if (table == NULL)
		return -EIO;
	while (rc >= 0 && (entry = getmntent(table)) != NULL) {
		const char *fsname = strstr(entry->mnt_fsname, ":/");
		size_t length = strlen(entry->mnt_dir);

		if (strcmp(entry->mnt_type, MOUNT_TYPE) != 0 || fsname == NULL)
			continue;
		if (path != NULL && (strncmp(path, entry->mnt_dir, length) != 0 ||
				     (path[length] != '/' && path[length] != '\0')))
			continue;
		rc = show_mount(entry->mnt_dir, fsname + 2, show);
		if (path != NULL)
			break;
	}
	endmntent(table);
	return rc;
}

static const struct option df_options[] = {
	{"human-readable", no_argument, NULL, 'h'}, {"si", no_argument, NULL, 'H'},
	{"inodes", no_argument, NULL, 'i'},	    {"lazy", no_argument, NULL, 'l'},
	{"pool", required_argument, NULL, 'p'},	    {"verbose", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

/* lfs_df. */
int lfs_df(int argc, char **argv)
{
	struct show show = {false, false, false};
	int letter, first = 0;

	opterr = 0;
	while ((letter = getopt_long(argc, argv, "hHilp:v", df_options, NULL)) != -1) {
		switch (letter) {
		case 'h':
			show.cooked = true;
			show.decimal = false;
			break;
		case 'H':
			show.cooked = show.decimal = true;
			break;
		case 'i':
			show.inodes = true;
			break;
		case 'l':
		case 'p':
		case 'v':
			break;
		default:
			fprintf(stderr, "%s: unrecognized option '%s'\n", progname, argv[optind - 1]);
			return CMD_HELP;
		}
	}
	if (optind == argc) {
		int rc = show_mounts(NULL, &show);

		return rc > 0 ? 0 : rc;
	}
	for (; optind < argc; optind++) {
		char path[PATH_MAX];
		int rc;

		if (realpath(argv[optind], path) == NULL) {
			rc = -errno;
			fprintf(stderr, "error: invalid path '%s': %s\n", argv[optind], strerror(-rc));
		} else {
			rc = show_mounts(path, &show);
			if (rc > 0) {
				printf("%s:%s Not a Lustre filesystem\n", argv[0], argv[optind]);
				rc = -EOPNOTSUPP;
			}
		}
		if (first == 0)
			first = rc;
	}
	return first;
}
