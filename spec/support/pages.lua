-- pages.lua: the code blocks and links of a page of Markdown.
--
-- A comment of HTML above a block says what is special about it:
--    <!-- file: NAME -->     the block is written to NAME, not run
--    <!-- output -->         what the block before printed: compared, `...` stands for anything
--    <!-- run: not, WHY -->  it cannot be run by a spec
-- and anywhere in a page:
--    <!-- folder: tree -->   the page is about a checkout: it runs in a copy of one
--    <!-- after: PAGE -->    its reader has done what that page says
--    <!-- before: COMMAND --> what its reader has done before, run first
local pages = {}

--- The blocks between fences: `{language=, text=, line=, file=, output=, skipped=}`; `indented`: the
-- lines that begin a block by indentation, which nobody runs; `settings` of the whole page.
function pages.parse(source)
   local page = {blocks = {}, indented = {}, settings = {}, prose = {}, headings = {}}
   local block, note, number, blank, list = nil, nil, 0, true, false
   for line in (source .. "\n"):gmatch("([^\n]*)\n") do
      number = number + 1
      local fence = line:match("^```(.*)$")
      if block and fence then
         block.text = table.concat(block.lines, "\n") .. "\n"
         page.blocks[#page.blocks + 1], block, note = block, nil, nil
      elseif block then
         block.lines[#block.lines + 1] = line
      elseif fence then
         block = {language = fence, line = number, lines = {}}
         for k, v in pairs(note or {}) do block[k] = v end
      else
         local key, value = line:match("^<!%-%- (%a+):? ?(.-) ?%-%->$")
         if key == "file" or key == "output" or key == "run" then
            if key == "run" then key, value = "skipped", assert(value:match("^not, (.+)$"), line) end
            note = {[key] = value}
         elseif key then
            page.settings[key] = value
         elseif line:match("%S") then
            note = nil
            if line:match("^    ") and blank and not list then page.indented[#page.indented + 1] = number end
         end
         if line:match("^%s*[-*%d]+%.? ") then list = true elseif line:match("^%S") then list = false end
         blank = not line:match("%S")
         page.headings[#page.headings + 1] = line:match("^#+ (.+)$")
         page.prose[#page.prose + 1] = (line:gsub("`[^`]*`", ""))
      end
   end
   assert(not block, "a fence is not closed")
   return page
end

--- The anchors that GitHub makes of a page's headings.
function pages.anchors(page)
   local set = {}
   for _, heading in ipairs(page.headings) do
      heading = heading:lower():gsub("\226[\128-\191][\128-\191]", "") -- arrows and the like
      set[(heading:gsub("[^%w%s%-_\128-\255]", ""):gsub("%s", "-"))] = true
   end
   return set
end

--- Where links and pictures lead.
function pages.links(page)
   local list = {}
   for target in table.concat(page.prose, "\n"):gmatch("%]%(([^%s)]+)%)") do list[#list + 1] = target end
   return list
end

--- Does the text say what the page says it does? `...` alone in a line stands for lines, within a
-- line for the rest of it or a part.
function pages.matches(expected, actual)
   local function tidy(text) return (text:gsub("[ \t]+\n", "\n"):gsub("\n+$", "") .. "\n") end
   local pattern = "\n" .. tidy(expected)
   pattern = pattern:gsub("[%^%$%(%)%%%[%]%*%+%-%?]", "%%%0")
   pattern = pattern:gsub("\n%.%.%.%f[\n]", "\1"):gsub("%.%.%.", "\2"):gsub("%.", "%%.")
   pattern = pattern:gsub("\1", "%%f[\n].-"):gsub("\2", "[^\n]-")
   return ("\n" .. tidy(actual)):find("^" .. pattern .. "$") ~= nil
end

--- What a transcript of the REPL has typed, without prompts.
function pages.typed(text)
   local lines = {}
   for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line:match("^>>? (.*)$") end
   return table.concat(lines, "\n") .. "\n"
end

return pages
