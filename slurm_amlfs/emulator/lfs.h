/* The emulated lfs: speaks like Lustre 2.15's, and talks to the emulator's mount by extended attributes.
 *
 * What it prints, returns and refuses is that of lustre/utils/lfs.c (branch b2_15 of lustre-release); each function
 * here names its original. Nothing of Lustre's code is in it. No file on the mount is ever opened. */
#ifndef AMLFS_LFS_H
#define AMLFS_LFS_H

#include <stddef.h>

/* The release whose words these are (LUSTRE_VERSION_STRING). */
#define LUSTRE_VERSION "2.15.7"

/* What a command returns when its help shall be printed; also the exit code (libcfs/util/parser.h). */
#define CMD_HELP 4

/* The mount's private names; slurm_amlfs/emulator/door.py says what they carry. */
#define DOOR "system.amlfs_hsm."

/* As the mount table shows the emulator's mounts. */
#define MOUNT_TYPE "fuse.amlfs"

enum hsm_flag {
	HS_EXISTS = 0x01,
	HS_DIRTY = 0x02,
	HS_RELEASED = 0x04,
	HS_ARCHIVED = 0x08,
	HS_NORELEASE = 0x10,
	HS_NOARCHIVE = 0x20,
	HS_LOST = 0x40,
};

/* Each command gets its own name as argv[0], and returns 0, CMD_HELP, or a negative errno. */
int lfs_hsm_state(int argc, char **argv);
int lfs_hsm_action(int argc, char **argv);
int lfs_hsm_set(int argc, char **argv);
int lfs_hsm_clear(int argc, char **argv);
int lfs_hsm_archive(int argc, char **argv);
int lfs_hsm_restore(int argc, char **argv);
int lfs_hsm_release(int argc, char **argv);
int lfs_hsm_remove(int argc, char **argv);
int lfs_hsm_cancel(int argc, char **argv);
int lfs_df(int argc, char **argv);
int lfs_find(int argc, char **argv);

/* Ask the mount about a path. Fills `answer` (with a closing NUL) and returns 0, or a negative errno: that of opening
 * the file with `open_flags`, or ENOTTY, where the path is not on a mount of the emulator's. */
int door_get(const char *path, const char *verb, int open_flags, char *answer, size_t size);

/* Tell the mount something about a path; the rest as door_get. */
int door_set(const char *path, const char *verb, int open_flags, const void *value, size_t length);

/* The program's name as in argv[0] of main, for messages. */
extern const char *progname;

#endif
