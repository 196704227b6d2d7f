/* lfs hsm_archive, hsm_restore, hsm_release, hsm_remove, hsm_cancel: many files in one request (lfs_hsm_request).
 *
 * The original looks at every file first and sends nothing if one is wrong. The file list is read line by line and
 * the request is kept as what will be sent, so its length costs no memory beyond that of the files that fit. */
#define _GNU_SOURCE
#include "lfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A request of this size or more is E2BIG: MDS_MAXREQSIZE / 3 (llite/dir.c LL_IOC_HSM_REQUEST; the same up to 2.17).
 * sizeof(struct hsm_request) is 24 and sizeof(struct hsm_user_item) 32, so 52 files are the most that go in one. */
#define REQUEST_BYTES (5 * 1024 / 3)
#define REQUEST_HEAD_BYTES 24
#define REQUEST_ITEM_BYTES 32
#define REQUEST_FILES ((REQUEST_BYTES - REQUEST_HEAD_BYTES) / REQUEST_ITEM_BYTES)

/* How much one setxattr carries: XATTR_SIZE_MAX. */
#define VALUE_BYTES 65536

struct request {
	const char *action;
	unsigned int archive_id;
	size_t data_bytes;
	const char *mntpath;
	size_t files;
	dev_t device;
	char first[PATH_MAX];	/* the first name given, for messages */
	char door[PATH_MAX];	/* a directory on the mount */
	char folder[PATH_MAX];	/* the last file's directory, as given */
	char prefix[PATH_MAX];	/* and as the mount knows it */
	char *paths[REQUEST_FILES];
};

/* Find where on the mount the directory of `file` is; the last answer is kept. */
static int learn_folder(struct request *request, const char *file)
{
	const char *slash = strrchr(file, '/');
	size_t length = slash != NULL ? (size_t)(slash - file) : 0;
	char folder[PATH_MAX];

	if (slash == file)
		snprintf(folder, sizeof(folder), "/");
	else
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash != NULL ? length : 1), slash != NULL ? file : ".");
	if (request->folder[0] != '\0' && strcmp(folder, request->folder) == 0)
		return 0;

	int rc = door_get(folder, "path", O_RDONLY, request->prefix, sizeof(request->prefix));

	if (rc != 0)
		return rc == -ENOTTY ? -EOPNOTSUPP : rc;
	snprintf(request->folder, sizeof(request->folder), "%s", folder);
	if (request->door[0] == '\0')
		snprintf(request->door, sizeof(request->door), "%s", folder);
	return 0;
}

