-- usage: bclua scripts/bench/index.lua [MILLIONS ...]
-- The 50 nearest of MILLIONS (1) of windows of 64 values: seconds to make the index, and of a query, the first and the
-- best and median of ten more; and the most memory that was ever in use, of which mapped pages are a part. Files in
-- TMPDIR take 0.6 GB a million.
require("bclua.cli").help_by_comment()
local bench = require "bclua.experiment.bench"
local files = require "bclua.files"
local index = require "bclua.index"
local sql = require "bclua.sql"
local system = require "bclua.system"

local COLUMNS, WINDOWS = 64, 720 -- of a recording of an hour
local counts = {}
for i, text in ipairs(arg) do counts[i] = assert(tonumber(text), "MILLIONS: a number expected") end
if #counts == 0 then counts = {1} end

local folder = os.tmpname()
os.remove(folder)
assert(system.mkdir(folder))
local scratch <close> = files.scratch()
scratch[1] = folder

print(("instructions: %s; %d threads"):format(system.instructions(), system.threads()))
for _, millions in ipairs(counts) do
   local path, rows = folder .. "/windows.parquet", math.floor(millions * 1e6)
   assert(sql.write_parquet(path, ("select 'site/' || (i // %d) || '.wav' as file, 5.0 * (i %% %d) as start_s, " ..
      "start_s + 5 as end_s, list_transform(range(%d), c -> (hash(i * %d + c) %% 65536 / 65536 - 0.5)::float) " ..
      "as embedding from range(%d) t(i)"):format(WINDOWS, WINDOWS, COLUMNS, COLUMNS, rows)))
   local i
   local making = bench.time(1, function() i = assert(index.open(path, {quiet = true})) end)
   local query = i.x[5]:copy()
   local function search() assert(#assert(i:search(query)) == 50) end
   local first = bench.time(1, search)
   local best, median = bench.time(10, search)
   print(("%9d windows: made in %.1f s; first query %.1f ms, then best %.1f ms, median %.1f ms; %.0f MB"):format(rows,
      making, 1e3 * first, 1e3 * best, 1e3 * median, system.memory() / 1e6))
end
