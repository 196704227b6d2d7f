-- Slurm's burst_buffer.lua for slurm_amlfs. It goes beside slurm.conf, with amlfs.lua, the amlfs_*.lua files and
-- burst_buffer.conf; slurm.conf needs BurstBufferType=burst_buffer/lua. One script serves Slurm 22.05 to 26.05: it has
-- the hooks of all (slurmctld from 24.05 on refuses to start without the two test_ hooks), and reads arguments that
-- older releases do not pass as nil.
--
-- job_process, pools and paths run inside slurmctld; the others run as SlurmUser in a child that is killed without
-- warning. What each may and may not do is said in amlfs_process.lua and amlfs_hooks.lua.

local STATE_DIR = "/var/lib/slurm-amlfs" -- the one line to edit: state_dir of amlfs.toml

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local function amlfs()
  return dofile(here .. "amlfs.lua")(STATE_DIR)
end

-- Slurm makes a new Lua for every call, so each loads only what it needs.
function slurm_bb_job_process(job_script)
  return dofile(here .. "amlfs_process.lua")(amlfs, job_script)
end

-- No pools: the daemon keeps count of space. Without a second value Slurm takes that as said; an empty list it calls
-- an error every 30 seconds, and a failure here it calls "burst buffer down" (burst_buffer_lua.c: _bb_get_pools).
function slurm_bb_pools()
  return slurm.SUCCESS
end

-- Only asked for directives with capacity=, which the grammar refuses.
function slurm_bb_real_size()
  return slurm.SUCCESS
end

-- The others, by the names of amlfs_hooks.lua and with Slurm's own arguments.
for name in
  ("setup data_in test_data_in paths pre_run post_run data_out test_data_out job_teardown get_status"):gmatch("%S+")
do
  _G["slurm_bb_" .. name] = function(...)
    return amlfs().hooks[name](...)
  end
end

return slurm.SUCCESS
