-- Check a job's directives once more, for submissions that no job_submit.lua of ours has seen. Runs inside slurmctld
-- with its job lock held, for every submission with directives: it reads one file as far as the first command.

return function(grammar, script)
  -- For slurm_bb_job_process. A script that cannot be read passes: data_in waits for it, and the daemon reads every
  -- directive anyway.
  return function(path)
    local _, problem = grammar.parse_all(script.read(path) or {})
    if problem then
      return slurm.ERROR, problem
    end
    return slurm.SUCCESS
  end
end
