/* lfs: the dispatcher (lfs.c main and libcfs/util/parser.c Parser_execarg of b2_15). */
#define _GNU_SOURCE
#include "lfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

const char *progname;

static int lfs_version(int argc, char **argv);
static int lfs_list_commands(int argc, char **argv);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"find", lfs_find,
	 "find files matching given attributes recursively in directory tree.\n"
	 "usage: find <directory|filename> ...\n"
	 "     [--maxdepth|-D N] [[!] --name|-n <pattern>]\n"
	 "     [--print|-P] [--print0|-0] [[!] --type|-t <filetype>]\n"
	 "\t !: used before an option indicates 'NOT' requested attribute\n"},
	{"df", lfs_df,
	 "report filesystem disk space usage or inodes usage "
	 "of each MDS and all OSDs or a batch belonging to a specific pool.\n"
	 "Usage: df [--inodes|-i] [--human-readable|-h] [--lazy|-l]\n"
	 "          [--pool|-p <fsname>[.<pool>]] [path]"},
	{"hsm_state", lfs_hsm_state,
	 "Display the HSM information (states, undergoing actions) for given files.\n"
	 " usage: hsm_state <file> ..."},
	{"hsm_set", lfs_hsm_set,
	 "Set HSM user flag on specified files.\n"
	 "usage: hsm_set [--norelease] [--noarchive] [--dirty] [--exists] "
	 "[--archived] [--lost] [--archive-id NUM] <file> ..."},
	{"hsm_clear", lfs_hsm_clear,
	 "Clear HSM user flag on specified files.\n"
	 "usage: hsm_clear [--norelease] [--noarchive] [--dirty] [--exists] "
	 "[--archived] [--lost] <file> ..."},
	{"hsm_action", lfs_hsm_action,
	 "Display current HSM request for given files.\n"
	 "usage: hsm_action <file> ..."},
	{"hsm_archive", lfs_hsm_archive,
	 "Archive file to external storage.\n"
	 "usage: hsm_archive [--filelist FILELIST] [--data DATA] [--archive NUM] <file> ..."},
	{"hsm_restore", lfs_hsm_restore,
	 "Restore file from external storage.\n"
	 "usage: hsm_restore [--filelist FILELIST] [--data DATA] <file> ..."},
	{"hsm_release", lfs_hsm_release,
	 "Release files from Lustre.\n"
	 "usage: hsm_release [--filelist FILELIST] [--data DATA] <file> ..."},
	{"hsm_remove", lfs_hsm_remove,
	 "Remove file copy from external storage.\n"
	 "usage: hsm_remove [--filelist FILELIST] [--data DATA] [--archive NUM]\n"
	 "                  (FILE [FILE ...] | --mntpath MOUNTPATH FID [FID ...])\n"
	 "\n"
	 "Note: To remove an archived copy of a file already deleted from a Lustre FS, the\n"
	 "--mntpath option and a list of FIDs must be specified"},
	{"hsm_cancel", lfs_hsm_cancel,
	 "Cancel requests related to specified files.\n"
	 "usage: hsm_cancel [--filelist FILELIST] [--data DATA] <file> ..."},
	{"--version", lfs_version, "Display the lfs version.\nusage: --version"},
	{"--list-commands", lfs_list_commands, "Show all available commands.\nusage: --list-commands"},
	{NULL, NULL, NULL},
};

/* Parser_version. */
static int lfs_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%s %s\n", progname, LUSTRE_VERSION);
	return 0;
}

static int lfs_list_commands(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct command *one = commands; one->name != NULL; one++)
		printf("%s\n", one->name);
	return 0;
}

/* What the real program gets from open() before its ioctl fails on a file system that is not Lustre's. */
static int not_lustre(const char *path, int error, int open_flags)
{
	if (error != EOPNOTSUPP && error != ENODATA)
		return -error;

	int fd = open(path, open_flags | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return -ENOTTY;
}

int door_get(const char *path, const char *verb, int open_flags, char *answer, size_t size)
{
	char name[64];

	snprintf(name, sizeof(name), DOOR "%s", verb);

	ssize_t length = getxattr(path, name, answer, size - 1);

	if (length < 0)
		return not_lustre(path, errno, open_flags);
	answer[length] = '\0';
	return 0;
}

int door_set(const char *path, const char *verb, int open_flags, const void *value, size_t length)
{
	char name[64];

	snprintf(name, sizeof(name), DOOR "%s", verb);
	if (setxattr(path, name, value, length, 0) != 0)
		return not_lustre(path, errno, open_flags);
	return 0;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int rc = -1;

	progname = slash != NULL ? slash + 1 : argv[0];
	setlinebuf(stdout);
	if (argc < 2) {
		fprintf(stderr, "%s: the emulated lfs has no interactive mode; give a command, e.g. %s hsm_state FILE\n",
			progname, progname);
		return 1;
	}
	for (const struct command *one = commands; one->name != NULL; one++) {
		if (strcmp(one->name, argv[1]) != 0)
			continue;
		rc = one->run(argc - 1, argv + 1);
		if (rc == CMD_HELP)
			fprintf(stderr, "%s\n", one->help);
		return rc < 0 ? -rc : rc;
	}
	printf("Try interactive use without arguments or use one of:\n");
	for (const struct command *one = commands; one->name != NULL; one++)
		printf("\"%s\"\n", one->name);
	printf("as argument.\n");
	return 1;
}
