--- What is to be said of recordings that triplets are drawn from: groups of one, too few
-- pairs, no room.
-- @module bclua.workflow.triplets.warnings
local count = require("bclua.display").count
local groups = require "bclua.workflow.triplets.groups"

local warnings = {}

local function distance_to(x, row)
   local d = math.huge
   for _, centre in pairs({row.anchor_s, row.twin_s}) do d = math.min(d, math.abs(x - centre)) end
   return d
end

-- Is there a clip so far from the windows? If anywhere, then at an end or just so far from one.
local function has_room(row, window_s, distance)
   local low, high = window_s / 2, row.duration_seconds - window_s / 2
   if high < low then return true end -- no clip at all: the whole recording
   local candidates = {low, high}
   for _, centre in pairs({row.anchor_s, row.twin_s}) do
      table.move({centre - distance, centre + distance}, 1, 2, #candidates + 1, candidates)
   end
   for _, x in ipairs(candidates) do
      if x >= low and x <= high and distance_to(x, row) >= distance - 1e-9 then return true end
   end
   return false
end

local function by_group(rows)
   local sizes, names = {}, {}
   for _, row in ipairs(rows) do
      if not sizes[row.group] then names[#names + 1] = row.group end
      sizes[row.group] = (sizes[row.group] or 0) + 1
   end
   table.sort(names)
   return sizes, names
end

-- Of a place the number of others of its recording that are so far away.
local function others_apart(row, i, distance)
   local n = 0
   for k, y in ipairs(row.places) do
      if k ~= i and math.abs(row.places[i] - y) >= distance then n = n + 1 end
   end
   return n
end

-- As `distinct_pairs`, where rows have places.
local function distinct_places(rows, p, wants_self, wants_group)
   local sizes, total = by_group(rows), {}
   for _, row in ipairs(rows) do total[row.group] = (total[row.group] or 0) + #row.places end
   local pairs_n = 0
   for _, row in ipairs(rows) do
      local alone = sizes[row.group] == 1
      for i = 1, #row.places do
         local apart = others_apart(row, i, p.self_distance)
         if alone and not p.exclude_own then
            pairs_n = pairs_n + (apart > 0 and apart or math.max(1, others_apart(row, i, 0)))
         elseif not alone then
            if wants_self then pairs_n = pairs_n + apart end
            if wants_group or apart == 0 then pairs_n = pairs_n + total[row.group] - #row.places end
         end
      end
   end
   return pairs_n
end

-- How many different pairs of anchor and neighbour the partitions in use can give; rows have
-- `group`, `anchor_s`, `self_s`, or `places`.
local function distinct_pairs(rows, p)
   local sizes = by_group(rows)
   local wants_self = not p.exclude_own and p.mixture[1] + p.mixture[2] > 0
   local wants_group = p.exclude_own or p.mixture[3] + p.mixture[4] > 0
   if rows[1] and rows[1].places then return distinct_places(rows, p, wants_self, wants_group) end
   local pairs_n = 0
   for _, row in ipairs(rows) do
      local others = sizes[row.group] - 1
      local near = row.anchor_s == row.self_s or p.self_distance > 0 and not (row.anchor_s and row.self_s
         and math.abs(row.anchor_s - row.self_s) >= p.self_distance)
      if others == 0 then
         if not p.exclude_own then pairs_n = pairs_n + 1 end
      else
         if wants_self and not near then pairs_n = pairs_n + 1 end
         if wants_group or near then pairs_n = pairs_n + others end
      end
   end
   return pairs_n
end

--- Warnings for a user who is about to train on these triplets.
-- @tparam {table,...} rows with `group`, `duration_seconds` and their windows
-- @tparam table p parameters of the draw, `samples` and `window_s` among them
-- @tparam {string,...} list to which they are added
function warnings.add(rows, p, list)
   local sizes, names = by_group(rows)
   local alone = {}
   for _, name in ipairs(names) do
      if sizes[name] == 1 then alone[#alone + 1] = name end
   end
   if #alone > 0 and p.group ~= "recording" then
      local what = count(#alone, "group has one recording", "groups have one recording each")
      local so = p.exclude_own and "no anchors (--no-self)" or "neighbours are always their own second window"
      list[#list + 1] = ("%s (%s): %s; add recordings, use a wider --group, or keep fewer for evaluation (--holdout)")
         :format(what, groups.names(alone), so)
   end
   local distinct = distinct_pairs(rows, p)
   if p.samples > distinct then
      list[#list + 1] = ("%d triplets, but only %s of anchor and neighbour: each is drawn %.3g times on average; " ..
         "fewer --samples or more recordings"):format(p.samples, count(distinct, "distinct pair"),
         p.samples / distinct)
   end
   local tight = 0
   if p.clip_distance > 0 then
      for _, row in ipairs(rows) do
         if not has_room(row, p.window_s, p.clip_distance) then tight = tight + 1 end
      end
   end
   if tight > 0 then
      list[#list + 1] = ("no room for a clip %g s from the windows: %s; these clips are drawn from anywhere"):format(
         p.clip_distance, count(tight, "recording"))
   end
end

--- In how many triplets of a table anchor and neighbour are one window, in words; nil if in none.
-- @tparam string relation SQL of the table
-- @treturn ?string
function warnings.same(relation)
   local same = "filter (a = b and a_loc = b_loc)"
   local r = require("bclua.sql").query(("select count(*)::bigint n, count(*) %s::bigint same, count(distinct a) %s" ..
      "::bigint recordings from %s"):format(same, same, relation))[1]
   if r.same == 0 then return nil end
   return ("in %d of %d triplets the neighbour is the anchor's own window (recordings that have no other and are " ..
      "alone in their groups: %d): add recordings, use a wider --group, or leave them out (--no-self)"):format(r.same,
      r.n, r.recordings), r.same
end

--- One group only: what can be done about it; nil where there are more.
function warnings.no_groups(options, rows, held, by)
   local sizes, names = by_group(rows)
   if #names > 1 or #names == 0 then return nil end
   local message = ("%s: triplets need two groups or more, got 1: the %s '%s' (recordings: %d, and %d kept for " ..
      "evaluation); "):format(options.input, by, names[1], sizes[names[1]], held)
   if by == "recording" then
      return ("%sgroups are recordings: add recordings, or cut a long one into several%s"):format(
         message, held > 0 and ", or keep none for evaluation (--holdout 0)" or "")
   end
   return message .. "group by something else (--group species, recording, site, or --group COLUMN with " ..
      "--metadata), or add recordings of others"
end

return warnings
