/*
 * The --amlfs-* options of sbatch, salloc and srun.
 *
 * Values are neither read nor checked here: Slurm carries each of them to slurmctld in the job's SPANK environment
 * (src/common/plugstack.c, later spank.c: _option_setenv) as _SLURM_SPANK_OPTION_amlfs_amlfs_import and so on, where
 * job_submit.lua, which has the one grammar, turns them into #AMLFS lines. The first "amlfs" in it is the name given to
 * SPANK_PLUGIN below, so neither may change alone.
 */
#define _POSIX_C_SOURCE 200809L
#include <slurm/spank.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORTED __attribute__((visibility("default")))

/* Slurm looks these up by name (src/common/plugin.c: _verify_syms), so they stay visible under -fvisibility=hidden. */
#pragma GCC visibility push(default)
SPANK_PLUGIN(amlfs, 1)
#pragma GCC visibility pop

/* Without a callback Slurm records the value as it stands (_do_option_cb). Of an option given twice the last counts. */
#define OPTION(name, arginfo, usage) {name, arginfo, usage, 1, 0, NULL}

/* --help wraps the usage text itself (_spank_opt_print), so each text is one line. */
static struct spank_option options[] = {
	OPTION("amlfs-import", "P[,P...]",
	       "bring the blobs under prefix P (/dir/ for a directory) onto Lustre before the job starts"),
	OPTION("amlfs-export", "P[,P...]",
	       "take the files under prefix P (/dir/ for a directory) out to Blob Storage after the job"),
	OPTION("amlfs-fs", "NAME",
	       "which AMLFS file system (default: the site's first)"),
	OPTION("amlfs-conflict", "MODE",
	       "import: what to do with a path that is there already: fail, skip, overwrite-if-dirty or "
	       "overwrite-always (default: skip)"),
	OPTION("amlfs-max-errors", "N",
	       "import: how many blobs may fail before the import does; -1 for any number (default: 1000)"),
	OPTION("amlfs-hydrate", "all|none",
	       "import: have the bytes on Lustre before the job starts, or names only and the bytes at first read "
	       "(default: all)"),
	OPTION("amlfs-export-on", "WHEN",
	       "export: after which end of the job: success, failure, always, or each-run, which includes runs that are "
	       "requeued (default: always)"),
	OPTION("amlfs-export-to", "C/P",
	       "export: also copy the blobs to prefix P of container C (not available in this release)"),
	OPTION("amlfs-pack", "tar",
	       "keep owners, modes, ACLs, xattrs and hard links by way of a tar (not available in this release)"),
	OPTION("amlfs-release", "yes|no",
	       "give the Lustre space back once the export is proved (default: yes for exports)"),
	OPTION("amlfs-refresh", "yes|no",
	       "import: look at Blob Storage again, and have what changed there; without --amlfs-conflict files are "
	       "replaced as by overwrite-always (default: no)"),
};

/*
 * The allocator context is sbatch's and salloc's, the local one srun's; slurmstepd's (remote) has to know the options
 * that srun sends it, or it says so in the job's output (_spank_stack_get_remote_options). slurmd and the job scripts
 * take none. Registering is the only way: a static table is not loaded in the allocator context (_spank_plugin_create).
 */
static int takes_options(spank_context_t context)
{
	return context == S_CTX_ALLOCATOR || context == S_CTX_LOCAL || context == S_CTX_REMOTE;
}

/*
 * Slurm puts a job's options into the job's own environment, and sbatch takes options from there
 * (spank_process_env_options): without this, a job that submits another job would hand its import and its export on.
 */
static void forget_inherited(const char *option)
{
	char variable[128];

	snprintf(variable, sizeof(variable), "SLURM_SPANK__SLURM_SPANK_OPTION_amlfs_%s", option);
	for (char *c = variable; *c; c++)
		if (*c == '-')
			*c = '_';
	unsetenv(variable);
}

EXPORTED int slurm_spank_init(spank_t spank, int argc, char *argv[])
{
	(void)argc;
	(void)argv;
	spank_context_t context = spank_context();
	if (!takes_options(context))
		return ESPANK_SUCCESS;
	int within_job = context == S_CTX_ALLOCATOR && getenv("SLURM_JOB_ID") != NULL;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		options[i].val = (int)i;
		if (within_job)
			forget_inherited(options[i].name);
		spank_err_t error = spank_option_register(spank, &options[i]);
		if (error != ESPANK_SUCCESS) {
			slurm_error("spank_amlfs: --%s was not registered: %s", options[i].name, spank_strerror(error));
			return (int)error;
		}
	}
	return ESPANK_SUCCESS;
}
