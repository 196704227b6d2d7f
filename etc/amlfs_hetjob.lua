-- Heterogeneous jobs: options of ours behind "#SBATCH hetjob" are lost. sbatch keeps one set of plugin options for all
-- components, and gives each those of the first (seen on 22.05.8); Slurm reads #AMLFS lines by component. Pure.

return function(text)
  local hetjob = {}

  local function begins_component(line)
    return line:find("^#SBATCH[ \t]+hetjob") or line:find("^#SBATCH[ \t]+packjob")
  end

  -- One line for the user if sbatch has lost options of a later component. It reads up to the first line that is
  -- neither blank nor a comment.
  function hetjob.check(body)
    if not (body:find("hetjob", 1, true) or body:find("packjob", 1, true)) then
      return true
    end
    local later = false
    for line in body:gmatch("[^\n]+") do
      if line:find("^[ \t\r\v\f]*[^# \t\r\v\f]") then
        break
      end
      later = later or begins_component(line)
      if later and line:find("^#SBATCH[ \t].*%-%-amlfs%-") then
        local said = "line %s is behind #SBATCH hetjob, where sbatch loses it; write it before, or as an #AMLFS line there"
        return text.refuse(said, text.quote(line))
      end
    end
    return true
  end

  return hetjob
end
