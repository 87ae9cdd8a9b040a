-- web: style and script of the pages are files, and nowhere else.
local command = require "support.command"
local files = require "bclua.files"
local report = require "bclua.report"
local web = require "bclua.web"

describe("style and script of the pages", function()
   it("are in no Lua module", function()
      local n = 0
      for _, path in ipairs(files.find("lua", function(name) return name:find("%.lua$") ~= nil end)) do
         local text = command.read("lua/" .. path)
         for tag, what in text:gmatch("<(s%a+)([^\n]*)") do
            if tag == "style" or tag == "script" then
               n = n + 1
               assert.is_truthy(what:find("^>%%s<") or what:find('^ src="/%%s.js"'), path .. ": <" .. tag .. what)
            end
         end
         for _, word in ipairs({"addEventListener", "querySelector", "var(--", "@media"}) do
            assert.is_nil(text:find(word, 1, true), path .. ": " .. word)
         end
      end
      assert.equal(3, n) -- two of the report, one of the other pages
   end)

   it("are what pages have: the report inside, the others from the server", function()
      local pages, text = require "bclua.workflow.browse.pages", report.new("t"):text()
      assert.equal(web.read("page.css"), text:match("<style>(.-)</style>"))
      assert.equal(web.read("tables.js") .. web.read("parts.js") .. web.read("calls.js"),
         text:match("<script>(.-)</script>"))
      assert.equal(web.read("page.css") .. web.read("browse.css"), pages.style)
      assert.equal(web.read("browse.js"), pages.script)
      assert.equal(web.read("parts.js") .. web.read("windows.js"), pages.windows_script)
   end)

   it("do not end the element that they are put into", function()
      local list = files.find("lua/bclua/web")
      assert.equal(7, #list)
      for _, name in ipairs(list) do assert.is_nil(web.read(name):find("</", 1, true), name) end
   end)

   it("are missed by name", function()
      assert.error_matches(function() web.read("other.css") end, "lua/bclua/web/other.css: No such file")
   end)
end)
