-- usage: bclua scripts/experiments/batch_size.lua [--memory MB] [--precision LIST] [--recompute LIST] ...
-- The largest batch that fits into an amount of memory, with and without recomputation, and how the speed
-- of training depends on the batch. Steps are taken in processes of their own that cannot take more.
local batch_search = require "bclua.experiment.batch_search"
local cli, experiment = require "bclua.cli", require "bclua.experiment"
local plot, progress = require "bclua.plot", require "bclua.progress"

local parser = experiment.parser("scripts/experiments/batch_size.lua",
   "The largest batch for a memory budget, and speed against batch size.", [[
The network sees noise: no data is needed, --run is only where the results go. Examples:
  bclua scripts/experiments/batch_size.lua
  bclua scripts/experiments/batch_size.lua --memory 4000 --widths 64,128,256,512 --dim 512 --most-seconds 600]],
   {seeds = 0})
parser:option("--memory", "Budget in MB, for the whole process (default: nine tenths of what is free)."):argname("MB")
   :convert(cli.number("--memory", 1, 1e9))
parser:option("--precision", "One or more of f32, bf16, f16.", "f32,bf16"):argname("LIST")
   :convert(cli.choices("--precision", {"f32", "bf16", "f16"}))
cli.renamed("--checkpoint", "--recompute")
parser:option("--recompute", "What is computed again, not kept: none, cheap, stage, role, auto.", "none,stage")
   :argname("LIST"):convert(cli.choices("--recompute", {"none", "cheap", "stage", "role", "auto"}))
parser:option("--widths", "Channels of the network's first four stages.", "8,16,32,64"):argname("A,B,C,D")
   :convert(cli.rule("--widths", require("bclua.train.options").widths))
parser:option("--dim", "Values of the embedding.", "64"):argname("N"):convert(cli.integer("--dim", 1, 65536))
parser:option("--steps", "Steps at each size; the fastest counts.", "3"):argname("N")
   :convert(cli.integer("--steps", 1, 1000))
parser:option("--most-seconds", "For each row of the table; sizes that would take longer are left out.", "120")
   :argname("S"):convert(cli.number("--most-seconds", 0))
local o = parser:parse()
local _ <close> = cli.command("batch_size")

local memory = o.memory and math.floor(o.memory * 1e6) or batch_search.budget()
if not memory then cli.finish("batch_size", nil, "the system does not say what memory is free: use --memory") end
local e = experiment.open{run = o.run, name = "batch_size", title = "Batch size, memory and speed", settings = {
   memory_mb = memory / 1e6, precision = o.precision, recompute = o.recompute, widths = o.widths, dim = o.dim,
   steps = o.steps, most_seconds = o.most_seconds}}

local rows, speeds, lines, why = {}, {}, {}, nil
for _, precision in ipairs(o.precision) do
   for _, recompute in ipairs(o.recompute) do
      local name = precision .. ", " .. recompute
      local r, message = batch_search.run{network = {widths = o.widths, z = o.dim},
         precision = precision, recompute = recompute, memory = memory, steps = o.steps,
         most_seconds = o.most_seconds, on_note = function(text) progress.note(("%s: %s"):format(name, text)) end}
      if r then
         e:say(("%s: %s"):format(name, batch_search.text(r)))
         rows[#rows + 1] = batch_search.row(r, {precision = precision, recompute = recompute})
         local line = {title = name, x = {}, y = {}}
         for i, s in ipairs(r.speeds) do
            line.x[i], line.y[i] = s.batch_size, s.triplets_per_second
            s.precision, s.recompute, s.peak_mb, s.planned_mb = precision, recompute, s.peak / 1e6, s.planned / 1e6
            speeds[#speeds + 1] = s
         end
         lines[#lines + 1] = #line.x > 0 and line or nil
      else
         if message == "interrupted" then cli.finish("batch_size", nil, message) end
         why = message
         e:warn(message)
      end
   end
end
if #rows == 0 then cli.finish("batch_size", nil, why) end
e:table(rows, {"precision", "recompute", "largest", "planned_mb", "peak_mb", "confirmed", "above_size", "above_mb",
   "refused", "triplets_per_second", "levels_off"})
e:table(speeds, {"precision", "recompute", "batch_size", "seconds", "triplets_per_second", "triplets_per_cpu_second",
   "planned_mb", "peak_mb"}, {name = "speeds", limit = 24})
e:picture("speed.svg", "triplets a second against batch size", function(path)
   return plot.line(lines, path, {logx = true, xlabel = "batch size (triplets)", ylabel = "triplets per second"})
end)
e:close()
