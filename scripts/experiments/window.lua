-- usage: bclua scripts/experiments/window.lua [--data DIR] [--features L] [--rates L] [--windows L] ...
-- Features x their rate x length of the window x exclusion zone, over a sample of recordings: which of them find the
-- known calls (of a data set with calls.csv), and which agree with the call score (on any recordings)?
local array, cli = require "bclua.array", require "bclua.cli"
local experiment, plot = require "bclua.experiment", require "bclua.plot"
local features = require "bclua.workflow.features"
local motif_sweep = require "bclua.workflow.experiments.motif_sweep"

local parser = experiment.parser("scripts/experiments/window.lua",
   "Which features, rate, length of the window and exclusion zone put motifs on calls?", [[
--seeds: this many samples of recordings, taken together.
Examples:
  bclua scripts/experiments/window.lua
  bclua scripts/experiments/window.lua --data birds --run runs/birds --windows 2,3,5,8]], {seeds = 1})
parser:option("--data", "Folder of recordings (default: those of the run)."):argname("DIR")
parser:option("--recordings", "How many of them.", "40"):argname("N"):convert(cli.integer("--recordings", 1))
parser:option("--sample-rate", "At which recordings are read (default: that of the run, else 32000)."):argname("HZ")
   :convert(cli.integer("--sample-rate", 1000, 768000))
parser:option("--features", "What windows are compared by.", table.concat(features.names, ",")):argname("LIST")
   :convert(cli.choices("--features", features.names))
parser:option("--rates", "Frames a second.", "5,10,20"):argname("LIST"):convert(cli.numbers("--rates", nil, 0.1))
parser:option("--windows", "Seconds.", "2,3.5,5,7,10"):argname("LIST"):convert(cli.numbers("--windows", nil, 0.1))
parser:option("--exclusions", "Parts of a window: pairs that overlap more are no motif.", "0.25,0.5,1")
   :argname("LIST"):convert(cli.numbers("--exclusions", nil, 0))
local o = parser:parse()
local _ <close> = cli.command("window")

local about, message = {data = o.data}, nil
if not o.data then about, message = require("bclua.workflow.experiments.trial").open(o.run) end
if not about then cli.finish("window", nil, message) end
local settings = {data = about.data, recordings = o.recordings, features = o.features, rates = o.rates,
   windows_s = o.windows, sample_rate = o.sample_rate or about.settings and about.settings.extract.sample_rate or nil,
   exclusions = o.exclusions, seeds = experiment.seeds(o)}
local r
r, message = motif_sweep.run(settings)
if not r then cli.finish("window", nil, message) end

local e = experiment.open{run = o.run, name = "window", title = "Which windows find calls?", settings = settings}
e:say(("%d recordings, %d more too short for the longest window, %d failed. Means over recordings, with their " ..
   "standard errors."):format(r.recordings, r.short, #r.failures))
local columns = {"features", "rate", "window_s", "exclusion", "calls", "calls_error", "same", "same_error", "both",
   "discord", "chance", "score", "rank", "rank_error", "wins"}
if not r.has_calls then
   columns = {"features", "rate", "window_s", "exclusion", "score", "rank", "rank_error", "wins"}
end
e:table(r.rows, columns)

local function best(name)
   local b = r.rows[1]
   for _, row in ipairs(r.rows) do if row[name] > b[name] then b = row end end
   return ("%.2f ± %.2f with %s, %g frames a second, windows of %g s, exclusion %g"):format(b[name],
      b[name .. "_error"], b.features, b.rate, b.window_s, b.exclusion)
end
local function draw(name, label) -- a column a length, a row for features, rate and exclusion
   local heights, xnames, ynames, at = {}, {}, {}, {}
   for i, w in ipairs(o.windows) do at[w], xnames[i] = i, ("%g s"):format(w) end
   local map = array.zeros({#o.features * #o.rates * #o.exclusions, #o.windows}, "f64")
   for _, row in ipairs(r.rows) do
      local key = ("%s, %g/s, excl. %g"):format(row.features, row.rate, row.exclusion)
      if not heights[key] then
         ynames[#ynames + 1] = key
         heights[key] = #ynames
      end
      map[heights[key]][at[row.window_s]] = row[name]
   end
   return function(path) return plot.heat(map, path, {xnames = xnames, ynames = ynames, label = label}) end
end
if r.has_calls then
   e:say("Most of the motif's windows is call: " .. best("calls") .. ".")
   e:say("Longest the same song in both: " .. best("same") .. ".")
   e:picture("calls.svg", "share of the motif's windows that is call", draw("calls", "share of call"))
   e:picture("same.svg", "share in which both windows have the same song", draw("same", "share of one song"))
end
e:say("Highest among all windows by call score (0.5: no better than any): " .. best("rank") .. ".")
e:picture("rank.svg", "share of all windows with a lower call score than the motif's", draw("rank", "rank"))
cli.finish("window", e:close())
