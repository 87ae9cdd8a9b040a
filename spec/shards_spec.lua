-- The work of one step by many processes: what a scheduler says, the manifest, and the same bytes whoever did what.
local array = require "bclua.array"
local audio = require "bclua.audio"
local claims = require "bclua.data.claims"
local command = require "support.command"
local consolidate = require "bclua.workflow.consolidate"
local deadline = require "bclua.deadline"
local extract = require "bclua.workflow.extract"
local files = require "bclua.files"
local lfs = require "lfs"
local manifest = require "bclua.data.manifest"
local shards = require "bclua.data.shards"
local sql = require "bclua.sql"

describe("bclua.data.shards", function()
   it("reads I/N, and refuses what is none", function()
      assert.same({index = 3, count = 64}, shards.parse("3/64"))
      for _, text in ipairs{"", "3", "0/4", "5/4", "1/0", "-1/4", "1.5/4", "1/4/2"} do
         local shard, message = shards.parse(text)
         assert.is_nil(shard, text)
         assert.matches("'" .. text .. "'", message, 1, true)
      end
      assert.equal("'1/0' is of no shards: I/N, as in 3/64", select(2, shards.parse("1/0")))
   end)

   local function of(text)
      local variables = {}
      for name, value in text:gmatch("(%S+)=(%S+)") do variables[name] = value end
      return shards.of_environment(function(name) return variables[name] end)
   end

   it("takes what a job array says, wherever it begins and in what steps, and else the rank", function()
      for text, expected in pairs{
         ["SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=4"] = "1/4",
         ["SLURM_ARRAY_TASK_ID=15 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_STEP=5 SLURM_ARRAY_TASK_COUNT=4"] = "3/4",
         ["SLURM_ARRAY_TASK_ID=4 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=4 PMI_RANK=0 PMI_SIZE=2"] = "4/4",
         ["SGE_TASK_ID=7 SGE_TASK_FIRST=1 SGE_TASK_LAST=8 SGE_TASK_STEPSIZE=2"] = "4/4",
         ["SGE_TASK_ID=undefined OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=3"] = "2/3",
         ["PMI_RANK=0 PMI_SIZE=2"] = "1/2",
      } do
         local shard, variable = of(text)
         assert.equal(expected, shard, text)
         assert.matches(variable .. "=", text)
      end
      assert.is_nil(of("PMI_RANK=0 PMI_SIZE=1"))
      assert.is_nil(of("SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=9 SLURM_ARRAY_TASK_COUNT=1"))
      assert.same({}, {of("")})
   end)

   it("says what it cannot know: how many there are, numbers that are left out", function()
      assert.matches("PBS_ARRAY_INDEX is 3, .*%-%-shard %$PBS_ARRAY_INDEX/N", select(2, of("PBS_ARRAY_INDEX=3")))
      assert.matches("leaves numbers out: %-%-shard I/N", select(2,
         of("SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_COUNT=2")))
   end)
end)

describe("bclua.deadline", function()
   it("is the earlier of a limit and a minute before the job's end", function()
      local function is_late(minutes, job_end)
         return deadline.new(deadline.minutes(minutes, function() return job_end end))()
      end
      assert.is_false(is_late())
      assert.is_false(is_late(1))
      assert.is_true(deadline.minutes(1, function() return os.time() + deadline.margin_s end) < 0.001)
      assert.is_false(is_late(nil, os.time() + deadline.margin_s + 100))
      assert.is_true(is_late(1e-9))
   end)
end)

