--- Shards of work: which part of it is this process's, of how many; what a scheduler says of that.
-- @module bclua.data.shards
local shards = {}

--- A shard in words: `3/64`.
-- @tparam string text
-- @treturn[1] table `{index=, count=}`, the index from 1
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function shards.parse(text)
   local i, n = text:match("^(%d+)/(%d+)$")
   i, n = math.tointeger(tonumber(i)), math.tointeger(tonumber(n))
   if not i or not n then return nil, ("'%s' is not I/N, as in 3/64"):format(text) end
   if n < 1 then return nil, ("'%s' is of no shards: I/N, as in 3/64"):format(text) end
   if i < 1 or i > n then return nil, ("'%s' is outside 1/%d..%d/%d"):format(text, n, n, n) end
   return {index = i, count = n}
end

--- The rules of the options of a step that shards may share.
shards.rules = {
   shard = {"string", arg = "I/N", text = "Only part I of N of the work (default: what a job array of Slurm or SGE, " ..
      "or the launcher of MPI, says; 1/1: all of it). Any number of shards may fill one folder.",
      check = function(text) return select(2, shards.parse(text)) end},
   time_limit = {"number", above = 0, unit = "min", text = "Stop after MIN minutes, or a minute before a job of " ..
      "Slurm ends, keep what is done, and exit with status 75."}}

-- Where schedulers put the number of a task of a job array, the first number, the step, and how many or the last.
local ARRAYS = {
   {index = "SLURM_ARRAY_TASK_ID", first = "SLURM_ARRAY_TASK_MIN", step = "SLURM_ARRAY_TASK_STEP",
      count = "SLURM_ARRAY_TASK_COUNT"},
   {index = "SGE_TASK_ID", first = "SGE_TASK_FIRST", step = "SGE_TASK_STEPSIZE", last = "SGE_TASK_LAST"},
   {index = "PBS_ARRAY_INDEX"}, {index = "PBS_ARRAYID"}, -- which do not say how many
}

-- The rank of a process that mpirun started, and how many there are.
local RANKS = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}}

local function of_array(a, whole)
   local id, first, step = whole(a.index), whole(a.first) or 1, whole(a.step) or 1
   local count = whole(a.count)
   local last = whole(a.last)
   if last then count = (last - first) // step + 1 end
   if not count then
      return nil, ("%s is %d, but nothing says of how many: --shard $%s/N"):format(a.index, id, a.index)
   end
   local index = (id - first) / step + 1
   if index ~= math.floor(index) or index < 1 or index > count then
      return nil, ("%s is %d, in an array of %d that begins at %d in steps of %d, and so leaves numbers out: " ..
         "--shard I/N"):format(a.index, id, count, first, step)
   end
   return {index = math.tointeger(index), count = count}
end

--- The shard that a scheduler's job array, or else MPI's launcher, gave this process.
-- @tparam[opt] function get the value of an environment variable by its name; default: `os.getenv`
-- @treturn[1] string `3/64`
-- @treturn[1] string the variable that decided
-- @treturn[2] nil there is no array and are no ranks, or only one
-- @treturn[3] nil
-- @treturn[3] string message: what is to be said with `--shard`
function shards.of_environment(get)
   get = get or os.getenv
   local function whole(name) return name and math.tointeger(tonumber(get(name))) end
   for _, a in ipairs(ARRAYS) do
      if whole(a.index) then
         local shard, message = of_array(a, whole)
         if not shard then return nil, message end
         if shard.count == 1 then return nil end
         return shard.index .. "/" .. shard.count, a.index
      end
   end
   for _, names in ipairs(RANKS) do
      local rank, size = whole(names[1]), whole(names[2])
      if rank and size and size > 1 then return rank + 1 .. "/" .. size, names[1] end
   end
   return nil
end

return shards
