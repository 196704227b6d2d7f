-- Hold mode, for a Slurm without burst buffer plugin: a job with directives is held when it is submitted, and let go by
-- slurm-amlfsd when its data is there. Pure: it changes job_desc and nothing else.
--
-- Nobody reads the directives of a job script there, so they all go into burst_buffer: Slurm keeps that in the job's
-- record as it is, shows it, and lets no user change it later (job_mgr.c: _update_job, ESLURM_NOT_SUPPORTED). Slurm
-- makes the hold its owner's, whoever asked for it (_job_create), so only here is it known whether the owner did.

return function(script)
  local hold = {}

  hold.OWNERS = "# held by its owner" -- slurm_records.py reads it

  -- The burst_buffer of a job to be held.
  function hold.burst_buffer(job_desc, burst_buffer)
    local lines = {}
    if tonumber(job_desc.priority) == 0 then
      lines[1] = hold.OWNERS
    end
    for _, line in ipairs(script.directives(script.with(job_desc.script, burst_buffer) or "")) do
      lines[#lines + 1] = script.DIRECTIVE .. " " .. line
    end
    return table.concat(lines, "\n")
  end

  -- Hold it.
  function hold.put(job_desc)
    job_desc.priority = 0
    slurm.log_user("%s", "amlfs: the job is held until its data is there, and let go by itself")
  end

  return hold
end
