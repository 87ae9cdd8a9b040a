--- Who may see what of a run, and what requests are answered with. It knows no socket: a request is
-- a table, see `bclua.http`.
-- @module bclua.workflow.browse.server
local answers = require "bclua.workflow.classify.answers"
local browse = require "bclua.workflow.browse"
local clock = require "bclua.clock"
local files = require "bclua.files"
local json = require "bclua.json"
local options_of = require "bclua.options"
local pages = require "bclua.workflow.browse.pages"
local progress = require "bclua.progress"
local system = require "bclua.system"
local windows = require "bclua.workflow.browse.windows"

local server = {}

local LONGEST_NAME = 200 -- bytes of a class
local LONGEST_SOUND_S = 60 -- of a piece of a recording
local LONGEST_PICTURE_S = 600 -- of a part

-- Nothing but what we send runs in a page, and no other site may show or read it.
local PAGE = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'self'; script-src 'self'; " ..
   "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
-- The report has its script, style, pictures and sounds in it; it can reach nothing else.
local REPORT = "sandbox allow-scripts; default-src 'none'; img-src data:; media-src data:; " ..
   "style-src 'unsafe-inline'; script-src 'unsafe-inline'"

local function random_token()
   local f = assert(io.open("/dev/urandom", "rb"))
   local bytes = f:read(16)
   f:close()
   return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local Server = {}
Server.__index = Server

--- What answers requests.
-- @tparam browser b see `bclua.workflow.browse`
-- @tparam integer port at which it is reached
-- @treturn table with `handle`, `token`
function server.new(b, port)
   b.report = files.exists(b.run .. "/report.html")
   return setmetatable({browser = b, token = random_token(),
      hosts = {["127.0.0.1:" .. port] = true, ["localhost:" .. port] = true}}, Server)
end

local function reply(status, kind, body, policy)
   return status, {["Content-Type"] = kind, ["Cache-Control"] = "no-store", ["X-Content-Type-Options"] = "nosniff",
      ["Content-Security-Policy"] = policy or PAGE, ["Cross-Origin-Resource-Policy"] = "same-origin",
      ["Referrer-Policy"] = "no-referrer"}, body
end

local function text(status, message) return reply(status, "text/plain; charset=utf-8", message .. "\n") end
local function html(body, policy) return reply(200, "text/html; charset=utf-8", body, policy) end
local function in_json(value) return reply(200, "application/json", json.encode(value)) end

-- Numbers of our own making; what is none is no address.
local function integer(digits) return #digits <= 9 and math.tointeger(tonumber(digits)) or nil end

local function download(name, kind, body, message)
   if not body then return text(500, message) end
   local status, headers, bytes = reply(200, kind .. "; charset=utf-8", body)
   headers["Content-Disposition"] = 'attachment; filename="' .. name .. '"'
   return status, headers, bytes
end

local READ = {integer = integer, number = tonumber}

-- What the page asks for in its address, by the rules of `windows.choice`; nil where it is nothing.
local function choice_of(query)
   local o = {}
   for name, rule in pairs(windows.choice) do
      local read, value = READ[rule[1]], query[name]
      if value and read then value = read(value) or value end
      o[name] = value
   end
   o = options_of.try(o, windows.choice)
   return o and o.low <= o.high and o or nil
end

local function progress_of(self, class)
   local w, known = self.browser.windows, class and self.browser.windows.known[class]
   local p = known and w:progress(class) or {}
   p.class, p.answered, p.windows = known and class, w.answered, w.n
   return p
end

local function about_window(self, row, class)
   local about = self.browser.windows:about(row, class)
   about.recording, about.progress = self.browser:recording_of(about.file), progress_of(self, class)
   return about
end

local function window_page(name)
   return function(self) return html(pages.windows(self.browser, name, self.token)) end
end

-- Of windows of a table of embeddings, where there is one.
local window_routes = {
   {"^/review$", window_page "review"}, {"^/clusters$", window_page "clusters"}, {"^/map$", window_page "map"},
   {"^/classes$", window_page "classes"},
   {"^/windows%.js$", function() return reply(200, "text/javascript; charset=utf-8", pages.windows_script) end},
   {"^/next$", function(self, request)
      local o = choice_of(request.query)
      if not o then return text(400, "no such choice") end
      return in_json{rows = json.list(self.browser.windows:next(o)), classes = json.list(self.browser.windows.classes)}
   end},
   {"^/map%.json$", function(self)
      local list = {row = json.list{}, x = json.list{}, y = json.list{}, cluster = json.list{}}
      for i, one in ipairs(self.browser.windows.map or {}) do
         for name in pairs(list) do list[name][i] = one[name] end
      end
      return in_json(list)
   end},
   {"^/window/(%d+)%.json$", function(self, request, row)
      return in_json(about_window(self, row, request.query.class))
   end},
   {"^/window/(%d+)%.wav$", function(self, _, row)
      local bytes, message = self.browser.windows:sound(row)
      if not bytes then return text(500, message) end
      return reply(200, "audio/wav", bytes)
   end},
   {"^/window/(%d+)%.mel$", function(self, _, row)
      local bytes, message = self.browser.windows:picture(row)
      if not bytes then return text(500, message) end
      return reply(200, "application/octet-stream", bytes)
   end},
   {"^/like/(%d+)$", function(self, request, row)
      local w = self.browser.windows
      local hits, message = w:like(row, request.query.profile ~= nil)
      if not hits then return text(500, message) end
      for i, hit in ipairs(hits) do
         local profile = hit.profile_distance
         hits[i] = w:about(hit.row)
         hits[i].distance, hits[i].profile_distance = hit.distance, profile
      end
      return in_json(json.list(hits))
   end},
}

