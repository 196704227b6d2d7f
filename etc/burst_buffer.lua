-- Slurm's burst_buffer.lua for slurm_amlfs. It goes beside slurm.conf, with amlfs.lua, the amlfs_*.lua files and
-- burst_buffer.conf; slurm.conf needs BurstBufferType=burst_buffer/lua. One script serves Slurm 22.05 to 26.05: it has
-- the hooks of all (slurmctld from 24.05 on refuses to start without the two test_ hooks), and reads arguments that
-- older releases do not pass as nil.
--
-- job_process, pools and paths run inside slurmctld; the others run as SlurmUser in a child that is killed without
-- warning. What each may and may not do is said here and in amlfs_hooks.lua.

local STATE_DIR = "/var/lib/slurm-amlfs" -- the one line to edit: state_dir of amlfs.toml

local function amlfs()
  local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
  return dofile(here .. "amlfs.lua")(STATE_DIR)
end

-- "#AMLFS stage_in prefix=/a/ prefix=/b/" and the like, which the grammar accepts for certain: prefixes of plain
-- characters, none longer than the line may be, without an empty, "." or ".." part.
local function is_plain(line)
  local head, prefixes = line:gsub(" prefix=/[A-Za-z0-9._/-]*", "")
  return (head == "#AMLFS stage_in" or head == "#AMLFS stage_out")
    and prefixes > 0
    and #line <= 1024
    and not line:find("//", 1, true)
    and not (line .. " "):find("/%.%.?[ /]")
end

-- Slurm makes a new Lua for every call, and this one holds slurmctld's job lock at every submission with directives. So
-- the lines of nearly every job are told here, and files are opened only for the others. Lines end as Slurm's own scan
-- ends them, at the first that is no comment. A script that cannot be read passes: data_in waits for it.
function slurm_bb_job_process(job_script)
  local file = io.open(job_script, "rb")
  if file then
    for line in file:lines() do
      if line:find("^[^#]") then
        break
      elseif line:find("^#AMLFS") and not is_plain(line) then
        file:close()
        return amlfs().process(job_script)
      end
    end
    file:close()
  end
  return slurm.SUCCESS
end

-- The pools that the daemon has posted, if it has: then Slurm counts space too, for lines with capacity=. Without a
-- second value Slurm goes on with what it knows; an empty list it calls an error every 30 seconds, and a failure here it
-- calls "burst buffer down" (burst_buffer_lua.c: _bb_get_pools).
function slurm_bb_pools()
  local ran, pools = pcall(function()
    return (amlfs().pools.read())
  end)
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
    return amlfs().hooks[name](...)
  end
end

return slurm.SUCCESS
