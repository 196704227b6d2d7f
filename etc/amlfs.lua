-- slurm_amlfs for Slurm's Lua plugins, version 22.05 to 26.05, Lua 5.1 to 5.4. Its parts are the amlfs_*.lua files
-- beside it; each is loaded when it is first needed, since Slurm loads burst_buffer.lua anew for every hook.
--
--   local amlfs = dofile("/etc/slurm/amlfs.lua")("/var/lib/slurm-amlfs")
--
-- amlfs.submit has job_submit and job_process, amlfs.hooks the other burst buffer hooks.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local function part(name)
  return dofile(here .. "amlfs_" .. name .. ".lua")
end

return function(state_dir)
  local makers = {
    text = function()
      return part("text")
    end,
    script = function()
      return part("script")
    end,
    grammar = function(amlfs)
      return part("grammar")(amlfs.text)
    end,
    state = function(amlfs)
      return part("state")(amlfs.text, state_dir)
    end,
    submit = function(amlfs)
      return part("submit")(amlfs.text, amlfs.grammar, amlfs.script, amlfs.state)
    end,
    hooks = function(amlfs)
      return part("hooks")(amlfs.text, amlfs.script, amlfs.state)
    end,
  }
  return setmetatable({}, {
    __index = function(amlfs, name)
      local made = makers[name] and makers[name](amlfs)
      rawset(amlfs, name, made)
      return made
    end,
  })
end