/* lfs_hsm_prepare_file. What the original calls the FID is here the path on the mount. */
static int prepare_file(struct request *request, const char *file)
{
	struct stat seen;

	if (lstat(file, &seen) != 0) {
		int error = errno;

		fprintf(stderr, "Cannot stat %s: %s\n", file, strerror(error));
		return -error;
	}
	if (!S_ISREG(seen.st_mode)) {
		fprintf(stderr, "error: \"%s\" is not a regular file\n", file);
		return CMD_HELP;
	}
	if (request->device != seen.st_dev && request->device != 0) {
		fprintf(stderr, "All files should be on the same filesystem: %s\n", file);
		return -EINVAL;
	}
	request->device = seen.st_dev;

	int rc = learn_folder(request, file);

	if (rc != 0) {
		fprintf(stderr, "Cannot read FID of %s: %s\n", file, strerror(-rc));
		return rc;
	}
	if (request->files < REQUEST_FILES) {
		const char *name = strrchr(file, '/');
		const char *prefix = request->prefix + 1;

		if (asprintf(&request->paths[request->files], "%s%s%s", prefix, *prefix != '\0' ? "/" : "",
			     name != NULL ? name + 1 : file) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* llapi_fid_parse: [0xSEQ:0xOID:0xVER], the brackets optional. */
static bool is_fid(const char *text)
{
	char *end;

	while (isspace((unsigned char)*text) || *text == '[')
		text++;
	for (int part = 0; part < 3; part++) {
		strtoull(text, &end, 0);
		if (end == text || (part < 2 && *end != ':'))
			return false;
		text = end + 1;
	}
	return true;
}

/* fill_hur_item. */
static int add_file(struct request *request, const char *name)
{
	int rc = 0;

	if (request->mntpath == NULL) {
		rc = prepare_file(request, name);
	} else if (!is_fid(name)) {
		fprintf(stderr, "hsm: '%s' is not a valid FID\n", name);
		rc = -EINVAL;
	}
	if (rc == 0) {
		request->files++;
		if (request->first[0] == '\0')
			snprintf(request->first, sizeof(request->first), "%s", name);
	}
	return rc;
}

static int add_list(struct request *request, const char *list)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int rc = 0;
	FILE *file = fopen(list, "r");

	if (file == NULL) {
		int error = errno;

		fprintf(stderr, "Cannot read the file list %s: %s\n", list, strerror(error));
		return -error;
	}
	while (rc == 0 && (length = getline(&line, &size, file)) != -1) {
		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		rc = add_file(request, line);
	}
	free(line);
	fclose(file);
	return rc;
}

/* By FID: the emulator's mount finds no file by it, which only root's remove and cancel do not mind
 * (mdt_hsm_register_hal). */
static int send_fids(const struct request *request)
{
	char answer[PATH_MAX];

	if (door_get(request->mntpath, "path", O_RDONLY, answer, sizeof(answer)) != 0)
		return -ENODEV;
	if (geteuid() == 0 && (strcmp(request->action, "REMOVE") == 0 || strcmp(request->action, "CANCEL") == 0))
		return 0;
	return -ENOENT;
}

/* llapi_hsm_request. */
static int send_request(const struct request *request)
{
	char value[VALUE_BYTES];
	size_t sent = 0;

	if (REQUEST_HEAD_BYTES + REQUEST_ITEM_BYTES * request->files + request->data_bytes >= REQUEST_BYTES)
		return -E2BIG;
	if (request->mntpath != NULL)
		return send_fids(request);
	while (sent < request->files) {
		size_t used = (size_t)snprintf(value, sizeof(value), "%s %u", request->action, request->archive_id);

		for (; sent < request->files; sent++) {
			size_t length = strlen(request->paths[sent]);

			if (used + 1 + length > sizeof(value))
				break;
			value[used] = '\0';
			memcpy(value + used + 1, request->paths[sent], length);
			used += 1 + length;
		}

		int rc = door_set(request->door, "request", O_RDONLY, value, used);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static const struct option request_options[] = {
	{"archive", required_argument, NULL, 'a'},  {"data", required_argument, NULL, 'D'},
	{"help", no_argument, NULL, 'h'},	    {"filelist", required_argument, NULL, 'l'},
	{"mntpath", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0},
};

/* lfs_hsm_request. */
static int hsm_request(int argc, char **argv, const char *action)
{
	static struct request request;
	const char *list = NULL;
	int letter, rc = 0;

	request.action = action;
	if (argc < 2)
		return CMD_HELP;
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "a:D:hl:m:", request_options, NULL)) != -1) {
		switch (letter) {
		case 'l':
			list = optarg;
			break;
		case 'D':
			request.data_bytes = strlen(optarg);
			break;
		case 'a':
			if (strcmp(action, "ARCHIVE") != 0 && strcmp(action, "REMOVE") != 0) {
				fprintf(stderr, "error: -a is supported only when archiving or removing\n");
				return CMD_HELP;
			}
			request.archive_id = (unsigned int)atoi(optarg);
			break;
		case 'm':
			if (request.mntpath == NULL) {
				request.mntpath = optarg;
				snprintf(request.first, sizeof(request.first), "%s", optarg);
			}
			break;
		case 'h':
			return CMD_HELP;
		default:
			fprintf(stderr, "%s: unrecognized option '%s'\n", progname, argv[optind - 1]);
			return CMD_HELP;
		}
	}
	if (optind == argc && list == NULL)
		return CMD_HELP;
	for (; optind < argc && rc == 0; optind++)
		rc = add_file(&request, argv[optind]);
	if (rc == 0 && list != NULL)
		rc = add_list(&request, list);
	if (rc != 0)
		return rc;
	if (request.first[0] == '\0') {
		fprintf(stderr, "Could not find path '(null)': %s\n", strerror(EINVAL));
		snprintf(request.first, sizeof(request.first), "(null)");
		rc = -ENODEV;
	} else {
		rc = send_request(&request);
	}
	if (rc != 0)
		fprintf(stderr, "Cannot send HSM request (use of %s): %s\n", request.first, strerror(-rc));
	return rc;
}

int lfs_hsm_archive(int argc, char **argv)
{
	return hsm_request(argc, argv, "ARCHIVE");
}

int lfs_hsm_restore(int argc, char **argv)
{
	return hsm_request(argc, argv, "RESTORE");
}

int lfs_hsm_release(int argc, char **argv)
{
	return hsm_request(argc, argv, "RELEASE");
}

int lfs_hsm_remove(int argc, char **argv)
{
	return hsm_request(argc, argv, "REMOVE");
}

int lfs_hsm_cancel(int argc, char **argv)
{
	return hsm_request(argc, argv, "CANCEL");
}
