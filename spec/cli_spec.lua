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
