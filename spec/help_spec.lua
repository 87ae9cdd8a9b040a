local command = require "support.command"
local help = require "bclua.help"
local helpdoc = require "bclua.helpdoc"
local modules = require "support.modules"

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

   it("reads modules and types of C", function()
      local items = helpdoc.parse("csrc/audio/lua_audio.c", "/***\nSounds.\n@module bclua.audio\n*/\n" ..
         "/*** A file.\n@type reader */\n/*** More.\n@function read */\n/*** A view.\n@function array:view */\n")
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
      local path = os.tmpname() .. ".lua"
      command.write(path, '--- "Quoted"\n-- \\n and ]] too.\n-- @function f\nx()\nreturn x\n')
      local text = helpdoc.generate({path}, {DuckDB = "1"})
      os.remove(path)
      local data = load(text)()
      assert.equal("1", data.versions.DuckDB)
      assert.equal('"Quoted"\n\\n and ]] too.', data.items[1].text)
   end)
end)

describe("help", function()
   it("knows every public function", function()
      local missing = {}
      local names = modules.in_lua()
      table.move(modules.in_c(), 1, #modules.in_c(), #names + 1, names)
      for _, name in ipairs(names) do
         local module = not name:find("^bclua%.repl") and not name:find("%.core$") and require(name)
         for key, value in pairs(type(module) == "table" and module or {}) do
            if type(value) == "function" and #help.find(name .. "." .. key) == 0 then
               missing[#missing + 1] = name .. "." .. key
            end
         end
      end
      local _, methods = debug.getupvalue(debug.getmetatable(require("bclua.array").zeros(1)).__index, 1)
      for key in pairs(methods) do
         if #help.find("array:" .. key) == 0 then missing[#missing + 1] = "array:" .. key end
      end
      assert.same({}, missing)
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
      assert.equal("generator:crop", help.find("sampling.crop")[1].topic)
      assert.equal("stomp", help.find("bclua.stomp")[1].topic)
      assert.same({}, help.find("no such thing"))
      assert.same({}, help.find(""))
      assert.equal("audio.load", help.topic_of(require("bclua.audio").load))
      assert.is_nil(help.topic_of(print))
   end)

   it("writes a call, arguments, results and failures", function()
      local text = help.text(help.find("audio.load")[1])
      assert.matches("^audio%.load%(path%[, options%]%)\n   Decode a file, or a part of it%.\n", text)
      assert.matches("\narguments\n   path %(string%)\n   options %(table%)  `sample_rate`", text)
      assert.matches("\nreturns\n   bclua%.array  f32 %(samples%)", text)
      assert.matches("\nor, where that cannot be\n   nil\n   string  message$", text)
   end)

   it("lists a module's functions with their first sentences", function()
      local text = help.text(help.find("audio")[1])
      assert.matches("^bclua%.audio\nSound files in and out%.\n", text)
      assert.matches("\n   audio%.info +What the header of a file says, without decoding%.\n", text)
   end)

   it("says nothing where nothing was built", function()
      local out = command.bclua({"-e", [[package.cpath = "/nowhere/?.so"
         local help = require "bclua.help"
         print(#help.topics(), #help.modules(), #help.find("x"), next(help.versions()))]]})
      assert.equal("0\t0\t0\tnil\n", out)
   end)
end)
