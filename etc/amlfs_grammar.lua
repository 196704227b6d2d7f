-- The #AMLFS grammar, and the quick check of who may move what. Pure: values in, values out.
-- Twins: slurm_amlfs/domain/directive.py, prefix.validate and policy.py; a property test holds results and error
-- texts equal. A function that can refuse returns nil and one line: what is wrong and the mend.

return function(text)
  local grammar = {}

  local quote = text.quote

  grammar.MARK = "b64:"
  grammar.LONGEST_OPTION_BYTES = 4096
  local LONGEST_PREFIX = 1024
  local MOST_ERRORS = 2147483647 -- ARM's maximumErrors is an int32

  local HEADS = { "stage_in", "stage_out" }
  local WORDS = {
    stage_in = { "prefix", "fs", "conflict", "max_errors", "hydrate", "release" },
    stage_out = { "prefix", "fs", "on", "release" },
  }
  local LATER = { to = "stage_out", pack = "stage_out" } -- words of the design that this release refuses
  local CHOICES = {
    conflict = { "fail", "skip", "overwrite-if-dirty", "overwrite-always" },
    hydrate = { "all", "none" },
    on = { "success", "failure", "always" },
    release = { "yes", "no" },
  }
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

  local function has(list, wanted)
    for _, item in ipairs(list) do
      if item == wanted then
        return true
      end
    end
    return false
  end

  local function refuse(...)
    return nil, "amlfs: " .. string.format(...)
  end

  -- Slurm finds the two words anywhere in a line (burst_buffer_lua.c: _parse_bb_opts).
  local function is_plain(value)
    return not (
      value:find("[^A-Za-z0-9._/+@:~=,-]")
      or value:find("capacity=", 1, true)
      or value:find("pool=", 1, true)
    )
  end

  local function marked(value)
    return value:sub(1, #grammar.MARK) == grammar.MARK
  end

  -- Return the prefix if it is one that we carry.
  function grammar.validate(prefix)
    local shown = quote(prefix)
    local length = text.utf8_length(prefix)
    if not length then
      return refuse("prefix %s is not UTF-8 text; name a folder above it", shown)
    elseif prefix:sub(1, 1) ~= "/" then
      return refuse('prefix %s does not begin with "/"; write it from the root of the container', shown)
    elseif length > LONGEST_PREFIX then
      return refuse("a prefix of %d characters; at most %d are taken: name a folder above", length, LONGEST_PREFIX)
    elseif prefix:find("[^ -~\128-\255]") then
      return refuse("prefix %s has a control character in it; name a folder above it", shown)
    end
    for segment in (prefix == "/" and "" or prefix:sub(2):gsub("/$", "") .. "/"):gmatch("([^/]*)/") do
      if segment == "" or segment == "." or segment == ".." then
        return refuse('prefix %s has an empty, "." or ".." part; write the path plainly', shown)
      end
    end
    return prefix
  end

  -- Read one word's value.
  function grammar.decode(name, raw)
    if raw == "" then
      return refuse("%s= has no value; give one or leave it out", name)
    elseif not is_plain(raw) then
      return refuse("%s=%s is more than a directive can carry; write b64: and the base64url of it", name, quote(raw))
    elseif not marked(raw) then
      return raw
    end
    local value = text.from_base64url(raw:sub(#grammar.MARK + 1))
    if not value or value == "" or not text.utf8_length(value) then
      return refuse("%s=%s is not base64url of UTF-8 text; encode it anew", name, quote(raw))
    end
    return value
  end

  -- Write one word's value: plain where it can be, else marked base64url.
  function grammar.encode(value)
    if is_plain(value) and not marked(value) then
      return value
    end
    return grammar.MARK .. text.base64url(value)
  end

  local function read(name, value)
    if name == "prefix" then
      return grammar.validate(value)
    elseif name == "max_errors" then
      local number = (value == "-1" or (#value <= 10 and value:find("^[0-9]+$"))) and tonumber(value)
      if not number or number > MOST_ERRORS then
        return refuse("max_errors cannot be %s; give 0 to %d, or -1 for no limit", quote(value), MOST_ERRORS)
      end
      return number
    elseif CHOICES[name] and not has(CHOICES[name], value) then
      return refuse("%s cannot be %s; choose one of %s", name, quote(value), table.concat(CHOICES[name], ", "))
    end
    return value
  end

  -- Read one directive line, given without its `#AMLFS `: {direction=, prefixes={...}, fs=, ...} with what it says.
  function grammar.parse(line)
    local words = line:gmatch("[^ \t]+")
    local head = words() or ""
    if not has(HEADS, head) then
      return refuse("unknown directive %s; write stage_in or stage_out", quote(head))
    end
    local ask = { direction = head, prefixes = {} }
    for word in words do
      local name, raw = word:match("^([^=]*)=(.*)$")
      if name and LATER[name] == head then
        return refuse("%s= is not available in this release; leave it out", name)
      elseif not name or not has(WORDS[head], name) then
        local known = table.concat(WORDS[head], ", ")
        return refuse("%s does not know %s; its words are %s, each with =value", head, quote(word), known)
      elseif ask[name] then
        return refuse("%s= is given twice; give it once", name)
      end
      local value, problem = grammar.decode(name, raw)
      if value then
        value, problem = read(name, value)
      end
      if not value then
        return nil, problem
      elseif name ~= "prefix" then
        ask[name] = value
      elseif not has(ask.prefixes, value) then
        table.insert(ask.prefixes, value)
      end
    end
    if #ask.prefixes == 0 then
      return refuse("%s without a prefix; add prefix=/PATH/", head)
    end
    return ask
  end

  local function flag(option)
    return "--amlfs-" .. option:gsub("_", "-")
  end

  local function check_option(name, value)
    if #value > grammar.LONGEST_OPTION_BYTES then
      local most = grammar.LONGEST_OPTION_BYTES
      return refuse("%s has %d bytes; at most %d are taken: name a folder above them", flag(name), #value, most)
    elseif not text.utf8_length(value) then
      return refuse("%s=%s is not UTF-8 text; name a folder above it", flag(name), quote(value))
    end
    return true
  end

  local function line_from_options(head, options)
    local words = { head }
    for _, option in ipairs(OPTIONS) do
      local name, word, heads = option[1], option[2], option[3]
      -- A job that exports gives back its outputs; its inputs stay, by lease.
      local kept = word == "release" and head == "stage_in" and options.export
      if options[name] and has(heads, head) and not kept then
        -- The options' lists end at a comma; a directive's prefix may have one.
        for value in (word == "prefix" and options[name] or ""):gmatch("([^,]*),") do
          words[#words + 1] = word .. "=" .. grammar.encode(value)
        end
        local last = word == "prefix" and options[name]:match("[^,]*$") or options[name]
        words[#words + 1] = word .. "=" .. grammar.encode(last)
      end
    end
    return table.concat(words, " ")
  end

  -- Turn sbatch's --amlfs-* values, {import=, max_errors=, ...}, into checked directive lines (at most two).
  function grammar.lines_from_options(options)
    for _, option in ipairs(OPTIONS) do
      local name = option[1]
      if options[name] then
        local _, problem = check_option(name, options[name])
        if problem then
          return nil, problem
        end
      end
    end
    for _, option in ipairs(OPTIONS) do
      local name, heads, needs, served = option[1], option[3], {}, false
      for i, head in ipairs(heads) do
        needs[i] = flag(SOURCE[head]) .. "=/PATH/"
        served = served or options[SOURCE[head]]
      end
      if options[name] and not served then
        return refuse("%s says nothing by itself; add %s", flag(name), table.concat(needs, " or "))
      end
    end
    local lines = {}
    for _, head in ipairs(HEADS) do
      if options[SOURCE[head]] then
        table.insert(lines, line_from_options(head, options))
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
  function grammar.choose_file_system(asked, names)
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
  function grammar.check(ask, fs_name, uid, lines)
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

  grammar.OPTIONS = OPTIONS

  return grammar
end
