-- Check a job's directives once more, for submissions that no job_submit.lua of ours has seen: what slurm_bb_job_process
-- does with lines that its pattern does not know. Runs inside slurmctld with its job lock held.

return function(amlfs)
  return function(path)
    local asks, problem = amlfs.grammar.parse_all(amlfs.script.read(path) or {})
    if asks then
      asks, problem = amlfs.pools.check_size(asks)
    end
    if not asks then
      return slurm.ERROR, problem
    end
    return slurm.SUCCESS
  end
end
