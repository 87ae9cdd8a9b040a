local command = require "support.command"
local files = require "bclua.files"
local help = require "bclua.help"
local helpdoc = require "bclua.repl.helpdoc"
local helplive = require "bclua.repl.helplive"

describe("helpdoc", function()
   local function one(path, source)
      local items = helpdoc.parse(path, source)
      return items[#items], #items
   end

   it("reads the doc comments of C", function()
      local item, n = one("csrc/stomp/lua_x.c", [[
/* not this */
/***
Find it.

More words.
@function find
@tparam bclua.array x (dims, frames)
@tparam[opt=1] integer k how
many
@tparam[opt] table options
@treturn {table,...} the list
@treturn[2] nil
@treturn[2] string message
@raise where k is 0
@usage find(x,
   2)
*/
int l_find(lua_State *L) {}
]])
      assert.equal(1, n)
      assert.same({module = "bclua.stomp", name = "find", text = "Find it.\n\nMore words.",
         params = {{type = "bclua.array", name = "x", text = "(dims, frames)"},
            {type = "integer", name = "k", text = "how\nmany", optional = true, default = "1"},
            {type = "table", name = "options", text = "", optional = true}},
         returns = {{type = "{table,...}", text = "the list"}, {type = "nil", text = "", alternative = 2},
            {type = "string", text = "message", alternative = 2}},
         raises = {"where k is 0"}, usage = {"find(x,\n   2)"}}, item)
   end)

   it("reads modules and methods of C", function()
      local items = helpdoc.parse("csrc/audio/lua_audio.c", "/***\nSounds.\n@module bclua.audio\n*/\n" ..
         "/*** More.\n@function reader:read */\n/*** A view.\n@function array:view */\n")
      assert.same({{module = "bclua.audio", text = "Sounds."},
         {module = "bclua.audio", name = "reader:read", text = "More."},
         {module = "bclua.audio", name = "array:view", text = "A view."}}, items)
      items = helpdoc.parse("csrc/stomp/lua_b.c", "/* b */\n/// @module bclua.stomp\n" ..
         "/***\nJoin.\n@function join\n@string path\n*/")
      assert.same({{module = "bclua.stomp", name = "join", text = "Join.",
         params = {{type = "string", name = "path", text = ""}}}}, items)
      assert.equal("bclua.system", one("csrc/support/lua_system.c",
         "/*** T.\n@function t */\nint luaopen_bclua_system(lua_State *L) {").module)
   end)

   it("reads the doc comments of Lua", function()
      local items = helpdoc.parse("lua/bclua/thing.lua", [[
--- Things.
-- @module bclua.thing
local thing = {}

--- Not public.
local function hidden() end

--- Make one.
-- @tparam string name
function thing.new(name) end

-- plain comment
function thing.plain() end

--- Its size.
function Thing:size() end

--- Another name.
-- @function other
export("other", function() end)

--- A constant function.
thing.alias = hidden

return thing
]])
      local names = {}
      for i, item in ipairs(items) do names[i] = item.name or "(module)" end
      assert.same({"(module)", "new", "Thing:size", "other", "alias"}, names)
      assert.equal("Things.", items[1].text)
      assert.same({{type = "string", name = "name", text = ""}}, items[2].params)
   end)

   it("writes a file that Lua reads back", function()
      local folder = command.folder()
      local path = folder .. "/x.lua"
      command.write(path, '--- "Quoted"\n-- \\n and ]] too.\n-- @function f\nx()\nreturn x\n')
      local text = helpdoc.text(helpdoc.parse(path, command.read(path)), {DuckDB = "1"})
      command.remove(folder)
      local data = load(text)()
      assert.equal("1", data.versions.DuckDB)
      assert.equal('"Quoted"\n\\n and ]] too.', data.items[1].text)
   end)
end)

describe("helplive", function()
   -- A module of Lua with a class, made of its source.
   local SOURCE = [[
      local thing, Thing, Inner = {limit = 3}, {}, {}
      Thing.__index, Inner.__index = Thing, Inner
      --- Make one.
      function thing.new(name, options) return setmetatable({inner = setmetatable({}, Inner)}, Thing) end
      function thing.all(...) return thing.new(...) end
      function Thing:size(unit) return unit end
      function Thing.__close() end
      function Inner:hidden() end
      return thing]]

   local function check(items)
      for _, item in ipairs(items) do item.module = "thing" end
      return helplive.check("thing", load(SOURCE, "=thing")(), items)
   end

   it("tells what is documented and not there, and what is there and not documented", function()
      assert.same({"thing: Thing:area is documented, and not there", "thing: Thing:size has no doc comment",
         "thing: all has no doc comment", "thing: gone is documented, and not there",
         "thing: limit has no doc comment"},
         check({{name = "new"}, {name = "gone"}, {name = "Thing:area"}}))
   end)

   it("gives functions the arguments that they have, and holds those that are documented against them", function()
      local items = {{name = "new"}, {name = "all"}, {name = "Thing:size"}, {name = "limit"}}
      assert.same({}, check(items))
      assert.same({{name = "name", text = ""}, {name = "options", text = ""}}, items[1].params)
      assert.same({nil, {{name = "unit", text = ""}}, true}, {items[2].params, items[3].params, items[4].is_value})
      assert.same({"thing: new has the arguments (name, options), and (name) in its doc comment"},
         check({{name = "new", params = {{name = "name"}}}, {name = "all", params = {{name = "x"}}}, {name = "limit"}}))
   end)

   it("knows the types of C", function()
      local audio = require "bclua.audio"
      local reader = helplive.classes("bclua.audio", audio).reader
      assert.is_function(reader.seek_s)
      assert.is_function(helplive.classes("bclua.array", require "bclua.array").array.reshape)
      local wrong = table.concat(helplive.check("bclua.audio", audio, {{name = "reader:version"}}), "\n")
      assert.matches("bclua.audio: reader:version is documented, and not there\n", wrong, 1, true)
   end)

   it("has the build fail", function()
      local folder = command.folder()
      local path = command.write(folder .. "/x.c", "/*** No.\n@function nothing\n@module bclua.http */")
      local out, status = command.bclua({"rocks/help.lua", folder .. "/help.lua", path})
      assert.equal(1, status)
      assert.matches("help: bclua.http: nothing is documented, and not there\n", out, 1, true)
      assert.is_false(files.exists(folder .. "/help.lua"))
      command.remove(folder)
   end)
end)

describe("help", function()
   it("lists the methods that a network has", function()
      local net = require("bclua.nn").network({{"linear", name = "l", out = 3}}, {input = {1, 2, 2}})
      local topics, methods = {}, {}
      for _, topic in ipairs(help.topics()) do topics[#topics + 1] = topic:match("^network:(.+)$") end
      for name, value in pairs(getmetatable(net).__index) do
         if type(value) == "function" and name:sub(1, 2) ~= "__" then methods[#methods + 1] = name end
      end
      table.sort(methods)
      assert.same(methods, topics)
      assert.matches("network:train_step", help.text(help.find("nn")[1]), 1, true)
   end)

   it("shows arguments where there are some, and no call where there is none", function()
      local function first_line(name) return help.text(help.find(name)[1]):match("[^\n]*") end
      assert.equal("files.basename(path)", first_line("files.basename"))
      assert.equal("cli.finish(name, result[, message[, options]])", first_line("cli.finish"))
      assert.equal("audio.create(path, sample_rate[, options])", first_line("audio.create"))
      assert.equal("workflow.fit.defaults", first_line("workflow.fit.defaults"))
      for _, topic in ipairs(help.topics()) do
         local item = help.find(topic)[1]
         local f = item.name and not item.name:find(":") and require(item.module)[item.name]
         if type(f) == "function" and not item.params and debug.getinfo(f, "S").what == "C" then
            local _, message = pcall(f)
            assert.is_nil(tostring(message):find("bad argument", 1, true), topic)
         end
      end
   end)

   it("is newer than the sources", function()
      local lfs = require "lfs"
      local so = package.searchpath("bclua", package.cpath)
      local made = lfs.attributes((so:gsub("[^/]*$", "help.lua")), "modification")
      assert.is_true(made >= lfs.attributes("lua/bclua/help.lua", "modification"))
   end)

   it("knows versions without reading the rest", function()
      assert.equal(require("bclua.sql").version(), help.versions().DuckDB)
      local out = command.bclua({"-e", [[local help, load_file = require "bclua.help", loadfile
         loadfile = function(...) print("loaded") return load_file(...) end
         print(next(help.versions()))]]})
      assert.matches("^DuckDB\tv%d", out)
   end)

   it("finds functions by any of their names", function()
      assert.equal("stomp.motifs", help.find("stomp.motifs")[1].topic)
      assert.equal("stomp.motifs", help.find("bclua.stomp.motifs()")[1].topic)
      assert.equal("stomp.motifs", help.find("motifs")[1].topic)
      assert.equal("array:reshape", help.find("array:reshape")[1].topic)
      assert.equal("sampling.crop", help.find("crop")[1].topic)
      assert.equal("generator:uniform", help.find("sampling.uniform")[1].topic)
      assert.equal("stomp", help.find("bclua.stomp")[1].topic)
      assert.same({}, help.find("no such thing"))
      assert.same({}, help.find(""))
      assert.equal("audio.load", help.topic_of(require("bclua.audio").load))
      assert.is_nil(help.topic_of(print))
   end)

   it("writes a call, arguments, results and failures", function()
      local text = help.text(help.find("audio.load")[1])
      assert.matches("^audio%.load%(path%[, options%]%)\n   Decode a file, or a part of it%. All", text)
      assert.matches("\narguments\n   path %(string%)\n   options %(table%)  `sample_rate`", text)
      assert.matches("\nreturns\n   bclua%.array  f32 %(samples%)", text)
      assert.matches("\nor, where that cannot be\n   nil\n   string  message$", text)
   end)

   it("lists a module's functions with their first sentences", function()
      local text = help.text(help.find("audio")[1])
      assert.matches("^bclua%.audio\nSound files in and out%.\n", text)
      assert.matches("\n   audio%.load +Decode a file, or a part of it%.\n", text)
   end)

   it("breaks no line within a paragraph or an item of a list", function()
      local text = help.text(help.find("stomp")[1])
      assert.matches("The window that begins with frame f is element f", text, 1, true)
      assert.matches("\n %- `k` [^\n]*, as `distances` and [^\n]*\n %- `tile`", text)
   end)

   it("says nothing where nothing was built", function()
      local out = command.bclua({"-e", [[package.cpath = "/nowhere/?.so"
         local help = require "bclua.help"
         print(#help.topics(), #help.modules(), #help.find("x"), next(help.versions()))]]})
      assert.equal("0\t0\t0\tnil\n", out)
   end)
end)
