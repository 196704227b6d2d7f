-- Find the #AMLFS lines of a job script as Slurm itself finds them. Pure, but for reading the script's file.
-- Source: burst_buffer_lua.c: _xlate_batch, and run_command.c: run_command_add_to_script (same in 22.05 and 26.05).

local script = {}

script.DIRECTIVE = "#AMLFS" -- "#" and burst_buffer.conf's Directive

-- The directives, without their "#AMLFS ", of the lines that an iterator gives.
-- Slurm takes whatever begins with "#AMLFS", stops at the first line that is no comment, and joins a line that ends
-- with "\" to the next directive line, but not over any other comment.
function script.scan(lines)
  local found, joined, blank_before = {}, false, false
  for line in lines do
    if line ~= "" then
      if line:sub(1, 1) ~= "#" then
        break
      elseif line:sub(1, #script.DIRECTIVE) ~= script.DIRECTIVE then
        joined = false
      else
        local rest = line:sub(#script.DIRECTIVE + 1)
        if joined and blank_before then
          rest = rest:gsub("^[ \t\r\v\f]+", "")
        end
        local continues = rest:sub(-1) == "\\"
        local kept = continues and rest:sub(1, -2) or rest
        if joined then
          found[#found] = found[#found] .. kept
        else
          found[#found + 1] = kept
        end
        joined, blank_before = continues, kept:find("[ \t\r\v\f]$") ~= nil
      end
    end
  end
  for i, line in ipairs(found) do
    found[i] = line:gsub("^[ \t]+", "")
  end
  return found
end

-- The directives of a script's text.
function script.directives(body)
  return script.scan(body:gmatch("[^\n]+"))
end

-- The directives of a script's file; nil if it cannot be read.
function script.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local found = script.scan(file:lines())
  file:close()
  return found
end

-- The directives of a job: those of its script, or else of its record (job_info, from 23.02 on). From 24.11 on tasks that
-- slurmctld splits off an array have no script (job_scheduler.c: _split_job_on_schedule_recurse has the array's record
-- looked at in place of theirs), and a teardown leaves an empty one in its place (burst_buffer_lua.c: _queue_teardown).
-- Slurm calls the hooks only for jobs with directives. nil if neither can be read.
function script.of_job(path, job_info)
  local found = script.read(path)
  local recorded = job_info and job_info.burst_buffer
  if (not found or #found == 0) and type(recorded) == "string" then
    return script.directives(recorded)
  end
  return found
end

-- The script as Slurm will have it once it has put job_desc.burst_buffer into it.
function script.with(body, burst_buffer)
  if not burst_buffer or burst_buffer == "" then
    return body
  elseif not body or body == "" then
    return "#!/bin/bash\n" .. burst_buffer -- salloc and srun: burst_buffer_common.c, bb_build_bb_script
  end
  local added = burst_buffer:gsub("\n$", "") .. "\n"
  if body:sub(1, 1) ~= "#" then
    return added .. body
  end
  local first, rest = body:match("^([^\n]*\n)(.*)$")
  return (first or body .. "\n") .. added .. (rest or "")
end

return script
