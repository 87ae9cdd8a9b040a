--- A report: one HTML file that needs nothing else, pictures and sounds inside.
-- @module bclua.report
local check_options = require("bclua.options").check
local files = require "bclua.files"
local json = require "bclua.json"
local system = require "bclua.system"
local web = require "bclua.web"

local report = {}

local STYLE = web.read("page.css")
local SCRIPT = web.read("tables.js") .. web.read("parts.js") .. web.read("calls.js")

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
-- @tparam[opt="s"] string prefix of the sections' anchors, for a report that goes into another one
function report.new(title, prefix)
   return setmetatable({title = title, prefix = prefix or "s", parts = {}, sections = {}}, Report)
end

--- Add HTML as it is.
function Report:html(text) self.parts[#self.parts + 1] = text end

--- Begin a section.
function Report:section(title)
   local id = self.prefix .. #self.sections + 1
   self.sections[#self.sections + 1] = {id = id, title = title}
   self:html(('<h2 id="%s">%s</h2>'):format(id, escape(title)))
end

--- A paragraph of text.
function Report:paragraph(text) self:html("<p>" .. escape(text) .. "</p>") end

--- A paragraph that is marked: something is not as it should be.
function Report:warning(text) self:html('<p class="warning">' .. escape(text) .. "</p>") end

--- Text as it is; with a title it is folded away behind it.
function Report:code(text, title)
   local block = "<pre>" .. escape(text) .. "</pre>"
   self:html(title and ("<details><summary>%s</summary>%s</details>"):format(escape(title), block) or block)
end

--- What f adds, folded away behind a title.
function Report:fold(title, f)
   self:html("<details><summary>" .. escape(title) .. "</summary>")
   f()
   self:html("</details>")
end

local function is_number(text) return text:match("^[+-]?[%d.]+[eE]?[%-+]?%d* ?%%?$") ~= nil end

local TABLE = {sort = {"boolean", default = true}}

--- A table; columns of numbers, and of text that reads as such, stand to the right. The reader can
-- sort it by any column.
-- @tparam {string,...} header
-- @tparam {{any,...},...} rows nil is an empty cell
-- @tparam[opt] table options `sort` (true)
function Report:table(header, rows, options)
   local o = check_options(options, TABLE)
   local texts, numbers = {}, {}
   for r, row in ipairs(rows) do
      texts[r] = {}
      for i = 1, #header do
         local v = row[i]
         if math.type(v) == "float" then v = ("%.4g"):format(v) end
         texts[r][i] = v == nil and "" or tostring(v)
         if texts[r][i] ~= "" then numbers[i] = numbers[i] ~= false and is_number(texts[r][i]) end
      end
   end
   local cells = {}
   for r, row in ipairs(texts) do
      local line = {"<tr>"}
      for i, text in ipairs(row) do
         line[i + 1] = ("<td%s>%s</td>"):format(numbers[i] and ' class="number"' or "", escape(text))
      end
      cells[r] = table.concat(line) .. "</tr>\n"
   end
   local heads = {}
   for i, name in ipairs(header) do
      heads[i] = ("<th%s>%s</th>"):format(numbers[i] and ' class="number"' or "", escape(name))
   end
   local sorts = #rows > 1 and o.sort
   self:html(('<div class="table" tabindex="0"><table%s><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>')
      :format(sorts and ' class="sorts"' or "", table.concat(heads), table.concat(cells)))
end

local function data_url(path)
   local bytes, message = files.read(path)
   if not bytes then return nil, message end
   return ("data:%s;base64,%s"):format(path:match("%.svg$") and "image/svg+xml" or "image/png", report.base64(bytes))
end

--- A picture from a PNG or SVG file.
-- @tparam string path
-- @tparam string caption
-- @tparam[opt] string narrow path of the same picture for a phone, where the other would be too small to read;
-- without it a phone scrolls
-- @treturn[2] nil, message if the file cannot be read
function Report:picture(path, caption, narrow)
   local url, message = data_url(path)
   if not url then return nil, message end
   local image = ('<img alt="%s" src="%s">'):format(escape(caption), url)
   if narrow then
      url, message = data_url(narrow)
      if not url then return nil, message end
      image = ('<picture><source media="(max-width: 40rem)" srcset="%s">%s</picture>'):format(url, image)
   end
   self:html(('<figure><div class="%s" tabindex="0">%s</div><figcaption>%s</figcaption></figure>'):format(
      narrow and "picture" or "picture wide", image, escape(caption)))
   return true
end

--- Players side by side.
-- @tparam {table,...} sounds `{bytes=, type="audio/ogg", caption=}`
function Report:players(sounds)
   self:html('<div class="players">')
   for _, s in ipairs(sounds) do
      self:html(('<figure><figcaption>%s</figcaption><audio controls preload="metadata" ' ..
         'src="data:%s;base64,%s"></audio></figure>'):format(escape(s.caption), s.type,
         report.base64(s.bytes)))
   end
   self:html("</div>")
end

-- A value as JSON between single quotes, which JSON has only within texts.
local function json_attribute(value)
   return (json.encode(value):gsub("[&<']", {["&"] = "&amp;", ["<"] = "&lt;", ["'"] = "&#39;"}))
end

--- Data for the script of the page, `calls.js`.
-- @tparam string name
-- @param value as `bclua.json` writes it
function Report:data(name, value)
   self:html(("<div hidden data-name='%s' data-json='%s'></div>"):format(name, json_attribute(value)))
end

--- Calls side by side, each a small spectrogram that plays.
-- @tparam {table,...} list `title`, `text`, `from`; `picture` (bytes from `bclua.plot.thumbnail`), `sound` (as for
-- `players`)
function Report:calls(list)
   self:html('<div class="calls">')
   for _, c in ipairs(list) do
      self:html(('<figure class="call"><button type="button" aria-label="play %s" data-sound="data:%s;base64,%s">' ..
         '<canvas data-mel="%s"></canvas><span class="cursor" hidden></span></button><figcaption><b>%s</b> %s' ..
         '<br><small>%s</small></figcaption></figure>'):format(escape(c.title), c.sound.type,
         report.base64(c.sound.bytes), report.base64(c.picture), escape(c.title), escape(c.text), escape(c.from)))
   end
   self:html("</div>")
end

--- Points of a list, each with a link to the section of another report, where that has it.
-- @tparam {table,...} items `title` (of a section) and `text`
-- @tparam Report other
function Report:links(items, other)
   local id = {}
   for _, s in ipairs(other.sections) do id[s.title or ""] = s.id end
   self:html("<ul>")
   for _, item in ipairs(items) do
      local title = escape(item.title)
      self:html(("<li>%s: %s</li>"):format(id[item.title] and ('<a href="#%s">%s</a>'):format(id[item.title], title)
         or title, escape(item.text)))
   end
   self:html("</ul>")
end

--- Put all of another report before what is here.
-- @tparam Report other with a prefix of its own
function Report:begin_with(other)
   for name in pairs{parts = true, sections = true} do
      self[name] = table.move(self[name], 1, #self[name], #other[name] + 1, table.move(other[name], 1, #other[name], 1,
         {}))
   end
end

-- A table without the columns in which nothing is.
local function without_empty(header, rows)
   local kept = {}
   for i in ipairs(header) do
      for _, row in ipairs(rows) do
         if row[i] ~= nil and row[i] ~= "" then
            kept[#kept + 1] = i
            break
         end
      end
   end
   local function take(row)
      local out = {}
      for k, i in ipairs(kept) do out[k] = row[i] == nil and "" or row[i] end
      return out
   end
   local out = {}
   for i, row in ipairs(rows) do out[i] = take(row) end
   return {header = take(header), rows = out}
end

--- A table that the page's script draws: it sorts, filters, and plays from the recordings (`data` "recordings").
-- @tparam {string,...} header
-- @tparam {{any,...},...} rows texts and numbers; or `{number of the recording, from 0, start, seconds}`: a button;
-- columns in which nothing is are left out
function Report:listing(header, rows)
   self:html(("<div class='listing' data-json='%s'></div>"):format(json_attribute(without_empty(header, rows))))
end

--- A map of points, coloured by what they are or by cluster, that plays.
-- @tparam table points lists `x`, `y`, `recording` (number from 0), `start`, `cluster` (0: none), `name` (number in
-- `names`, 0: none); `names`, `seconds`
-- @tparam string what the names are
function Report:map(points, what)
   self:html(("<div class='map' data-what='%s' data-json='%s'></div>"):format(escape(what),
      json_attribute(points)))
end

-- What stands between two comments can be found again; `escape` keeps all other text from looking like them.
local function marks(kind, name)
   return ("<!-- %s: %s -->"):format(kind, name), ("<!-- end of %s: %s -->"):format(kind, name)
end

local function between(kind, name, text)
   local first, last = marks(kind, name)
   return first .. text .. last
end

local function links_to(sections)
   local links = {}
   for i, s in ipairs(sections) do
      links[i] = s.place and between("links", s.place, links_to(s.sections)) or
         ('<a href="#%s">%s</a>'):format(s.id, escape(s.title))
   end
   return table.concat(links)
end

--- Put another report's sections here, where `report.refill` finds them again.
-- @tparam string name
-- @tparam Report other with a prefix of its own
function Report:place(name, other)
   self.sections[#self.sections + 1] = {place = name, sections = other.sections}
   self:html(between("sections", name, table.concat(other.parts, "\n")))
end

--- Replace what stands in a place of a page.
-- @tparam string text of the page
-- @tparam string name as in `place`
-- @tparam Report other
-- @treturn ?string the page; nil if it has no such place
function report.refill(text, name, other)
   for kind, new in pairs({links = links_to(other.sections), sections = table.concat(other.parts, "\n")}) do
      local first, last = marks(kind, name)
      local _, from = text:find(first, 1, true)
      local to = from and text:find(last, from, true)
      if not to then return nil end
      text = text:sub(1, from) .. new .. text:sub(to)
   end
   return text
end

--- The page as text.
function Report:text()
   return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">' ..
      '<meta name="viewport" content="width=device-width,initial-scale=1"><title>%s</title>' ..
      "<link rel=\"icon\" href=\"data:,\"><style>%s</style></head>\n<body><h1>%s</h1><nav>%s</nav>\n%s\n" ..
      "<script>%s</script></body></html>\n"):format(escape(self.title), STYLE, escape(self.title),
      links_to(self.sections), table.concat(self.parts, "\n"), SCRIPT)
end

--- Write the page, whole or not at all.
-- @treturn[2] nil, message
function Report:write(path) return system.write_file(path, self:text()) end

return report
