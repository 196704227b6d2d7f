-- The files that Lua and slurm-amlfsd share: it drops requests into the inbox, reads boards and the site file, and
-- keeps its own asks. Formats: slurm_amlfs/wire.py. Nothing here waits, forks or raises; trouble is a nil.

return function(wire, state_dir)
  local state = {}

  local FIRST_BYTES = 4096
  local sent = 0

  -- A file's bytes, one more than a reader takes at most. Lua makes a buffer for all that is asked for, so the most that
  -- nearly any of these files has comes first.
  local function slurp(path)
    local file = io.open(path, "rb")
    local data = file and file:read(FIRST_BYTES)
    if data and #data == FIRST_BYTES then
      data = data .. (file:read(wire.MAX_BYTES + 1 - FIRST_BYTES) or "")
    end
    if file then
      file:close()
    end
    return data
  end

  -- Write a file whole or not at all.
  local function replace(temporary, path, data)
    local file = io.open(temporary, "wb")
    if not file then
      return nil
    end
    local whole = file:write(data)
    whole = file:close() and whole
    if whole and os.rename(temporary, path) then
      return true
    end
    os.remove(temporary)
    return nil
  end

  -- A job's board: its keys, and the keys that repeat; nil if there is none.
  function state.board(job_id)
    local data = slurp(state_dir .. "/board/" .. job_id)
    if data then
      return wire.load("board", data)
    end
    return nil
  end

  local site_data, site_one, site_many

  -- The site file: its keys, and the keys that repeat; nil if there is none. Parsed again only when it has changed.
  function state.site()
    local data = slurp(state_dir .. "/site")
    if not data then
      return nil
    elseif data ~= site_data then
      site_data, site_one, site_many = data, wire.load("site", data)
    end
    return site_one, site_many
  end

  -- Lua has no getpid. "*n" reads in 5.1 to 5.4.
  function state.pid()
    local file = io.open("/proc/self/stat", "rb")
    local pid = file and file:read("*n")
    if file then
      file:close()
    end
    return string.format("%d", pid or 0)
  end

  -- The uid this runs as, as text: SlurmUser's, in every hook.
  function state.own_uid()
    return (slurp("/proc/self/status") or ""):match("\nUid:\t[0-9]+\t([0-9]+)")
  end

  -- Put a request into the inbox; nil if that fails. A request with a token has a name made of it, so that asking again
  -- while the daemon is down replaces the file instead of adding one.
  function state.send(request)
    sent = sent + 1
    local epoch, pid, counter = os.time(), state.pid(), sent
    if request.token then
      epoch, pid = request.token:match("^([0-9]+)%-([0-9]+)$")
      counter = 0
    end
    local name = string.format("%s.%s.%s.%s-%s", epoch, pid, counter, request.job_id, request.kind)
    local pairs_ = {
      { "kind", request.kind },
      { "job_id", request.job_id },
      { "token", request.token or "" },
      { "uid", request.uid or "-1" },
      { "gid", request.gid or "-1" },
      { "hurry", request.hurry and "true" or "false" },
      { "exit_code", request.exit_code or "-1" },
    }
    for _, line in ipairs(request.directives or {}) do
      pairs_[#pairs_ + 1] = { "directive", line }
    end
    local inbox = state_dir .. "/inbox"
    return replace(inbox .. "/tmp/" .. name, inbox .. "/new/" .. name, wire.dump("request", pairs_))
  end

  -- The latest ask of one direction ("in" or "out"): its token, and when it was last sent; nil if there is none.
  function state.ask(job_id, way)
    local data = slurp(state_dir .. "/asks/" .. job_id .. "." .. way) or ""
    local token, when = data:match("^([0-9]+%-[0-9]+) ([0-9]+)\n$")
    return token, tonumber(when)
  end

  function state.remember(job_id, way, token, when)
    local path = state_dir .. "/asks/" .. job_id .. "." .. way
    return replace(path .. ".tmp", path, string.format("%s %.0f\n", token, when))
  end

  function state.forget(job_id, way)
    os.remove(state_dir .. "/asks/" .. job_id .. "." .. way)
  end

  return state
end
