-- embed cluster: from a table of embeddings to clusters, examples, a map and labels.
local array = require "bclua.array"
local cluster = require "bclua.workflow.cluster"
local command = require "support.command"
local files = require "bclua.files"
local labelled = require "bclua.workflow.labelled"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"

describe("embed cluster", function()
   local folder = command.folder()
   teardown(function() command.remove(folder) end)

   -- Windows of three kinds of calls, 20 each in 5 recordings, and 12 of nothing in particular.
   local function write(name, change)
      local n, z = 72, 8
      local x, c = sampling.generator(1):normal(n * z):copy("f32"):reshape{n, z}, {file = {}, start_s = {}, end_s = {},
         species = {n = n}, clock_time = {}, site = {n = n}}
      for i = 1, n do
         local kind = i <= 60 and i % 3 + 1 or nil
         if kind then
            x[i]:fill(x[i] * 0.1)
            x:set(i, kind, x:at(i, kind) + 3)
         end
         c.file[i], c.start_s[i], c.end_s[i] = ("night/rec%d.wav"):format(i % 5), i * 5.0, i * 5.0 + 5
         c.species[i], c.site[i] = kind and ("finch%d"):format(kind), i % 2 == 0 and "pond" or nil
         c.clock_time[i] = ("2023-05-14T%02d:30:00"):format(kind and 3 + kind or 0)
      end
      c.embedding = x
      if change then change(c) end
      local path = folder .. "/" .. name
      local types = {species = c.species and "varchar", site = c.site and "varchar"}
      assert(sql.write_parquet(path, c, {types = types}))
      return path
   end

   local function run(options)
      local o = {output = folder .. "/clusters.parquet", quiet = true, force = true, map = 0}
      for k, v in pairs(options) do o[k] = v end
      return cluster.run(o)
   end

   local function read(name)
      return assert(sql.query("from " .. sql.parquet(folder .. "/" .. name)))
   end

   it("finds what is alike, and says where and when it is heard", function()
      local r = assert(run{embeddings = write("a.parquet")})
      assert.equal(72, r.windows)
      assert.equal(5, r.recordings)
      assert.equal(3, #r.clusters)
      assert.equal(60, r.labelled)
      assert.is_true(r.agreement > 0.9)
      for _, c in ipairs(read("clusters.parquet")) do
         assert.is_true(c.windows >= 20 and c.purity == 1)
         assert.equal(5, c.recordings)
         assert.equal(1, c.sites)
         local hours, hour = c.hours:table(), 3 + tonumber(c.label:match("%d"))
         assert.is_true(hours[hour + 1] >= 20)
      end
      assert.matches("72 windows of 5 recordings: 3 clusters", cluster.text(r), 1, true)
      assert.is_false(files.exists(folder .. "/clusters.svg"))
   end)

   it("whitens within recordings, where it is told to", function()
      -- one kind a recording, and a loud nuisance that differs from window to window
      local path = write("nuisance.parquet", function(c)
         for i = 1, 72 do
            c.file[i] = ("rec%s-%d.wav"):format(c.species[i] or "none", i % 5)
            c.embedding:set(i, 8, ((i * 37) % 71 - 35) * (c.species[i] and 1 or 0.1))
         end
      end)
      local plain, whitened = assert(run{embeddings = path}), assert(run{embeddings = path, whiten = true})
      assert.is_true(plain.agreement < 0.5)
      assert.equal(3, #whitened.clusters)
      assert.is_true(whitened.agreement > 0.9)
      local _, message = run{embeddings = path, force = false}
      assert.matches("whiten", message, 1, true)
   end)

   it("takes the window nearest to all others of a cluster for its example", function()
      local path = write("a.parquet")
      assert(run{embeddings = path, metric = "euclidean"})
      local windows = read("clusters.windows.parquet")
      local x = sql.columns("select embedding from " .. sql.parquet(path)).embedding
      for _, c in ipairs(read("clusters.parquet")) do
         local best, least
         for i, a in ipairs(windows) do
            local sum = 0
            for j, b in ipairs(windows) do
               local d = x[i]:copy("f64") - x[j]:copy("f64")
               if b.cluster == c.cluster then sum = sum + math.sqrt((d * d):sum()) end
            end
            if a.cluster == c.cluster and (not least or sum < least) then best, least = a, sum end
         end
         assert.equal(best.file, c.medoid_file)
         assert.equal(best.start_s, c.medoid_start_s)
      end
   end)

   it("puts windows of a cluster together on the map", function()
      local path = write("a.parquet")
      assert(run{embeddings = path, map = 100})
      assert.is_true(files.exists(folder .. "/clusters.svg"))
      local windows = read("clusters.windows.parquet")
      for i, w in ipairs(windows) do
         local least, nearest = math.huge, nil
         for j, other in ipairs(windows) do
            local d = (w.x - other.x) ^ 2 + (w.y - other.y) ^ 2
            if j ~= i and other.cluster > 0 and d < least then least, nearest = d, other end
         end
         if w.cluster > 0 then assert.equal(w.cluster, nearest.cluster) end
      end
      assert(run{embeddings = path, map = 30})
      local placed = 0
      for _, w in ipairs(read("clusters.windows.parquet")) do placed = placed + (w.x and 1 or 0) end
      assert.equal(30, placed)
   end)

   it("makes labels out of names", function()
      local path = write("a.parquet")
      assert(run{embeddings = path})
      command.write(folder .. "/names.csv", "cluster,name\n2,\"song, long\"\n")
      local r = assert(run{embeddings = path, names = folder .. "/names.csv", force = false})
      assert.equal("song, long", r.clusters[2].name)
      local windows, labels = read("clusters.windows.parquet"), read("clusters.labels.parquet")
      local expected = {}
      for _, w in ipairs(windows) do
         if w.cluster == 2 then expected[#expected + 1] = w end
      end
      assert.equal(r.labels, #labels)
      assert.equal(#expected, #labels)
      for i, label in ipairs(labels) do
         assert.equal("song, long", label.label)
         assert.equal(expected[i].file, label.source_name)
         assert.equal(expected[i].start_s, label.start_s)
         assert.equal(expected[i].probability, label.score)
         assert.equal(2, label.line)
      end
      assert(labelled.read(folder .. "/clusters.labels.parquet", {"night/rec1.wav"}))
      r = assert(run{embeddings = path, labels = folder .. "/clusters.labels.parquet"})
      assert.equal(#labels, r.labelled)
   end)

   it("takes only windows with a likely call, where scores are given", function()
      local path, scores = write("a.parquet"), {}
      for i = 1, 40 do
         scores[i] = {source_name = ("night/rec%d.wav"):format(i % 5), species = "x", kind = "call",
            start_s = i * 5 + 1.5, energy = 1.0, contrast = 1.0, score = 2.0, pick = false}
      end
      assert(sql.write_parquet(folder .. "/scores.parquet", scores))
      local r = assert(run{embeddings = path, scores = folder .. "/scores.parquet", least = 5})
      assert.equal(40, r.windows)
      assert.equal(32, r.others)
   end)

   it("leaves out NaN, and takes one window, equal ones, and tables without labels", function()
      local r = assert(run{embeddings = write("nan.parquet", function(c) c.embedding:set(4, 1, 0 / 0) end)})
      assert.equal(1, r.nonfinite)
      assert.equal(71, r.windows)
      r = assert(run{embeddings = write("equal.parquet", function(c)
         c.embedding:fill(1)
         c.species, c.site, c.clock_time = nil, nil, nil
      end)})
      assert.same({0, 0}, {#r.clusters, r.clustered})
      assert.is_nil(r.agreement)
      assert.equal(0, #read("clusters.parquet"))
      local one = {file = {"a.wav"}, start_s = {0.0}, end_s = {5.0}, embedding = array.full({1, 3}, 2, "f32")}
      assert(sql.write_parquet(folder .. "/one.parquet", one))
      assert.equal(0, assert(run{embeddings = folder .. "/one.parquet"}).clustered)
   end)

   it("names what it cannot use", function()
      local path = write("a.parquet")
      local function fails(words, options)
         local r, message = run(options)
         assert.is_nil(r)
         assert.matches(words, message, 1, true)
      end
      fails("none.parquet: no such file", {embeddings = folder .. "/none.parquet"})
      fails("no column 'mel'", {embeddings = path, column = "mel"})
      fails("must end in .parquet", {embeddings = path, output = folder .. "/c.csv"})
      fails("no window left", {embeddings = write("allnan.parquet", function(c) c.embedding:fill(0 / 0) end)})
      local function named(text)
         return {embeddings = path, names = command.write(folder .. "/wrong.csv", text)}
      end
      fails("there is no cluster 9, only 3", named("cluster,name\n9,x\n"))
      fails("row 2: cluster 1 has a name already", named("cluster,name\n1,x\n1,y\n"))
      fails("no column 'name'", named("cluster,label\n1,x\n"))
      fails("no names", named("cluster,name\n"))
      assert(run{embeddings = path})
      fails("made with other parameters", {embeddings = path, least = 7, force = false})
   end)
end)
