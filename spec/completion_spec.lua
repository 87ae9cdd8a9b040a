local command = require "support.command"
local quote = command.quote

local build = command.program:match("^(.*)/[^/]*$") or "build"

describe("shell completion", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   -- What bash would offer after these words, the last one half typed.
   local function bash(...)
      local words = {}
      for i, word in ipairs({...}) do words[i] = quote(word) end
      local script = command.write(dir .. "/try.sh", ([[
         source %s/bclua.bash
         COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
         _bclua
         printf '%%s\n' "${COMPREPLY[@]}" | sort -u]]):format(build, table.concat(words, " ")))
      return (command.shell("bash " .. script):gsub("\n", " "):gsub(" $", ""))
   end

   it("knows the program's options, modules and scripts", function()
      assert.equal("--threads", bash("bclua", "--t"))
      assert.equal("bclua.stomp", bash("bclua", "-l", "bclua.sto"))
      assert.equal("scripts/motif.lua", bash("bclua", "--threads", "2", "scripts/mot"))
      assert.equal("README.md", bash("bclua", "READ"))
      assert.equal("motif", bash("bclua", "mot"))
   end)

   it("knows the commands of scripts and their options", function()
      assert.matches("^extract extract%-", bash("bclua", "scripts/motif.lua", "extract"))
      assert.equal("--input", bash("bclua", "scripts/motif.lua", "extract", "--inp"))
      assert.equal("--input", bash("bclua", "motif", "extract", "--inp"))
      assert.equal("--sample-rate --seed --short --snr --song --soundscapes --species",
         bash("bclua", "-e", "x", "/usr/x/scripts/make_dataset.lua", "--s"))
      assert.equal("README.md", bash("bclua", "scripts/motif.lua", "search", "READ"))
      assert.equal("", bash("bclua", "mine.lua", "--inp"))
   end)

   it("offers every option that --help shows", function()
      for _, words in ipairs({{"scripts/motif.lua", "generate-triplets"}, {"scripts/embed.lua", "fit"},
         {"scripts/pipeline.lua"}}) do
         local offered = " " .. bash("bclua", words[1], words[2] or "--", words[2] and "--" or nil) .. " "
         local text = command.bclua({words[1], words[2] or "--help", "--help"})
         for option in text:gmatch("\n   (%-%-[%w-]+)") do
            assert.is_truthy(offered:find(" " .. option .. " ", 1, true), option)
         end
      end
   end)

   it("is sound for zsh", function()
      local _, status = command.shell("command -v zsh")
      if status ~= 0 then return pending("zsh is not installed") end
      local out
      out, status = command.shell("zsh -n " .. build .. "/_bclua")
      assert.equal("", out)
      assert.equal(0, status)
      -- the list of words, without the line editor around it
      out = command.shell(("zsh -c %s"):format(quote(("source <(grep -v '^_bclua \"' %s/_bclua); " ..
         "_bclua_words make_dataset.lua ''; print -l -- $reply"):format(build))))
      assert.matches("%-%-output:Folder to make\n", out)
   end)
end)

describe("the man page", function()
   local page = command.read("doc/bclua.1"):gsub("\\%-", "-")

   it("has every option and variable of --help, and the completion has the options", function()
      local usage = command.bclua({"--help"})
      local completion = command.read(build .. "/bclua.bash")
      local n = 0
      for option in usage:gmatch("%f[%S]%-%-?[%w]*%f[%W]") do
         n = n + 1
         assert.is_truthy(page:find(option, 1, true), option)
         assert.is_truthy(completion:find(option, 1, true), option)
      end
      assert.is_true(n > 8)
      for variable in usage:gmatch("BCLUA_%u+") do assert.is_truthy(page:find(variable, 1, true), variable) end
   end)

   it("has every command and module of the REPL", function()
      for name in pairs(require("bclua.repl.commands").list) do
         assert.is_truthy(page:find(":" .. name, 1, true), name)
      end
      for _, name in ipairs(require("bclua.repl").preloaded) do assert.matches("%f[%w]" .. name .. "%f[%W]", page) end
   end)

   it("is formatted without a warning", function()
      local _, status = command.shell("command -v groff")
      if status ~= 0 then return pending("groff is not installed") end
      assert.equal("", (command.shell("groff -ww -man -Tutf8 doc/bclua.1 >/dev/null")))
   end)
end)
