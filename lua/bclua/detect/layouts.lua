--- Detections in the layouts of other programs, which `motif import-labels` reads back.
-- @module bclua.detect.layouts
local files = require "bclua.files"

local layouts = {}

local function clean(text) return (tostring(text or ""):gsub("%c", " ")) end

local function digits(x, n) return x and ("%." .. n .. "f"):format(x) end

--- The columns of detections as CSV.
function layouts.csv(rows, o)
   local list = {}
   for i, d in ipairs(rows) do
      list[i] = {start_s = digits(d.start_s, 6), end_s = digits(d.end_s, 6), score = digits(d.score, 6),
         probability = digits(d.probability, 6)}
      for _, name in ipairs(o.columns) do
         if list[i][name] == nil then list[i][name] = d[name] end
      end
   end
   return files.csv(o.columns, list)
end

local RAVEN = {"Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
   "Begin Path", "Begin File", "File Offset (s)", "Clock Time", "Species", "Score", "Probability"}

--- A selection table of Raven for a sequence of files: times count from the start of the first one, which are known
-- by the lengths `o.seconds` of all.
function layouts.raven(rows, o)
   local lines, before, at = {table.concat(RAVEN, "\t")}, {}, 0
   for _, file in ipairs(o.files) do before[file], at = at, at + o.seconds[file] end
   for i, d in ipairs(rows) do
      local first = before[d.file]
      lines[i + 1] = table.concat({i, "Spectrogram 1", 1, digits(first + d.start_s, 6), digits(first + d.end_s, 6),
         "0.0", digits(o.sample_rate / 2, 1), clean(d.file), clean(files.basename(d.file)), digits(d.start_s, 6),
         clean(d.clock_time), clean(d.label), digits(d.score, 6), digits(d.probability, 6)}, "\t")
   end
   return table.concat(lines, "\n") .. "\n"
end

--- What BirdNET-Analyzer writes as CSV.
function layouts.birdnet(rows)
   local columns, list = {"Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File"}, {}
   for i, d in ipairs(rows) do
      list[i] = {["Start (s)"] = digits(d.start_s, 6), ["End (s)"] = digits(d.end_s, 6), ["Scientific name"] = d.label,
         ["Common name"] = d.label, Confidence = digits(d.probability, 6), File = d.file}
   end
   return files.csv(columns, list)
end

local KALEIDOSCOPE = {"INDIR", "FOLDER", "IN FILE", "CHANNEL", "OFFSET", "DURATION", "DATE", "TIME", "HOUR",
   "TOP1MATCH", "CONFIDENCE", "MANUAL ID"}

--- What Kaleidoscope opens, with an empty `MANUAL ID` for who looks through it.
function layouts.kaleidoscope(rows)
   local list = {}
   for i, d in ipairs(rows) do
      local day, time = (d.clock_time or ""):match("^(%d+%-%d+%-%d+)T(%d+:%d+:%d+)")
      list[i] = {INDIR = files.dirname(d.file), FOLDER = "", ["IN FILE"] = files.basename(d.file), CHANNEL = 0,
         OFFSET = digits(d.start_s, 6), DURATION = digits(d.end_s - d.start_s, 6), DATE = day, TIME = time,
         HOUR = time and time:sub(1, 2), TOP1MATCH = d.label, CONFIDENCE = digits(d.probability, 6), ["MANUAL ID"] = ""}
   end
   return files.csv(KALEIDOSCOPE, list)
end

--- The file that each layout is written to, beside `detections.parquet`.
layouts.files = {csv = "detections.csv", raven = "detections.selections.txt", birdnet = "detections.birdnet.csv",
   kaleidoscope = "detections.kaleidoscope.csv"}

--- A label track of Audacity for each recording.
-- @treturn table text by file
function layouts.audacity(rows)
   local of = {}
   for _, d in ipairs(rows) do
      of[d.file] = of[d.file] or {}
      table.insert(of[d.file], ("%.6f\t%.6f\t%s\n"):format(d.start_s, d.end_s, clean(d.label)))
   end
   for file, lines in pairs(of) do of[file] = table.concat(lines) end
   return of
end

return layouts
