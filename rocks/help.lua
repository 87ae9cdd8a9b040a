-- usage: bclua rocks/help.lua OUT FILE...
-- Write the documentation in the doc comments of source files to OUT, for :help.
-- The build runs it.
local helpdoc = require "bclua.helpdoc"
local system = require "bclua.system"

local versions = {}
local ok, version = pcall(function() return require("bclua.sql").version() end)
if ok then versions.DuckDB = version end
assert(system.write_file(arg[1], helpdoc.generate(table.move(arg, 2, #arg, 1, {}), versions)))
