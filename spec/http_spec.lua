-- The server of `bclua.http`: sockets, requests, limits.
local command = require "support.command"
local files = require "bclua.files"
local http = require "bclua.http"
local system = require "bclua.system"

local dir
setup(function() dir = command.folder() end)
teardown(function() command.remove(dir) end)

describe("http", function()
   local curl = select(2, command.shell("command -v curl")) == 0

   it("refuses a port that is taken, or none", function()
      local s <close> = assert(http.open(print))
      local t, message = http.open(print, {port = s:port()})
      assert.is_nil(t)
      assert.matches("^127.0.0.1:%d+: Address already in use", message)
      assert.error_matches(function() http.open(print, {port = 70000}) end, "outside 0..65535")
      assert.error_matches(function() http.open(print, {prt = 1}) end, "prt")
   end)

   it("is closed once, and then no more asked", function()
      local s = assert(http.open(print))
      s:close()
      s:close()
      assert.error_matches(function() s:step(0) end, "closed")
   end)

   it("answers everyone of a crowd, beside many that say nothing", function()
      local s <close> = assert(http.open(function() return 200, {}, "here" end))
      command.write(dir .. "/crowd", ([[
         for i in {1..100}; do exec {fd}<>/dev/tcp/127.0.0.1/%d; done
         for i in {1..600}; do
            exec {fd}<>/dev/tcp/127.0.0.1/%d; asked+=($fd)
            printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&$fd
         done
         touch %s/asked
         for fd in ${asked[@]}; do read -r -t 60 -u $fd answer; echo "$answer"; done >%s/answers
         touch %s/over]]):format(s:port(), s:port(), dir, dir, dir))
      os.execute(("timeout 120 bash %s/crowd 2>%s/crowd.log &"):format(dir, dir))
      local deadline = system.clock() + 120
      local function there(name) return files.exists(dir .. name) or system.clock() > deadline end
      while not there("/asked") do system.sleep(0.02) end
      while not there("/over") do assert(s:step(0.05)) end
      local answers = command.read(dir .. "/answers")
      assert.equal(600, select(2, answers:gsub("HTTP/1.1 200 OK\r\n", "")), command.read(dir .. "/crowd.log"))
   end)

   if not curl then return pending("curl is missing") end

   -- What curl says to a server with this handler.
   local asked = 0
   local function ask(handler, words)
      local s <close> = assert(http.open(handler))
      asked = asked + 1
      local out = dir .. "/curl" .. asked
      os.execute(("(timeout 10 curl -sS %s >%s.new 2>&1; mv %s.new %s) &"):format(words:gsub("@",
         "127.0.0.1:" .. s:port()), out, out, out))
      local deadline = system.clock() + 15
      while not files.exists(out) and system.clock() < deadline do assert(s:step(0.05)) end
      return command.read(out)
   end

   it("hands requests over, and answers back", function()
      local seen
      local out = ask(function(request)
         seen = request
         return 201, {["X-A"] = "b"}, "body\0end"
      end, "-i --path-as-is -H 'X-One: 1' -H 'x-one: 2' --data-binary abc '@/../%2e%2e/a%20b?q=1&q=2&r'")
      assert.same({"POST", "/../../a b", "abc", {q = "1, 2", r = ""}, "1, 2"}, {seen.method, seen.path, seen.body,
         seen.query, seen.headers["x-one"]})
      assert.matches("^HTTP/1.1 201", out)
      assert.matches("X%-A: b\r\n", out)
      assert.matches("\r\n\r\nbody\0end$", out)
   end)

   it("refuses what is too large", function()
      local big = command.write(dir .. "/big", ("x"):rep((1 << 16) + 1))
      local function size(request) return 200, {}, tostring(#request.body) end
      assert.equal("413", ask(size, "-w '%{http_code}' @/ --data-binary \"$(cat " .. big .. ")\""))
      command.write(big, ("x"):rep(1 << 16))
      assert.equal("65536", ask(size, "@/ --data-binary \"$(cat " .. big .. ")\""))
   end)

   it("raises what a handler raises", function()
      assert.error_matches(function() ask(function() error("a fault") end, "@/") end, "a fault")
      assert.error_matches(function() ask(function() return "x" end, "@/") end, "number expected")
      local function header() return 200, {["a\nb"] = "c"}, "" end
      assert.error_matches(function() ask(header, "@/") end, "is not text that can be sent")
   end)
end)
