--- The chapter of the report on calls that are repeated: sets of windows that are alike, an example of each.
-- @module bclua.workflow.summary.repeated
local discover = require "bclua.workflow.discover"
local display = require "bclua.display"
local files = require "bclua.files"
local sounds = require "bclua.workflow.summary.sounds"
local thumbnail = require "bclua.plot.thumbnail"

local repeated = {}

local MOST_CARDS = 12
local MOST_RECORDINGS = 2000 -- with more, only the command: it would take minutes
local PICTURE = {bands = 48, hop_s = 0.02}

local function card(c, run, heard)
   local e = c.example
   local sound, y = sounds.part(run.root .. "/" .. e.source_name, heard, e.start_s, e.end_s - e.start_s,
      ("call %d"):format(e.call))
   if not sound then return nil, y end
   return {title = sound.caption, sound = sound, picture = thumbnail.mel(y, heard.sample_rate, PICTURE),
      text = ("%s in %s"):format(display.count(c.windows, "time"), display.count(c.recordings, "recording")),
      from = ("%s%s, at %.1f\u{A0}s"):format(files.basename(e.source_name),
         e.species and (" (%s)"):format(e.species) or "", e.start_s)}
end

--- The chapter; nothing where the profiles are of CENS, which do not find calls.
-- @tparam Report r
-- @tparam table run what the pipeline knows: `motif`, `root`, `config`
-- @tparam table heard `sample_rate` and `channel` by source name
-- @tparam integer count of recordings
function repeated.chapter(r, run, heard, count)
   if run.config.extract.features ~= "mel" then return end
   r:section("Repeated calls")
   local command = ("bclua motif discover --input %s --output calls.parquet"):format(
      require("bclua.display").shell(run.motif))
   if count > MOST_RECORDINGS then
      r:paragraph("Which calls are repeated, how often and where, says:")
      r:code(command)
      return
   end
   local found, message = discover.run{input = run.motif, quiet = true}
   if not found then
      r:warning(message)
      return
   end
   local list, cards = discover.calls(found.rows), {}
   for i = 1, math.min(#list, MOST_CARDS) do
      local why
      cards[#cards + 1], why = card(list[i], run, heard[list[i].example.source_name])
      if why then r:warning(why) end
   end
   r:paragraph(#list == 0 and "No call is repeated three times, as nearly as a set has it." or
      ("%s heard three times or more, much alike; %d windows in all. A call that varies more is in no set.%s"):format(
      display.count(#list, "call is", "calls are"), #found.rows,
      #list > #cards and " The most frequent:" or ""))
   if #cards > 0 then r:calls(cards) end
   r:paragraph("Every window, and a sound file of examples (--track), by:")
   r:code(command)
end

return repeated
