-- What happens when a job is submitted: sbatch's --amlfs-* options become #AMLFS lines, and every such line is checked.
-- Runs inside slurmctld under its locks: no fork, no network, no wait; the site file is the only thing read.

return function(text, grammar, script, state)
  local submit = {}

  local OPTION = "^_SLURM_SPANK_OPTION_amlfs_amlfs_([a-z_]+)=(.*)$"
  local LONGEST_BYTES = 8 * 1024 -- job_mgr.c: _test_job_desc_fields allows burst_buffer no more
  local INVALID_BURST_BUFFER_REQUEST = 2094 -- slurm_errno.h, 22.05 to 26.05; not in the slurm table everywhere

  -- The --amlfs-* options that the SPANK plugin left in the job's environment; a table indexed from 0 (or nothing).
  local function options_of(spank_job_env)
    local options = {}
    for _, setting in pairs(spank_job_env or {}) do
      local name, value = setting:match(OPTION)
      if name then
        options[name] = value
      end
    end
    return options
  end

  -- Read each directive; nil and one line for the first that is wrong.
  local function read_all(lines)
    local asks, size = {}, 0
    for i, line in ipairs(lines) do
      local problem
      asks[i], problem = grammar.parse(line)
      if not asks[i] then
        return nil, problem
      end
      size = size + #line
    end
    if size > LONGEST_BYTES then
      local most = "amlfs: %d bytes of directives; at most %d are taken: name folders above them"
      return nil, most:format(size, LONGEST_BYTES)
    end
    return asks
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
      local name, problem = grammar.choose_file_system(ask.fs, names)
      if name then
        local lines = many[ask.direction == "stage_in" and "import_grant" or "export_grant"] or {}
        name, problem = grammar.check(ask, name, uid, lines)
      end
      if not name then
        return nil, problem
      end
    end
    return true
  end

  local function check(job_desc)
    local options = options_of(job_desc.spank_job_env)
    local given, body = job_desc.burst_buffer, job_desc.script
    if not next(options) and not (given or ""):find(script.DIRECTIVE, 1, true) then
      if not (body or ""):find(script.DIRECTIVE, 1, true) then
        return true -- every other job of the cluster
      end
    end
    local lines, problem = grammar.lines_from_options(options)
    if not lines then
      return nil, problem
    end
    -- Ours first: a "\" at the end of what the user gave must not take our lines in.
    local ours = {}
    for i, line in ipairs(lines) do
      ours[i] = script.DIRECTIVE .. " " .. line
    end
    ours[#ours + 1] = given ~= "" and given or nil
    local burst_buffer = table.concat(ours, "\n")
    local asks
    asks, problem = read_all(script.directives(script.with(body, burst_buffer) or ""))
    if not asks then
      return nil, problem
    end
    local allowed
    allowed, problem = check_policy(asks, string.format("%.0f", job_desc.user_id))
    if not allowed then
      return nil, problem
    elseif #burst_buffer > LONGEST_BYTES then
      local most = "amlfs: %d bytes of directives; at most %d are taken: name folders above them"
      return nil, most:format(#burst_buffer, LONGEST_BYTES)
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

  -- For slurm_bb_job_process: checks again what came another way (slurmrestd, or a site without job_submit.lua).
  -- A script that cannot be read passes: data_in waits for it, and the daemon reads every directive anyway.
  function submit.job_process(path)
    local _, problem = read_all(script.read(path) or {})
    if problem then
      return slurm.ERROR, problem
    end
    return slurm.SUCCESS
  end

  return submit
end
