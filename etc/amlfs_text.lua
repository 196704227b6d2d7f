-- Text as Python handles it: quoting, UTF-8, base64url. It holds no state and does no I/O. Its twin is
-- slurm_amlfs/domain/quote.py; property tests (tests/unit/lua) hold them equal. Patterns name their characters, since
-- %a and %s depend on the locale.

local text = {}

local floor = math.floor

local LONGEST_QUOTE_BYTES = 60
local LONGEST_LIST = 3

function text.has(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then
      return true
    end
  end
  return false
end

-- What a function returns that refuses: nil, and one line for the user.
function text.refuse(...)
  return nil, "amlfs: " .. string.format(...)
end

local function escape_in_quotes(byte)
  if byte == '"' or byte == "\\" then
    return "\\" .. byte
  end
  return string.format("\\x%02x", byte:byte())
end

-- Put a user's text in double quotes; cut at 60 bytes; what is not printable ASCII becomes \xHH.
function text.quote(value)
  local inner = value:sub(1, LONGEST_QUOTE_BYTES):gsub('[^ !#-Z^-~%[%]]', escape_in_quotes)
  return '"' .. inner .. '"' .. (#value > LONGEST_QUOTE_BYTES and "..." or "")
end

-- Quote the first three and count the others.
function text.quote_list(values)
  local shown = {}
  for i = 1, math.min(#values, LONGEST_LIST) do
    shown[i] = text.quote(values[i])
  end
  local more = #values - #shown
  return table.concat(shown, ", ") .. (more > 0 and string.format(" and %d more", more) or "")
end

-- Number of characters of UTF-8 text; nil if it is not UTF-8 (Python's strict rules: no surrogates, shortest forms).
function text.utf8_length(value)
  if not value:find("[\128-\255]") then
    return #value
  end
  local at, count = 1, 0
  while at <= #value do
    local first, second = value:byte(at, at + 1)
    local size, low, high = 1, 0x80, 0xBF
    if first >= 0xC2 and first <= 0xDF then
      size = 2
    elseif first >= 0xE0 and first <= 0xEF then
      size = 3
      low = first == 0xE0 and 0xA0 or low
      high = first == 0xED and 0x9F or high
    elseif first >= 0xF0 and first <= 0xF4 then
      size = 4
      low = first == 0xF0 and 0x90 or low
      high = first == 0xF4 and 0x8F or high
    elseif first >= 0x80 then
      return nil
    end
    if size > 1 and not (second and second >= low and second <= high) then
      return nil
    end
    for i = at + 2, at + size - 1 do
      local byte = value:byte(i)
      if not (byte and byte >= 0x80 and byte <= 0xBF) then
        return nil
      end
    end
    at, count = at + size, count + 1
  end
  return count
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- Base64url without padding (RFC 4648, section 5).
function text.base64url(value)
  local out = {}
  for at = 1, #value, 3 do
    local a, b, c = value:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 1, (c and 4) or (b and 3) or 2 do
      local digit = floor(bits / 64 ^ (4 - place)) % 64 + 1
      out[#out + 1] = DIGITS:sub(digit, digit)
    end
  end
  return table.concat(out)
end

-- The bytes that base64url text stands for; nil if it is none.
function text.from_base64url(value)
  if value:find("[^A-Za-z0-9_-]") or #value % 4 == 1 then
    return nil
  end
  local out = {}
  for at = 1, #value, 4 do
    local bits, size = 0, math.min(4, #value - at + 1)
    for place = 0, 3 do
      local digit = place < size and DIGITS:find(value:sub(at + place, at + place), 1, true) or 1
      bits = bits * 64 + digit - 1
    end
    for place = 1, size - 1 do
      out[#out + 1] = string.char(floor(bits / 256 ^ (3 - place)) % 256)
    end
  end
  return table.concat(out)
end

return text
