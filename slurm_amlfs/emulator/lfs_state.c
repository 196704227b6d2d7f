/* lfs hsm_state, hsm_action, hsm_set, hsm_clear: one file at a time, stopping at the first that fails. */
#define _GNU_SOURCE
#include "lfs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES 256

/* The order in which lfs_hsm_state names the flags, and their names. */
static const struct {
	unsigned int flag;
	const char *name;
} flag_names[] = {
	{HS_RELEASED, "released"},	 {HS_EXISTS, "exists"},		  {HS_DIRTY, "dirty"},
	{HS_ARCHIVED, "archived"},	 {HS_NORELEASE, "never_release"}, {HS_NOARCHIVE, "never_archive"},
	{HS_LOST, "lost_from_hsm"},
};

/* A state that the mount told together with others. */
struct told {
	unsigned int flags;
	unsigned int archive_id;
	bool known;
};

#define TOLD_FILES 1000
#define TOLD_BYTES 32768

/* Ask for the states of a directory's files at once, beginning with argv[0], so that a thousand files are two calls of
 * the mount and not a thousand; return how many were asked for. Who is not root, and whatever is not a plain file by
 * that name, is asked one by one. */
static int ask_together(int argc, char **argv, struct told *told)
{
	static char names[TOLD_BYTES], answer[TOLD_BYTES];
	const char *slash = strrchr(argv[0], '/');
	char folder[PATH_MAX];
	size_t length = slash != NULL ? (size_t)(slash - argv[0]) : 0, used = 0;
	int asked = 0;

	if (geteuid() != 0 || argc < 2 || length == 0 || length >= sizeof(folder))
		return 0;
	memcpy(folder, argv[0], length);
	folder[length] = '\0';
	while (asked < argc && asked < TOLD_FILES) {
		const char *name = argv[asked] + length + 1;

		if (strncmp(argv[asked], argv[0], length + 1) != 0 || strchr(name, '/') != NULL ||
		    used + strlen(name) + 1 > sizeof(names))
			break;
		memcpy(names + used, name, strlen(name) + 1);
		used += strlen(name) + 1;
		asked++;
	}
	if (asked < 2 || door_set(folder, "ask", O_RDONLY, names, used - 1) != 0 ||
	    door_get(folder, "told", O_RDONLY, answer, sizeof(answer)) != 0)
		return 0;

	char *line = answer;

	for (int i = 0; i < asked; i++) {
		told[i].known = sscanf(line, "%x %u", &told[i].flags, &told[i].archive_id) == 2;
		line = strchr(line, '\n');
		if (line == NULL)
			return i;
		line++;
	}
	return asked;
}

/* lfs_hsm_state. The original opens the file O_RDONLY | O_NONBLOCK (llapi_hsm_state_get), so it must be readable. */
int lfs_hsm_state(int argc, char **argv)
{
	static struct told told[TOLD_FILES];
	char answer[ANSWER_BYTES];
	int first = 1, asked = 0;

	if (argc < 2)
		return CMD_HELP;
	for (int i = 1; i < argc; i++) {
		unsigned int flags = 0, archive_id = 0;
		int rc = 0;

		if (i >= first + asked) {
			first = i;
			asked = ask_together(argc - i, argv + i, told);
		}
		if (i < first + asked && told[i - first].known) {
			flags = told[i - first].flags;
			archive_id = told[i - first].archive_id;
		} else {
			rc = door_get(argv[i], "state", O_RDONLY, answer, sizeof(answer));
			if (rc == 0 && sscanf(answer, "%x %u", &flags, &archive_id) != 2)
				rc = -EPROTO;
		}
		if (rc != 0) {
			fprintf(stderr, "can't get hsm state for %s: %s\n", argv[i], strerror(-rc));
			return rc;
		}
		printf("%s: (0x%08x)", argv[i], flags);
		for (size_t k = 0; k < sizeof(flag_names) / sizeof(flag_names[0]); k++)
			if (flags & flag_names[k].flag)
				printf(" %s", flag_names[k].name);
		if (archive_id != 0)
			printf(", archive_id:%u", archive_id);
		printf("\n");
	}
	return 0;
}

