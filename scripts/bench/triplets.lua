-- usage: bclua scripts/bench/triplets.lua [SAMPLES [RUNS]]
-- `motif generate-triplets` as a command, from 15 000 made-up recordings: time from
-- start to end, best and median of RUNS (5), the least processor time and the most memory
-- of the process; and the draws alone, in memory.
require("bclua.cli").help_by_comment()
local array = require "bclua.array"
local bench = require "bclua.experiment.bench"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"

local RECORDINGS, SPECIES = 15000, 152
local samples, runs = math.tointeger(tonumber(arg[1] or "5e5")), tonumber(arg[2]) or 5
local scratch = os.tmpname()
os.remove(scratch)
assert(system.mkdir(scratch))

local g = sampling.generator(1)
local columns = {source_name = {}, species = {}}
local whole = {"cens_sample_rate", "matrix_profile_window", "motif_0", "motif_1", "discord_0", "discord_1"}
for _, name in ipairs(whole) do columns[name] = array.zeros(RECORDINGS, "i64") end
columns.duration_seconds = array.zeros(RECORDINGS, "f64")
for i = 1, RECORDINGS do
   local species = ("bird%03d"):format(math.floor(SPECIES * g:uniform() ^ 2)) -- some are frequent
   columns.species[i], columns.source_name[i] = species, ("train_audio/%s/XC%d.ogg"):format(species, 100000 + i)
   local seconds = 6 + 100 * g:uniform()
   columns.duration_seconds[i], columns.cens_sample_rate[i], columns.matrix_profile_window[i] = seconds, 10, 50
   for k = 3, 6 do columns[whole[k]][i] = g:integer(math.floor(10 * seconds) - 50) - 1 end
end
local motif, output = scratch .. "/motif.parquet", scratch .. "/triplets.parquet"
assert(sql.write_parquet(motif, columns))

-- The command says how much processor time it took and how much memory it had at most.
local command = ([[build/bclua -e '
   package.path = "lua/?.lua;" .. package.path
   local s = require "bclua.system"
   require "bclua.workflow.triplets".run{input = "%s", output = "%s", samples = %d, force = true, quiet = true}
   print(s.cpu_clock(), (select(2, s.memory())))']]):format(motif, output, samples)
local most, cpu = 0, math.huge
local best, median = bench.time(runs, function()
   local p = assert(io.popen(command))
   cpu, most = math.min(cpu, p:read("n")), math.max(most, p:read("n"))
   assert(p:close())
end)
print(("%d triplets of %d recordings, the command  best %.2f s   median %.2f s   processor %.2f s   at most %.0f MB")
   :format(samples, RECORDINGS, best, median, cpu, most / 1e6))

local r = sql.columns(("select (dense_rank() over (order by species))::bigint g, (motif_0 + 25) / 10.0::double a, " ..
   "(motif_1 + 25) / 10.0::double b, duration_seconds d from %s"):format(sql.parquet(motif)))
local t = {group = r.g, species = r.g, anchor_s = r.a, self_s = r.b, duration_s = r.d, window_s = 5}
best, median = bench.time(runs, function() return sampling.triplets(t, {samples = math.min(samples, 500000)}) end)
print(("%d of them drawn in memory, one thread      best %.0f ms   median %.0f ms"):format(math.min(samples, 500000),
   1e3 * best, 1e3 * median))
os.execute("rm -rf '" .. scratch .. "'")
