-- The #AMLFS grammar. Pure: values in, values out. Its twins are slurm_amlfs/domain/directive.py and prefix.validate;
-- a property test holds results and error texts equal. A function that can refuse returns nil and one line: what is
-- wrong and the mend. sbatch's options and the policy are in amlfs_options.lua.

return function(text)
  local grammar = {}

  local has, quote, refuse = text.has, text.quote, text.refuse

  grammar.MARK = "b64:"
  grammar.LONGEST_BYTES = 8 * 1024 -- job_mgr.c: _test_job_desc_fields allows a burst_buffer no more
  local LONGEST_PREFIX = 1024
  local MOST_ERRORS = 2147483647 -- ARM's maximumErrors is an int32
  local CAPACITY_END_BYTES = 2 ^ 53 -- 8 PiB; a double counts each byte below it

  local HEADS = { "stage_in", "stage_out" }
  local WORDS = {
    stage_in = { "prefix", "fs", "conflict", "max_errors", "hydrate", "release", "refresh", "capacity", "pool" },
    stage_out = { "prefix", "fs", "on", "release" },
  }
  local LATER = { to = "stage_out", pack = "stage_out" } -- words of the design that this release refuses
  local CHOICES = {
    conflict = { "fail", "skip", "overwrite-if-dirty", "overwrite-always" },
    hydrate = { "all", "none" },
    on = { "success", "failure", "always", "each-run" },
    release = { "yes", "no" },
    refresh = { "yes", "no" },
  }
  local SLURMS_OWN = { capacity = true, pool = true } -- words whose values Slurm reads too, as they stand
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
    local length = text.utf8_length(prefix)
    if not length then
      return refuse("prefix %s is not UTF-8 text; name a folder above it", quote(prefix))
    elseif prefix:sub(1, 1) ~= "/" then
      return refuse('prefix %s does not begin with "/"; write it from the root of the container', quote(prefix))
    elseif length > LONGEST_PREFIX then
      return refuse("a prefix of %d characters; at most %d are taken: name a folder above", length, LONGEST_PREFIX)
    elseif prefix:find("[^ -~\128-\255]") then
      return refuse("prefix %s has a control character in it; name a folder above it", quote(prefix))
    elseif prefix:find("//", 1, true) or (prefix .. "/"):find("/%.%.?/") then
      return refuse('prefix %s has an empty, "." or ".." part; write the path plainly', quote(prefix))
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

  -- A size as Slurm reads it (burst_buffer_common.c: bb_get_size_num), but for nodes, and for zero, which is an error.
  local function read_capacity(value)
    local digits, letter, unit = value:lower():match("^([0-9]+)([kmgtp]?)(i?b?)$")
    if digits and #digits <= 16 and unit ~= "i" and (unit == "" or letter ~= "") then
      local power = letter == "" and 0 or ("kmgtp"):find(letter, 1, true)
      local size = (tonumber(digits) + 0.0) * (unit == "b" and 1000 or 1024) ^ power
      if size > 0 and size < CAPACITY_END_BYTES then
        return size
      end
    end
    return refuse("capacity cannot be %s; give a size below 8 PiB, as 500GiB or 2T", quote(value))
  end

  local function read_pool(value)
    if #value > 63 or not value:find("^[A-Za-z0-9][A-Za-z0-9._-]*$") then
      return refuse("pool cannot be %s; give the name of the line's file system", quote(value))
    end
    return value
  end

  local function read(name, value)
    if name == "prefix" then
      return grammar.validate(value)
    elseif name == "capacity" then
      return read_capacity(value)
    elseif name == "pool" then
      return read_pool(value)
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

  -- What nearly every line asks, one prefix that is written as it is; nil for anything else.
  function grammar.plain_ask(head, prefix)
    local plain = prefix:find("^/[A-Za-z0-9._/-]*$") and #prefix < LONGEST_PREFIX
    if plain and not prefix:find("//", 1, true) and not (prefix .. "/"):find("/%.%.?/") then
      return { direction = head, prefixes = { prefix } }
    end
    return nil
  end

  -- Refuse what Slurm would read otherwise than we do, or silently (burst_buffer_lua.c: _parse_capacity).
  local function check_pool(ask, line)
    if not (ask.capacity or ask.pool) then
      return ask
    elseif not ask.pool then
      return refuse("capacity= names no pool; add pool= with the name of the line's file system")
    elseif not ask.capacity then
      return refuse("pool= says nothing by itself; add capacity=SIZE")
    elseif line:find("\t", 1, true) then
      return refuse("a tab in a line with capacity=, which Slurm reads as part of it; write blanks")
    end
    return ask
  end

  -- Read one directive line, given without its `#AMLFS `: {direction=, prefixes={...}, fs=, ...} with what it says.
  function grammar.parse(line)
    local its_head, prefix = line:match("^(stage_[a-z]+) prefix=(.*)$")
    local plain = WORDS[its_head or ""] and grammar.plain_ask(its_head, prefix)
    if plain then
      return plain
    end
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
      local value, problem = raw, nil
      if not SLURMS_OWN[name] then
        value, problem = grammar.decode(name, raw)
      end
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
    return check_pool(ask, line)
  end

  -- Read each line; nil and one line for the first that is wrong, for capacity of several pools, of which Slurm charges
  -- but the last with the sum (_get_bb_job), or for too many bytes in all.
  function grammar.parse_all(lines)
    local asks, size, pool, other = {}, 0, nil, nil
    for i, line in ipairs(lines) do
      local problem
      asks[i], problem = grammar.parse(line)
      if not asks[i] then
        return nil, problem
      end
      size = size + #line
      pool = pool or asks[i].pool
      other = other or (asks[i].pool ~= pool and asks[i].pool or nil)
    end
    if other then
      return refuse(
        "capacity= of pool %s and of pool %s in one job, and Slurm charges one;"
          .. " leave it out on the lines of the other file system",
        quote(pool),
        quote(other)
      )
    end
    if size > grammar.LONGEST_BYTES then
      return grammar.too_long(size)
    end
    return asks
  end

  function grammar.too_long(size)
    local most = grammar.LONGEST_BYTES
    return refuse("%d bytes of directives; at most %d are taken: name folders above them", size, most)
  end

  return grammar
end
