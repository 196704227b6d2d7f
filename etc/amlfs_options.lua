-- sbatch's --amlfs-* options as directive lines, and the quick check of who may move what. Pure: values in, values out.
-- Its twins are slurm_amlfs/domain/directive.py (lines_from_options) and policy.py; property tests hold them equal.
-- A function that can refuse returns nil and one line: what is wrong and the mend.

return function(text, grammar)
  local options = {}

  local has, quote, refuse = text.has, text.quote, text.refuse

  local LONGEST_BYTES = 4096
  local HEADS = { "stage_in", "stage_out" }
  -- An option's name as job_submit sees it, the word it becomes, and the directions that word belongs to.
  local OPTIONS = {
    { "import", "prefix", { "stage_in" } },
    { "export", "prefix", { "stage_out" } },
    { "fs", "fs", { "stage_in", "stage_out" } },
    { "conflict", "conflict", { "stage_in" } },
    { "max_errors", "max_errors", { "stage_in" } },
    { "hydrate", "hydrate", { "stage_in" } },
    { "export_on", "on", { "stage_out" } },
    { "export_to", "to", { "stage_out" } },
    { "pack", "pack", { "stage_out" } },
    { "release", "release", { "stage_in", "stage_out" } },
  }
  local SOURCE = { stage_in = "import", stage_out = "export" }

  local function flag(option)
    return "--amlfs-" .. option:gsub("_", "-")
  end

  local function check_option(name, value)
    if #value > LONGEST_BYTES then
      local most = "%s has %d bytes; at most %d are taken: name a folder above them"
      return refuse(most, flag(name), #value, LONGEST_BYTES)
    elseif not text.utf8_length(value) then
      return refuse("%s=%s is not UTF-8 text; name a folder above it", flag(name), quote(value))
    end
    return true
  end

  local function to_line(head, given)
    local words = { head }
    for _, option in ipairs(OPTIONS) do
      local name, word, heads = option[1], option[2], option[3]
      -- A job that exports gives back its outputs; its inputs stay, by lease.
      local kept = word == "release" and head == "stage_in" and given.export
      if given[name] and has(heads, head) and not kept then
        -- The options' lists end at a comma; a directive's prefix may have one.
        for value in (word == "prefix" and given[name] or ""):gmatch("([^,]*),") do
          words[#words + 1] = word .. "=" .. grammar.encode(value)
        end
        local last = word == "prefix" and given[name]:match("[^,]*$") or given[name]
        words[#words + 1] = word .. "=" .. grammar.encode(last)
      end
    end
    return table.concat(words, " ")
  end

  -- Turn sbatch's --amlfs-* values, {import=, max_errors=, ...}, into checked directive lines (at most two).
  function options.to_lines(given)
    for _, option in ipairs(OPTIONS) do
      local name = option[1]
      if given[name] then
        local _, problem = check_option(name, given[name])
        if problem then
          return nil, problem
        end
      end
    end
    for _, option in ipairs(OPTIONS) do
      local name, heads, needs, served = option[1], option[3], {}, false
      for i, head in ipairs(heads) do
        needs[i] = flag(SOURCE[head]) .. "=/PATH/"
        served = served or given[SOURCE[head]]
      end
      if given[name] and not served then
        return refuse("%s says nothing by itself; add %s", flag(name), table.concat(needs, " or "))
      end
    end
    local lines = {}
    for _, head in ipairs(HEADS) do
      if given[SOURCE[head]] then
        table.insert(lines, to_line(head, given))
      end
    end
    for _, line in ipairs(lines) do
      local ask, problem = grammar.parse(line)
      if not ask then
        return nil, problem
      end
    end
    return lines
  end

  -- Return the file system that fs= means; nil or "" means the site's first.
  function options.choose_file_system(asked, names)
    if #names == 0 then
      return refuse("this site has no file system; ask its admins to configure one")
    end
    local name = (asked and asked ~= "") and asked or names[1]
    if not has(names, name) then
      return refuse("unknown file system %s; this site has %s", quote(name), text.quote_list(names))
    end
    return name
  end

  -- Let the ask pass if each prefix begins with one granted. `lines` are the site file's "FS UID PREFIX"; uid is text.
  function options.check(ask, fs_name, uid, lines)
    local granted, seen = {}, {}
    for _, line in ipairs(lines) do
      local fs, who, prefix = line:match("^([^ ]+) ([^ ]+) (.*)$")
      if fs and (fs == "*" or fs == fs_name) and (who == "*" or who == uid) and not seen[prefix] then
        seen[prefix] = true
        table.insert(granted, prefix)
      end
    end
    local verb = ask.direction == "stage_in" and "import" or "export"
    for _, prefix in ipairs(ask.prefixes) do
      local open = false
      for _, beginning in ipairs(granted) do
        open = open or prefix:sub(1, #beginning) == beginning
      end
      if not open then
        local mend = "no " .. verb .. " is granted there: ask the site's admins"
        if seen[prefix .. "/"] then
          mend = 'write it with a "/" at its end: ' .. quote(prefix .. "/")
        elseif #granted > 0 then
          mend = "granted are " .. text.quote_list(granted)
        end
        local fs = quote(fs_name)
        return refuse("uid %s may not %s %s on file system %s; %s", uid, verb, quote(prefix), fs, mend)
      end
    end
    return true
  end

  return options
end
