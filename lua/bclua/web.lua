--- Style and script of our pages: the files in the folder `web` beside this module, wherever that is installed.
--
-- They are plain CSS and JavaScript, without a library: sorting tables, placing marks and asking the server take
-- 300 lines, less than a library would add to the report, which is one file, and to what is to be kept up to date.
-- Charts are drawn by gnuplot (`bclua.plot`), on paper and in pages alike.
-- @module bclua.web
local files = require "bclua.files"

local web = {}

local folder = (select(2, ...):gsub("%.lua$", "/"))

--- The text of a file.
-- @tparam string name `page.css`, for instance; one that is not there is an error
-- @treturn string
function web.read(name) return assert(files.read(folder .. name)) end

return web
