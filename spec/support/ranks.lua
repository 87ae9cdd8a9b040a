-- ranks.lua: bclua as several ranks of MPI, on this machine.
local command = require "support.command"

local ranks = {}

--- Is there a launcher? If not, the spec that asks is pending.
function ranks.launcher()
   if os.execute("command -v mpirun >/dev/null 2>&1") then return true end
   pending("mpirun is not installed")
   return false
end

-- Open MPI as root, with more ranks than cores, which give way to each other. MPICH knows none of these.
local ENVIRONMENT = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 " ..
   "OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1"

-- A library of MPI frees little at its end.
if os.getenv("BCLUA_SANITIZED") then ENVIRONMENT = ENVIRONMENT .. " ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0" end

--- The shell command that runs bclua with these words as n ranks.
function ranks.command(n, words)
   local list = {"timeout -k 5 60 env", ENVIRONMENT, "mpirun -n", tostring(n), command.quote(command.program)}
   for _, word in ipairs(words) do list[#list + 1] = command.quote(word) end
   return table.concat(list, " ")
end

--- Run it; output (stderr included) and exit status.
function ranks.run(n, words) return command.shell(ranks.command(n, words) .. " </dev/null") end

--- The same for a Lua text, in which `mpi`, `array` and `system` are there.
function ranks.script(n, text)
   return ranks.run(n, {"--threads", "1", "-l", "mpi=bclua.mpi", "-l", "array=bclua.array", "-l", "system=bclua.system",
      "-e", text})
end

return ranks
