-- A job that imports waits for the exports of the jobs that it depends on. For Slurm afterok and afterany are fulfilled
-- when a job has ended and its nodes are clean; its stage-out has only begun by then (job_scheduler.c:
-- _test_job_dependency_common, 22.05 to 26.05; SchedMD's guide says otherwise). Pure: text in, text out.

local dependency = {}

local WAIT_FOR_END = { afterok = true, afterany = true, afternotok = true }
local SAME = "afterburstbuffer"
local LONGEST_BYTES = 64 * 1024
local FEDERATED = 2 ^ 26 -- job ids from here on name another cluster (federation: FED_MGR_CLUSTER_ID_BEGIN)

local function is_ours(id)
  local number = id:match("^([0-9]+)$") or id:match("^([0-9]+)_[0-9*]+$")
  return number and #number <= 8 and tonumber(number) < FEDERATED
end

-- The jobs, arrays and tasks that one term waits for the end of. A number alone is Slurm's old form of afterany.
local function awaited(term)
  local kind, rest = term:match("^([A-Za-z]+):(.+)$")
  if kind and not WAIT_FOR_END[kind:lower()] then
    return function() end
  end
  return (rest or term):gmatch("[^:]+")
end

-- The dependency with a wait for the exports too; nil if there is nothing to add. Where one of several is enough ("?")
-- nothing can be added without a change of its meaning, and the daemon alone makes the import wait.
function dependency.with_exports(given)
  if not given or given:find("[^A-Za-z0-9:,_*+]") or #given > LONGEST_BYTES then
    return nil
  end
  local added, known = {}, {}
  for term in given:gmatch("[^,]+") do
    for id in awaited(term) do
      if is_ours(id) and not known[id] then
        known[id] = true
        added[#added + 1] = id
      end
    end
  end
  return #added > 0 and given .. "," .. SAME .. ":" .. table.concat(added, ":") or nil
end

return dependency
