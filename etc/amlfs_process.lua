-- Check a job's directives once more, for submissions that no job_submit.lua of ours has seen: what slurm_bb_job_process
-- does with lines that its pattern does not know. Runs inside slurmctld with its job lock held.

return function(grammar, script)
  return function(path)
    local _, problem = grammar.parse_all(script.read(path) or {})
    if problem then
      return slurm.ERROR, problem
    end
    return slurm.SUCCESS
  end
end
