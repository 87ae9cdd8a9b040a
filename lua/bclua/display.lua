--- Text as a terminal shows it: how many columns it takes, cut and filled up to a width; and as a shell reads it.
-- @module bclua.display
local display = {}

-- Letters that take two columns, and those that take none: they go on top of the one before (macOS writes
-- the names of files so). First and last of each range, in order.
local WIDE = {0x1100, 0x115F, 0x2E80, 0x303E, 0x3041, 0xA4CF, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE30, 0xFE6F, 0xFF00,
   0xFF60, 0xFFE0, 0xFFE6, 0x1F300, 0x1F64F, 0x1F900, 0x1F9FF, 0x20000, 0x3FFFD}
local NONE = {0x0300, 0x036F, 0x1AB0, 0x1AFF, 0x1DC0, 0x1DFF, 0x200B, 0x200F, 0x20D0, 0x20FF, 0xFE00, 0xFE0F, 0xFE20,
   0xFE2F}

local function within(ranges, code)
   for i = 1, #ranges, 2 do
      if code <= ranges[i + 1] then return code >= ranges[i] end
   end
   return false
end

-- Columns of the letter at a byte, and where the next one begins; a byte that is no UTF-8 is a letter.
local function letter(s, at)
   if s:byte(at) < 0x80 then return 1, at + 1 end
   local ok, code = pcall(utf8.codepoint, s, at)
   if not ok then return 1, at + 1 end
   return within(NONE, code) and 0 or within(WIDE, code) and 2 or 1, utf8.offset(s, 2, at)
end

--- A text in which bytes that are not UTF-8 have become U+FFFD, the sign for them.
-- @tparam string s
-- @treturn string
function display.utf8(s)
   local _, bad = utf8.len(s)
   while bad do
      s = s:sub(1, bad - 1) .. "\u{FFFD}" .. s:sub(bad + 1)
      _, bad = utf8.len(s, bad)
   end
   return s
end

local NAMED = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}

local function escape(control)
   return NAMED[control] or (#control == 1 and "\\x%02x" or "\\u{%x}"):format(utf8.codepoint(control))
end

--- A text as one line that does nothing to a terminal but stand there: control characters, ends of lines and what
-- turns the direction of writing, all of which the name of a file may have, are written as Lua writes them (`\n`).
-- @tparam string s
-- @treturn string
function display.line(s)
   s = s:gsub("%c", escape)
   if not s:find("[\xC2\xE2]") then return s end
   s = s:gsub("\xC2[\x80-\x9F]", escape)
   return (s:gsub("\xE2\x80[\xA8-\xAE]", escape):gsub("\xE2\x81[\xA6-\xA9]", escape))
end

--- A text as one word of a POSIX shell, in quotes where it needs them.
-- @tparam string s
-- @treturn string
function display.shell(s)
   return s:find("^[%w_./:,=+@%%-]+$") and s or "'" .. s:gsub("'", "'\\''") .. "'"
end

--- A number and what there are so many of: `1 recording`, `12 recordings`.
-- @tparam integer n
-- @tparam string one
-- @tparam[opt] string many default: `one` with an s
-- @treturn string
function display.count(n, one, many)
   return ("%d %s"):format(n, n == 1 and one or many or one .. "s")
end

--- Columns of a terminal that a text takes.
-- @tparam string s
-- @treturn integer
function display.width(s)
   local width, at = 0, 1
   while at <= #s do
      local columns
      columns, at = letter(s, at)
      width = width + columns
   end
   return width
end

--- The beginning of a text, in at most so many columns.
-- @tparam string s
-- @tparam integer width
-- @treturn string
function display.cut(s, width)
   local at = 1
   while at <= #s do
      local columns, behind = letter(s, at)
      if columns > width then return s:sub(1, at - 1) end
      width, at = width - columns, behind
   end
   return s
end

--- A text filled up with blanks to so many columns; a longer one as it is.
-- @tparam string s
-- @tparam integer width
-- @tparam[opt=false] boolean right blanks before it
-- @treturn string
function display.pad(s, width, right)
   local blanks = (" "):rep(width - display.width(s))
   return right and blanks .. s or s .. blanks
end

--- A text in lines of at most so many columns, broken at blanks; a longer word has a line to itself.
-- @tparam string s
-- @tparam integer width
-- @treturn string
function display.wrap(s, width)
   local lines, line = {}, nil
   for word in s:gmatch("%S+") do
      local longer = line and line .. " " .. word or word
      if line and display.width(longer) > width then
         lines[#lines + 1], line = line, word
      else
         line = longer
      end
   end
   lines[#lines + 1] = line
   return table.concat(lines, "\n")
end

--- A text whose longer lines are broken at blanks: what is broken off stands below where the line's text begins, behind
-- its blanks, the dash of a list, or a first column with two blanks after it.
-- @tparam string s
-- @tparam integer columns
-- @treturn string
function display.fit(s, columns)
   return (s:gsub("[^\n]+", function(line)
      if display.width(line) <= columns then return nil end
      local head = line:match("^%s*%- ") or line:match("^%s*%S.-%s%s+")
      if not head or display.width(head) > columns // 2 then head = line:match("^%s*") end
      local width = display.width(head)
      return head .. display.wrap(line:sub(#head + 1), columns - width):gsub("\n", "\n" .. (" "):rep(width))
   end))
end

local function widths_of(rows)
   local widths = {}
   for _, row in ipairs(rows) do
      for c, cell in ipairs(row) do
         for line in (cell .. "\n"):gmatch("([^\n]*)\n") do
            widths[c] = math.max(widths[c] or 0, display.width(line))
         end
      end
   end
   local all = -2
   for _, width in ipairs(widths) do all = all + width + 2 end
   return widths, all
end

-- Cells of several lines as rows of one line each, their ends below each other.
local function add_row(lines, row, widths, right)
   local parts, height = {}, 1
   for c, cell in ipairs(row) do
      parts[c] = {}
      for line in (cell .. "\n"):gmatch("([^\n]*)\n") do table.insert(parts[c], line) end
      height = math.max(height, #parts[c])
   end
   for k = 1, height do
      local cells = {}
      for c, list in ipairs(parts) do
         cells[c] = display.pad(list[k - height + #list] or "", widths[c], right[c])
      end
      lines[#lines + 1] = table.concat(cells, "  "):gsub(" +$", "")
   end
end

--- Rows of cells as lines (see `line`) in which the columns stand below each other, two blanks between them.
-- @tparam {{string,...},...} rows the first is the header
-- @tparam {[integer]=boolean,...} right columns that end below each other
-- @tparam[opt] integer columns where they are wider than that, the header is broken at blanks, and then the first
-- column
-- @treturn {string,...}
function display.lines(rows, right, columns)
   local shown, lines = {}, {}
   for i, row in ipairs(rows) do
      shown[i] = {}
      for c, cell in ipairs(row) do shown[i][c] = display.line(cell) end
   end
   local widths, all = widths_of(shown)
   if columns and all > columns and #shown > 0 then
      for c, cell in ipairs(shown[1]) do shown[1][c] = display.wrap(cell, 1) end
      widths, all = widths_of(shown)
      if all > columns then
         local room = math.max(12, widths[1] - (all - columns))
         for _, row in ipairs(shown) do row[1] = display.wrap(row[1], room) end
         widths = widths_of(shown)
      end
   end
   for _, row in ipairs(shown) do add_row(lines, row, widths, right) end
   return lines
end

return display
