--- A report: one HTML file that needs nothing else, pictures and sounds inside.
-- @module bclua.report
local system = require "bclua.system"

local report = {}

--- The style of all our pages: light and dark.
report.style = [[
:root{color-scheme:light dark;--line:#8885;--soft:#8882;--accent:#0072b2}
@media(prefers-color-scheme:dark){:root{--accent:#56b4e9}}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}
h1{margin:.2em 0}h2{margin-top:2em;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}
th,td{padding:.25em .8em;border-bottom:1px solid var(--line);text-align:left}
td.number{text-align:right;font-variant-numeric:tabular-nums}
img,svg{max-width:100%;height:auto}
figure{margin:1em 0}figcaption{opacity:.8}
audio{width:100%;max-width:26rem;display:block}
code{background:var(--soft);padding:.1em .3em;border-radius:3px}
pre{background:var(--soft);padding:.8em;overflow-x:auto}
nav a{margin-right:1em}a{color:var(--accent)}
.players{display:flex;flex-wrap:wrap;gap:0 1em}.players figure{flex:1 1 13rem;margin:.5em 0}.warning{border-left:4px solid #d55e00;padding-left:.8em}
]]

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- The two digits of every 12 bits.
local PAIR = {}
for n = 0, 4095 do
   local high, low = (n >> 6) + 1, (n & 63) + 1
   PAIR[n] = DIGITS:sub(high, high) .. DIGITS:sub(low, low)
end

--- Bytes as base64 (RFC 4648).
function report.base64(bytes)
   local out, n = {}, 0
   local whole = #bytes - #bytes % 3
   for i = 1, whole, 3 do
      local a, b, c = bytes:byte(i, i + 2)
      out[n + 1], out[n + 2] = PAIR[a << 4 | b >> 4], PAIR[(b & 15) << 8 | c]
      n = n + 2
   end
   local a, b = bytes:byte(whole + 1, #bytes)
   if b then
      out[n + 1] = PAIR[a << 4 | b >> 4] .. PAIR[(b & 15) << 8]:sub(1, 1) .. "="
   elseif a then
      out[n + 1] = PAIR[a << 4] .. "=="
   end
   return table.concat(out)
end

--- Text for HTML: what came from file names and tables cannot become markup.
function report.escape(text)
   return (tostring(text):gsub("[&<>\"']",
      {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}))
end
local escape = report.escape

local Report = {}
Report.__index = Report

--- A new report.
-- @tparam string title
function report.new(title)
   return setmetatable({title = title, parts = {}, sections = {}}, Report)
end

function Report:html(text) self.parts[#self.parts + 1] = text end

--- Begin a section.
function Report:section(title)
   local id = "s" .. #self.sections + 1
   self.sections[#self.sections + 1] = {id = id, title = title}
   self:html(('<h2 id="%s">%s</h2>'):format(id, escape(title)))
end

function Report:paragraph(text) self:html("<p>" .. escape(text) .. "</p>") end
function Report:warning(text) self:html('<p class="warning">' .. escape(text) .. "</p>") end
function Report:code(text) self:html("<pre>" .. escape(text) .. "</pre>") end

--- A table; numbers, and text that reads as one, stand to the right.
-- @tparam {string,...} header
-- @tparam {{any,...},...} rows; nil is an empty cell
function Report:table(header, rows)
   local out = {"<table><thead><tr>"}
   for _, name in ipairs(header) do out[#out + 1] = "<th>" .. escape(name) .. "</th>" end
   out[#out + 1] = "</tr></thead><tbody>"
   for _, row in ipairs(rows) do
      out[#out + 1] = "<tr>"
      for i = 1, #header do
         local v = row[i]
         if math.type(v) == "float" then v = ("%.4g"):format(v) end
         local class = tostring(v):match("^%-?[%d.]+ ?%%?$") and ' class="number"' or ""
         out[#out + 1] = ("<td%s>%s</td>"):format(class, v == nil and "" or escape(v))
      end
      out[#out + 1] = "</tr>\n"
   end
   out[#out + 1] = "</tbody></table>"
   self:html(table.concat(out))
end

local function read(path)
   local f, message = io.open(path, "rb")
   if not f then return nil, message end
   local bytes = f:read("a")
   f:close()
   return bytes
end

--- A picture from a PNG or SVG file.
-- @treturn[2] nil, message if the file cannot be read
function Report:picture(path, caption)
   local bytes, message = read(path)
   if not bytes then return nil, message end
   local type_ = path:match("%.svg$") and "image/svg+xml" or "image/png"
   self:html(('<figure><img alt="%s" src="data:%s;base64,%s"><figcaption>%s</figcaption></figure>'):format(
      escape(caption), type_, report.base64(bytes), escape(caption)))
   return true
end

--- Players side by side.
-- @tparam {table,...} sounds `{bytes=, type="audio/ogg", caption=}`
function Report:players(sounds)
   self:html('<div class="players">')
   for _, s in ipairs(sounds) do
      self:html(('<figure><figcaption>%s</figcaption><audio controls preload="none" ' ..
         'src="data:%s;base64,%s"></audio></figure>'):format(escape(s.caption), s.type,
         report.base64(s.bytes)))
   end
   self:html("</div>")
end

--- The page as text.
function Report:text()
   local links = {}
   for i, s in ipairs(self.sections) do
      links[i] = ('<a href="#%s">%s</a>'):format(s.id, escape(s.title))
   end
   return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">' ..
      '<meta name="viewport" content="width=device-width,initial-scale=1"><title>%s</title>' ..
      "<link rel=\"icon\" href=\"data:,\"><style>%s</style></head>\n<body><h1>%s</h1><nav>%s</nav>\n%s\n" ..
      "</body></html>\n"):format(escape(self.title), report.style, escape(self.title), table.concat(links),
      table.concat(self.parts, "\n"))
end

--- Write the page, whole or not at all.
-- @treturn[2] nil, message
function Report:write(path) return system.write_file(path, self:text()) end

return report
