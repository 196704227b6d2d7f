-- The files of the inbox, the board and the site, as text. It holds no state and does no I/O. Its twin is
-- slurm_amlfs/wire.py, which says the format; property tests (tests/unit/lua) hold them equal.

local wire = {}

-- Longest file that a reader takes.
wire.MAX_BYTES = 64 * 1024

-- Encode a value for one line: bytes outside printable ASCII, and %, as %XX.
function wire.escape(value)
  return (value:gsub("[^ -$&-~]", function(byte)
    return string.format("%%%02X", byte:byte())
  end))
end

-- Decode a value. A % that is not followed by two hex digits stands for itself.
function wire.unescape(value)
  return (value:gsub("%%([0-9A-Fa-f][0-9A-Fa-f])", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

-- Write one file's bytes from {key, value} pairs.
function wire.dump(kind, pairs_)
  local lines = { "amlfs-" .. kind .. " 1" }
  for _, pair in ipairs(pairs_) do
    lines[#lines + 1] = pair[1] .. "=" .. wire.escape(pair[2])
  end
  lines[#lines + 1] = "end=1\n"
  return table.concat(lines, "\n")
end

-- Read one file's bytes: a table of the last value of each key, and a table of all values of each key; nil if the
-- bytes are too long, cut off, or no file of this kind.
function wire.load(kind, data)
  local head = "amlfs-" .. kind .. " 1\n"
  if #data > wire.MAX_BYTES or data:sub(1, #head) ~= head or data:sub(-7) ~= "\nend=1\n" then
    return nil
  end
  local one, many = {}, {}
  for line in data:sub(#head + 1, -7):gmatch("([^\n]*)\n") do
    local key, value = line:match("^([a-z_]+)=(.*)$")
    if not key then
      return nil
    end
    one[key] = wire.unescape(value)
    many[key] = many[key] or {}
    table.insert(many[key], one[key])
  end
  return one, many
end

return wire
