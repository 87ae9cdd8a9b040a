-- Jobs around shards: the script, a scheduler that is a script of ours, what status and resubmit say.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local jobs = require "bclua.workflow.jobs"
local lfs = require "lfs"
local system = require "bclua.system"
local workers = require "bclua.data.workers"

-- Runs the tasks of --array=1-3,5 one after the other, as Slurm would; but for those in $LOSE, which never begin.
local SBATCH = [[
#!/bin/sh
echo "$@" >> "$BIN/calls"
list=${1#--array=}
for range in $(echo "$list" | tr , ' '); do
   for i in $(seq ${range%-*} ${range#*-}); do
      case " $LOSE " in *" $i "*) continue;; esac
      SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$i sh "$2" >> "$BIN/log" 2>&1 || exit 1
   done
done
]]

describe("cluster", function()
   local dir, run

   setup(function()
      dir = command.folder()
      run = dir .. "/o ut"
      assert(system.mkdir(dir .. "/in/a"))
      assert(system.mkdir(dir .. "/bin"))
      for i = 1, 4 do -- of half a minute each: two pieces
         local y = array.zeros(8000 * 30)
         for k = 1, #y, 40 + i do y[k] = 0.5 * ((k * i) % 1000) / 1000 end
         assert(audio.save(("%s/in/a/%d.wav"):format(dir, i), y, 8000))
      end
      command.write(dir .. "/bin/sbatch", SBATCH)
      assert(command.shell("chmod +x " .. command.quote(dir .. "/bin/sbatch")) == "")
   end)
   teardown(function() command.remove(dir) end)

   local function cluster(words, lose)
      return command.shell(("BIN=%s PATH=%s:$PATH LOSE='%s' %s scripts/cluster.lua %s"):format(
         command.quote(dir .. "/bin"), command.quote(dir .. "/bin"), lose or "", command.quote(command.program), words))
   end
   local function plan(more, step)
      return cluster(("plan --tasks 4 --cpus 1 %s -- %s --output %s"):format(more or "", step or
         ("scripts/motif.lua extract --sample-rate 8000 --mp-window 20 --input " .. command.quote(dir .. "/in")),
         command.quote(run)))
   end

   it("writes a script, submits what is missing, and says what has become of it", function()
      local out, status = plan("--partition long --modules 'lua fftw' --minutes 150 --memory 3000")
      assert.equal(0, status, out)
      local text = command.read(run .. "/job.sh")
      for _, line in ipairs{"#SBATCH --array=1-4\n", "#SBATCH --cpus-per-task=1\n", "#SBATCH --mem=3000M\n",
         "#SBATCH --time=02:30:00\n", "#SBATCH --partition=long\n", "\nmodule load lua fftw\n", "#SBATCH --requeue\n",
         "'" .. run .. "' --shard \"$SLURM_ARRAY_TASK_ID/4\" --threads 1\n"} do
         assert.matches(line, text, 1, true)
      end
      out = cluster("resubmit " .. command.quote(run))
      assert.matches("sbatch --array=1-4 '" .. run .. "/job.sh'\n", out, 1, true)
      assert.is_false(files.exists(dir .. "/bin/calls"))

      out, status = cluster("resubmit --submit " .. command.quote(run), "1 2")
      assert.equal(0, status, out)
      local r = assert(jobs.status{run = run})
      assert.same({2, 1, 4, 120.0, 60.0}, {r.pieces, r.done.pieces, r.recordings, r.seconds, r.left_s})
      assert.same({0, 0, 0}, {#r.running, #r.lost, r.failed})
      out = cluster("resubmit --submit " .. command.quote(run))
      assert.matches("tasks that lack something: 1", out)
      assert.same(("--array=1-4 %s/job.sh\n--array=%d %s/job.sh\n"):format(run, command.read(dir .. "/bin/calls")
         :match("array=(%d+) "), run), command.read(dir .. "/bin/calls"))
      out = cluster("status " .. command.quote(run))
      assert.matches("done     2 pieces, 2 min 00 s (100.0 %)\nleft     0 pieces, 0.0 s\nrunning  0\nlost     0\n", out,
         1, true)
      assert.matches("^tasks that lack something: 0", (cluster("resubmit " .. command.quote(run))))
      for name in lfs.dir(run .. "/workers") do assert.is_nil(name:find("json"), name) end
   end)

   it("tells who is at work from who is lost, and leaves tasks alone that are at work", function()
      assert(os.remove(run .. "/part-000001.parquet"))
      local function tasks() return assert(jobs.resubmit{run = run}) end
      local shard = tasks().tasks[1]
      local one <close> = workers.open(run, shard .. "/4")
      local r = assert(jobs.status{run = run})
      assert.same({1, 0, shard .. "/4"}, {#r.running, #r.lost, r.running[1].shard})
      assert.same({{}, 1}, {tasks().tasks, tasks().at_work})
      assert(lfs.touch(one.path, os.time() - 1013)) -- as if it had been killed
      r = assert(jobs.status{run = run})
      assert.same({0, 1}, {#r.running, #r.lost})
      assert.matches(("lost     1\n         shard %d/4 on %s, process %d, heard of 16 min 5"):format(shard,
         one.path:match("workers/(.*)%-%d+%-%x+%.json"), one.path:match("%-(%d+)%-%x+%.json")), jobs.text(r), 1, true)
      assert.same({{shard}, 0}, {tasks().tasks, tasks().at_work})
      r = assert(jobs.status{run = run, stale = 2000})
      assert.equal(1, #r.running)
   end)

   it("makes no folder anew that the last of all processes has taken away", function()
      local gone <close> = workers.open(dir .. "/unfinished", "1/4")
      gone:beat()
      assert.is_nil(lfs.attributes(dir .. "/unfinished"))
   end)

   it("counts recordings that failed, and divides a search, too", function()
      command.write(dir .. "/in/a/5.wav", "no sound")
      local other = dir .. "/other"
      for i = 1, 2 do
         assert(require("bclua.workflow.extract").run{input = dir .. "/in", output = other, sample_rate = 8000,
            matrix_profile_window = 20, shard = i .. "/2", quiet = true})
      end
      assert.equal(1, assert(jobs.status{run = other}).failed)
      local motif, pairs_csv = dir .. "/motif.parquet", dir .. "/pairs.csv"
      assert(require("bclua.workflow.consolidate").run{input = other, output = motif, quiet = true})
      local out, status = cluster(("plan --tasks 2 -- motif search --all --input %s --output %s"):format(
         command.quote(motif), command.quote(pairs_csv)))
      assert.equal(0, status, out)
      out, status = cluster("resubmit --submit " .. command.quote(pairs_csv))
      assert.equal(0, status, out .. command.read(dir .. "/bin/log"))
      assert.is_true(files.exists(pairs_csv), command.read(dir .. "/bin/log"))
      assert.matches("of work of one core, in 1 piece\ndone ", (cluster("status " .. command.quote(pairs_csv))))
      os.remove(dir .. "/in/a/5.wav")
   end)

   it("knows scripts by their names", function()
      local out, status = plan("--force", "motif extract --input " .. command.quote(dir .. "/in"))
      assert.equal(0, status, out)
      assert.matches(" motif extract --input ", command.read(run .. "/job.sh"), 1, true)
   end)

   it("refuses what it cannot do", function()
      local out, status = plan()
      assert.is_true(status ~= 0)
      assert.matches("job.sh: is there; use --force", out, 1, true)
      assert.matches("takes no %-%-shard", (plan("--force", "scripts/motif.lua consolidate --input x")))
      assert.matches("no rate is known", (plan("--force", "scripts/motif.lua discover --input x")))
      assert.matches("scripts/motif.lua: .*missing.*input", (plan("--force", "scripts/motif.lua extract")))
      for _, words in ipairs{"--shard 1/2", "--claim"} do
         assert.matches("the script says what a task does", (plan("--force", "scripts/motif.lua extract " .. words ..
            " --input " .. command.quote(dir .. "/in"))))
      end
      assert.matches("nothing.lua: no such file", (plan("--force", "nothing.lua extract")))
      assert.matches("no manifest of shards", (cluster("status " .. command.quote(dir))))
      assert.matches("no job.sh", (cluster("resubmit " .. command.quote(dir))))
      command.write(run .. "/job.sh", "#!/bin/sh\n")
      assert.matches("has no %-%-shard %$SLURM_ARRAY_TASK_ID/N", (cluster("resubmit " .. command.quote(run))))
   end)
end)
