--- Text that other programs wrote, whatever its encoding, line ends, delimiter and quotes.
-- @module bclua.text
local text = {}

local MOST_LINES = 50 -- of a quoted cell

-- What Windows has at 0x80 to 0x9F; from 0xA0 on it is Latin-1.
local WINDOWS = {[0x80] = 0x20AC, [0x82] = 0x201A, [0x83] = 0x0192, [0x84] = 0x201E, [0x85] = 0x2026, [0x86] = 0x2020,
   [0x87] = 0x2021, [0x88] = 0x02C6, [0x89] = 0x2030, [0x8A] = 0x0160, [0x8B] = 0x2039, [0x8C] = 0x0152,
   [0x8E] = 0x017D, [0x91] = 0x2018, [0x92] = 0x2019, [0x93] = 0x201C, [0x94] = 0x201D, [0x95] = 0x2022,
   [0x96] = 0x2013, [0x97] = 0x2014, [0x98] = 0x02DC, [0x99] = 0x2122, [0x9A] = 0x0161, [0x9B] = 0x203A,
   [0x9C] = 0x0153, [0x9E] = 0x017E, [0x9F] = 0x0178}

local function from_windows(bytes)
   return (bytes:gsub("[\x80-\xFF]", function(c) return utf8.char(WINDOWS[c:byte()] or c:byte()) end))
end

