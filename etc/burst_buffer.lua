-- Slurm's burst_buffer.lua for slurm_amlfs. It goes beside slurm.conf, with amlfs.lua, the amlfs_*.lua files and
-- burst_buffer.conf; slurm.conf needs BurstBufferType=burst_buffer/lua. One script serves Slurm 22.05 to 26.05: it has
-- the hooks of all (slurmctld from 24.05 on refuses to start without the two test_ hooks), and reads arguments that
-- older releases do not pass as nil.
--
-- job_process, pools and paths run inside slurmctld; the others run as SlurmUser in a child that is killed without
-- warning. What each may and may not do is said in amlfs_process.lua and amlfs_hooks.lua.

local STATE_DIR = "/var/lib/slurm-amlfs" -- the one line to edit: state_dir of amlfs.toml

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local amlfs = dofile(here .. "amlfs.lua")(STATE_DIR)

function slurm_bb_job_process(job_script, uid, gid, job_info)
  return amlfs.process(job_script)
end

-- No pools: the daemon keeps count of space. Without a second value Slurm takes that as said; an empty list it calls
-- an error every 30 seconds, and a failure here it calls "burst buffer down" (burst_buffer_lua.c: _bb_get_pools).
function slurm_bb_pools()
  return slurm.SUCCESS
end

function slurm_bb_job_teardown(job_id, job_script, hurry, uid, gid)
  return amlfs.hooks.teardown(job_id, job_script, hurry)
end

function slurm_bb_setup(job_id, uid, gid, pool, bb_size, job_script, job_info)
  return amlfs.hooks.setup(job_id, uid, gid, pool, bb_size, job_script)
end

function slurm_bb_data_in(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.data_in(job_id, job_script, uid, gid, job_info)
end

function slurm_bb_test_data_in(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.test_data_in(job_id, job_script, uid, gid, job_info)
end

-- Only asked for directives with capacity=, which the grammar refuses.
function slurm_bb_real_size(job_id, uid, gid, job_info)
  return slurm.SUCCESS
end

function slurm_bb_paths(job_id, job_script, path_file, uid, gid, job_info)
  return amlfs.hooks.paths(job_id, job_script, path_file)
end

function slurm_bb_pre_run(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.pre_run(job_id, job_script, uid, gid)
end

function slurm_bb_post_run(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.post_run(job_id, job_script, uid, gid, job_info)
end

function slurm_bb_data_out(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.data_out(job_id, job_script, uid, gid, job_info)
end

function slurm_bb_test_data_out(job_id, job_script, uid, gid, job_info)
  return amlfs.hooks.test_data_out(job_id, job_script, uid, gid, job_info)
end

-- (arguments) in 22.05, (uid, gid, arguments) from 23.02 on.
function slurm_bb_get_status(...)
  return amlfs.hooks.get_status(...)
end

return slurm.SUCCESS
