--- What several series have in common, and what others lack: one window of all of them.
--
-- Distances are those of `stomp.join`, squared. Both searches are exact: no window of any series would do better.
-- @module bclua.consensus
local array = require "bclua.array"
local stomp = require "bclua.stomp"

local consensus = {}

local NEVER = 1e300 -- above any distance that counts

-- Of each window of series i the largest distance to the nearest window of another one; nil: none is below `limit`.
local function radii(list, i, window, among, limit)
   local r = array.full(list[i]:shape(list[i]:ndim()) - window + 1, 0)
   if among then r = (1 - among[i]:copy("f64")) * NEVER end
   for j, other in ipairs(list) do
      if j ~= i then
         r = r:maximum(stomp.join(list[i], other, window).distance)
         if r:min() >= limit then return nil end
      end
   end
   return r
end

local function check(list, window, least)
   if #list < least then error(("at least %d series expected, got %d"):format(least, #list), 3) end
   for i, x in ipairs(list) do
      if x:shape(x:ndim()) < window then error(("series %d is shorter than the window"):format(i), 3) end
   end
end

local function cut(x, at, window) return x:slice(x:ndim(), at + 1, at + window):copy("f64") end

--- Where each series is nearest to a window.
-- @tparam array query (dims, window)
-- @tparam {array,...} list
-- @treturn {table,...} `{at=, distance=}`, a series each
function consensus.nearest(query, list)
   local found = {}
   for j, x in ipairs(list) do found[j] = stomp.matches(query, x, {k = 1})[1] end
   return found
end

--- The consensus motif: the window that all series contain most nearly (Kamgar, Gharghabi and Keogh: Matrix profile XV,
-- ICDM 2019). What is made small is its radius, the distance to the farthest of the series at their nearest windows.
--
-- At most a join of each two series in either direction, `dims * n^2` steps for n frames each; a series is left as soon
-- as none of its windows can be better than the best that is known.
-- @tparam {array,...} list at least two, (dims, frames) or (frames)
-- @tparam integer window frames
-- @tparam[opt] table options `among`: an array (windows) a series; those at 0 take no part as the motif
-- @treturn ?table `{series=, at=, radius=, nearest=}`: the first of equal ones; series from 1, at from 0, and
-- `{at=, distance=}` in each series; nil: no window has a finite radius
-- @raise if there are too few series, or one is shorter than the window
-- @usage local m = consensus.motif({a, b, c}, 20)
-- print(m.series, m.at, m.radius, m.nearest[2].at)
function consensus.motif(list, window, options)
   check(list, window, 2)
   local best = {radius = NEVER}
   for i = 1, #list do
      local r = radii(list, i, window, options and options.among, best.radius)
      if r then best = {series = i, at = r:argmin() - 1, radius = r:min()} end
   end
   if not best.series then return nil end
   best.nearest = consensus.nearest(cut(list[best.series], best.at, window), list)
   return best
end

--- What these series have in common and those lack: the window with the largest contrast, `sqrt(outside) -
-- sqrt(radius)`, where outside is its distance to the nearest window of any of the others (after Mercer, Alaee, Abdoli,
-- Singh, Murillo and Keogh: Contrast profile, ICDM 2021, who have one series on either side).
--
-- A join of each series with each other one and with the others; a series is left as soon as none of its windows can
-- be better.
-- @tparam {array,...} list at least two
-- @tparam {array,...} others at least one
-- @tparam integer window frames
-- @tparam[opt] table options `among` as for `motif`
-- @treturn ?table `{series=, at=, contrast=, radius=, outside=, nearest=}`, as from `motif`; nil: no window is finite
-- @raise as `motif`
function consensus.contrast(list, others, window, options)
   check(list, window, 2)
   check(others, window, 1)
   local best = {contrast = -math.huge}
   for i, x in ipairs(list) do
      local r = radii(list, i, window, options and options.among, NEVER)
      local inside, outside = r and r:sqrt(), nil
      for _, other in ipairs(r and others or {}) do
         local d = stomp.join(x, other, window).distance:minimum(NEVER)
         outside = outside and outside:minimum(d) or d
         if (outside:sqrt() - inside):max() <= best.contrast then
            outside = nil
            break
         end
      end
      if outside then
         local c = outside:sqrt() - inside
         local at = c:argmax()
         best = {series = i, at = at - 1, contrast = c:max(), radius = r:at(at), outside = outside:at(at)}
      end
   end
   if not best.series then return nil end
   best.nearest = consensus.nearest(cut(list[best.series], best.at, window), list)
   return best
end

return consensus
