-- What happens when a job is submitted: sbatch's --amlfs-* options become #AMLFS lines, and every such line is checked.
-- Runs inside slurmctld under its locks: no fork, no network, no wait; the site file is the only thing read.

return function(amlfs)
  local submit = {}

  local text, grammar, options, script, state = amlfs.text, amlfs.grammar, amlfs.options, amlfs.script, amlfs.state
  local hints, pools, dependency, hold = amlfs.hints, amlfs.pools, amlfs.dependency, amlfs.hold

  local OPTION = "^_SLURM_SPANK_OPTION_amlfs_amlfs_([a-z_]+)=(.*)$"
  local INVALID_BURST_BUFFER_REQUEST = 2094 -- slurm_errno.h, 22.05 to 26.05; not in the slurm table everywhere

  -- The --amlfs-* options that the SPANK plugin left in the job's environment; a table indexed from 0 (or nothing).
  local function given_options(spank_job_env)
    local given
    for _, setting in pairs(spank_job_env or {}) do
      local name, value = setting:match(OPTION)
      if name then
        given = given or {}
        given[name] = value
      end
    end
    return given
  end

  local read, names, grants

  -- The site file's file systems and grants; they are read anew when the file has changed.
  local function site()
    local one, many = state.site()
    if one and read ~= one then
      names = {}
      for i, line in ipairs(many.fs or {}) do
        names[i] = line:match("^[^ ]*")
      end
      grants = {
        stage_in = options.grants(many.import_grant or {}),
        stage_out = options.grants(many.export_grant or {}),
      }
      read = one
    end
    return one
  end

  -- Whether this user may have these; without a site file the daemon alone decides.
  local function check_policy(asks, uid)
    if not site() then
      return true
    end
    for _, ask in ipairs(asks) do
      local name, problem = options.choose_file_system(ask.fs, names)
      if name then
        name, problem = options.check(ask, name, uid, grants[ask.direction])
      end
      if name then
        name, problem = options.check_pool(ask, options.choose_file_system(ask.fs, names))
      end
      if not name then
        return nil, problem
      end
    end
    return true
  end

  local function mentions(value)
    return value and value:find(script.DIRECTIVE, 1, true)
  end

  -- What the job asks for, and the burst_buffer it then has if there is more to it than before; nil and a line if it
  -- cannot be.
  local function asks_of(given, theirs, body)
    local asks, problem, burst_buffer
    if given then
      local lines
      lines, asks = options.to_lines(given)
      if not lines then
        return nil, asks
      end
      -- Ours first: a "\" at the end of what the user gave must not take our lines in.
      for i, line in ipairs(lines) do
        lines[i] = script.DIRECTIVE .. " " .. line
      end
      lines[#lines + 1] = theirs ~= "" and theirs or nil
      burst_buffer = table.concat(lines, "\n")
    end
    -- Our own lines have been read; they end in no "\", so nothing is joined to them.
    if mentions(body) or mentions(theirs) then
      asks, problem = grammar.parse_all(script.directives(script.with(body, burst_buffer or theirs) or ""))
    end
    return asks, problem or burst_buffer
  end

  local function imports(asks)
    for _, ask in ipairs(asks) do
      if ask.direction == "stage_in" then
        return true
      end
    end
    return false
  end

  -- Let a job with directives or options pass, with the burst_buffer it needs.
  local function check(job_desc, given, theirs, body)
    local asks, burst_buffer = asks_of(given, theirs, body)
    if not asks then
      return nil, burst_buffer
    end
    local allowed, problem = check_policy(asks, string.format("%.0f", job_desc.user_id))
    if allowed then
      allowed, problem = pools.check(asks)
    end
    local held = (site() or {}).mode == "hold"
    if held then
      burst_buffer = hold.burst_buffer(job_desc, burst_buffer or theirs)
    end
    if not allowed then
      return nil, problem
    elseif burst_buffer and #burst_buffer > grammar.LONGEST_BYTES then
      return grammar.too_long(#burst_buffer)
    elseif burst_buffer and burst_buffer ~= "" then
      job_desc.burst_buffer = burst_buffer
    end
    local longer = not held and imports(asks) and dependency.with_exports(job_desc.dependency)
    if longer then
      job_desc.dependency = longer
    end
    if held then
      hold.put(job_desc)
    end
    return true
  end

  -- Say what looks like a directive and is none; sbatch shows it whether the job is taken or not.
  local function warn(body)
    for _, line in ipairs(hints.find(body)) do
      slurm.log_user("%s", line)
    end
  end

  local function pass(job_desc)
    local body, given, theirs = job_desc.script, given_options(job_desc.spank_job_env), job_desc.burst_buffer
    local named = body and (body:find("AMLFS", 1, true) or body:find("amlfs", 1, true))
    if not (named or given or theirs) then
      return true -- every other job of the cluster
    end
    local passed, problem = true, nil
    if named then
      passed, problem = amlfs.hetjob.check(body)
    end
    if not passed then
      return nil, problem
    elseif given or mentions(theirs) or (named and mentions(body)) then
      passed, problem = check(job_desc, given, theirs, body)
    end
    if named then
      pcall(warn, body)
    end
    return passed, problem
  end

  -- For slurm_job_submit: slurm.SUCCESS, or Slurm's "Burst buffer request invalid" after one line for the user.
  -- A mistake of ours refuses the job: slurmctld 22.05 would take it (job_submit_lua.c ignores a failed pcall) and
  -- start it without its data.
  function submit.job_submit(job_desc)
    local ran, passed, problem = pcall(pass, job_desc)
    if ran and passed then
      return slurm.SUCCESS
    elseif not ran then
      problem = "amlfs: this job could not be checked; tell the site's admins: " .. text.quote(tostring(passed))
    end
    slurm.log_user("%s", problem)
    return slurm.ESLURM_INVALID_BURST_BUFFER_REQUEST or INVALID_BURST_BUFFER_REQUEST
  end

  return submit
end
