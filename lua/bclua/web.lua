--- Style and script of our pages: the files in the folder `web` beside this module, wherever that is installed.
-- @module bclua.web
local files = require "bclua.files"

local web = {}

local folder = (select(2, ...):gsub("%.lua$", "/"))

--- The text of a file.
-- @tparam string name `page.css`, for instance; one that is not there is an error
-- @treturn string
function web.read(name) return assert(files.read(folder .. name)) end

return web
