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
    { "refresh", "refresh", { "stage_in" } },
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

  local function refuse_alone(name, heads)
    local needs = {}
    for i, head in ipairs(heads) do
      needs[i] = flag(SOURCE[head]) .. "=/PATH/"
    end
    return refuse("%s says nothing by itself; add %s", flag(name), table.concat(needs, " or "))
  end

  -- The lines of what nearly every job gives, a plain prefix to import or export or both; nil for other options.
  local function to_plain_lines(given)
    for name in pairs(given) do
      if name ~= "import" and name ~= "export" then
        return nil
      end
    end
    local lines, asks = {}, {}
    for _, head in ipairs(HEADS) do
      local prefix = given[SOURCE[head]]
      local ask = prefix and grammar.plain_ask(head, prefix)
      if ask then
        lines[#lines + 1], asks[#asks + 1] = head .. " prefix=" .. prefix, ask
      elseif prefix then
        return nil
      end
    end
    return lines, asks
  end

  -- Turn sbatch's --amlfs-* values, {import=, max_errors=, ...}, into directive lines (at most two), and give with them
  -- what the grammar reads in each.
  function options.to_lines(given)
    local plain, its_asks = to_plain_lines(given)
    if plain then
      return plain, its_asks
    end
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
      local name, heads = option[1], option[3]
      if given[name] and not given[SOURCE[heads[1]]] and not (heads[2] and given[SOURCE[heads[2]]]) then
        return refuse_alone(name, heads)
      end
    end
    local lines, asks = {}, {}
    for _, head in ipairs(HEADS) do
      if given[SOURCE[head]] then
        local line = to_line(head, given)
        local ask, problem = grammar.parse(line)
        if not ask then
          return nil, problem
        end
        lines[#lines + 1], asks[#asks + 1] = line, ask
      end
    end
    return lines, asks
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

  -- Read the site file's "FS UID PREFIX" lines.
  function options.grants(lines)
    local grants = {}
    for _, line in ipairs(lines) do
      local fs, who, prefix = line:match("^([^ ]+) ([^ ]+) (.*)$")
      if fs then
        grants[#grants + 1] = { fs = fs, who = who, prefix = prefix }
      end
    end
    return grants
  end

  local function is_for(grant, fs_name, uid)
    return (grant.fs == "*" or grant.fs == fs_name) and (grant.who == "*" or grant.who == uid)
  end

  local function may(prefix, fs_name, uid, grants)
    for _, grant in ipairs(grants) do
      if prefix:sub(1, #grant.prefix) == grant.prefix and is_for(grant, fs_name, uid) then
        return true
      end
    end
    return false
  end

  local function refuse_prefix(ask, prefix, fs_name, uid, grants)
    local granted, seen = {}, {}
    for _, grant in ipairs(grants) do
      if is_for(grant, fs_name, uid) and not seen[grant.prefix] then
        seen[grant.prefix] = true
        granted[#granted + 1] = grant.prefix
      end
    end
    local verb = ask.direction == "stage_in" and "import" or "export"
    local mend = "no " .. verb .. " is granted there: ask the site's admins"
    if seen[prefix .. "/"] then
      mend = 'write it with a "/" at its end: ' .. quote(prefix .. "/")
    elseif #granted > 0 then
      mend = "granted are " .. text.quote_list(granted)
    end
    return refuse("uid %s may not %s %s on file system %s; %s", uid, verb, quote(prefix), quote(fs_name), mend)
  end

  -- Let the ask pass if each prefix begins with one granted. `grants` is what options.grants gave; uid is text.
  function options.check(ask, fs_name, uid, grants)
    for _, prefix in ipairs(ask.prefixes) do
      if not may(prefix, fs_name, uid, grants) then
        return refuse_prefix(ask, prefix, fs_name, uid, grants)
      end
    end
    return true
  end

  -- Return true if the line's pool, if it names one, is its file system's.
  function options.check_pool(ask, fs_name)
    if ask.pool and ask.pool ~= fs_name then
      local odd = "pool %s is not the line's file system %s; name the same with both"
      return refuse(odd, quote(ask.pool), quote(fs_name))
    end
    return true
  end

  return options
end
