-- What happens when a job is submitted: sbatch's --amlfs-* options become #AMLFS lines, and every such line is checked.
-- Runs inside slurmctld under its locks: no fork, no network, no wait; the site file is the only thing read.

return function(text, grammar, options, script, state)
  local submit = {}

  local OPTION = "^_SLURM_SPANK_OPTION_amlfs_amlfs_([a-z_]+)=(.*)$"
  local INVALID_BURST_BUFFER_REQUEST = 2094 -- slurm_errno.h, 22.05 to 26.05; not in the slurm table everywhere

  -- The --amlfs-* options that the SPANK plugin left in the job's environment; a table indexed from 0 (or nothing).
  local function given_options(spank_job_env)
    local given = {}
    for _, setting in pairs(spank_job_env or {}) do
      local name, value = setting:match(OPTION)
      if name then
        given[name] = value
      end
    end
    return given
  end

  -- Whether this user may have these; without a site file the daemon alone decides.
  local function check_policy(asks, uid)
    local one, many = state.site()
    if not one then
      return true
    end
    local names = {}
    for i, line in ipairs(many.fs or {}) do
      names[i] = line:match("^[^ ]*")
    end
    for _, ask in ipairs(asks) do
      local name, problem = options.choose_file_system(ask.fs, names)
      if name then
        local lines = many[ask.direction == "stage_in" and "import_grant" or "export_grant"] or {}
        name, problem = options.check(ask, name, uid, lines)
      end
      if not name then
        return nil, problem
      end
    end
    return true
  end

  local function check(job_desc)
    local given = given_options(job_desc.spank_job_env)
    local theirs, body = job_desc.burst_buffer, job_desc.script
    if not next(given) and not (theirs or ""):find(script.DIRECTIVE, 1, true) then
      if not (body or ""):find(script.DIRECTIVE, 1, true) then
        return true -- every other job of the cluster
      end
    end
    local lines, problem = options.to_lines(given)
    if not lines then
      return nil, problem
    end
    -- Ours first: a "\" at the end of what the user gave must not take our lines in.
    local ours = {}
    for i, line in ipairs(lines) do
      ours[i] = script.DIRECTIVE .. " " .. line
    end
    ours[#ours + 1] = theirs ~= "" and theirs or nil
    local burst_buffer = table.concat(ours, "\n")
    local asks
    asks, problem = grammar.parse_all(script.directives(script.with(body, burst_buffer) or ""))
    if not asks then
      return nil, problem
    end
    local allowed
    allowed, problem = check_policy(asks, string.format("%.0f", job_desc.user_id))
    if not allowed then
      return nil, problem
    elseif #burst_buffer > grammar.LONGEST_BYTES then
      return grammar.too_long(#burst_buffer)
    elseif #lines > 0 then
      job_desc.burst_buffer = burst_buffer
    end
    return true
  end

  -- For slurm_job_submit: slurm.SUCCESS, or Slurm's "Burst buffer request invalid" after one line for the user.
  -- A mistake of ours refuses the job: slurmctld 22.05 would take it (job_submit_lua.c ignores a failed pcall) and
  -- start it without its data.
  function submit.job_submit(job_desc)
    local ran, passed, problem = pcall(check, job_desc)
    if ran and passed then
      return slurm.SUCCESS
    end
    if not ran then
      problem = "amlfs: this job could not be checked; tell the site's admins: " .. text.quote(tostring(passed))
    end
    slurm.log_user("%s", problem)
    return slurm.ESLURM_INVALID_BURST_BUFFER_REQUEST or INVALID_BURST_BUFFER_REQUEST
  end

  return submit
end
