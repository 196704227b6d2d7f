-- Calls one function of job_submit.lua or burst_buffer.lua as Slurm would, in a state of its own, and prints what it
-- gives back. It stands for return conventions only; what Slurm does is tested on a real one.
-- Usage: lua slurm.lua CONF_FOLDER RELEASE FUNCTION [inside] < "key=value" lines, written as wire.escape writes them:
-- arg= (an argument; repeated), info.NAME= (a field of job_info; only burst_buffer is a text), job.NAME= and env= (job_desc; env is repeated).

local folder, release, name, inside = arg[1], arg[2], arg[3], arg[4]
local wire = dofile(folder .. "/amlfs_wire.lua")

local function newer_than(other)
  return release >= other -- "22.05" to "26.05" sort as text
end

local said = {}
slurm = {
  SUCCESS = 0,
  ERROR = -1,
  SLURM_BB_BUSY = newer_than("24.05") and "BUSY" or nil,
  job_info_to_string = newer_than("23.02") and not newer_than("24.11") and tostring or nil,
  log_user = function(...)
    table.insert(said, string.format(...))
  end,
}

local args, count, env_count, info = {}, 0, 0, nil
local job_desc = { burst_buffer = nil }
for line in io.lines() do
  local key, value = line:match("^([^=]*)=(.*)$")
  value = wire.unescape(value)
  local field = key:match("^info%.(.*)$")
  if key == "arg" then
    count = count + 1
    args[count] = value
  elseif field then
    info = info or {}
    info[field] = field == "burst_buffer" and value or tonumber(value)
  elseif key == "env" then
    job_desc.spank_job_env = job_desc.spank_job_env or {}
    job_desc.spank_job_env[env_count] = value -- from 0, as Slurm does
    env_count = env_count + 1
  elseif key == "job.user_id" or key == "job.priority" then
    job_desc[key:sub(5)] = value + 0.0 -- lua_pushnumber: a float in 5.3 and 5.4
  else
    job_desc[key:match("^job%.(.*)$")] = value
  end
end

-- Inside slurmctld all of the cluster waits: no other process, no library from C that could sleep or reach a network,
-- no more than some million steps. What breaks that ends here, where no pcall of the caller's hears of it.
if inside then
  local function forbid(what)
    return function()
      io.stderr:write("inside slurmctld: " .. what .. "\n")
      os.exit(3)
    end
  end
  os.execute, io.popen = forbid("os.execute"), forbid("io.popen")
  require, package.loadlib = forbid("require"), forbid("package.loadlib")
  debug.sethook(forbid("too many steps"), "", 5e6)
end

dofile(folder .. (name:find("^slurm_job_") and "/job_submit.lua" or "/burst_buffer.lua"))

if name == "functions" then
  for known in pairs(_G) do
    if known:find("^slurm_bb_") then
      print("value=" .. known)
    end
  end
  return
end

if info then
  count = count + 1
  args[count] = info
end
if name:find("^slurm_job_") then
  local shown = setmetatable({}, {
    __index = job_desc,
    __newindex = function(_, key, value)
      local taken = key == "priority" and "number" or "string" -- luaL_checknumber, luaL_checkstring
      assert(type(value) == taken, "Slurm takes no " .. type(value) .. " for " .. key)
      job_desc[key] = value
    end,
  })
  args, count = { shown, {}, 0 }, 3
end

local unpack = table.unpack or unpack
local function report(...)
  print("returned=" .. select("#", ...))
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    value = type(value) == "number" and string.format("%.0f", value) or value
    print(type(value) == "string" and "value=" .. wire.escape(value) or "bad=" .. tostring(value))
  end
  for _, line in ipairs(said) do
    print("said=" .. wire.escape(line))
  end
  if job_desc.burst_buffer then
    print("burst_buffer=" .. wire.escape(job_desc.burst_buffer))
  end
  if job_desc.dependency then
    print("dependency=" .. wire.escape(job_desc.dependency))
  end
  if job_desc.priority then
    print("priority=" .. string.format("%.0f", job_desc.priority))
  end
end
report(_G[name](unpack(args, 1, count)))
