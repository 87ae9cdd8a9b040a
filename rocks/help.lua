-- usage: bclua rocks/help.lua OUT FILE...
-- Write the documentation in the doc comments of source files to OUT, for :help. The build runs it, and
-- fails where they document what is not there, or leave out what is.
local helpdoc = require "bclua.repl.helpdoc"
local system = require "bclua.system"

local items, wrong = helpdoc.collect(table.move(arg, 2, #arg, 1, {}))
if #wrong > 0 then
   io.stderr:write("help: ", table.concat(wrong, "\nhelp: "), "\n")
   os.exit(1)
end
local versions = {}
local ok, version = pcall(function() return require("bclua.sql").version() end)
if ok then versions.DuckDB = version end
assert(system.write_file(arg[1], helpdoc.text(items, versions)))
