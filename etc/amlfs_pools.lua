-- Slurm's own pools: what it is told of each file system's space, and whether a job's capacity= fits. All is read from
-- one small file of slurm-amlfsd's, since slurm_bb_pools and job_submit run inside slurmctld. Nothing here
-- waits, forks or raises, and nothing is remembered; trouble is a nil.
--
-- The file goes to Slurm only if it has exactly the shape that slurm_amlfs/adapters/pools.py writes: what Slurm cannot
-- read, or a `free` beyond `quantity`, is an error in its log every 30 seconds (burst_buffer_lua.c: _load_pools).

return function(text, path)
  local pools = {}

  local MAX_BYTES = 64 * 1024
  local ENTRY = '^{"id":"([A-Za-z0-9._-]+)","granularity":([0-9]+),"quantity":([0-9]+),"free":([0-9]+)}(,?)()'
  local LONGEST_NUMBER = 15 -- digits; a double has no more

  local function number(digits)
    return #digits <= LONGEST_NUMBER and tonumber(digits) or nil
  end

  -- The pools that a text lists, {name = {granularity=, quantity=}}; nil if it is not plainly well-formed.
  local function parse(data)
    local list = #data <= MAX_BYTES and data:match('^{"pools":%[({.*})%]}$')
    local found, at = {}, 1
    while list and at <= #list do
      local name, granularity, quantity, free, comma, next_at = list:match(ENTRY, at)
      granularity, quantity, free = number(granularity or ""), number(quantity or ""), number(free or "")
      if not (granularity and quantity and free) or granularity == 0 or free > quantity or found[name] then
        return nil
      elseif (comma == ",") ~= (next_at <= #list) then
        return nil
      end
      found[name] = { granularity = granularity, quantity = quantity }
      at = next_at
    end
    return list and found or nil
  end

  -- The file's one line and its pools; nil if there is no such file, or it has another shape.
  function pools.read()
    local file = io.open(path, "rb")
    local data = file and file:read(MAX_BYTES + 1)
    if file then
      file:close()
    end
    local line = data and data:match("^([^\n]*)\n$")
    local found = line and parse(line)
    if found then
      return line, found
    end
    return nil
  end

  -- The granules that Slurm will charge for a job, each line rounded up (_get_bb_job).
  local function charge(asks, granularity)
    local granules = 0
    for _, ask in ipairs(asks) do
      granules = granules + math.ceil((ask.capacity or 0) / granularity)
    end
    return granules
  end

  local function pool_of(asks)
    for _, ask in ipairs(asks) do
      if ask.pool then
        return ask.pool
      end
    end
    return nil
  end

  local function gib(granules, granularity)
    return granules * granularity / 2 ^ 30
  end

  -- Refuse what Slurm would let wait for ever, capacity that the whole pool does not have, and want of a pool, of which
  -- Slurm itself would say no more than "Burst Buffer request invalid".
  function pools.check(asks)
    local name = pool_of(asks)
    if not name then
      return true
    end
    local _, known = pools.read()
    if not known then
      return text.refuse("this site has no pools; leave capacity= and pool= out")
    elseif not known[name] then
      return text.refuse("there is no pool %s yet; leave capacity= and pool= out", text.quote(name))
    end
    local pool = known[name]
    local wanted = charge(asks, pool.granularity)
    if wanted > pool.quantity then
      return text.refuse(
        "capacity= of %.0f GiB in all is more than the pool %s ever has, %.0f GiB; ask for less",
        gib(wanted, pool.granularity),
        text.quote(name),
        gib(pool.quantity, pool.granularity)
      )
    end
    return true
  end

  return pools
end