local function from_utf16(bytes, unit)
   local out, high = {}, nil
   for at = 1, #bytes - 1, 2 do
      local code = unit:unpack(bytes, at)
      if code >= 0xD800 and code < 0xDC00 then
         high = code
      else
         if code >= 0xDC00 and code < 0xE000 then
            code = high and 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 or 0xFFFD
         end
         out[#out + 1], high = utf8.char(code), nil
      end
   end
   return table.concat(out)
end

-- How UTF-16 without a mark has its units: letters of a table are Latin, one byte of two is 0.
local function utf16_unit(bytes)
   local head = bytes:sub(1, 200)
   local _, little = head:gsub("[^\0]\0", "")
   local _, big = head:gsub("\0[^\0]", "")
   if math.max(little, big) < 0.4 * #head then return nil end
   return head:find("^[^\0]\0") and "<I2" or ">I2"
end

--- Bytes as UTF-8 with `\n` at the ends of lines. UTF-8, UTF-16 (with a mark or without), and what is neither as
-- Windows-1252, of which Latin-1 is a part.
-- @tparam string bytes
-- @treturn string
function text.decode(bytes)
   local mark = bytes:sub(1, 2)
   if mark == "\xFF\xFE" or mark == "\xFE\xFF" then
      bytes = from_utf16(bytes:sub(3), mark == "\xFF\xFE" and "<I2" or ">I2")
   elseif bytes:sub(1, 3) == "\xEF\xBB\xBF" then
      bytes = bytes:sub(4)
   else
      local unit = utf16_unit(bytes)
      if unit then bytes = from_utf16(bytes, unit) end
   end
   if not utf8.len(bytes) then bytes = from_windows(bytes) end
   return (bytes:gsub("\r\n?", "\n"))
end

--- What a cell says: control characters as blanks, and none of these around it.
-- @tparam ?string s
-- @treturn ?string nil: nothing
function text.cell(s)
   if not s then return nil end
   if s:find("%c") then s = s:gsub("%c+", " ") end
   return s:match("^ *(.*[^ ])")
end

--- The lines of a text.
-- @tparam string s
-- @treturn {string,...} without their ends
function text.lines(s)
   local list = {}
   for line in (s .. "\n"):gmatch("([^\n]*)\n") do list[#list + 1] = line end
   return list
end

--- A line at its delimiters, quotes or not.
-- @tparam string line
-- @tparam string delimiter one byte
-- @treturn {string,...}
function text.split(line, delimiter)
   local fields, from = {}, 1
   while true do
      local at = line:find(delimiter, from, true)
      fields[#fields + 1] = line:sub(from, (at or 0) - 1)
      if not at then return fields end
      from = at + 1
   end
end

-- Where the quoted cell that opens at a byte closes; nil: not in this text.
local function closing(s, opening)
   local at = s:find('"', opening + 1, true)
   while at and s:sub(at + 1, at + 1) == '"' do at = s:find('"', at + 2, true) end
   return at
end

-- A line at its delimiters that are not in quotes; nil where a quote does not close. Quotes count where a cell
-- begins and ends with them.
local function split_quoted(line, delimiter)
   local fields, from = {}, 1
   while true do
      local opening, close = line:match('^ *()"', from), nil
      if opening then
         close = closing(line, opening)
         if not close then return nil end
      end
      local behind = close and line:match("^ *()", close + 1)
      if behind and (behind > #line or line:sub(behind, behind) == delimiter) then
         fields[#fields + 1] = line:sub(opening + 1, close - 1):gsub('""', '"')
         if behind > #line then return fields end
         from = behind + 1
      else
         local at = line:find(delimiter, from, true)
         fields[#fields + 1] = line:sub(from, (at or 0) - 1)
         if not at then return fields end
         from = at + 1
      end
   end
end

-- Cells of the lines from number `first` whose quotes close, and the last of these lines. A quote that is no more than
-- an inch swallows no row: none of the lines may have as many cells as a row has.
local function joined(lines, first, delimiter, width)
   local line = lines[first]
   for last = first + 1, math.min(#lines, first + MOST_LINES) do
      if #text.split(lines[last], delimiter) >= math.max(2, width) then return nil end
      line = line .. "\n" .. lines[last]
      local fields = split_quoted(line, delimiter)
      if fields then return fields, last end
   end
   return nil
end

--- The rows of a table, one after the other; empty lines are none.
-- @tparam {string,...} lines
-- @tparam integer first line to begin with
-- @tparam string delimiter one byte
-- @tparam integer width cells of a row
-- @treturn function iterator: number of the line in which the row begins, its cells
function text.rows(lines, first, delimiter, width)
   local at = first
   return function()
      while lines[at] and not lines[at]:find("%S") do at = at + 1 end
      local line, row = lines[at], at
      if not line then return nil end
      at = at + 1
      if not line:find('"', 1, true) then return row, text.split(line, delimiter) end
      local fields, last = split_quoted(line, delimiter), row
      if not fields and delimiter ~= "\t" then fields, last = joined(lines, row, delimiter, width) end
      at = (fields and last or row) + 1
      return row, fields or text.split(line, delimiter)
   end
end

local function without_thousands(s, sign) return (s:gsub("%" .. sign, "")) end

-- "1,5", "1.234,5" and "1,234.5" with a point for the decimals.
local function with_point(s)
   local comma, point = s:find(",[^,]*$"), s:find("%.[^.]*$")
   if comma and point and point > comma then return without_thousands(s, ",") end
   if point then s = without_thousands(s, ".") end
   return (s:gsub(",", "."))
end

--- A number as people write it: with a decimal comma, or as hours, minutes and seconds with colons.
-- @tparam string s
-- @treturn ?number nil: it is none
function text.number(s)
   if s:find("^%d+%.?%d*$") then return tonumber(s) + 0.0 end -- nearly all of them
   s = s:match("^%s*(.-)%s*$")
   if s:find(",", 1, true) then s = with_point(s) end
   if s:find("^[-+]?%.?%d[%d.]*$") or s:find("^[-+]?%.?%d[%d.]*[eE][-+]?%d+$") then
      local x = tonumber(s)
      return x and x + 0.0
   end
   local hours, minutes, seconds = s:match("^(%d*):?(%d+):(%d%d%.?%d*)$")
   if not seconds then return nil end
   return (tonumber(hours) or 0) * 3600 + tonumber(minutes) * 60 + tonumber(seconds)
end

return text
