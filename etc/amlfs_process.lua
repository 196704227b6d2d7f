-- Check a job's directives once more, for submissions that no job_submit.lua of ours has seen. Runs inside slurmctld
-- with its job lock held, for every submission with directives, in a Lua that has just been made: so the lines of
-- nearly every job are told by a pattern, and the grammar is loaded only for the others.

-- "#AMLFS stage_in prefix=/a/ prefix=/b/" and the like, which the grammar accepts for certain.
local function is_plain(line)
  local words = line:match("^#AMLFS stage_in (.+)$") or line:match("^#AMLFS stage_out (.+)$")
  if not words then
    return false
  end
  local rest, prefixes = words:gsub("prefix=(/[A-Za-z0-9._/-]*)", function(prefix)
    local odd = #prefix > 1024 or prefix:find("//", 1, true) or (prefix .. "/"):find("/%.%.?/")
    return odd and "?" or ""
  end)
  return prefixes > 0 and not rest:find("[^ ]")
end

-- Lines as Slurm's own scan takes them (burst_buffer_lua.c: _xlate_batch): up to the first that is no comment.
local function all_plain(file)
  for line in file:lines() do
    if line ~= "" and line:sub(1, 1) ~= "#" then
      return true
    elseif line:find("^#AMLFS") and not is_plain(line) then
      return false
    end
  end
  return true
end

-- For slurm_bb_job_process: a function that gives the parts of amlfs.lua, and the script's path. A script that cannot
-- be read passes: data_in waits for it, and the daemon reads every directive anyway.
return function(amlfs, path)
  local file = io.open(path, "rb")
  local plain = not file or all_plain(file)
  if file then
    file:close()
  end
  if not plain then
    local parts = amlfs()
    local _, problem = parts.grammar.parse_all(parts.script.read(path) or {})
    if problem then
      return slurm.ERROR, problem
    end
  end
  return slurm.SUCCESS
end
