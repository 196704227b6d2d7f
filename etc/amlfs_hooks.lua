-- The burst buffer hooks: each drops a request for slurm-amlfsd and, where Slurm waits for an answer, reads the board.
-- A hook never fails for what waiting can mend (inbox not writable, daemon down): a failed stage-in is a held job that
-- only an operator can release. Slurm reads a second return value that is no string as a failure, so none is ever nil
-- (burst_buffer_lua.c: _handle_lua_return), and nothing is printed or logged: from 24.11 on a child's output is part
-- of its answer (slurmscriptd.c: slurmscriptd_handle_bb_lua_mode).

return function(script, state, read_pools)
  local hooks = {}

  local REASK_SECONDS = 30
  local LONGEST_MESSAGE = 900 -- SystemComment stops growing at 1,024, and Slurm puts date, plugin and hook before it
  local MOST_SECONDS = 10

  -- IN has no head: any directive asks. A job that only exports needs the daemon's word before it starts too, for its
  -- variables come from the board, and a policy that refuses its export must do so before it has run.
  local IN = { kind = "data_in", way = "in", token = "token_in", answer = "answer_in" }
  local OUT = { kind = "data_out", head = "stage_out", way = "out", token = "token_out", answer = "answer_out" }

  local function digits(value)
    return value and tostring(value):match("^[0-9]+$")
  end

  local function exit_code(job_info)
    local status = job_info and tonumber(job_info.exit_code)
    return status and string.format("%.0f", status)
  end

  local function one_line(message)
    local line = message:gsub("[^ -~\128-\255]", " ")
    if #line > LONGEST_MESSAGE then
      line = line:sub(1, LONGEST_MESSAGE):gsub("[\192-\255]?[\128-\191]*$", "")
    end
    return line
  end

  local function asks_for(lines, head)
    for _, line in ipairs(lines) do
      if not head or line:match("^[^ \t]*") == head then
        return true
      end
    end
    return false
  end

  local function send(direction, job, lines, token)
    local now = os.time()
    -- Unless the token is kept, no later look could know the answer; then nothing is sent either.
    if state.remember(job.id, direction.way, token, now) then
      state.send({
        kind = direction.kind,
        job_id = job.id,
        token = token,
        uid = digits(job.uid),
        gid = digits(job.gid),
        exit_code = exit_code(job.info),
        directives = lines,
      })
    end
  end

  local function start(direction, job)
    local lines = script.of_job(job.script, job.info)
    if lines and asks_for(lines, direction.head) then
      send(direction, job, lines, string.format("%.0f-%s", os.time(), state.pid()))
    end
  end

  -- Look once: the return code, and the message of an error; or nil and how many seconds to wait.
  local function look(direction, job)
    local lines = script.of_job(job.script, job.info)
    if not lines then
      return nil, 1
    elseif not asks_for(lines, direction.head) then
      return slurm.SUCCESS
    end
    local token, asked = state.ask(job.id, direction.way)
    if not token then
      start(direction, job)
      return nil, 1
    end
    local board, site = state.board(job.id), state.site()
    if not board or board[direction.token] ~= token or (site and site.epoch ~= board.epoch) then
      if math.abs(os.time() - asked) >= REASK_SECONDS then
        send(direction, job, lines, token)
      end
    elseif board[direction.answer] == "done" then
      return slurm.SUCCESS
    elseif board[direction.answer] == "error" then
      local message = board.message or ""
      return slurm.ERROR, one_line(message ~= "" and message or "amlfs: failed; ask the site's admins")
    end
    return nil, tonumber(board and board.poll_seconds) or 1
  end

  -- Only in a child of slurmscriptd, and only before 24.05. No text but digits goes to the shell.
  local function sleep(seconds)
    local whole = math.floor(math.max(0, math.min(seconds, MOST_SECONDS)))
    os.execute("exec sleep " .. (whole == 0 and "0.3" or string.format("%d", whole)))
  end

  local function wait(direction, job)
    local second, looks, asked = os.time(), 0, false
    while true do
      local there = state.ask(job.id, direction.way) ~= nil
      if direction == OUT and asked and not there then
        -- A teardown took the ask away. `scancel --hurry` does not end a data_out that runs (bb_p_job_cancel), and what
        -- it has dropped must not be asked for anew.
        return slurm.SUCCESS
      end
      asked = asked or there
      local code, rest = look(direction, job)
      if code then
        return code, rest
      end
      sleep(rest)
      -- Should sleep not work here, wait for the clock rather than look thousands of times a second.
      looks = os.time() == second and looks + 1 or 0
      second = os.time()
      while looks > 5 and os.time() == second do
      end
    end
  end

  local function reply(code, message)
    if message then
      return code, message
    end
    return code
  end

  local function begin(direction, job)
    state.forget(job.id, direction.way) -- whatever goes wrong now, an answer to an earlier ask is none
    start(direction, job)
    if slurm.SLURM_BB_BUSY then
      return slurm.SUCCESS -- from 24.05 on Slurm asks test_data_in or test_data_out until it is done
    end
    return reply(wait(direction, job))
  end

  local function test(direction, job)
    local code, rest = look(direction, job)
    if not code then
      return slurm.SUCCESS, slurm.SLURM_BB_BUSY
    end
    return reply(code, rest)
  end

  -- Whether Slurm has done with a job: its base state is one of an end, and it is not staged out (slurm.h:
  -- JOB_STATE_BASE, JOB_STAGE_OUT). A job that is requeued is pending while its export goes on.
  local function has_left(job_info)
    local job_state = job_info and tonumber(job_info.job_state)
    return job_state and job_state % 256 > 2 and math.floor(job_state / 2 ^ 23) % 2 == 0
  end

  local function job_of(id, path, uid, gid, job_info)
    return { id = digits(id), script = path, uid = uid, gid = gid, info = job_info }
  end

  function hooks.data_in(...)
    return begin(IN, job_of(...))
  end

  -- From 24.05 a job that is cancelled between two polls is polled again after its teardown; SUCCESS would then leave
  -- a record that is never purged. job_info.job_state is an integer, its low byte the base state, 0 for pending.
  function hooks.test_data_in(id, path, uid, gid, job_info)
    local job_state = job_info and tonumber(job_info.job_state)
    if job_state and job_state % 256 ~= 0 then
      return slurm.ERROR, "amlfs: the job is no longer pending; nothing is staged in for it"
    end
    return test(IN, job_of(id, path, uid, gid, job_info))
  end

  function hooks.data_out(...)
    return begin(OUT, job_of(...))
  end

  -- From 24.05 a job whose export is dropped by `scancel --hurry` is polled again after its teardown too.
  function hooks.test_data_out(...)
    local job = job_of(...)
    if has_left(job.info) and not state.ask(job.id, OUT.way) then
      return slurm.SUCCESS
    end
    return test(OUT, job)
  end

  -- Hooks that only tell the daemon. What it misses it learns from Slurm, so nothing here is worth failing for.
  local function tell(request)
    pcall(state.send, request)
    return slurm.SUCCESS
  end

  function hooks.setup(id, uid, gid, _, _, path, job_info)
    local lines = script.of_job(path, job_info)
    return tell({ kind = "setup", job_id = digits(id), uid = digits(uid), gid = digits(gid), directives = lines })
  end

  function hooks.pre_run(id, _, uid, gid)
    return tell({ kind = "pre_run", job_id = digits(id), uid = digits(uid), gid = digits(gid) })
  end

  function hooks.post_run(id, _, uid, gid, job_info)
    local code = exit_code(job_info)
    return tell({ kind = "post_run", job_id = digits(id), uid = digits(uid), gid = digits(gid), exit_code = code })
  end

  function hooks.job_teardown(id, _, hurry)
    state.forget(digits(id), IN.way)
    state.forget(digits(id), OUT.way)
    return tell({ kind = "teardown", job_id = digits(id), hurry = hurry == "true" })
  end

  -- Only asked for lines with capacity=, when they are staged in: Slurm charges more where this is more than was asked.
  function hooks.real_size(id)
    local job_id = digits(id)
    local ran, board = pcall(state.board, job_id)
    local token = job_id and state.ask(job_id, IN.way)
    local bytes = ran and board and token and board[IN.token] == token and digits(board.charge_bytes)
    if bytes and #bytes <= 18 and bytes ~= "0" then
      return slurm.SUCCESS, bytes
    end
    return slurm.SUCCESS
  end

  -- The line that the daemon has posted, or nil.
  function hooks.pools()
    return (read_pools())
  end

  -- Add the job's AMLFS_* variables. Runs in slurmctld under its locks; failing would hold the job for good.
  function hooks.paths(id, _, path_file)
    pcall(function()
      local _, many = state.board(digits(id))
      local lines = {}
      for _, line in ipairs(many and many.env or {}) do
        if line:find("^AMLFS_[A-Z_]+=") and not line:find("[^ -~\128-\255]") then
          lines[#lines + 1] = line .. "\n"
        end
      end
      local file = io.open(path_file, "ab")
      file:write(table.concat(lines))
      file:close()
    end)
    return slurm.SUCCESS
  end

  local function progress(id, board, everything)
    local function number(key)
      return tonumber(board[key]) or 0
    end
    local done, total = number("bytes_done"), number("bytes_total")
    if total == 0 then
      done, total = number("files_done"), number("files_total")
    end
    local words = { "JobId=" .. id }
    local function add(name, value)
      words[#words + 1] = name .. "=" .. value
    end
    add("StageIn", one_line(board.phase_in or ""))
    add("StageOut", one_line(board.phase_out or ""))
    add("Files", string.format("%.0f/%.0f", number("files_done"), number("files_total")))
    add("Bytes", string.format("%.0f/%.0f", number("bytes_done"), number("bytes_total")))
    if total > 0 then
      add("Done", string.format("%.0f%%", math.floor(100 * done / total)))
    end
    if number("eta") > 0 then
      add("TimeLeft", string.format("%.0fs", math.max(0, number("eta") - os.time())))
    end
    if everything and (board.message or "") ~= "" then
      add("Message", one_line(board.message))
    end
    return table.concat(words, " ")
  end

  -- For `scontrol show bbstat JOB`. All bb calls of slurmctld wait while this runs, so it reads one small file.
  -- 22.05 does not say who asks (23.02 put uid and gid first): there everybody sees phase and figures, but no text.
  function hooks.get_status(...)
    local args = { ... }
    local uid
    if slurm.SLURM_BB_BUSY or slurm.job_info_to_string then
      uid = digits(table.remove(args, 1))
      table.remove(args, 1)
    end
    local id = digits(args[1])
    local answer
    if not id or #id > 10 then
      answer = "amlfs: name one job by its number: scontrol show bbstat JOBID"
    else
      local board = state.board(id)
      local admin = uid == "0" or (uid and uid == state.own_uid())
      if board and uid and not admin and uid ~= board.uid then
        answer = "amlfs: job " .. id .. " is another user's; only its owner and Slurm's admins see it"
      elseif board then
        answer = progress(id, board, uid ~= nil)
      else
        answer = "amlfs: job " .. id .. " has no board; it has no directives, is over, or waits for slurm-amlfsd"
      end
    end
    return slurm.SUCCESS, answer .. "\n"
  end

  return hooks
end
