-- The command lines of scripts/, from outside: what they say, write and exit with.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local results = require "support.results"
local sql = require "bclua.sql"
local system = require "bclua.system"

local quote = command.quote
local dir

-- Run a script; `words` are its arguments in one text, @ in them is our folder.
-- Returns stdout, exit status, stderr.
local function run(script, words)
   local arguments = words:gsub("@", dir)
   local out, status = command.shell(("env -u BCLUA_QUIET %s scripts/%s %s </dev/null 2>%s"):format(
      quote(command.program), script, arguments, quote(dir .. "/stderr")))
   return out, status, command.read(dir .. "/stderr")
end

-- It must fail, saying `text` on stderr and nothing on stdout.
local function fails(script, words, text)
   local out, status, err = run(script, words)
   assert.equal(1, status, script .. " " .. words .. "\n" .. err)
   assert.is_truthy(err:find(text:gsub("@", dir), 1, true), ("%s %s\n%s\nlacks '%s'"):format(script, words, err, text))
   assert.equal("", out)
   return err
end

-- Half-second pieces of one tone, louder and softer; whole and half seconds only.
local function tone(seconds, hz, rate)
   local piece, pieces = {}, {}
   for i = 1, rate // 2 do piece[i] = 0.3 * math.sin(2 * math.pi * hz * i / rate) end
   piece = array.from(piece, "f32")
   for k = 1, seconds * 2 do pieces[k] = piece * (0.4 + 0.1 * (k * k % 7)) end
   return array.concat(pieces)
end

local function leftovers(folder)
   return (command.shell(("find %s -name '*.tmp*' -o -name '*.wal'"):format(quote(folder))))
end

setup(function()
   dir = command.folder()
   local out, status, err = run("make_dataset.lua",
      "--output @/data --families 2 --species 1 --recordings 4 --short 0 --least 12 --most 12.5")
   assert(status == 0, err)
   assert.equal(dir .. "/data: 2 species, 8 recordings, 98 s, 32 songs\n", out)
   sql.exec(("copy (select 1 as x) to %s (format parquet)"):format(sql.quote(dir .. "/x.parquet")))
   command.write(dir .. "/file", "a regular file")
   command.write(dir .. "/text.lua", "no lua")
end)

teardown(function() command.remove(dir) end)

