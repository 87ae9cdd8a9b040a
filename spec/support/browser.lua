-- browser.lua: what a headless Chromium makes of a page.
local cjson = require "cjson"
local command = require "support.command"
local files = require "bclua.files"
local report = require "bclua.report"
local system = require "bclua.system"

local browser = {}

--- The command that starts it; nil where there is none.
function browser.program()
   for _, name in ipairs({"chromium", "chromium-browser", "google-chrome"}) do
      if select(2, command.shell("command -v " .. name)) == 0 then return name end
   end
   return nil
end

local FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run " ..
   "--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage " ..
   "--enable-logging=stderr --v=0 " ..
   "--autoplay-policy=no-user-gesture-required --virtual-time-budget=20000 --dump-dom"

-- Frames of some widths show the page; the script looks into them and writes what it finds.
local OUTER = [[
<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>%s<pre id="found"></pre><script>
const frames = [...document.querySelectorAll("iframe")];
const look = async page => { %s };
(async () => {
  const found = [];
  try {
    for (const frame of frames) {
      if (frame.contentDocument.readyState !== "complete" || frame.contentWindow.location.href === "about:blank")
        await new Promise(done => frame.addEventListener("load", done));
      const page = frame.contentDocument, view = frame.contentWindow;
      found.push(await look({page, view, wide: page.documentElement.scrollWidth > page.documentElement.clientWidth}));
    }
    document.getElementById("found").textContent = JSON.stringify(found);
  } catch (error) { document.getElementById("found").textContent = JSON.stringify(String(error.stack)); }
})();
</script></body></html>
]]

local ENTITIES = {["&amp;"] = "&", ["&lt;"] = "<", ["&gt;"] = ">", ["&quot;"] = '"', ["&#39;"] = "'"}

local function frames(sources, widths)
   local list = {}
   for i, width in ipairs(widths) do
      list[i] = ('<iframe %s style="width:%dpx;height:700px;border:0"></iframe>'):format(sources, width)
   end
   return table.concat(list)
end

local function read_said(path)
   local said = {}
   for line in command.read(path):gmatch("[^\n]+") do
      if line:find("CONSOLE", 1, true) then said[#said + 1] = line end
   end
   return table.concat(said, "\n")
end

local function read_found(out)
   local text = out:match('<pre id="found">(.-)</pre>')
   if not text or text == "" then error("the browser found nothing: " .. out:sub(-2000)) end
   return cjson.decode((text:gsub("&#?%w+;", ENTITIES)))
end

-- The browser as a shell command that writes into `dir`, and may not take long.
local function start(dir, address)
   return ("timeout -k 5 120 %s %s --user-data-dir=%s/profile '%s' >%s/out 2>%s/said"):format(browser.program(), FLAGS,
      dir, address, dir, dir)
end

local function finish(dir)
   local out, said = command.read(dir .. "/out"), read_said(dir .. "/said")
   command.remove(dir)
   return read_found(out), said
end

--- Look at a page in frames of some widths.
-- @tparam string page HTML
-- @tparam {integer,...} widths in pixels
-- @tparam string script body of an async function of `{page, view, wide}` (document, window, does it scroll sideways?)
-- @treturn {table,...} what it returned, by width
-- @treturn string what the console said
function browser.look(page, widths, script)
   local dir = command.folder()
   command.write(dir .. "/page.html", OUTER:format(frames('srcdoc="' .. report.escape(page) .. '"', widths), script))
   command.shell(start(dir, "file://" .. dir .. "/page.html"))
   return finish(dir)
end

--- The same of a page that is served.
-- @tparam function make called with the port; returns what answers requests, as for `http.open`
-- @tparam string path of the page
-- @tparam {integer,...} widths
-- @tparam string script
function browser.visit(make, path, widths, script)
   local dir, handle = command.folder(), nil
   local s <close> = assert(require("bclua.http").open(function(request)
      if request.path == "/check.html" then
         return 200, {["Content-Type"] = "text/html"}, OUTER:format(frames('src="' .. path .. '"', widths), script)
      end
      local status, headers, body = handle(request)
      local policy = headers["Content-Security-Policy"]:gsub("frame%-ancestors 'none'", "frame-ancestors 'self'")
      headers["Content-Security-Policy"] = policy -- else it could not be looked at
      return status, headers, body
   end))
   handle = make(s:port())
   os.execute(("(%s; touch %s/done) &"):format(start(dir, ("http://127.0.0.1:%d/check.html"):format(s:port())), dir))
   local deadline = system.clock() + 130
   while not files.exists(dir .. "/done") and system.clock() < deadline do assert(s:step(0.1)) end
   return finish(dir)
end

return browser