-- The picture of a recording, or of the frames that the address names; nil, message, status.
local function picture_of(self, request, row)
   local from, to = request.query.from, request.query.to
   if from or to then
      from, to = integer(from or ""), integer(to or "")
      local rate = row.cens_sample_rate
      if not (from and to) or from >= to or from / rate >= row.duration_seconds
         or (to - from) / rate > LONGEST_PICTURE_S then
         return nil, "no such part", 404
      end
   end
   local picture, message = self.browser:picture(row, from, to)
   return picture, message, 500
end

local routes = {
   {"^/$", function(self)
      if #self.browser.recordings == 0 and self.browser.windows then
         return html(pages.windows(self.browser, "review", self.token))
      end
      return html(pages.index(self.browser, self.token))
   end},
   {"^/style%.css$", function() return reply(200, "text/css; charset=utf-8", pages.style) end},
   {"^/script%.js$", function() return reply(200, "text/javascript; charset=utf-8", pages.script) end},
   {"^/report$", function(self)
      local body, message = files.read(self.browser.run .. "/report.html")
      if not body then return text(404, message) end
      return html(body, REPORT)
   end},
   {"^/accepted%.csv$", function(self)
      local path = self.browser.verdict_path
      if not files.exists(path) then return text(404, "no verdict yet") end
      return download("accepted.csv", "text/csv", files.read(path))
   end},
   {"^/labels%.csv$", function(self) return download("labels.csv", "text/csv", self.browser:labels("csv")) end},
   {"^/labels%.txt$", function(self) return download("labels.txt", "text/plain", self.browser:labels("raven")) end},
   {"^/recording/(%d+)$", function(self, _, row) return html(pages.recording(self.browser, row, self.token)) end},
   {"^/picture/(%d+)%.png$", function(self, request, row)
      local picture, message, status = picture_of(self, request, row)
      if not picture then return text(status, message) end
      return reply(200, "image/png", picture.bytes)
   end},
   {"^/picture/(%d+)%.json$", function(self, request, row)
      local picture, message, status = picture_of(self, request, row)
      if not picture then return text(status, message) end
      return in_json{left = picture.left, right = picture.right, top = picture.top, bottom = picture.bottom}
   end},
   {"^/sound/(%d+)/(%d+)%.wav$", function(self, request, row, frame)
      if frame / row.cens_sample_rate >= row.duration_seconds then return text(404, "past the end") end
      local seconds = request.query.seconds and integer(request.query.seconds)
      if request.query.seconds and not (seconds and seconds >= 1 and seconds <= LONGEST_SOUND_S) then
         return text(404, "not so long")
      end
      local bytes, message = self.browser:sound(row, frame, seconds)
      if not bytes then return text(500, message) end
      return reply(200, "audio/wav", bytes)
   end},
   {"^/near/(%d+)/(%d+)$", function(self, request, row, frame)
      local b = self.browser
      if request.query.others then
         local hits, message = b:others(row, frame)
         if not hits then return text(404, message) end
         local list = {}
         for i, h in ipairs(hits) do
            list[i] = {id = h.row.id, name = h.row.name, species = h.row.species, at = h.at,
               start_s = h.at / h.row.cens_sample_rate, distance = h.distance,
               clock = clock.at(h.row.recorded_at, h.at / h.row.cens_sample_rate)}
         end
         return in_json(json.list(list))
      end
      local twin, message = b:twin(row, frame)
      if not twin then return text(404, message) end
      return in_json(twin)
   end},
}

local VERDICTS = {accepted = "accepted", rejected = "rejected", none = false}

local function verdict(self, request)
   local v = json.decode(request.body)
   if type(v) ~= "table" or VERDICTS[v.verdict] == nil then return text(400, "not a verdict") end
   local row = self.browser:recording(math.tointeger(v.recording))
   local at, twin = math.tointeger(v.at), math.tointeger(v.twin)
   if not row or not at or not twin then return text(404, "no such motif") end
   local done, message = self.browser:judge(row, at, twin, VERDICTS[v.verdict] or nil)
   if not done then return text(message == "no such motif" and 404 or 500, message) end
   return in_json({verdict = v.verdict})
end

-- A name that people can have given: one line of text.
local function is_name(label)
   return type(label) == "string" and #label <= LONGEST_NAME and utf8.len(label) and label:find("%S") and
      not label:find("%c")
end