describe("the command line", function()
   local OPTIONS = {
      ["motif.lua"] = "extract consolidate generate-triplets extract-triplets motif-track extract-top-motif labels " ..
         "import-labels",
      ["motif.lua extract"] = "--input --output --species --cens-sr --mp-window --exclusion --sample-k --seed " ..
         "--deployments --shard --claim --stale --time-limit --threads --force --strict",
      ["motif.lua consolidate"] = "--input --output --deployments --force --strict",
      ["motif.lua generate-triplets"] = "--input --output --samples --taxonomy --holdout --seed --force " ..
         "--accepted --accepted-only --labels",
      ["motif.lua extract-triplets"] = "triplets --dataset-root --output --store --duration --loc-unit --threads " ..
         "--force --strict",
      ["motif.lua search"] = "--input --top --per-recording --start --seconds --features --dataset-root " ..
         "--with-query --output --threads --force --strict",
      ["motif.lua motif-track"] = "input --kind --top --calls --scores --species --dataset-root --output --gap " ..
         "--threads --strict",
      ["motif.lua extract-top-motif"] = "input --kind --top --calls --scores --species --dataset-root --output " ..
         "--format --threads --strict",
      ["motif.lua labels"] = "input --kind --top --calls --scores --species --format --output --dataset-root " ..
         "--accepted --threads --strict",
      ["motif.lua import-labels"] = "files --output --input --dataset-root --column --force --strict",
      ["embed.lua"] = "fit summary evaluate predict export replay",
      ["embed.lua fit"] = "triplets tiles --dim --widths --compression --pooling --projection --front-end --run " ..
         "--batch-size --accumulate --batches-per-round --round-minutes --max-rounds --limit --lr --schedule " ..
         "--warmup --lr-step --lr-gamma " ..
         "--lr-final --beta1 --beta2 --weight-decay --clip-norm --loss --margin --l2 --temperature --roles " ..
         "--precision --recompute --motif --dataset-root --validation-triplets --patience " ..
         "--augment --workers --prefetch --cache-mb --checkpoint-minutes --keep --keep-best --on-nonfinite --seed " ..
         "--checkpoint --loc-unit --threads --force",
      ["embed.lua summary"] = "--dim --widths --compression --pooling --projection --precision --recompute " ..
         "--batch-size",
      ["embed.lua export"] = "checkpoint --output --stft",
      ["embed.lua replay"] = "folder --threads",
      ["embed.lua evaluate"] = "checkpoint motif --dataset-root --windows --motifs --labels --splits --seed " ..
            "--neighbors --by-class --output --force --threads --strict",
      ["embed.lua predict"] = "checkpoint inputs --output --hop --partial --precision --batch --threads " ..
         "--force --strict",
      ["browse.lua"] = "run --port --dataset-root --labels --threads",
      ["pipeline.lua"] = "--data --run --config --force --strict --threads",
      ["make_dataset.lua"] = "--output --families --species --recordings --short --least --most --sample-rate " ..
         "--seed --threads",
   }

   for script, options in pairs(OPTIONS) do
      it(script .. " --help names every option", function()
         local out, status, err = run(script, "--help")
         assert.equal(0, status)
         assert.equal("", err)
         assert.matches("^Usage: bclua " .. script:gsub("%.lua", ""):gsub("%p", "%%%0") .. "%s", out)
         for option in options:gmatch("%S+") do assert.is_truthy(out:find(option, 1, true), option) end
         for line in out:gmatch("[^\n]+") do assert.is_true(#line <= 110, line) end
      end)
   end

   it("refuses an unknown option, with the usage", function()
      for script in pairs(OPTIONS) do
         local err = fails(script, "--bogus", "unknown option '--bogus'")
         assert.matches("^Usage: bclua " .. script:gsub("%.lua", ""):gsub("%p", "%%%0") .. "%s", err)
      end
      fails("motif.lua", "frobnicate", "unknown command 'frobnicate'")
   end)

   it("names what is missing", function()
      fails("motif.lua", "", "a command is required")
      fails("embed.lua", "", "a command is required")
      fails("motif.lua", "extract --output @/o", "missing option '--input'")
      fails("motif.lua", "extract --input @/data", "missing option '--output'")
      fails("motif.lua", "consolidate --input @/o", "missing option '--output'")
      fails("motif.lua", "generate-triplets --output @/o", "missing option '--input'")
      fails("motif.lua", "extract-triplets @/t.parquet --output @/o", "missing option '--dataset-root'")
      fails("motif.lua", "extract-triplets --dataset-root @ --output @/o", "missing argument 'triplets'")
      fails("motif.lua", "extract-triplets @/t.parquet --dataset-root @", "missing option '--output'")
      fails("embed.lua", "fit @/t.parquet", "without tiles, --dataset-root must say where the recordings are")
      fails("embed.lua", "fit @/t.parquet @/tiles --augment gain", "--augment: 'gain' is not of the form effect=value")
      fails("embed.lua", "evaluate @/c @/m", "missing option '--dataset-root'")
      fails("embed.lua", "export @/c", "missing option '--output'")
      fails("embed.lua", "fit @/t.parquet @/tiles --motif @/m", "validation needs both --motif and --dataset-root")
      fails("embed.lua", "export @/none --output @/m.onnx", "@/none: No such file or directory")
      fails("embed.lua", "replay @/none", "@/none/report.json: No such file or directory")
      fails("make_dataset.lua", "", "missing option '--output'")
      fails("motif.lua", "extract --input", "option '--input' requires an argument")
   end)

   it("names option and value where a value is wrong", function()
      for words, message in pairs({
         ["extract --input @/data --output @/o --cens-sr 1.5"] = "--cens-sr: '1.5' is not a whole number",
         ["extract --input @/data --output @/o --cens-sr 7"] = "--cens-sr 7: does not divide the sample rate 32000",
         ["extract --input @/data --output @/o --mp-window 0"] = "--mp-window: '0' is outside 1..100000",
         ["extract --input @/data --output @/o --sample-k many"] = "--sample-k: 'many' is not a whole number",
         ["extract --input @/data --output @/o --threads 0"] = "--threads: '0' is outside 1..1024",
         ["extract --input @/data --output @/o --seed=-1"] = "--seed: '-1' is below 0",
         ["extract --input @/data/train_audio --output @/o --species nix"] = "no recordings of species 'nix'",
         ["generate-triplets --input @/m --output @/o --samples 0"] = "--samples: '0' is outside 1..1000000000",
         ["generate-triplets --input @/m --output @/o --samples 5e-1"] = "--samples: '5e-1' is not a whole number",
         ["generate-triplets --input @/m --output @/o --holdout 0.6"] = "--holdout: '0.6' is outside 0..0.5",
         ["extract-triplets @/t --dataset-root @ --output @/o --duration nan"] = "--duration: 'nan' is not a number",
         ["extract-triplets @/t --dataset-root @ --output @/o --store zip"] = "--store: 'zip' is not one of packed, ",
         ["motif-track @/m --dataset-root @ --output @/o.mp3"] = "--output: '@/o.mp3' does not end in .flac, .ogg ",
         ["motif-track @/m --dataset-root @ --output @/o.wav --kind call"] = "--kind: 'call' is not one of motif, ",
         ["extract-top-motif @/m --dataset-root @ --output @/o --format mp3"] = "--format: 'mp3' is not one of flac, ",
         ["labels @/m --output @/o --format textgrid"] = "--format: 'textgrid' is not one of audacity, raven, csv",
         ["extract-triplets @/t --dataset-root @ --loc-unit hours"] = "--loc-unit: 'hours' is not one of seconds, ",
      }) do fails("motif.lua", words, message) end
      for words, message in pairs({
         ["fit @/t @/tiles --lr x"] = "--lr: 'x' is not a number",
         ["fit @/t @/tiles --lr=-0.1"] = "--lr: '-0.1' is below 0",
         ["fit @/t @/tiles --widths 1,2,3"] = "--widths: '1,2,3' is not 4 numbers with commas",
         ["fit @/t @/tiles --batch-size 0"] = "--batch-size: '0' is outside 1..1048576",
         ["summary --dim 0"] = "--dim: '0' is outside 1..65536",
         ["summary --compression cubic"] = "--compression: 'cubic' is not one of log, power, pcen",
      }) do fails("embed.lua", words, message) end
      fails("make_dataset.lua", "--output @/o --families 9", "--families: '9' is outside 1..8")
      fails("make_dataset.lua", "--output @/o --least 30 --most 20", "--most is below --least")
      fails("pipeline.lua", "--threads two", "--threads: 'two' is not a whole number")
      assert.is_false(files.exists(dir .. "/o"))
   end)

   it("names an input that is missing or is something else", function()
      fails("motif.lua", "extract --input @/no --output @/o", "motif extract: @/no: no such folder")
      fails("motif.lua", "extract --input @/file --output @/o", "@/file: not a folder")
      fails("motif.lua", "consolidate --input @/no --output @/o", "@/no: no such folder")
      fails("motif.lua", "consolidate --input @/data/train_audio --output @/o", "no results below it")
      fails("motif.lua", "generate-triplets --input @/no --output @/o", "@/no: no such file")
      fails("motif.lua", "generate-triplets --input @/file --output @/o", "@/file: ")
      fails("motif.lua", "extract-triplets @/no --dataset-root @ --output @/o", "@/no: no such file")
      fails("motif.lua", "extract-triplets @/x.parquet --dataset-root @/no --output @/o", "@/no: no such folder")
      fails("embed.lua", "fit @/no @ --run @/o", "@/no: no such file")
      fails("embed.lua", "evaluate @/no @/x.parquet --dataset-root @", "@/no: No such file")
      fails("embed.lua", "evaluate @/file @/x.parquet --dataset-root @", "@/file: ")
      fails("pipeline.lua", "--data @/no --run @/o", "@/no: no such folder")
      fails("pipeline.lua", "--data @/file --run @/o", "@/file: not a folder")
      assert(system.mkdir(dir .. "/empty"))
      fails("pipeline.lua", "--data @/empty --run @/o", "@/empty: no recordings")
      fails("motif.lua", "extract --input @/empty --output @/o", "@/empty: no recordings")
      assert.is_false(files.exists(dir .. "/o"))
   end)

   it("names the column that a Parquet file lacks", function()
      fails("motif.lua", "generate-triplets --input @/x.parquet --output @/o", "@/x.parquet: no column 'source_name'")
      fails("motif.lua", "extract-triplets @/x.parquet --dataset-root @ --output @/o", "@/x.parquet: no column 'a'")
      fails("embed.lua", "fit @/x.parquet @ --run @/o", "@/x.parquet: no column 'a'")
      assert.is_false(files.exists(dir .. "/o"))
   end)

   it("names a configuration that is missing, no Lua, no table, or of unknown settings", function()
      fails("pipeline.lua", "--run @/o --config @/no", "pipeline: @/no: No such file")
      fails("pipeline.lua", "--run @/o --config @/text.lua", "@/text.lua:1: ")
      for text, message in pairs({
         ["return 7"] = "must return a table of settings",
         ["return {fit = {batchsize = 2}}"] = "no setting named 'fit.batchsize'",
         ["return {fit = {batch_size = 'two'}}"] =
            "setting 'fit.batch_size' must be an integer from 1 to 1048576, got 'two'",
         ["return {fit = 3}"] = "setting 'fit' must be a table, got 3",
         ["error 'no luck'"] = "no luck",
      }) do
         command.write(dir .. "/bad.lua", text)
         fails("pipeline.lua", "--run @/o --config @/bad.lua", "pipeline: @/bad.lua:")
         fails("pipeline.lua", "--run @/o --config @/bad.lua", message)
      end
      assert.is_false(files.exists(dir .. "/o"))
   end)
end)

describe("motif.lua extract", function()
   local function put(name, y, rate)
      local path = dir .. "/mixed/" .. name
      assert(system.mkdir(files.dirname(path)))
      if type(y) == "string" then command.write(path, y) else assert(audio.save(path, y, rate or 32000)) end
   end

   setup(function()
      local y = tone(9, 1500, 32000)
      put("a/good.ogg", y)
      local ogg = command.read(dir .. "/mixed/a/good.ogg")
      local other = tone(9, 1200, 44100)
      put("a/stereo.wav", array.concat({other:reshape({1, #other}), (other * 0.5):reshape({1, #other})}), 44100)
      put("a/short.wav", tone(2, 1000, 32000))
      put("b/silent.wav", array.zeros(32000 * 6))
      put("b/truncated.ogg", ogg:sub(1, #ogg // 2))
      put("b/empty.ogg", "")
      put("b/a, \"quoted\" text.ogg", "this is no sound")
      put("b/notes.txt", "not looked at")
   end)

   local ARGUMENTS = "extract --input @/mixed --output @/mixed.out --strict-audio "

   it("goes on past bad recordings and lists them: path, step, reason", function()
      local _, status, err = run("motif.lua", ARGUMENTS)
      assert.equal(0, status, err)
      assert.matches("extract: %d+ found: 3 done, 0 finished before, 4 failed, 0 not read, %d+ ignored; ", err)
      assert.matches("; 4 failed: " .. dir .. "/mixed.out/failures.csv", err, 1, true)
      local rows = sql.query(("select * from read_csv(%s, header = true) order by path"):format(
         sql.quote(dir .. "/mixed.out/failures.csv")))
      assert.same({"path", "step", "reason"}, rows.columns)
      local reasons = {}
      for _, row in ipairs(rows) do
         assert.equal("extract", row.step)
         assert.equal(row.path, row.reason:sub(1, #row.path))
         reasons[files.basename(row.path)] = row.reason
      end
      assert.equal(4, #rows)
      assert.matches("silent", reasons["silent.wav"])
      assert.matches("truncated", reasons["truncated.ogg"])
      assert.is_string(reasons["empty.ogg"])
      assert.is_string(reasons["a, \"quoted\" text.ogg"])
      local kept = results.of(dir .. "/mixed.out")
      assert.equal(288000, kept["mixed/a/stereo.wav"].duration_samples)
      assert.is_number(kept["mixed/a/stereo.wav"].motif_0)
      assert.is_nil(kept["mixed/a/short.wav"].motif_0)
   end)

   it("retries only what failed, and with --strict exits 1", function()
      put("b/empty.ogg", tone(6, 900, 32000))
      local _, status, err = run("motif.lua", ARGUMENTS .. "--strict")
      assert.equal(1, status)
      assert.matches("extract: %d+ found: 1 done, 3 finished before, 3 failed", err)
      assert.matches("motif extract: 3 failed %(%-%-strict%)\n$", err)
      _, status, err = run("motif.lua", ARGUMENTS)
      assert.equal(0, status, err)
      assert.matches("extract: %d+ found: 0 done, 4 finished before, 3 failed", err)
   end)

   it("leaves no old result of a recording that has gone bad", function()
      put("b/empty.ogg", "damaged now")
      local _, status, err = run("motif.lua", ARGUMENTS)
      assert.equal(0, status)
      assert.matches(" 0 done, 3 finished before, 4 failed", err)
      assert.is_nil(results.of(dir .. "/mixed.out")["mixed/b/empty.ogg"])
   end)

   it("exits 1 when nothing could be done", function()
      fails("motif.lua", "extract --input @/mixed --output @/none --species b --strict-audio",
         "all 4 recordings failed, the first: @")
   end)

   it("uses what is left of a truncated recording, with a warning, if it need not be strict", function()
      local _, status, err = run("motif.lua", "extract --input @/mixed --output @/lax.out")
      assert.equal(0, status, err)
      assert.matches(" 4 done, 0 finished before, 3 failed, .* 1 with a warning: .*lax.out.warnings", err)
      assert.matches("b/truncated.ogg,extract,truncated after 2.%d+ s,2.%d+,\n",
         command.read(dir .. "/lax.out/warnings.csv"))
   end)

   it("refuses other parameters, naming the difference", function()
      fails("motif.lua", ARGUMENTS .. "--mp-window 20", "matrix_profile_window = 50, now 20); use --force")
   end)

   it("stops at once on Ctrl-C, leaves nothing half done, and goes on the next time", function()
      -- the same recordings under many names: one to four seconds of work for one thread
      local files_in = dir .. "/data/train_audio"
      command.shell(("cd %s && mkdir many && for i in 1 2 3 4 5 6 7 8; do cp -rl %s many/$i; done"):format(quote(dir),
         quote(files_in)))
      local out, status = command.shell(([[
         dir=%s
         %s scripts/motif.lua extract --input $dir/many --output $dir/many.out --threads 1 2>$dir/stderr &
         job=$!
         i=0
         until [ -e $dir/many.out/recordings.json ] || [ $i = 3000 ]; do i=$((i + 1)); sleep 0.01; done
         sleep 0.4
         kill -INT $job
         date +%%s%%N >$dir/killed
         wait $job
         status=$?
         date +%%s%%N >$dir/ended
         exit $status]]):format(quote(dir), quote(command.program)))
      assert.equal(130, status, out)
      local err = command.read(dir .. "/stderr")
      local done = tonumber(err:match("^extract: 8 species[^\n]*\n" ..
         "bclua: motif extract: interrupted: (%d+) of 64 recordings done; run the same command to go on\n$"))
      local took_s = (tonumber(command.read(dir .. "/ended")) - tonumber(command.read(dir .. "/killed"))) / 1e9
      assert.is_true(took_s < 1 or os.getenv("BCLUA_SANITIZED") ~= nil, took_s .. " s")
      assert.is_true(done and done >= 1 and done < 64, err)
      assert.equal(done, select(2, results.of(dir .. "/many.out")))
      assert.equal("", leftovers(dir .. "/many.out"))
      local _
      _, status, err = run("motif.lua", "extract --input @/many --output @/many.out")
      assert.equal(0, status)
      local redone, skipped = err:match("(%d+) done, (%d+) finished before, 0 failed")
      assert.same({64, done}, {redone + skipped, math.tointeger(skipped)})
   end)
end)

describe("motif.lua extract-triplets", function()
   it("tells recordings apart that differ in the extension alone", function()
      local root = dir .. "/twins"
      assert(system.mkdir(root .. "/train_audio/a"))
      assert(audio.save(root .. "/train_audio/a/1.ogg", tone(2, 500, 32000), 32000))
      assert(audio.save(root .. "/train_audio/a/1.wav", tone(2, 900, 32000), 32000))
      assert(audio.save(root .. "/train_audio/a/2.wav", tone(2, 700, 32000), 32000))
      sql.exec(("copy (select 'train_audio/a/1.ogg' a, -1.0 a_loc, 'train_audio/a/1.wav' b, -1.0 b_loc, " ..
         "'train_audio/a/2.wav' c, -1.0 c_loc) to %s (format parquet)"):format(sql.quote(root .. "/t.parquet")))
      local _, status, err = run("motif.lua", "extract-triplets @/twins/t.parquet --dataset-root @/twins " ..
         "--output @/twins/tiles --store npy --loc-unit seconds")
      assert.equal(0, status, err)
      local rows = sql.query(("select source, tile from read_parquet(%s) order by source"):format(
         sql.quote(root .. "/tiles/index.parquet")))
      assert.same({"a/1.ogg_whole_7.npy", "a/1.wav_whole_7.npy", "a/2_whole_7.npy"},
         {rows[1].tile, rows[2].tile, rows[3].tile})
      local tiles = {}
      for i = 1, 3 do tiles[i] = array.load(root .. "/tiles/" .. rows[i].tile) end
      assert.is_false(array.equal(tiles[1], tiles[2]))
   end)
end)

describe("a data set through all commands", function()
   -- One bad recording beside eight good ones.
   local ARGUMENTS = "--data @/data --run @/run --config @/config.lua "
   local CONFIG = "return {network = {widths = {2, 2, 2, 2}, z = 4}, triplets = {samples = %d}, " ..
      "fit = {batch_size = 2, batches_per_round = 2, max_rounds = 1}, evaluate = {splits = 2}}"

   setup(function()
      command.write(dir .. "/config.lua", CONFIG:format(8))
      command.write(dir .. "/data/train_audio/synfin1/bad.ogg", "no sound")
      local out, status, err = run("pipeline.lua", ARGUMENTS)
      assert(status == 0, err)
      assert.matches("\nreport: " .. dir:gsub("%p", "%%%0") .. "/run/report.html\n$", out)
      assert.matches("\n1 failed: " .. dir:gsub("%p", "%%%0") .. "/run/failures.csv\n", out)
   end)

   it("ends in a report of all sections, in one file", function()
      local html = command.read(dir .. "/run/report.html")
      for _, section in ipairs({"Recordings", "Examples", "Triplets", "Audit of the triplets", "Training",
         "Evaluation", "Time", "Settings", "Failures"}) do
         assert.is_truthy(html:find(">" .. section .. "</h2>", 1, true), section)
      end
      assert.matches("8 recordings of 2 species", html)
      assert.matches("bad%.ogg", html)
      assert.is_nil(html:find("no picture", 1, true))
      assert.matches("8 triplets of %d+ distinct tiles; %d+ tiles of 7 s in %d+ recordings were looked at", html)
      assert.is_nil(html:find("<img src=\"[^d]")) -- every picture is inside
      assert.matches("data:audio/ogg;base64,", html)
      assert.matches("path,step,reason\n[^\n]*/bad%.ogg,extract,", command.read(dir .. "/run/failures.csv"))
   end)

   it("does nothing again, and retries what failed", function()
      local before = files.stamp(dir .. "/run/checkpoints/last.safetensors")
      local _, status, err = run("pipeline.lua", ARGUMENTS .. "--strict")
      assert.equal(1, status)
      assert.matches("extract: %d+ found: 0 done, 8 finished before, 1 failed", err)
      assert.matches("extract%-triplets: 0 tiles made, %d+ there before, 0 failed", err)
      assert.is_nil(err:find("fit: ", 1, true))
      assert.matches("pipeline: 1 failed %(%-%-strict%)\n$", err)
      assert.equal(before, files.stamp(dir .. "/run/checkpoints/last.safetensors"))
   end)

   it("refuses other settings, naming the difference, and redoes them with --force", function()
      command.write(dir .. "/config.lua", CONFIG:format(9))
      local _, status, err = run("pipeline.lua", ARGUMENTS)
      assert.equal(1, status)
      assert.matches("triplets.parquet: was made with other parameters %(samples = 8, now 9%); use %-%-force", err)
      _, status, err = run("pipeline.lua", ARGUMENTS .. "--force")
      assert.equal(0, status, err)
      assert.matches("extract: %d+ found: 0 done, 8 finished before", err) -- its parameters are the same
      assert.matches("generate%-triplets: 9 triplets", err)
      assert.matches("fit: 2 batches", err)
      assert.matches("9 triplets from 4 recordings", command.read(dir .. "/run/report.html"))
   end)

   it("gives the same files step by step", function()
      local function step(script, words)
         local out, status, err = run(script, words)
         assert.equal(0, status, err)
         return out
      end
      step("motif.lua", "consolidate --input @/run/motif --output @/m.parquet")
      assert.equal(command.read(dir .. "/run/motif.parquet"), command.read(dir .. "/m.parquet"))
      step("motif.lua", "generate-triplets --input @/m.parquet --output @/t.parquet --samples 9 " ..
         "--taxonomy @/data/taxonomy.csv --group species --pick calls --dataset-root @/data")
      assert.equal(command.read(dir .. "/run/triplets.parquet"), command.read(dir .. "/t.parquet"))
      step("motif.lua", "extract-triplets @/t.parquet --dataset-root @/data --output @/tiles")
      local out = step("embed.lua", "fit @/t.parquet @/tiles --dim 4 --widths 2,2,2,2 --batch-size 2 " ..
         "--batches-per-round 2 --max-rounds 1 --run @/fit")
      assert.matches("^" .. dir:gsub("%p", "%%%0") .. "/fit/checkpoints/last.safetensors: 1 round, loss ", out)
      out = step("embed.lua", "fit @/t.parquet @/tiles --dim 4 --widths 2,2,2,2 --batch-size 2 " ..
         "--batches-per-round 2 --max-rounds 1 --run @/fit")
      assert.matches("nothing left to do\n$", out)
      out = step("embed.lua", "evaluate @/fit/checkpoints/last.safetensors @/m.parquet --dataset-root @/data " ..
         "--splits 2")
      assert.matches("\nembedding +%d", out)
      assert.matches("\nuntrained network +%d", out)
      assert.matches("\nlog%-mel mean and deviation +%d", out)
      assert.matches("\nchance +0%.500", out)
   end)

   it("prints the layers of a network", function()
      local out, status = run("embed.lua", "summary --dim 8 --widths 2,4,6,8 --batch-size 3")
      assert.equal(0, status)
      assert.matches("\nlayer5%.0%.conv1 +conv2d +8 x 4 x 5 ", out)
      assert.matches("\ntraining, 3 triplets: ", out)
   end)

   it("names what evaluate cannot use", function()
      fails("embed.lua", "evaluate @/run/checkpoints/last.safetensors @/x.parquet --dataset-root @/data",
         "@/x.parquet: no column 'source_name'")
      fails("embed.lua", "evaluate @/run/checkpoints/last.safetensors @/run/motif.parquet --dataset-root @/no",
         "@/no: no such folder")
      fails("embed.lua", "fit @/run/triplets.parquet @/data --run @/o", "@/data/index.parquet: no such file")
   end)

   local WRITERS = {
      {"motif.lua", "extract --input @/data/train_audio --output %s/motif"},
      {"motif.lua", "consolidate --input @/run/motif --output %s/m.parquet"},
      {"motif.lua", "generate-triplets --input @/run/motif.parquet --output %s/t.parquet --samples 8"},
      {"motif.lua", "extract-triplets @/run/triplets.parquet --dataset-root @/data --output %s/tiles"},
      {"motif.lua", "motif-track @/run/motif.parquet --dataset-root @/data --output %s/m.flac"},
      {"motif.lua", "extract-top-motif @/run/motif.parquet --dataset-root @/data --output %s/top"},
      {"motif.lua", "labels @/run/motif.parquet --output %s/labels"},
      {"embed.lua", "fit @/run/triplets.parquet @/run/tiles --dim 4 --widths 2,2,2,2 --batch-size 2 " ..
         "--batches-per-round 1 --max-rounds 1 --run %s/fit"},
      {"make_dataset.lua", "--output %s/data --families 1 --species 1 --recordings 1 --short 0 --least 12 --most 12"},
      {"pipeline.lua", "--data @/data --config @/config.lua --run %s/run"},
   }

   it("names an output that cannot be made", function()
      for _, w in ipairs(WRITERS) do
         fails(w[1], w[2]:format("@/file"), ": @/file/")
         fails(w[1], w[2]:format("/proc/nowhere"), ": /proc/nowhere")
      end
   end)

   it("says when the disk is full, and leaves nothing half written", function()
      for _, w in ipairs(WRITERS) do
         assert(system.mkdir(dir .. "/full"))
         local out, status = command.shell(("ulimit -f 0; trap '' XFSZ; BCLUA_QUIET=1 %s scripts/%s %s 2>&1 >/dev/null")
            :format(quote(command.program), w[1], (w[2]:format("@/full"):gsub("@", dir))))
         assert.equal(1, status, out)
         assert.is_truthy(out:find(dir .. "/full/", 1, true), out)
         assert.matches("File too large", out)
         assert.equal("", (command.shell("find " .. quote(dir .. "/full") .. " -type f")), w[2])
         command.remove(dir .. "/full")
      end
   end)
end)
