local command = require "support.command"
local system = require "bclua.system"

describe("system.memory_free", function()
   local root

   before_each(function() root = command.folder() end)
   after_each(function() command.remove(root) end)

   -- A file under root, its folders made.
   local function put(path, text)
      assert(system.mkdir((root .. path):match("^(.*)/")))
      command.write(root .. path, text)
   end

   local function group(path, limit, used, cache)
      put("/sys/fs/cgroup" .. path .. "/memory.max", limit .. "\n")
      put("/sys/fs/cgroup" .. path .. "/memory.current", used .. "\n")
      if cache then put("/sys/fs/cgroup" .. path .. "/memory.stat", ("anon 5\ninactive_file %d\n"):format(cache)) end
   end

   it("is what the machine has available, where no group has a limit", function()
      assert.is_nil(system.memory_free(root))
      put("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
      assert.equal(4000 * 1024, system.memory_free(root))
      put("/proc/self/cgroup", "0::/user.slice/a.scope\n")
      group("/user.slice/a.scope", "max", 1000)
      assert.equal(4000 * 1024, system.memory_free(root))
   end)

   it("is the least that any group on the way to the root leaves", function()
      put("/proc/meminfo", "MemAvailable: 4000 kB\n")
      put("/proc/self/cgroup", "0::/slurm/job_7/step_0\n")
      group("/slurm/job_7/step_0", "max", 100)
      group("/slurm/job_7", 5000, 3000, 1500)
      group("/slurm", 1 << 30, 3000)
      assert.equal(3500, system.memory_free(root))
      group("/slurm/job_7/step_0", 2000, 100)
      assert.equal(1900, system.memory_free(root))
      group("/slurm", 3000, 3500)
      assert.equal(0, system.memory_free(root))
   end)

   it("finds the limit of a container, whose path is that outside of it", function()
      put("/proc/self/cgroup", "0::/docker/0123\n")
      group("", 7000, 1000)
      assert.equal(6000, system.memory_free(root))
   end)

   it("reads groups of version 1", function()
      put("/proc/self/cgroup", "12:cpu,cpuacct:/other\n4:hugetlb,memory:/lxc/a,memory,b\n0::/\n")
      local at = "/sys/fs/cgroup/memory/lxc/a,memory,b"
      put(at .. "/memory.limit_in_bytes", "8000\n")
      put(at .. "/memory.usage_in_bytes", "6000\n")
      put(at .. "/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n")
      put("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1\n")
      put("/sys/fs/cgroup/memory/other/memory.usage_in_bytes", "1\n")
      assert.equal(2500, system.memory_free(root))
      put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
      put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n")
      assert.equal(2500, system.memory_free(root))
   end)

   it("makes nothing of lines that are none", function()
      put("/proc/meminfo", "MemAvailable: 1 kB\n")
      put("/proc/self/cgroup", "\n:\n::\nmemory\n3:memory\n0::" .. ("/deep"):rep(2000) .. "\n")
      assert.equal(1024, system.memory_free(root))
   end)
end)

describe("system.sleep", function()
   it("takes seconds that there are", function()
      system.sleep(0)
      for _, s in ipairs{-1, 0 / 0, math.huge, 1e300} do
         assert.error_matches(function() system.sleep(s) end, "bad argument #1 to 'sleep' (outside 0..1e9 s)", 1, true)
      end
   end)
end)
