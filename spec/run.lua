-- usage: bclua spec/run.lua [--jobs=N] [busted options] [file or folder]...
-- Run the specs with busted inside this very program; without a file: all. With --jobs=N
-- each file has a process of its own, N at a time (write --filter=X then, not --filter X).
-- Ends with how long all took, the ten slowest files, and one line `N passed, N failed[, N skipped]`.
local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/?.lua;" .. package.path

local jobs = tonumber((arg[1] or ""):match("^%-%-jobs=(%d+)$"))
if jobs then table.remove(arg, 1) end
local given = false
for _, a in ipairs(arg) do given = given or a:sub(1, 1) ~= "-" end
if not given then arg[#arg + 1] = folder end
-- a file that a spec may start: this program
BCLUA = arg[-1] or "bclua"
if jobs and jobs > 1 then os.exit(require("support.spread").run(arg, jobs), true) end
table.insert(arg, 1, "--output=" .. folder .. "/support/output.lua")
require("busted.runner")({standalone = false})
