-- slurm_amlfs for Slurm's Lua plugins, version 22.05 to 26.05, Lua 5.1 to 5.4. Its parts are the amlfs_*.lua files
-- beside it; each is loaded when it is first needed, since Slurm loads burst_buffer.lua anew for every hook.
--
--   local amlfs = dofile("/etc/slurm/amlfs.lua")("/var/lib/slurm-amlfs")
--
-- amlfs.submit.job_submit serves job_submit.lua; amlfs.hooks serves burst_buffer.lua.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local function part(name)
  return dofile(here .. "amlfs_" .. name .. ".lua")
end

return function(state_dir)
  local makers = {
    state = function(amlfs)
      return part("state")(amlfs.wire, state_dir)
    end,
    grammar = function(amlfs)
      return part("grammar")(amlfs.text)
    end,
    options = function(amlfs)
      return part("options")(amlfs.text, amlfs.grammar)
    end,
    hints = function(amlfs)
      return part("hints")(amlfs.text)
    end,
    submit = function(amlfs)
      return part("submit")(amlfs)
    end,
    hold = function(amlfs)
      return part("hold")(amlfs.script)
    end,
    hetjob = function(amlfs)
      return part("hetjob")(amlfs.text)
    end,
    pools = function(amlfs)
      return part("pools")(amlfs.text, state_dir .. "/pools.json")
    end,
    hooks = function(amlfs)
      return part("hooks")(amlfs.script, amlfs.state, function()
        return amlfs.pools.read()
      end)
    end,
  }
  local made = {}
  return setmetatable(made, {
    __index = function(amlfs, name)
      made[name] = makers[name] and makers[name](amlfs) or part(name)
      return made[name]
    end,
  })
end
