local cli = require "bclua.cli"

describe("cli.parser", function()
   local function parse(...)
      local parser = cli.parser("scripts/x.lua", "x")
      parser:option("--levels"):convert(cli.numbers("--levels", nil, -20))
      parser:flag("--all")
      parser:argument("words"):args("*")
      return parser:parse({...})
   end

   it("takes a negative number behind an option as its value", function()
      assert.same({-10, 0.5}, parse("--levels", "-10,0.5", "--all").levels)
      assert.same({-0.5}, parse("--levels", "-.5").levels)
      assert.same({-3}, parse("--levels=-3").levels)
      assert.same({3}, parse("--all", "--levels", "3").levels)
   end)

   it("leaves other words with a dash alone", function()
      local o = parse("--levels", "3", "--", "-4", "a")
      assert.same({{3}, {"-4", "a"}}, {o.levels, o.words})
   end)
end)

describe("cli.command", function()
   local command = require "support.command"

   -- A script at whose work the signal comes; what it says, and its status.
   local function interrupted(work)
      local dir = command.folder()
      local script = command.write(dir .. "/x.lua", ([[
         local cli, progress, system = require "bclua.cli", require "bclua.progress", require "bclua.system"
         local _ <close> = cli.command("x")
         local bar = progress.new("x", 3, {unit = "things", kept = true, terminal = true})
         bar:update(2)
         io.open("%s/started", "w"):close()
         %s]]):format(dir, work))
      local out, status = command.shell(("%s %s & p=$!; until [ -e %s/started ]; do sleep 0.01; done; " ..
         "kill -TERM $p; wait $p"):format(command.quote(command.program), script, dir))
      command.remove(dir)
      return out, status
   end

   it("says what is kept when a signal ends it, on a line of its own", function()
      local line = "\r\27[Kbclua: x: interrupted: 2 of 3 things done; run the same command to go on\n"
      for _, work in ipairs{"while true do end", "while true do system.sleep(1) end",
         "while not pcall(system.sleep, 9) do end cli.finish('x', nil, 'interrupted')"} do
         local out, status = interrupted(work)
         assert.equal(143, status)
         assert.equal(line, out:sub(-#line))
      end
   end)

   it("leaves errors as they are", function()
      local out, status = command.bclua{"-e", "local _ <close> = require('bclua.cli').command('x') error('wrong')"}
      assert.equal(1, status)
      assert.matches("wrong\nstack traceback:", out)
      assert.not_matches("interrupted", out)
   end)
end)

describe("scripts of benchmarks and experiments", function()
   it("say with --help what they measure and how they are called", function()
      local command = require "support.command"
      for _, folder in ipairs{"scripts/bench", "scripts/experiments"} do
         for _, name in ipairs(require("bclua.files").find(folder, function(name) return name:match("%.lua$") end)) do
            local out, status = command.bclua({folder .. "/" .. name, "--help"})
            assert.equal(0, status, out)
            assert.matches("^[uU]sage: bclua scripts/", out)
         end
      end
   end)
end)
