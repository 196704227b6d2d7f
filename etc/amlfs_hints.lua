-- Near misses: lines of a job script that look like directives, and that neither sbatch nor Slurm's burst buffer reads.
-- Pure: a script's text in, lines for the user out. They are hints only, since a comment may say anything.
--
-- sbatch reads #SBATCH up to the first line that is neither blank nor a comment (sbatch/opt.c: _opt_batch_script).
-- Slurm reads #AMLFS up to the first line that is not empty and does not begin with "#", so that one of blanks, or one
-- with a blank before its "#", ends it too (burst_buffer_lua.c: _xlate_batch). Both are the same in 22.05 and 26.05.

return function(text)
  local hints = {}

  local MOST = 3
  local LOOKED_AT_BYTES = 16 * 1024
  local HASH = 35

  local function head_of(body)
    return #body > LOOKED_AT_BYTES and body:sub(1, LOOKED_AT_BYTES) or body
  end

  -- Where a word of ours comes next; two plain searches are all that a job without one costs.
  local function next_word(head, from)
    local small, large = head:find("amlfs", from, true), head:find("AMLFS", from, true)
    return small and large and math.min(small, large) or small or large
  end

  -- Whether a line is a directive in its place, as nearly all that are looked at.
  local function is_read(line, ended)
    return (line:find("^#AMLFS") and not ended["#AMLFS"]) or (line:find("^#SBATCH") and not ended["#SBATCH"])
  end

  -- The mark that a line seems to mean, if any.
  local function meant(line)
    local lower = line:lower()
    if lower:find("^[ \t]*#[ \t]*amlfs[ \t]") then
      return (lower:find("stage_", 1, true) or lower:find("prefix=", 1, true)) and "#AMLFS"
    end
    return lower:find("^[ \t]*#[ \t]*sbatch[ \t].*%-%-amlfs%-") and "#SBATCH"
  end

  local function hint(line, number, ended)
    local mark = not is_read(line, ended) and meant(line)
    if not mark then
      return nil
    elseif line:sub(1, #mark) ~= mark then
      return ('amlfs: line %d %s is not a directive; write "%s" at its beginning'):format(number, text.quote(line), mark)
    elseif ended[mark] then
      local said = "amlfs: line %d %s is not read, for line %d is no comment; move it above that"
      return said:format(number, text.quote(line), ended[mark])
    end
    return nil
  end

  -- One line for each of the first few near misses. A script with a here-document may write another script's
  -- directives, so nothing is said below one.
  function hints.find(body)
    local head = head_of(body)
    local found, ended, word, from, number = {}, {}, next_word(head, 1), 1, 0
    while word and #found < MOST do
      local stop = head:find("\n", from, true) or #head + 1
      number = number + 1
      if from < stop and head:byte(from) ~= HASH then
        ended["#AMLFS"] = ended["#AMLFS"] or number
        if not ended["#SBATCH"] and head:find("^[ \t\r\v\f]*[^# \t\r\v\f\n]", from) then
          ended["#SBATCH"] = number
        end
      end
      if word < stop then
        if ended["#SBATCH"] and head:sub(1, from):find("<<", 1, true) then
          break
        end
        found[#found + 1] = hint(head:sub(from, stop - 1), number, ended)
        word = next_word(head, stop)
      end
      from = stop + 1
    end
    return found
  end

  return hints
end
