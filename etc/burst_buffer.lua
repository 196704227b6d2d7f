-- Slurm's burst_buffer.lua for slurm_amlfs. It goes beside slurm.conf, with amlfs.lua, the amlfs_*.lua files and
-- burst_buffer.conf; slurm.conf needs BurstBufferType=burst_buffer/lua. One script serves Slurm 22.05 to 26.05: it has
-- the hooks of all (slurmctld from 24.05 on refuses to start without the two test_ hooks), and reads arguments that
-- older releases do not pass as nil.
--
-- Slurm compiles this file anew for every call, one of them at each submission with directives; functions make that dear.
-- job_process, pools and paths run inside slurmctld; the others run as SlurmUser in a child that is killed without
-- warning. What each may and may not do is said here and in amlfs_hooks.lua.

local STATE_DIR = "/var/lib/slurm-amlfs" -- the one line to edit: state_dir of amlfs.toml

local function hook(name, ...)
  local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
  return dofile(here .. "amlfs.lua")(STATE_DIR).hooks[name](...)
end

-- Takes every script: what is wrong with its lines job_submit has refused, or the daemon holds the job for it with one
-- line. Slurm calls this at the submission and again when it splits a task off an array, which may be days later, with
-- the same path; there it drops a refusal, and the task is left without its script and hangs (burst_buffer_lua.c:
-- bb_p_job_validate2). By then pools, grants or this very file may be others. Slurm holds its job lock meanwhile.
function slurm_bb_job_process()
  return slurm.SUCCESS
end

-- The pools that the daemon has posted, if it has: then Slurm counts space too, for lines with capacity=. Without a
-- second value Slurm goes on with what it knows; an empty list it calls an error every 30 seconds, and a failure here it
-- calls "burst buffer down" (burst_buffer_lua.c: _bb_get_pools).
function slurm_bb_pools()
  local ran, pools = pcall(hook, "pools")
  if ran and pools then
    return slurm.SUCCESS, pools
  end
  return slurm.SUCCESS
end

-- The others, by the names of amlfs_hooks.lua and with Slurm's own arguments.
for name in
  ("setup data_in test_data_in real_size paths pre_run post_run data_out test_data_out job_teardown get_status"):gmatch("%S+")
do
  _G["slurm_bb_" .. name] = function(...)
    return hook(name, ...)
  end
end

return slurm.SUCCESS