describe("bclua.data.manifest", function()
   it("cuts pieces of about equal seconds, none empty, in order", function()
      local seconds, total = {}, 0
      for i = 1, 5000 do seconds[i], total = i % 7 == 0 and 0 or (i * 7919) % 300 + 0.5, total end
      for i = 1, 5000 do total = total + math.max(seconds[i], 0.1) end
      local piece, sums = manifest.cut(seconds), {}
      assert.equal(1, piece[1])
      for i = 1, 5000 do
         assert.is_true(piece[i] - (piece[i - 1] or 1) <= 1 and piece[i] >= (piece[i - 1] or 1))
         sums[piece[i]] = (sums[piece[i]] or 0) + seconds[i]
      end
      for _, sum in ipairs(sums) do assert.is_true(sum < total / 1024 + 2 * 301) end
      assert.is_true(#sums > 900 and #sums <= 1024, #sums)
      assert.same({1, 1, 2, 2}, manifest.cut{30, 30, 59, 1})
      assert.same({1, 2, 3}, manifest.cut{90000, 90000, 3})
   end)
end)

describe("bclua.data.claims", function()
   local dir
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("gives a piece to one, until it is released or not heard of, whatever the local clock says", function()
      local one <close> = assert(claims.open(dir, 100))
      local two <close> = assert(claims.open(dir, 100))
      assert.is_true(one:take(7))
      assert.is_false(two:take(7))
      one:release()
      assert.is_true(two:take(7))
      two:release()
      assert.is_true(one:take(8))
      lfs.touch(one.own, os.time() - 1000) -- as if it had been killed
      assert.is_true(two:take(8))
      one:release() -- is not its own any more
      assert.is_false(one:take(8))
      two:close()
      assert.is_true(one:take(8))
   end)

   it("does not wait for one whose sign of life lies in the future", function()
      local one <close> = assert(claims.open(dir, 100))
      local two <close> = assert(claims.open(dir, 100))
      assert.is_true(one:take(7))
      lfs.touch(one.own, os.time() + 50)
      assert.is_false(two:take(7))
      lfs.touch(one.own, os.time() + 1000) -- as if the server's clock had been put back
      assert.is_true(two:take(7))
   end)

   it("says what it needs where there are no hard links", function()
      local one <close> = assert(claims.open(dir, 100))
      local link <close> = setmetatable({link = lfs.link}, {__close = function(kept) lfs.link = kept.link end})
      assert.is_function(link.link)
      lfs.link = function() return nil, "Operation not permitted", 1 end
      local taken, message = one:take(7)
      assert.is_nil(taken)
      assert.equal(dir .. "/piece-000007: Operation not permitted (--claim needs hard links; --shard does without)",
         message)
   end)
end)

describe("extract by shards", function()
   local dir, input, output, whole
   local count = 0

   setup(function()
      dir = command.folder()
      input, output = dir .. "/in", dir .. "/out"
      assert(require("bclua.system").mkdir(input .. "/a"))
      for i = 1, 7 do -- a minute is a piece
         local y = array.zeros(16000 * (i == 3 and 70 or 22))
         for k = 1, #y, 40 + i do y[k] = 0.5 * ((k * i) % 1000) / 1000 end
         assert(audio.save(("%s/a/%d.wav"):format(input, i), y, 16000))
      end
      command.write(input .. "/a/8.wav", "no sound")
   end)
   teardown(function() command.remove(dir) end)

   local function options(more)
      local o = {input = input, output = output, sample_rate = 16000, matrix_profile_window = 20, quiet = true}
      for k, v in pairs(more or {}) do o[k] = v end
      return o
   end
   local function shard(i, n) return extract.run(options{shard = i .. "/" .. n}) end

   -- The bytes that `consolidate` makes of the folder, of which nothing stays.
   local function finish()
      count = count + 1
      local path = ("%s/%d.parquet"):format(dir, count)
      local result = assert(consolidate.run({input = output, output = path, quiet = true}))
      command.remove(output)
      return command.read(path), result
   end

   it("makes the same bytes for any N and order, after another N, too", function()
      local r = assert(shard(1, 1))
      assert.same({7, 0, 1}, {r.done, r.skipped, #r.failures})
      local result
      whole, result = finish()
      assert.equal(7, result.recordings)
      assert.same({"in/a/8.wav"}, {result.failures[1].path, result.failures[2]})
      assert.matches("8.wav", result.failures[1].reason)
      for _, order in ipairs{{2, 1}, {3, 1, 2}, {9, 1, 2, 3, 4, 5, 6, 7, 8}} do
         local done = 0
         for _, i in ipairs(order) do done = done + assert(shard(i, #order)).done end
         assert.equal(7, done)
         assert.equal(whole, (finish()))
      end
      local first = assert(shard(1, 2)).done
      assert.is_true(first > 0 and first < 7)
      r = assert(extract.run(options())) -- no shard: what is left
      assert.same({7 - first, first, 1}, {r.done, r.skipped, #r.failures})
      assert.equal(whole, (finish()))
   end)

   it("names what is not there yet, and does a piece again that is gone or damaged", function()
      assert(shard(1, 2))
      local path = dir .. "/part.parquet"
      local result = assert(consolidate.run({input = output, output = path, quiet = true}))
      assert.matches("is not extracted yet %(piece %d%)", result.failures[#result.failures].reason)
      assert(shard(2, 2))
      os.remove(output .. "/part-000002.parquet")
      command.write(output .. "/part-000001.parquet", "damaged")
      assert.is_true(assert(extract.run(options())).done < 7)
      assert.equal(whole, (finish()))
   end)

   it("may begin at the same instant, be killed and go on", function()
      local words = ("%s scripts/motif.lua extract --input %s --output %s --sample-rate 16000 --mp-window 20 " ..
         "--threads 1 --shard "):format(command.quote(command.program), command.quote(input), command.quote(output))
      local out, status = command.shell(words .. "1/2 & one=$!; " .. words .. "2/2 & two=$!; sleep 0.3; " ..
         "kill -KILL $two; wait $one")
      assert.equal(0, status, out)
      out, status = command.shell(words .. "2/2")
      assert.equal(0, status, out)
      assert.equal(whole, (finish()))
   end)

   it("claims pieces, takes over those of the killed, and makes the same bytes", function()
      math.randomseed(7)
      local words = ("%s scripts/motif.lua extract --input %s --output %s --sample-rate 16000 --mp-window 20 " ..
         "--threads 1 --claim --stale 1"):format(command.quote(command.program), command.quote(input),
         command.quote(output))
      local lines = {}
      for i = 1, 4 do
         lines[i] = ("%s & p=$!; sleep %.2f; kill -KILL $p"):format(words, 0.2 + 0.6 * math.random())
      end
      local out, status = command.shell(table.concat(lines, "; ") .. "; " .. words .. " & a=$!; " .. words ..
         " & b=$!; wait $a && wait $b")
      assert.equal(0, status, out)
      for name in lfs.dir(output .. "/claims") do assert.is_nil(name:find("^piece"), name) end
      assert.equal(whole, (finish()))
   end)

   it("keeps what is done when time is up, or at SIGTERM, and exits with 75", function()
      local function run(more, after)
         return command.shell(("%s%s scripts/motif.lua extract --input %s --output %s --sample-rate 16000 " ..
            "--mp-window 20 --threads 1 %s"):format(after or "", command.quote(command.program), command.quote(input),
            command.quote(output), more))
      end
      local out, status = run("--shard 1/1 --time-limit 0.001")
      assert.equal(75, status, out)
      assert.matches("motif extract: time is up; run the same command to go on\n$", out)
      out, status = run("--shard 1/1", "SLURM_JOB_END_TIME=" .. os.time() .. " ")
      assert.equal(75, status, out)
      os.remove(output .. "/part-000002.parquet") -- so that the job is at its work when it comes
      out, status = run("--shard 1/1 & job=$!; until [ -e " .. command.quote(output .. "/part-000002.parquet") ..
         " ]; do sleep 0.01; done; kill -TERM $job; wait $job")
      assert.is_true(status == 75 and out:find("interrupted: ", 1, true) ~= nil or status == 0, out) -- 0: was quicker
      out, status = run("", "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=2 ")
      assert.equal(0, status, out)
      assert.matches("extract: --shard 1/2, by SLURM_ARRAY_TASK_ID\n", out, 1, true)
      out, status = run("--shard 2/2", "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=2 ")
      assert.equal(0, status, out)
      assert.equal(whole, (finish()))
      out, status = run("--shard 3/2")
      assert.not_equal(0, status)
      assert.matches("'3/2' is outside 1/2..2/2", out, 1, true)
   end)

   it("refuses other settings, recordings that were changed or are gone, a folder without shards", function()
      assert(shard(1, 2))
      local _, message = extract.run(options{shard = "2/2", sample_k = 3})
      assert.matches("manifest.parquet: was frozen with other settings (sample_k = none, now 3)", message, 1, true)
      _, message = extract.run(options{shard = "2/2", matrix_profile_window = 30})
      assert.matches("matrix_profile_window = 20, now 30", message, 1, true)
      local last = input .. "/a/7.wav"
      local before = lfs.attributes(last, "modification")
      assert(lfs.touch(last, before + 5))
      _, message = shard(2, 2)
      assert.matches(last .. ": was changed since " .. output .. "/manifest.parquet was frozen", message, 1, true)
      assert(lfs.touch(last, before))
      assert(os.rename(last, last .. ".away"))
      _, message = shard(2, 2)
      assert.matches(last .. ": is gone since", message, 1, true)
      assert(os.rename(last .. ".away", last))
      command.remove(output)
      assert(extract.run(options()))
      _, message = shard(1, 2)
      assert.matches("has results of a run without shards", message, 1, true)
      assert.is_false(files.exists(output .. "/manifest.parquet"))
      command.remove(output)
      _, message = extract.run(options{shard = "1/2", layout = "files"})
      assert.matches("--layout parts", message, 1, true)
   end)

   it("freezes sizes, times and seconds", function()
      assert(shard(1, 1))
      local row = assert(sql.query("from " .. sql.parquet(output .. "/manifest.parquet")))[3]
      local size, modified = files.stamp(input .. "/a/3.wav")
      assert.same({"in/a/3.wav", "a/3.wav", size, modified, 70.0},
         {row.source_name, row.below, row.bytes, row.modified, row.seconds})
      finish()
   end)
end)
