local command = require "support.command"
local files = require "bclua.files"
local points = require "bclua.experiment.sweep.points"
local sql = require "bclua.sql"
local sweep = require "bclua.experiment.sweep"
local system = require "bclua.system"

local dir

local function path(name) return dir .. "/" .. (name or "s") .. ".parquet" end

-- Run a sweep quietly; what is given is laid over a small one.
local function run(changes)
   local o = {path = path(), quiet = true, metric = "loss", name = "f"}
   if not changes.random then o.grid = {x = {1, 2, 3}} end
   for k, v in pairs(changes) do o[k] = v end
   if o.f == nil and not o.module then o.f = function(p) return {loss = ((p.x or p.lr) - 2) ^ 2 + p.seed / 10} end end
   return sweep.run(o)
end

local function column(rows, name)
   local list = {}
   for i, row in ipairs(rows) do list[i] = row[name] == nil and "none" or row[name] end
   return list
end

local function read(name) return sql.query("from read_parquet(" .. sql.quote(path(name)) .. ")") end

describe("a sweep", function()
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   it("tries every point of a grid with every seed, the last parameter fastest", function()
      local calls = {}
      local function f(p, context)
         calls[#calls + 1] = ("%g%s%d"):format(p.a, p.b, p.seed)
         assert(p.c[1] == 7 and context.seed == p.seed and files.is_folder(context.folder))
         return {loss = 1}
      end
      local r = assert(run{grid = {b = {"u", "v"}, a = {1, 0.5}}, seeds = {3, 4}, fixed = {c = {7}}, f = f})
      assert.same({"1u3", "1u4", "1v3", "1v4", "0.5u3", "0.5u4", "0.5v3", "0.5v4"}, calls)
      assert.equal(8, r.ran)
   end)

   it("keeps parameters, seed, metrics, time and memory of each trial in one file", function()
      assert(run{grid = {x = {1, 2}, widths = {{4, 8}}}, f = function(p)
         assert(#("x"):rep(2e7) > 0)
         return {loss = p.x / 3, note = "text", done = true, x = 9, details = {}, seconds = 7}
      end})
      local rows = read()
      assert.same({"id", "rung", "widths", "x", "seed", "loss", "done", "note", "result.x", "seconds", "wall_s",
         "cpu_s", "peak_bytes", "error", "point"}, sql.names(rows))
      assert.same({"[4,8]", 1, 1, 1 / 3, true, "text", 9, 7}, {rows[1].widths, rows[1].x, rows[1].seed, rows[1].loss,
         rows[1].done, rows[1].note, rows[1]["result.x"], rows[1].seconds})
      assert.equal('{"widths":[4,8],"x":1}', rows[1].point)
      assert.is_true(rows[1].wall_s > 0 and rows[1].cpu_s > 0 and rows[1].peak_bytes > 16e6)
      assert.is_false(files.exists(dir .. "/s.trials"))
      assert.is_false(files.exists(path() .. ".lock"))
   end)

   it("takes a number for metrics", function()
      assert.same({1, 2, 3}, column(run({metric = "value", f = function(p) return p.x end}).rows, "value"))
   end)

   it("makes a failed trial a row with its error, and goes on", function()
      local r = assert(run{grid = {x = {1, 2, 3, 4, 5, 6}}, f = function(p)
         if p.x == 1 then error("too big", 0) end
         if p.x == 2 then return nil, "XC1.ogg: not there" end
         if p.x == 3 then return nil end
         if p.x == 4 then return {other = 1} end
         if p.x == 5 then error({}) end
         return {loss = 5}
      end})
      local errors = column(read(), "error")
      assert.same({"too big", "XC1.ogg: not there", "returned nothing, not a table of metrics",
         "returned no number 'loss'"}, {table.unpack(errors, 1, 4)})
      assert.matches("^table: ", errors[5])
      assert.equal("none", errors[6])
      assert.equal(5, r.failed)
      assert.equal(6, sweep.best(r).parameters.x)
   end)

   it("does nothing twice; more points and seeds are added, in their order", function()
      local calls = 0
      local function f(p)
         calls = calls + 1
         return {loss = p.x}
      end
      run{f = f}
      assert.equal(0, run({f = f}).ran)
      assert.equal(3, calls)
      local r = run{f = f, grid = {x = {0, 3, 1}}, seeds = {1, 2}}
      assert.equal(3 + 4, calls)
      assert.same({0, 0, 3, 3, 1, 1}, column(r.rows, "x"))
      assert.same({0, 0, 3, 3, 1, 1, 2}, column(read(), "x"))
      run{f = f, grid = {x = {1}, y = {5}}}
      assert.same({5, "none"}, {table.unpack(column(read(), "y"), 1, 2)})
   end)

   it("knows 1 and 1.0 as one value", function()
      run{}
      assert.equal(0, run({grid = {x = {1.0, 2.0, 3.0}}}).ran)
   end)

   it("goes on after an interruption with what is missing", function()
      local stop, seen = true, {}
      local function f(p, context)
         seen[#seen + 1] = p.x
         local note = context.folder .. "/half"
         if p.x == 2 and stop then
            command.write(note, "done")
            error("interrupted!")
         end
         return {loss = p.x, half = files.read(note)}
      end
      assert.error_matches(function() run{f = f} end, "interrupted!", 1, true)
      assert.same({1}, column(read(), "x"))
      assert.same({"half"}, {files.basename(assert(files.find(dir .. "/s.trials"))[1])})
      stop = false
      local r = assert(run{f = f})
      assert.same({1, 2, 2, 3}, seen)
      assert.equal("done", r.rows[2].half)
   end)

   it("tries failed trials again only when asked", function()
      local broken = true
      local function f(p)
         if p.x == 2 and broken then error("no") end
         return {loss = p.x}
      end
      assert.equal(1, run({f = f}).failed)
      broken = false
      local again = run{f = f}
      assert.same({0, 1}, {again.ran, again.failed})
      again = run{f = f, retry = true}
      assert.same({1, 0}, {again.ran, again.failed})
      assert.same({"none", "none", "none"}, column(read(), "error"))
   end)

   it("refuses the file of another function or other fixed parameters, unless forced", function()
      local function f() return {loss = 1} end
      assert(run{f = f, fixed = {y = 1}})
      local r, message = run{f = f, fixed = {y = 2}}
      assert.is_nil(r)
      assert.equal(path() .. ": was made by another sweep (fixed.y = 1, now 2); force begins it anew, " ..
         "another path keeps both", message)
      message = select(2, run{f = f, name = "g", fixed = {y = 1}})
      assert.matches("(function = f, now g)", message, 1, true)
      assert.is_true(#select(2, run{f = f, fixed = {y = ("é"):rep(1000)}}) < 600)
      r = assert(run{f = f, fixed = {y = 2}, grid = {x = {9}}, force = true})
      assert.equal(1, r.ran)
      assert.same({9}, column(read(), "x"))
   end)

   it("knows a function by its text, wherever it stands", function()
      local function load_sweep(lines, body)
         local file = command.write(dir .. "/f.lua", ("\n"):rep(lines) .. "return function(p)\n  " .. body .. "\nend\n")
         return sweep.run({path = path(), grid = {x = {1}}, quiet = true, f = dofile(file)})
      end
      assert.equal(1, load_sweep(0, "return {loss = p.x}").ran)
      assert.equal(0, load_sweep(5, "return {loss = p.x}").ran)
      assert.is_nil(load_sweep(0, "return {loss = p.x + 1}"))
   end)

   it("names a file that is not a sweep's", function()
      command.write(path(), "nonsense")
      local _, message = run{}
      assert.matches("^" .. path() .. ": ", message)
      sql.write_parquet(path(), {a = {1}})
      assert.same({nil, path() .. ": not the file of a sweep (force begins anew)"}, {run{}})
      assert.is_false(files.exists(path() .. ".lock"))
      assert(run{force = true})
      assert.same({nil, dir .. "/none.parquet: no such file"}, {sweep.best(path("none"))})
   end)

   it("lets nobody else at its file meanwhile", function()
      local out
      run{grid = {x = {1}}, f = function()
         out = command.bclua({"-e",
            ("print(require('bclua.experiment.sweep').run{path = %q, grid = {x = {1}}, f = print})"):format(path())})
         return {loss = 1}
      end}
      assert.matches(path() .. ": bclua", out, 1, true)
   end)

   it("shows each row to on_trial", function()
      local seen = {}
      run{on_trial = function(row) seen[#seen + 1] = row.x end}
      assert.same({1, 2, 3}, seen)
   end)
end)

describe("the text of a point", function()
   it("is another one for another value, be it large or close", function()
      assert.equal('{"a":1,"b":[1,"x"],"c":[]}', points.text{b = {1.0, "x"}, a = 1.0, c = {}})
      assert.equal("9007199254740993", points.text((1 << 53) + 1))
      assert.equal("0.30000000000000004", points.text(0.1 + 0.2))
      assert.equal("1e999", points.text(math.huge))
   end)
end)

describe("random points", function()
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function draw(trials, seed)
      return points.random({lr = sweep.log_uniform(1e-4, 1e-1), z = sweep.integer(3, 5), a = sweep.uniform(-1, 1),
         kind = {"u", "v"}}, trials, seed or 1, points.checker())
   end

   it("are within their limits and as likely as said", function()
      local counts, low = {u = 0, v = 0, [3] = 0, [4] = 0, [5] = 0}, 0
      for _, row in ipairs(draw(60)) do
         assert.is_true(row.lr >= 1e-4 and row.lr <= 1e-1 and row.a >= -1 and row.a <= 1)
         counts[row.kind], counts[row.z] = counts[row.kind] + 1, counts[row.z] + 1
         if row.lr < 10 ^ -2.5 then low = low + 1 end
      end
      assert.is_true(low > 18 and low < 42)
      for _, key in ipairs({3, 4, 5}) do assert.is_true(counts[key] > 8, key) end
      assert.is_true(counts.u > 18 and counts.v > 18)
   end)

   it("follow from their seed; more of them begin with the same", function()
      assert.same(draw(3), {table.unpack(draw(5), 1, 3)})
      assert.not_same(draw(3), draw(3, 2))
   end)

   it("are all different, fewer if there are not so many", function()
      assert.equal(2, #run({random = {x = sweep.choice{1, 2}}, trials = 5}).rows)
   end)
end)

describe("successive halving", function()
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local halving = {parameter = "steps", least = 1, most = 9, factor = 3}

   it("gives the best points more of the resource", function()
      local r = assert(run{grid = {x = {1, 2, 3, 4, 5, 6, 7, 8, 9}}, halving = halving, seeds = {1, 2},
         f = function(p) return {loss = (p.x - 6) ^ 2 / p.steps + p.seed} end})
      local rungs = sql.query(("select rung, steps, list(distinct x order by x)::varchar as xs, count(*) n " ..
         "from read_parquet(%s) group by all order by 1"):format(sql.quote(path())))
      assert.same({"[1, 2, 3, 4, 5, 6, 7, 8, 9]", "[5, 6, 7]", "[6]"}, column(rungs, "xs"))
      assert.same({1, 3, 9}, column(rungs, "steps"))
      assert.same({18, 6, 2}, column(rungs, "n"))
      local best = sweep.best(r)
      assert.same({x = 6, steps = 9}, best.parameters)
      assert.equal("integer", math.type(best.parameters.steps))
      assert.equal(1.5, best.mean)
   end)

   it("lets equal points go on in their order, and the greatest where more is better", function()
      local o = {grid = {x = {4, 2, 3, 1}}, halving = {parameter = "n", least = 1, most = 2, factor = 2}}
      o.f = function() return {loss = 0} end
      assert.same({4, 2, 3, 1, 4, 2}, column(run(o).rows, "x"))
      o.f, o.force, o.maximise = function(p) return {loss = p.x} end, true, true
      assert.same({4, 2, 3, 1, 4, 3}, column(run(o).rows, "x"))
   end)

   it("drops points that fail or are not finite, and ends when none is left", function()
      local bad = {[1] = 0 / 0, [2] = -math.huge, [3] = math.huge}
      local function f(p)
         if p.x == 4 then error("no") end
         return {loss = bad[p.x] or 5}
      end
      local o = {grid = {x = {1, 2, 3, 4, 5}}, halving = {parameter = "n", least = 1, most = 4, factor = 2}, f = f}
      assert.same({1, 2, 3, 4, 5, 5, 5}, column(run(o).rows, "x"))
      o.grid, o.force = {x = {1, 4}}, true
      local r = assert(run(o))
      assert.equal(2, #r.rows)
      assert.same({nil, path() .. ": no point has a finite 'loss' for all seeds"}, {sweep.best(r)})
   end)

   it("goes on after an interruption with the same rungs", function()
      local calls, stop = 0, 5
      local o = {grid = {x = {1, 2, 3, 4, 5, 6, 7, 8, 9}}, halving = halving, f = function(p)
         calls = calls + 1
         if calls == stop then error("interrupted!") end
         return {loss = math.abs(p.x - 6) / p.steps}
      end}
      for _, n in ipairs({5, 11}) do
         stop = n
         assert.error_matches(function() run(o) end, "interrupted!")
      end
      local whole = run(o)
      assert.equal(13 + 2, calls)
      stop, o.path = nil, path("other")
      assert.same(column(run(o).rows, "point"), column(whole.rows, "point"))
   end)

   it("reaches the most where it is no power of the factor, and takes numbers that are not whole", function()
      local r = assert(run{grid = {x = {1}}, halving = {parameter = "n", least = 2, most = 10, factor = 2.2}})
      assert.same({2, 4, 10}, column(r.rows, "n"))
      r = assert(run{grid = {x = {1}}, halving = {parameter = "n", least = 1, most = 2, factor = 1.2}, force = true})
      assert.same({1, 2}, column(r.rows, "n"))
      r = assert(run{grid = {x = {1}}, halving = {parameter = "s", least = 0.5, most = 1, factor = 2}, force = true})
      assert.same({0.5, 1}, column(r.rows, "s"))
   end)
end)

describe("sweep's options", function()
   local function rejects(what, changes)
      changes.path = changes.path or "/nowhere/s.parquet"
      assert.error_matches(function() run(changes) end, "sweep.run: " .. what, 1, true)
   end

   it("name what is wrong with grids and seeds", function()
      rejects("grid: is empty", {grid = {}})
      rejects("grid.lr: a list of one value or more expected, got none", {grid = {lr = {}}})
      rejects("grid.lr: a list of one value or more expected, got number", {grid = {lr = 1}})
      rejects("grid.lr: 0.1 comes twice", {grid = {lr = {0.1, 1, 0.1}}})
      rejects("grid.lr: a finite number expected, got nan", {grid = {lr = {math.huge - math.huge}}})
      rejects("grid.f: number, text, boolean or table of such expected, got function", {grid = {f = {print}}})
      rejects("grid: 'seed' is a name of the sweep's own", {grid = {seed = {1}}})
      rejects("option 'seeds' must be a list of integers, 1 or more, got a table", {seeds = {}})
      rejects("seeds: 2 comes twice", {seeds = {2, 2}})
      rejects("grid or random: one of them expected", {random = {x = {1}}, grid = {x = {1}}})
      rejects("trials: 1..100000 expected, got nil", {random = {x = {1}}})
      rejects("random: is empty", {random = {}, trials = 1})
   end)

   it("name parameters that do not exist, and those of another type", function()
      local known = {fit = {lr = 1e-3, max_rounds = 5}, widths = {1, 2}}
      rejects("grid: no parameter named 'fit.lrr' (did you mean 'fit.lr'?)",
         {grid = {["fit.lrr"] = {1}}, known = known})
      rejects("fixed: no parameter named 'zzzzzzz'", {grid = {["fit.lr"] = {1}}, fixed = {zzzzzzz = 1}, known = known})
      rejects("grid: parameter 'fit.lr' must be a number, got fast", {grid = {["fit.lr"] = {1, "fast"}}, known = known})
      rejects("random: no parameter named 'x'", {random = {x = {1}}, trials = 1, known = {"y"}})
      rejects("halving: no parameter named 'steps'",
         {grid = {y = {1}}, known = {"y"}, halving = {parameter = "steps", least = 1, most = 2}})
   end)

   it("name what is wrong with halving", function()
      local function halving(h) return {halving = h} end
      rejects("option 'halving.parameter' is missing", halving{least = 1, most = 2})
      rejects("option 'halving.most' is missing", halving{parameter = "n", least = 1})
      rejects("halving: most (1) is below least (2)", halving{parameter = "n", least = 2, most = 1})
      rejects("option 'halving.factor' must be a number above 1, got 1",
         halving{parameter = "n", least = 1, most = 2, factor = 1})
      rejects("halving: 'x' is in the grid, or fixed, already", halving{parameter = "x", least = 1, most = 2})
      rejects("unknown option 'halving.eta'", halving{parameter = "n", least = 1, most = 2, eta = 2})
   end)

   it("name what is wrong with the function, the path and the rest", function()
      rejects("option 'path': 's.csv' does not end in .parquet", {path = "s.csv"})
      rejects("unknown option 'sedes' (did you mean 'seeds'?", {sedes = {1}})
      rejects("workers: a Lua function cannot go to 2 processes", {workers = 2})
      rejects("f or module: one of them expected", {f = print, module = "x"})
      rejects("support.trials: has no function 'rum'", {module = "support.trials", name = "rum"})
      rejects("no module 'no.such.module':", {module = "no.such.module", name = "run"})
      rejects("metric: 'x' is a parameter", {metric = "x"})
      rejects("fixed: 'x' is in the grid already", {fixed = {x = 1}})
      rejects("option 'metric' must be a string, got true", {metric = true})
      assert.error_matches(function() sweep.log_uniform(0, 1) end, "more than 0 expected")
      assert.error_matches(function() sweep.uniform(1, 0) end, "least and most expected")
      assert.error_matches(function() sweep.choice({}) end, "one value or more")
   end)

   it("say that a folder cannot be made", function()
      local r, message = run{path = "/proc/nowhere/s.parquet"}
      assert.is_nil(r)
      assert.matches("^/proc/nowhere", message)
   end)
end)

describe("trials in processes", function()
   before_each(function() dir = command.folder() end)
   after_each(function() command.remove(dir) end)

   local function pool(what, changes)
      local o = {module = "support.trials", name = "run", metric = "score", grid = {what = what}, workers = 2}
      for k, v in pairs(changes or {}) do o[k] = v end
      return run(o)
   end

   it("share the threads, and give numbers back to the last bit", function()
      local before = system.threads()
      system.threads(5)
      local r = assert(pool({"a", "b"}, {seeds = {1, 2}}))
      system.threads(before)
      assert.same({"a", "a", "b", "b"}, column(r.rows, "what"))
      assert.same({1 + 1 / 3, 2 + 1 / 3}, {r.rows[1].score, r.rows[2].score})
      assert.same({2, 2, 2, 2}, column(r.rows, "threads"))
      assert.equal("integer", math.type(r.rows[1].whole))
      assert.is_true(r.rows[1].peak_bytes > 1e6 and r.rows[1].wall_s >= 0)
      assert.is_false(files.exists(dir .. "/s.trials"))
   end)

   it("may fail, exit and be killed: each is a row, and its log stays", function()
      local r = assert(pool{"raises", "message", "killed", "exits", "nan", "fine"})
      local errors = column(r.rows, "error")
      assert.matches("trials.lua:%d+: too big$", errors[1])
      assert.equal("XC1.ogg: not there", errors[2])
      assert.equal("killed by signal 9 (SIGKILL, out of memory?): here is killed", errors[3])
      assert.equal("ended with status 7 and no result: here is exits", errors[4])
      assert.same({"none", "none"}, {errors[5], errors[6]})
      assert.equal("fine", sweep.best(path(), {maximise = true}).parameters.what)
      local log = files.read(("%s/s.trials/%s/log.txt"):format(dir, r.rows[1].id))
      assert.matches("here is raises.*stack traceback", log)
      assert.is_false(files.exists(dir .. "/s.trials/" .. r.rows[6].id))
   end)

   it("take a function of a Lua file, but not of the one that sweeps", function()
      local file = command.write(dir .. "/one.lua", "return {run = function(p) return {score = p.what} end}")
      assert.equal(4, pool({4}, {module = file}).rows[1].score)
      local source = "require('bclua.experiment.sweep').run{path = %q, grid = {x = {1}}, module = %q, name = 'run'}"
      command.write(file, source:format(path("t"), file))
      local out = command.bclua({file})
      assert.matches("one.lua: begins a sweep itself; put the function into a file of its own", out, 1, true)
   end)

   -- Start a sweep whose second trial takes long, end it, and say how long that took.
   local function ended_by(signal, what)
      local script = command.write(dir .. "/sweep.lua", ([[
         package.path = %q
         require("bclua.experiment.sweep").run{path = %q, module = "support.trials", name = "run", metric = "score", workers = 2,
            grid = {what = {"fine", %q, "other"}}, fixed = {notes = %q}, quiet = true}]]):format(package.path, path(),
         what, dir .. "/notes"))
      local text = [[%s %s >%s/out 2>&1 & p=$!; for i in $(seq 400); do [ "$(wc -l 2>/dev/null <%s/notes)" = 3 ] && break
         sleep 0.02; done; sleep 0.1; date +%%s.%%N; kill -%s $p; wait $p; date +%%s.%%N]]
      local out = command.shell(text:format(command.quote(command.program), script, dir, dir, signal))
      local from, to = out:match("(%d+%.%d+)%s.-(%d+%.%d+)%s*$")
      return tonumber(to) - tonumber(from)
   end

   local function nobody_left()
      for _ = 1, 50 do
         if not command.is_running(dir .. "/s.trials") then return true end
         system.sleep(0.02)
      end
      return false
   end

   for signal, what in pairs({INT = "deaf", TERM = "slow", KILL = "slow"}) do
      it(("end when the sweep gets SIG%s, within a second; the finished ones are kept"):format(signal), function()
         local seconds = ended_by(signal, what)
         assert.is_true(seconds < 1.5, seconds)
         assert.is_true(nobody_left())
         assert.same({"fine", "other"}, column(read(), "what"))
         local r = assert(pool({"fine", "other"}, {fixed = {notes = dir .. "/notes"}}))
         assert.equal(0, r.ran)
      end)
   end

   it("are shared by processes that write one file at once, each its own", function()
      assert.equal(0, assert(run{path = path("plain"), seeds = {1, 2, 3}}).missing)
      local text = ([[local sweep = require "bclua.experiment.sweep"
         local r = assert(sweep.run{path = %q, grid = {x = {1, 2, 3}}, seeds = {1, 2, 3}, metric = "loss", name = "f",
            shard = "%%d/4", quiet = true, f = function(p) return {loss = (p.x - 2) ^ 2 + p.seed / 10} end})
         print(r.ran)]]):format(path())
      local lines = {}
      for i = 1, 3 do
         lines[i] = ("%s -e %s & p%d=$!"):format(command.quote(command.program), command.quote(text:format(i)), i)
      end
      local out, status = command.shell(table.concat(lines, "; ") .. "; wait $p1 && wait $p2 && wait $p3")
      assert.equal(0, status, out)
      assert.same({7, 9}, {#read(), #read("plain")})
      local r = assert(run{seeds = {1, 2, 3}, shard = "1/4"})
      assert.same({0, 2, 7}, {r.ran, r.missing, #r.rows})
      r = assert(run{seeds = {1, 2, 3}, shard = "4/4"})
      assert.same({2, 0, 9}, {r.ran, r.missing, #r.rows})
      assert.same(column(read("plain"), "id"), column(read(), "id"))
      assert.same(column(read("plain"), "loss"), column(read(), "loss"))
      assert.equal(0, assert(run{seeds = {1, 2, 3}}).ran)
      assert.error_matches(function() run{shard = "5/4"} end, "'5/4' is outside")
      assert.error_matches(function() run{shard = "1/4", force = true} end, "force would remove what others did")
      assert.error_matches(function()
         run{shard = "1/4", halving = {parameter = "steps", least = 1, most = 9}}
      end, "halving cannot be shared")
   end)

   it("count as done when their result is there but not yet in the file", function()
      local folder, sleep = nil, {}
      assert(pool({"fine"}, {keep = true, on_trial = function(row) folder = row.folder end, fixed = sleep}))
      local text = files.read(folder .. "/result.lua"):gsub("0x1%.5555555555555p%+0", "32.0")
      command.write(folder .. "/result.lua", text)
      os.remove(path())
      assert.equal(32, pool({"fine"}, {keep = true}).rows[1].score)
      os.remove(path())
      assert.equal(1 + 1 / 3, pool({"fine"}, {keep = true, fixed = {other = 1}}).rows[1].score)
   end)
end)

describe("what a sweep found", function()
   local result

   setup(function()
      dir = command.folder()
      result = assert(run{grid = {lr = {1e-3, 1e-2, 1e-1}, kind = {"a", "b"}}, seeds = {1, 2, 3}, f = function(p)
         if p.lr == 1e-1 and p.seed == 2 then error("too big") end
         if p.lr == 1e-2 and p.kind == "b" and p.seed == 1 then return {loss = 0 / 0, other = 1} end
         return {loss = p.lr * 100 + p.seed, other = -p.lr}
      end})
   end)
   teardown(function() command.remove(dir) end)

   it("is the mean and the deviation over seeds of each point", function()
      local groups = assert(sweep.groups(result.path))
      assert.equal(6, #groups)
      assert.same({kind = "a", lr = 1e-3}, groups[1].parameters)
      assert.near(2.1, groups[1].mean.loss, 1e-12)
      assert.near(1, groups[1].deviation.loss, 1e-12)
      assert.same({1, 2}, {groups[3].failed, #groups[3].values.loss})
   end)

   it("has a best point, which no seed of failed or is not finite", function()
      local best = assert(sweep.best(result))
      assert.same({kind = "a", lr = 1e-3}, best.parameters)
      assert.same({kind = "a", lr = 1e-2}, assert(sweep.best(result, {maximise = true})).parameters)
      assert.equal(1e-2, assert(sweep.best(result.path, {metric = "other"})).parameters.lr)
   end)

   it("is a table of the parameters that vary and the metrics", function()
      local rows = sweep.table(result.path, {metrics = {"loss", "other"}, best_first = true})
      assert.same({"kind", "lr", "loss", "loss_deviation", "other", "trials", "failed", "wall_s", "peak_mb"},
         rows.columns)
      assert.same({"a", "b", "a"}, {rows[1].kind, rows[2].kind, rows[3].kind})
      assert.same({3, 1}, {rows[6].trials, rows[6].failed})
      assert.matches("^kind +lr +loss +loss_deviation", tostring(rows))
   end)

   it("is drawn over a number as lines, over words as bars, many points as points", function()
      for name, parameter in pairs({line = "lr", bars = "kind"}) do
         assert.is_true(sweep.plot(result, parameter, ("%s/%s.svg"):format(dir, name)))
      end
      local svg = command.read(dir .. "/line.svg")
      assert.matches("kind a", svg)
      assert.matches("kind b", svg)
      assert.matches("a, 0.001 %(± 1%)", command.read(dir .. "/bars.svg"))
      local r = assert(run{path = path("r"), random = {x = sweep.uniform(0, 4), y = sweep.uniform(0, 1)}, trials = 9})
      assert.is_true(sweep.plot(r, "x", dir .. "/points.svg"))
   end)

   it("may have error bars from a metric", function()
      assert.is_true(sweep.plot(result, "lr", dir .. "/spread.svg", {metric = "loss", spread = "other", logx = false}))
      local r = assert(run{path = path("o"), grid = {lr = {1, 2}}})
      assert.is_true(sweep.plot(r, "lr", dir .. "/spread.svg", {spread = "loss"}))
      assert.matches("mean ± loss", command.read(dir .. "/spread.svg"))
   end)

   it("needs a metric, a parameter and a sweep", function()
      assert.error_matches(function() sweep.plot(result, "zz", dir .. "/x.svg") end, "no parameter 'zz'")
      assert.error_matches(function() sweep.best({}) end, "a sweep expected")
      assert.error_matches(function() sweep.best(result, {metrik = "loss"}) end, "unknown option 'metrik'")
      local r = sweep.run{path = path("m"), grid = {x = {1}}, quiet = true, f = function() return {loss = 1} end}
      assert.error_matches(function() sweep.best(r) end, "metric: which")
      assert.equal(1, sweep.best(r, {metric = "loss"}).mean)
   end)
end)
