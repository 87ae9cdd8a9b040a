-- usage: bclua spec/run.lua [busted options] [file or folder]...
-- Run the specs with busted inside this very program; without a file: all.
-- Ends with one line `N passed, N failed[, N skipped]`.
local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/?.lua;" .. package.path

local given = false
for _, a in ipairs(arg) do given = given or a:sub(1, 1) ~= "-" end
if not given then arg[#arg + 1] = folder end
table.insert(arg, 1, "--output=" .. folder .. "/support/output.lua")
-- a file that a spec may start: this program
BCLUA = arg[-1] or "bclua"
require("busted.runner")({standalone = false})