local function label(self, request)
   local w, v = self.browser.windows, json.decode(request.body)
   if not w then return text(404, "no such page") end
   if type(v) ~= "table" or not is_name(v.label) or not (answers.kinds[v.verdict] or v.verdict == "none") or
      v.expected and not (answers.kinds[v.expected] or v.expected == "none") then
      return text(400, "not a label")
   end
   local row = math.tointeger(v.window)
   if not row or row < 1 or row > w.n then return text(404, "no such window") end
   local done, message = w:answer(row, v.label, answers.kinds[v.verdict] and v.verdict, v.expected)
   if not done and message == "changed" then return text(409, "somebody else has said something of it meanwhile") end
   if not done then return text(500, message) end
   return in_json{said = w:about(row).said, progress = progress_of(self, v.label)}
end

-- All windows of a cluster at once.
local function cluster(self, request)
   local w, v = self.browser.windows, json.decode(request.body)
   if not (w and w.cluster) then return text(404, "no such page") end
   if type(v) ~= "table" or not is_name(v.label) or not (v.verdict == "yes" or v.verdict == "none") then
      return text(400, "not a label")
   end
   local number = math.tointeger(v.cluster)
   if not (number and number >= 1 and number <= #w.clusters) then return text(404, "no such cluster") end
   local count, message = w:name_cluster(number, v.label, v.verdict == "none")
   if not count then return text(500, message) end
   return in_json{windows = count, progress = progress_of(self, v.label)}
end

local changes = {["/verdict"] = verdict, ["/label"] = label, ["/cluster"] = cluster}

-- The same number of steps wherever they differ.
local function same(a, b)
   if type(a) ~= "string" or #a ~= #b then return false end
   local difference = 0
   for i = 1, #a do difference = difference | (a:byte(i) ~ b:byte(i)) end
   return difference == 0
end

local function route(self, request)
   for _, r in ipairs(routes) do
      local first, second = request.path:match(r[1])
      if first then
         local row, frame
         if r[1]:find("%d", 1, true) then
            row = self.browser:recording(integer(first))
            frame = second and integer(second)
            if not row or (second and not frame) then return text(404, "no such recording") end
         end
         return r[2](self, request, row, frame)
      end
   end
   for _, r in ipairs(self.browser.windows and window_routes or {}) do
      local number = request.path:match(r[1])
      if number then
         local row = r[1]:find("%d", 1, true) and integer(number)
         if row and (row < 1 or row > self.browser.windows.n) then row = nil end
         if r[1]:find("%d", 1, true) and not row then return text(404, "no such window") end
         return r[2](self, request, row)
      end
   end
   return text(404, "no such page")
end

-- A site that has its name point to 127.0.0.1 sends that name; another site's page its own origin.
local function answer(self, request)
   local headers = request.headers
   if not self.hosts[headers.host or ""] then return text(403, "not this host") end
   if headers.origin and not self.hosts[headers.origin:match("^http://(.*)$") or ""] then
      return text(403, "not from there")
   end
   if request.method == "GET" or request.method == "HEAD" then return route(self, request) end
   if request.method ~= "POST" then return text(405, "GET or POST") end
   local change = changes[request.path]
   if not change then return text(404, "no such page") end
   if not same(headers["x-token"], self.token) then return text(403, "wrong token: load the page again") end
   return change(self, request)
end

--- Answer a request; what goes wrong inside becomes status 500.
-- @tparam table request `method`, `path`, `query`, `headers`, `body`
-- @treturn integer status
-- @treturn table headers
-- @treturn string body
function Server:handle(request)
   local result = table.pack(xpcall(answer, debug.traceback, self, request))
   if result[1] then return table.unpack(result, 2, result.n) end
   if system.interrupted() then error("interrupted!", 0) end
   io.stderr:write("browse: ", tostring(result[2]), "\n")
   return text(500, "that went wrong; the terminal says more")
end

--- What `run` takes.
server.options = options_of.extend(browse.options, {
   port = {"integer", default = 0, least = 0, most = 65535, text = "Port of 127.0.0.1 (0: any that is free)."},
   ready = {"function", needed = true}})

--- Serve a run until Ctrl-C or SIGTERM, which are how it is meant to end: no error.
-- @tparam table options those of `bclua.workflow.browse.open`; `port` (0: any), `ready` (called with the address)
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
function server.run(options)
   options = options_of.check(options, server.options)
   local b, message = browse.open(options_of.subset(options, browse.options))
   if not b then return nil, message end
   local s
   local listener <close>, why = require("bclua.http").open(function(request) return s:handle(request) end,
      {port = options.port})
   if not listener then return nil, why end
   s = server.new(b, listener:port())
   for _, note in ipairs(b.notes) do progress.note("browse: " .. note) end
   options.ready(("http://127.0.0.1:%d/"):format(listener:port()), b)
   system.hold_interrupts(true) -- and never let go: what comes ends the program
   while true do
      local ok, done, failed = pcall(listener.step, listener, 1)
      if system.interrupted() then return true end
      if not ok then error(done, 0) end
      if not done then return nil, failed end
   end
end

return server
