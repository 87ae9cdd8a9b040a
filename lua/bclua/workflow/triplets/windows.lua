--- The windows by which recordings are known to triplets: of their motif, their discord, the better of the two, or what
-- looks most like calls.
-- @module bclua.workflow.triplets.windows
local triplet_windows = {}

-- Windows of a row as each role takes them, in seconds; nil where there is none.
local function set_windows(row, p, picks)
   local function centre(frame) return frame and (frame + row.matrix_profile_window / 2) / row.cens_sample_rate end
   local function kind(choice) return choice == "best" and (picks[row.source_name] or "motif") or choice end
   local a, b = kind(p.anchor), kind(p.neighbor)
   row.anchor_s, row.twin_s = centre(row[a .. "_0"]), centre(row[a .. "_1"])
   row.neighbor_s = centre(row[b .. "_0"])
   row.self_s = row.twin_s
   if a ~= b and row.neighbor_s ~= row.anchor_s then row.self_s = row.neighbor_s end
end

-- The likely calls of a row, as the windows it is known by.
local function set_calls(row, starts)
   row.places = {}
   for i, start_s in ipairs(starts) do
      row.places[i] = start_s + row.matrix_profile_window / row.cens_sample_rate / 2
   end
   row.anchor_s, row.twin_s = row.places[1], row.places[2]
   row.self_s, row.neighbor_s = row.twin_s, row.anchor_s
end

--- Are call scores needed for these windows?
-- @tparam table p `anchor` and `neighbor`, or `pick`
-- @treturn boolean
function triplet_windows.needs_scores(p)
   for _, kind in ipairs{p.pick or p.anchor, p.pick or p.neighbor} do
      if kind == "best" or kind == "calls" then return true end
   end
   return false
end

--- By recording, where `best` is asked for, motif or discord; where `calls` are, the starts of some.
-- @tparam table options of `triplets.run`
-- @tparam table p `anchor`, `neighbor`, `calls`
-- @treturn[1] table by source name
-- @treturn[1] ?{table,...} recordings that could not be scored
-- @treturn[2] nil
-- @treturn[2] string message
function triplet_windows.picks(options, p)
   if not triplet_windows.needs_scores(p) then return {} end
   local wants_calls = p.anchor == "calls"
   local score = require "bclua.workflow.score"
   if options.scores then
      local read_table = wants_calls and score.call_starts or score.picks
      return read_table(options.scores)
   end
   local result, message = score.run({input = options.input, dataset_root = options.dataset_root, calls = p.calls,
      output = options.keep_scores, quiet = options.quiet})
   if not result then return nil, message end
   return wants_calls and result.calls or result.picks, result.failures
end

-- A single likely call is no pair: where the group has no other recording, the motif's windows are taken, too.
local function add_motif(row)
   for _, centre in ipairs{row.motif_s, row.twin_of_motif_s} do
      local known = false
      for _, x in ipairs(row.places) do known = known or x == centre end
      if not known then table.insert(row.places, centre) end
   end
end

--- Give every row its windows, centres in seconds: `anchor_s`, `twin_s`, `self_s`, `neighbor_s`, for calls `places`.
-- @tparam {table,...} rows with `group`
-- @tparam table p `anchor`, `neighbor`
-- @tparam table picks from `picks`
-- @treturn integer how many recordings had to do without a score
function triplet_windows.place(rows, p, picks)
   local unscored, of_group = 0, {}
   for _, row in ipairs(rows) do of_group[row.group] = (of_group[row.group] or 0) + 1 end
   for _, row in ipairs(rows) do
      local picked = picks[row.source_name]
      if p.anchor == "calls" then
         set_windows(row, {anchor = "motif", neighbor = "motif"}, picks)
         if row.anchor_s and not picked then unscored = unscored + 1 end
         row.motif_s, row.twin_of_motif_s = row.anchor_s, row.twin_s
         if picked then set_calls(row, picked) else row.places = {row.anchor_s, row.self_s} end
         if #row.places < 2 and of_group[row.group] == 1 then add_motif(row) end
      else
         set_windows(row, p, picks)
         if row.anchor_s and not picked then unscored = unscored + 1 end
      end
   end
   return unscored
end

--- The likely calls of some recordings, if triplets are of calls; what cannot be scored is known by its motif.
-- @tparam {string,...} names
-- @tparam table p `anchor`, `calls`
-- @tparam table options `input`, `dataset_root`, `quiet`
-- @treturn table starts in seconds by source name
function triplet_windows.held_out_calls(names, p, options)
   if p.anchor ~= "calls" or not options.dataset_root or #names == 0 then return {} end
   local result = require("bclua.workflow.score").run({input = options.input, recordings = names,
      dataset_root = options.dataset_root, calls = p.calls, quiet = options.quiet})
   return result and result.calls or {}
end

return triplet_windows
