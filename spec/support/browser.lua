-- browser.lua: what a headless Chromium makes of a page. The page is shown in frames of some
-- widths, inside a page whose script looks into them and sends back what it finds.
local cjson = require "cjson"
local command = require "support.command"
local http = require "bclua.http"
local report = require "bclua.report"
local system = require "bclua.system"

local browser = {}

local PATIENCE_S = 120

--- The command that starts it; nil where there is none.
function browser.program()
   for _, name in ipairs({"chromium", "chromium-browser", "google-chrome"}) do
      if select(2, command.shell("command -v " .. name)) == 0 then return name end
   end
   return nil
end

local FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run " ..
   "--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage " ..
   "--enable-logging=stderr --v=0 --autoplay-policy=no-user-gesture-required"

local OUTER = [[
<!DOCTYPE html><html><head><meta charset="utf-8"><link rel="icon" href="data:,"></head><body>%s<script>
const look = async page => { %s };
const see = async () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, view = frame.contentWindow;
    found.push(await look({page, view, wide: page.documentElement.scrollWidth > page.documentElement.clientWidth}));
  }
  return found;
};
addEventListener("load", () => see().catch(error => String(error.stack)).then(found =>
  fetch("/found", {method: "POST", body: JSON.stringify(found)})));
</script></body></html>
]]

local function frames(source, widths)
   local list = {}
   for i, width in ipairs(widths) do
      list[i] = ('<iframe %s style="width:%dpx;height:700px;border:0"></iframe>'):format(source, width)
   end
   return table.concat(list)
end

local function console(path)
   local said = {}
   for line in command.read(path):gmatch("[^\n]+") do
      if line:find("CONSOLE", 1, true) then said[#said + 1] = line end
   end
   return table.concat(said, "\n")
end

-- Answer the browser until it has sent what it found.
local function run(source, widths, script, make)
   local dir, found, handle = command.folder(), nil, nil
   local check = OUTER:format(frames(source, widths), script)
   local s <close> = assert(http.open(function(request)
      if request.path == "/check.html" then return 200, {["Content-Type"] = "text/html"}, check end
      if request.path == "/found" then
         found = cjson.decode(request.body)
         return 200, {}, ""
      end
      return handle(request)
   end))
   handle = make and make(s:port())
   os.execute(("timeout -k 5 %d %s %s --user-data-dir=%s/profile http://127.0.0.1:%d/check.html >%s/out 2>%s/said & " ..
      "echo $! >%s/pid"):format(PATIENCE_S, browser.program(), FLAGS, dir, s:port(), dir, dir, dir))
   local deadline = system.clock() + PATIENCE_S
   while not found and system.clock() < deadline do assert(s:step(0.1)) end
   system.sleep(0.3) -- what it says comes by another way
   -- timeout leads a group of its own, all of the browser in it
   command.shell(("p=$(cat %s/pid); kill -s KILL -- -$p; while kill -0 $p; do sleep 0.02; done"):format(dir))
   local said = console(dir .. "/said")
   command.remove(dir)
   if type(found) ~= "table" then error("the browser found nothing: " .. tostring(found) .. said) end
   return found, said
end

--- Look at a page.
-- @tparam string page HTML
-- @tparam {integer,...} widths of the frames in pixels
-- @tparam string script body of an async function of `{page, view, wide}` (document, window, does it scroll sideways?)
-- @treturn {table,...} what it returned, by width
-- @treturn string what the console said
function browser.look(page, widths, script)
   return run('srcdoc="' .. report.escape(page) .. '"', widths, script)
end

--- The same of a page that is served.
-- @tparam function make called with the port; returns what answers requests, as for `http.open`
-- @tparam string path of the page
-- @tparam {integer,...} widths
-- @tparam string script
function browser.visit(make, path, widths, script)
   return run('src="' .. path .. '"', widths, script, function(port)
      local handle = make(port)
      return function(request)
         local status, headers, body = handle(request)
         local policy = headers["Content-Security-Policy"]:gsub("frame%-ancestors 'none'", "frame-ancestors 'self'")
         headers["Content-Security-Policy"] = policy -- else it could not be looked at
         return status, headers, body
      end
   end)
end

--- What scripts of pages begin with: `d`, the document; `until(f)`, ten seconds of patience; `key(k)`, a key pressed.
browser.help = [[
      const {page: d, view, wide} = page;
      const until = async f => {
         for (let i = 0; i < 400; i++) { if (f()) return true; await new Promise(r => setTimeout(r, 25)); }
         return false;
      };
      const key = k => d.body.dispatchEvent(new view.KeyboardEvent("keydown", {key: k, bubbles: true}));
]]

return browser
