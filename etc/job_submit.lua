-- Slurm's job_submit.lua for slurm_amlfs. It goes beside slurm.conf, with amlfs.lua and the amlfs_*.lua files;
-- slurm.conf needs JobSubmitPlugins=lua.
--
-- A site that has its own job_submit.lua adds two lines to it instead: at its top
--     local amlfs = dofile("/etc/slurm/amlfs.lua")("/var/lib/slurm-amlfs").submit
-- and at the beginning of its slurm_job_submit
--     local refused = amlfs.job_submit(job_desc) if refused ~= slurm.SUCCESS then return refused end
--
-- slurmctld reads this file again when its time changes: touch it after changing an amlfs file. Everything is loaded
-- then, so that a file that is missing or broken shows at once, and the script that worked before stays.

local STATE_DIR = "/var/lib/slurm-amlfs" -- the one line to edit: state_dir of amlfs.toml

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local amlfs = dofile(here .. "amlfs.lua")(STATE_DIR).submit

function slurm_job_submit(job_desc, part_list, submit_uid)
  return amlfs.job_submit(job_desc)
end

-- Slurm lets nobody change a job's burst buffer (ESLURM_NOT_SUPPORTED), so there is nothing to check.
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
  return slurm.SUCCESS
end

return slurm.SUCCESS
