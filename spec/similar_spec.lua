-- embed search: windows that sound like an example.
local array = require "bclua.array"
local audio = require "bclua.audio"
local command = require "support.command"
local files = require "bclua.files"
local predict = require "bclua.workflow.predict"
local sampling = require "bclua.sampling"
local similar = require "bclua.workflow.similar"
local sql = require "bclua.sql"
local system = require "bclua.system"
local tilenet = require "bclua.tilenet"

local RATE = 32000

describe("embed search", function()
   local dir, checkpoint, table_path

   local made = {}

   -- Half a second of a tone, so many semitones above A.
   local function note(semitones)
      if not made[semitones] then
         local step, list = 2 * math.pi * 440 * 2 ^ (semitones / 12) / RATE, {}
         for i = 1, RATE // 2 do list[i] = 0.3 * math.sin(step * i) end
         made[semitones] = array.from(list, "f32")
      end
      return made[semitones]
   end

   -- Seconds of notes, drawn by the seed.
   local function notes(seconds, seed)
      local g, list = sampling.generator(seed):uniform(2 * seconds), {}
      for i = 1, 2 * seconds do list[i] = note(g[i] * 24 // 1) end
      return array.concat(list)
   end

   setup(function()
      dir = command.folder()
      checkpoint = dir .. "/net.safetensors"
      local net = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 3}
      assert(net:save(checkpoint))
      net:close()
      assert(system.mkdir(dir .. "/in"))
      local call = notes(5, 9)
      for i, name in ipairs{"a", "b", "c"} do
         local y = notes(20, i)
         local at = name == "a" and 5 or name == "b" and 10 -- the same call in two recordings
         if at then y:slice(1, at * RATE + 1, (at + 5) * RATE):fill(call) end
         assert(audio.save(("%s/in/%s.wav"):format(dir, name), y, RATE))
      end
      assert(audio.save(dir .. "/call.wav", call, RATE))
      assert(audio.save(dir .. "/silence.wav", array.zeros(5 * RATE), RATE))
      table_path = dir .. "/calls.parquet"
      assert(predict.run{checkpoint = checkpoint, inputs = {dir .. "/in"}, output = table_path, hop = 2.5,
         quiet = true})
   end)

   teardown(function() command.remove(dir) end)

   local function run(options)
      local o = {query = dir .. "/in/a.wav@5", embeddings = table_path, top = 4, quiet = true}
      for k, v in pairs(options or {}) do o[k] = v end
      return similar.run(o)
   end

   local function is_at(hit, name, start_s)
      assert.equal(("%s/in/%s.wav"):format(dir, name), hit.file)
      assert.equal(start_s, hit.start_s)
   end

   it("finds the same call in another recording, first", function()
      local r = assert(run())
      assert.equal(4, #r.hits)
      is_at(r.hits[1], "b", 10)
      assert.near(0, r.hits[1].distance, 1e-5)
      for i = 2, 4 do assert.is_true(r.hits[i].distance > 1e-4) end
      assert.matches("in/b.wav", similar.text(r), 1, true)
   end)

   it("leaves out what shares sound with the query, unless it is told not to", function()
      for _, hit in ipairs(assert(run{top = 100}).hits) do
         assert.is_false(hit.file:find("a.wav") ~= nil and hit.start_s < 10 and hit.end_s > 5)
      end
      is_at(assert(run{with_query = true}).hits[1], "a", 5)
   end)

   it("finds windows that do not overlap", function()
      local hits = assert(run{top = 100}).hits
      assert.is_true(#hits >= 7)
      for i, a in ipairs(hits) do
         for k = 1, i - 1 do
            local b = hits[k]
            assert.is_false(a.file == b.file and a.start_s < b.end_s and b.start_s < a.end_s)
         end
      end
   end)

   it("looks for all windows of a file", function()
      local r = assert(run{query = dir .. "/call.wav"})
      assert.equal(1, r.windows)
      local found = {}
      for i = 1, 2 do found[r.hits[i].file:match("(%a)%.wav$")] = r.hits[i].start_s end
      assert.same({a = 5, b = 10}, found)
      r = assert(run{query = dir .. "/in/a.wav"})
      assert.equal(7, r.windows)
      is_at(r.hits[1], "b", 10)
      assert.equal(5, r.hits[1].query_start_s)
   end)

   it("whitens embeddings within recordings where it is told to, and the query as the table", function()
      local plain, r = assert(run()), assert(run{whiten = true})
      is_at(r.hits[1], "b", 10)
      assert.near(0, r.hits[1].distance, 1e-5)
      assert.is_true(math.abs(r.hits[2].distance - plain.hits[2].distance) > 1e-3)
      assert.is_true(files.is_file(table_path .. ".whitened.npy"))
   end)

   it("has the profile decide", function()
      local r = assert(run{verify = true, top = 3})
      is_at(r.hits[1], "b", 10)
      assert.is_true(r.hits[1].profile_distance < 0.5 * r.hits[2].profile_distance)
      assert.near(10, r.hits[1].profile_start_s, 0.2)
      assert.is_true(r.hits[2].profile_distance <= r.hits[3].profile_distance)
      os.rename(dir .. "/in/c.wav", dir .. "/c.wav")
      r = assert(run{verify = true, top = 100})
      os.rename(dir .. "/c.wav", dir .. "/in/c.wav")
      assert.equal(1, #r.failures)
      assert.matches("c.wav", r.failures[1].reason, 1, true)
      assert.is_nil(r.hits[#r.hits].profile_distance)
   end)

   it("writes what it found", function()
      local path = dir .. "/hits.parquet"
      local r = assert(run{output = path})
      local rows = sql.query("from " .. sql.parquet(path))
      assert.equal(4, #rows)
      assert.equal(r.hits[2].file, rows[2].file)
      assert.equal(2, rows[2].rank)
      local again, message = run{output = path, top = 2}
      assert.is_nil(again)
      assert.matches("made with other parameters", message, 1, true)
   end)

   it("names what it cannot use", function()
      local function fails(words, options)
         local r, message = run(options)
         assert.is_nil(r)
         assert.matches(words, message, 1, true)
      end
      fails("none.wav: no such file", {query = dir .. "/none.wav@3"})
      fails("25 s is past its end", {query = dir .. "/in/a.wav@25"})
      fails("silence.wav: silent", {query = dir .. "/silence.wav"})
      fails("must end in .parquet or .csv", {output = dir .. "/hits.txt"})
      local other = dir .. "/other.safetensors"
      local net = tilenet.new{widths = {4, 8, 16, 32}, z = 32, seed = 4}
      assert(net:save(other))
      net:close()
      fails("calls.parquet: was made with another network than " .. other, {checkpoint = other})
      fails("gone.safetensors, is not there; give --checkpoint", {checkpoint = dir .. "/gone.safetensors"})
      assert(sql.write_parquet(dir .. "/plain.parquet", {file = {"a.wav"}}))
      fails("plain.parquet: does not say which network made it", {embeddings = dir .. "/plain.parquet"})
      assert.is_false(files.exists(dir .. "/plain.parquet.index.npy"))
   end)
end)
