-- Answers questions about the real Lua modules, one a line, until its input ends.
-- A line is a word and its arguments, parted by tabs, each as wire.escape writes it; the answer is a line of the same
-- kind. Usage: lua driver.lua ETC_FOLDER

local etc = arg[1]
local text = dofile(etc .. "/amlfs_text.lua")
local grammar = dofile(etc .. "/amlfs_grammar.lua")(text)
local options = dofile(etc .. "/amlfs_options.lua")(text, grammar)
local wire = dofile(etc .. "/amlfs_wire.lua")
local script = dofile(etc .. "/amlfs_script.lua")

local function number(value)
  return value and string.format("%.0f", value) or ""
end

local function ask_words(ask, problem)
  if not ask then
    return { "refused", problem }
  end
  local words = { "ask", ask.direction, ask.fs or "", ask.conflict or "", number(ask.max_errors), ask.hydrate or "" }
  words[#words + 1] = ask.on or ""
  words[#words + 1] = ask.release or ""
  words[#words + 1] = ask.refresh or ""
  words[#words + 1] = number(ask.capacity)
  words[#words + 1] = ask.pool or ""
  for _, prefix in ipairs(ask.prefixes) do
    words[#words + 1] = prefix
  end
  return words
end

local function list_words(list, problem)
  if not list then
    return { "refused", problem }
  end
  local words = { "list" }
  for _, item in ipairs(list) do
    words[#words + 1] = item
  end
  return words
end

local function to_pairs(args)
  local out = {}
  for i = 1, #args, 2 do
    out[#out + 1] = { args[i], args[i + 1] }
  end
  return out
end

local answers = {
  quote = function(args)
    return { text.quote(args[1]) }
  end,
  quote_list = function(args)
    return { text.quote_list(args) }
  end,
  escape = function(args)
    return { wire.escape(args[1]) }
  end,
  unescape = function(args)
    return { wire.unescape(args[1]) }
  end,
  encode = function(args)
    return { grammar.encode(args[1]) }
  end,
  parse = function(args)
    return ask_words(grammar.parse(args[1]))
  end,
  parse_all = function(args)
    local _, problem = grammar.parse_all(args)
    return { problem or "" }
  end,
  options = function(args)
    local given = {}
    for _, pair in ipairs(to_pairs(args)) do
      given[pair[1]] = pair[2]
    end
    local lines, asks = options.to_lines(given)
    for i, line in ipairs(lines or {}) do
      local mine, its = ask_words(asks[i]), ask_words(grammar.parse(line))
      assert(table.concat(mine, "\t") == table.concat(its, "\t"), "the asks are not what the lines say")
    end
    return list_words(lines, asks)
  end,
  choose = function(args)
    local asked = table.remove(args, 1)
    local name, problem = options.choose_file_system(asked, args)
    return { name or "", problem or "" }
  end,
  check = function(args)
    local line, fs_name, uid = table.remove(args, 1), table.remove(args, 1), table.remove(args, 1)
    local _, problem = options.check(grammar.parse(line), fs_name, uid, options.grants(args))
    return { problem or "" }
  end,
  check_pool = function(args)
    local _, problem = options.check_pool(grammar.parse(args[1]), args[2])
    return { problem or "" }
  end,
  dump = function(args)
    return { wire.dump(table.remove(args, 1), to_pairs(args)) }
  end,
  load = function(args)
    local one, many = wire.load(args[1], args[2])
    local words = { one and "file" or "refused" }
    local keys = {}
    for key in pairs(many or {}) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
      for _, value in ipairs(many[key]) do
        words[#words + 1] = key
        words[#words + 1] = value
      end
    end
    return words
  end,
  scan = function(args)
    return list_words(script.directives(args[1]))
  end,
  with = function(args)
    return { script.with(args[1], args[2]) }
  end,
}

for line in io.lines() do
  local args = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do
    args[#args + 1] = wire.unescape(field)
  end
  local words = answers[table.remove(args, 1)](args)
  for i, word in ipairs(words) do
    words[i] = wire.escape(word)
  end
  io.write(table.concat(words, "\t"), "\n")
  io.flush()
end
