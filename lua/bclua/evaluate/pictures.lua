--- Pictures of an evaluation.
-- @module bclua.evaluate.pictures
local array = require "bclua.array"
local evaluate = require "bclua.evaluate"
local plot = require "bclua.plot"

local pictures = {}

local MOST_NAMED = 32 -- classes with a colour of their own
local CELL, NUMBER_CELL = 18, 26 -- pixels of a class in the confusion table; with numbers in it
local MOST_NUMBERS = 20 -- classes in a table with numbers
local MOST_LETTERS = 24 -- of a name below it

local function letters(text) return utf8.len(text) or #text end

-- Families are called "Corvidae (Crows, Jays, and Magpies)": what stands in brackets is left out where
-- the names differ without it.
local function short(labels)
   local of, taken = {}, {}
   for _, name in ipairs(labels) do
      local text = name:gsub("%s*%b()$", "")
      if text == "" or taken[text] and taken[text] ~= name then return labels end
      of[name], taken[text] = text, name
   end
   local out = {}
   for i, name in ipairs(labels) do out[i] = of[name] end
   return out
end

local function cut(text)
   if letters(text) <= MOST_LETTERS then return text end
   return text:sub(1, (utf8.offset(text, MOST_LETTERS) or MOST_LETTERS) - 1) .. "…"
end

-- Labels with all but the most frequent as one; its name, if there is one.
local function fewer(labels)
   local count, names = {}, {}
   for _, name in ipairs(labels) do
      if not count[name] then names[#names + 1] = name end
      count[name] = (count[name] or 0) + 1
   end
   if #names <= MOST_NAMED then return labels end
   table.sort(names, function(a, b)
      if count[a] ~= count[b] then return count[a] > count[b] end
      return a < b
   end)
   local named, out, rest = {}, {}, ("%d others"):format(#names - MOST_NAMED)
   for i = 1, MOST_NAMED do named[names[i]] = true end
   for i, name in ipairs(labels) do out[i] = named[name] and name or rest end
   return out, rest
end

--- The windows along their first two principal components, coloured by what they are: of more than 32
-- names the most frequent, the others grey.
-- @tparam array x (windows, dimensions), finite
-- @tparam {string,...} labels
-- @tparam string path .svg or .png
-- @tparam[opt] table options of `plot.scatter`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function pictures.pca(x, labels, path, options)
   local p = evaluate.pca(x)
   local scores, second = p.scores, array.zeros(p.scores:shape(1), "f64")
   if scores:shape(2) > 1 then second = scores:slice(2, 2, 2):reshape{#labels} end
   local groups, rest = fewer(short(labels))
   local o = {groups = groups, rest = rest, point_size = #labels > 400 and 0.5 or 0.8}
   for i, axis in ipairs{"xlabel", "ylabel"} do
      o[axis] = ("component %d (%.0f %% of the variance)"):format(i, 100 * (p.shares[i] or 0))
   end
   for k, v in pairs(options or {}) do o[k] = v end
   return plot.scatter(scores:slice(2, 1, 1):reshape{#labels}, second, path, o)
end

--- A confusion table: a row for each true class, the shares of its windows by what they were called.
-- @tparam {{integer,...},...} confusion counts, as from `bclua.evaluate.accuracy`
-- @tparam {string,...} names of the classes
-- @tparam string path .svg or .png
-- @tparam[opt] table options of `plot.heat`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function pictures.confusion(confusion, names, path, options)
   names = short(names)
   local n = #names
   local shares, turned = array.zeros{n, n}, {}
   for i, row in ipairs(confusion) do
      local all = 0
      for _, count in ipairs(row) do all = all + count end
      for j, count in ipairs(row) do shares:set(n + 1 - i, j, all > 0 and count / all or 0) end
      turned[n + 1 - i] = names[i] -- the first on top
   end
   local widest, below = 0, {}
   for i, name in ipairs(names) do widest, below[i] = math.max(widest, letters(name)), cut(name) end
   local numbers = n <= MOST_NUMBERS and "%.2f" or nil
   local side = math.max(260, (numbers and NUMBER_CELL or CELL) * n)
   local most = shares:max()
   local o = {xnames = below, ynames = turned, range = {0, most > 0 and most or 1}, xlabel = "called",
      ylabel = "true class", label = "share of the class's windows", map = "cividis", numbers = numbers,
      size = {math.max(900, side + 190 + 9 * widest), side + 90 + 8 * math.min(widest, MOST_LETTERS)}}
   for k, v in pairs(options or {}) do o[k] = v end
   return plot.heat(shares, path, o)
end

return pictures
