-- times.lua: how long a run of spec files took, and which of them longest.
local times = {}

local SHOWN = 10

--- @tparam {table,...} took `{name=, seconds=}` of each file
-- @treturn string lines; "" of a single file, whose own line says it
function times.text(took)
   if #took < 2 then return "" end
   local sorted, sum = table.move(took, 1, #took, 1, {}), 0
   for _, file in ipairs(took) do sum = sum + file.seconds end
   table.sort(sorted, function(a, b) return a.seconds > b.seconds end)
   local lines = {("\n%d files, %.2f s; the slowest:\n"):format(#took, sum)}
   for i = 1, math.min(SHOWN, #sorted) do
      lines[i + 1] = ("%8.2f s  %s\n"):format(sorted[i].seconds, sorted[i].name)
   end
   return table.concat(lines)
end

return times