/* The part of lfs_hsm_action that prints one file's line. */
static int print_action(const char *path, const char *answer)
{
	char action[16], progress[16];
	uint64_t offset, length;

	if (sscanf(answer, "%15s %15s %" SCNu64 " %" SCNu64, action, progress, &offset, &length) != 4)
		return -EPROTO;
	printf("%s: %s", path, action);
	if (strcmp(action, "NOOP") == 0) {
		printf("\n");
		return 0;
	}
	printf(" %s ", progress);
	if (strcmp(progress, "running") == 0 && (strcmp(action, "ARCHIVE") == 0 || strcmp(action, "RESTORE") == 0))
		printf("(%" PRIu64 " bytes moved)\n", length);
	else if (offset + length == UINT64_MAX)
		printf("(from %" PRIu64 " to EOF)\n", offset);
	else
		printf("(from %" PRIu64 " to %" PRIu64 ")\n", offset, offset + length);
	return 0;
}

/* lfs_hsm_action. */
int lfs_hsm_action(int argc, char **argv)
{
	char answer[ANSWER_BYTES];

	if (argc < 2)
		return CMD_HELP;
	for (int i = 1; i < argc; i++) {
		int rc = door_get(argv[i], "action", O_RDONLY, answer, sizeof(answer));

		if (rc == 0)
			rc = print_action(argv[i], answer);
		if (rc != 0) {
			fprintf(stderr, "can't get hsm action for %s: %s\n", argv[i], strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static const struct option flag_options[] = {
	{"archived", no_argument, NULL, 'A'}, {"noarchive", no_argument, NULL, 'a'},
	{"dirty", no_argument, NULL, 'd'},    {"exists", no_argument, NULL, 'e'},
	{"help", no_argument, NULL, 'h'},     {"archive-id", required_argument, NULL, 'i'},
	{"lost", no_argument, NULL, 'l'},     {"norelease", no_argument, NULL, 'r'},
	{NULL, 0, NULL, 0},
};

static unsigned int flag_of(int letter)
{
	switch (letter) {
	case 'l':
		return HS_LOST;
	case 'a':
		return HS_NOARCHIVE;
	case 'A':
		return HS_ARCHIVED;
	case 'r':
		return HS_NORELEASE;
	case 'd':
		return HS_DIRTY;
	case 'e':
		return HS_EXISTS;
	default:
		return 0;
	}
}

/* lfs_hsm_change_flags. The original opens the file O_WRONLY (llapi_hsm_state_set), so it must be writable. */
static int change_flags(int argc, char **argv, int set)
{
	unsigned int mask = 0, archive_id = 0;
	char value[64], *end = NULL;
	int letter;

	if (argc < 3)
		return CMD_HELP;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "aAdehi:lr", flag_options, NULL)) != -1) {
		if (letter == 'h')
			return CMD_HELP;
		if (letter == 'i') {
			errno = 0;
			archive_id = (unsigned int)strtol(optarg, &end, 10);
			if (errno != 0 || *end != '\0') {
				fprintf(stderr, "%s: invalid archive_id: '%s'\n", progname, end);
				return CMD_HELP;
			}
			continue;
		}
		if (flag_of(letter) == 0) {
			fprintf(stderr, "%s: unrecognized option '%s'\n", progname, argv[optind - 1]);
			return CMD_HELP;
		}
		mask |= flag_of(letter);
	}
	if (mask == 0)
		return CMD_HELP;
	snprintf(value, sizeof(value), "%x %x %u", set ? mask : 0, set ? 0 : mask, set ? archive_id : 0);
	for (; optind < argc; optind++) {
		int rc = door_set(argv[optind], "flags", O_WRONLY, value, strlen(value));

		if (rc != 0) {
			fprintf(stderr, "Can't change hsm flags for %s: %s\n", argv[optind], strerror(-rc));
			return rc;
		}
	}
	return 0;
}

int lfs_hsm_set(int argc, char **argv)
{
	return change_flags(argc, argv, 1);
}

int lfs_hsm_clear(int argc, char **argv)
{
	return change_flags(argc, argv, 0);
}
