local array = require "bclua.array"
local command = require "support.command"
local files = require "bclua.files"
local index = require "bclua.index"
local learn = require "bclua.learn"
local sampling = require "bclua.sampling"
local sql = require "bclua.sql"
local system = require "bclua.system"

local function random(n, d, seed) return sampling.generator(seed):normal(n * d):copy("f32"):reshape{n, d} end

-- Rows in order of their distance to the nearest query, by the definitions.
local function nearest(x, queries, metric)
   local rows, points, list = x:table(), queries:table(), {}
   for i, a in ipairs(rows) do
      local best = {row = i, distance = math.huge}
      for q, b in ipairs(points) do
         local dot, aa, bb, square = 0, 0, 0, 0
         for c = 1, #a do
            dot, aa, bb, square = dot + a[c] * b[c], aa + a[c] ^ 2, bb + b[c] ^ 2, square + (a[c] - b[c]) ^ 2
         end
         local d = metric == "euclidean" and math.sqrt(square) or aa * bb > 0 and 1 - dot / math.sqrt(aa * bb) or 1
         if d < best.distance then best.distance, best.query = d, q end
      end
      list[i] = best
   end
   table.sort(list, function(a, b)
      if a.distance ~= b.distance then return a.distance < b.distance end
      return a.row < b.row
   end)
   return list
end

describe("learn.scan", function()
   it("finds what comparing one by one finds", function()
      for _, metric in ipairs{"cosine", "euclidean"} do
         for _, d in ipairs{1, 8, 19} do
            local x, queries = random(1500, d, d), random(3, d, 99)
            local plain = nearest(x, queries, metric)
            local rows, distances, which = learn.scan(x, queries, {k = 40, metric = metric})
            assert.equal(40, #rows)
            for i = 1, d > 1 and 40 or 0 do assert.equal(plain[i].row, rows[i]) end
            for i = 1, 40 do
               assert.near(plain[i].distance, distances[i], 1e-7)
               if d > 1 then assert.equal(plain[i].query, which[i]) end
            end
         end
      end
   end)

   it("takes equally near rows in order, leaves out NaN, and holds a row of zeros 1 away", function()
      local x = array.full({3000, 4}, 1, "f32")
      x:set(5, 1, 0 / 0)
      x:set(7, 1, math.huge)
      x[9]:fill(0)
      local query = array.full({1, 4}, 2)
      assert.same({1, 2, 3, 4, 6, 8}, (learn.scan(x, query, {k = 6})):table())
      local rows, distances = learn.scan(x, query, {k = 3000})
      assert.equal(2998, #rows)
      assert.equal(9, rows[2998])
      assert.equal(1, distances[2998])
      assert.equal(0, #learn.scan(x:slice(1, 5, 5), query))
   end)

   it("is the same to the bit on any number of threads, and by any instructions", function()
      local x, queries, now, level = random(5000, 21, 1), random(2, 21, 2), system.threads(), system.instructions()
      system.threads(1)
      local rows, distances = learn.scan(x, queries, {k = 100})
      system.threads(3)
      system.instructions("plain")
      local others, far = learn.scan(x, queries, {k = 100})
      system.threads(now)
      system.instructions(level)
      assert.is_true(array.equal(rows, others) and array.equal(distances, far))
   end)

   it("names what it rejects", function()
      local x = array.zeros({4, 2})
      assert.error_matches(function() learn.scan(x:copy("f64"), x) end, "f32 (rows, columns)", 1, true)
      assert.error_matches(function() learn.scan(x, array.zeros({1, 3})) end, "3 columns, the table has 2", 1, true)
      assert.error_matches(function() learn.scan(x, array.full({1, 2}, 0 / 0)) end, "overflows")
   end)
end)

describe("index", function()
   local folder = command.folder()
   teardown(function() command.remove(folder) end)

   local function write(name, x, more)
      local path, columns = folder .. "/" .. name, {file = {}, start_s = {}, end_s = {}, embedding = x}
      for i = 1, x:shape(1) do
         columns.file[i] = i % 2 == 0 and "even.wav" or "odd.wav"
         columns.start_s[i], columns.end_s[i] = i * 5.0, i * 5.0 + 5
      end
      for k, v in pairs(more or {}) do columns[k] = v end
      assert(sql.write_parquet(path, columns))
      return path
   end

   it("says where the nearest windows are", function()
      local x = random(200, 6, 1)
      local i = assert(index.open(write("a.parquet", x), {quiet = true}))
      assert.equal(200, #i)
      local hits = assert(i:search(x[30], {top = 3}))
      local plain = nearest(x, x:slice(1, 30, 30), "cosine")
      for k = 1, 3 do assert.equal(plain[k].row, hits[k].row) end
      assert.equal("even.wav", hits[1].file)
      assert.equal(150, hits[1].start_s)
      assert.equal(155, hits[1].end_s)
      assert.is_nil(hits[1].site)
   end)

   it("leaves out what shares sound with a part of a file", function()
      local x = random(50, 6, 2)
      local i = assert(index.open(write("b.parquet", x), {quiet = true}))
      local hits = i:search(x[30], {top = 50, without = {file = "even.wav", from_s = 152, to_s = 160.5}})
      assert.equal(48, #hits)
      for _, hit in ipairs(hits) do assert.is_false(hit.row == 30 or hit.row == 32) end
      assert.equal(25, #i:search(x[30], {top = 50, without = {file = "even.wav"}}))
   end)

   it("is made once, and again when the table is another one", function()
      local path = write("c.parquet", random(20, 3, 1), {site = {n = 20, [4] = "pond"}})
      assert(index.open(path, {quiet = true}))
      local before = files.read(path .. ".index.npy")
      os.remove(path .. ".index.npy")
      assert(index.open(path, {quiet = true}))
      assert.equal(before, files.read(path .. ".index.npy"))
      local x = random(30, 4, 2)
      write("c.parquet", x, {site = {n = 30, [4] = "pond"}})
      local i = assert(index.open(path, {quiet = true}))
      assert.equal(30, #i)
      assert.equal("pond", i:search(x[4], {top = 1})[1].site)
   end)

   it("names what it cannot read", function()
      local function fails(path, words)
         local i, message = index.open(path, {quiet = true})
         assert.is_nil(i)
         assert.matches(words, message, 1, true)
      end
      fails(folder .. "/none.parquet", "none.parquet: no such file")
      assert(sql.write_parquet(folder .. "/d.parquet", {file = {"a.wav"}}))
      fails(folder .. "/d.parquet", "no column 'start_s'")
      assert(sql.write_parquet(folder .. "/e.parquet", "select 'a.wav' as file, 0.0 as start_s, 5.0 as end_s, " ..
         "case i when 1 then [1.0] else [1.0, 2.0] end as embedding from range(2) t(i)"))
      fails(folder .. "/e.parquet", "embeddings of 1 to 2 values")
   end)

   it("finds nothing where all embeddings are NaN", function()
      local i = assert(index.open(write("f.parquet", array.full({4, 3}, 0 / 0, "f32")), {quiet = true}))
      assert.same({}, i:search(array.full(3, 1)))
   end)
end)
