-- browser.lua: what a headless Chromium makes of a page.
local cjson = require "cjson"
local command = require "support.command"
local report = require "bclua.report"

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
   "--enable-logging=stderr --v=0 --virtual-time-budget=20000 --dump-dom"

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

--- Look at a page in frames of some widths.
-- @tparam string page HTML
-- @tparam {integer,...} widths in pixels
-- @tparam string script body of an async function of `{page, view, wide}` (document, window, does it scroll sideways?)
-- @treturn {table,...} what it returned, by width
-- @treturn string what the console said
function browser.look(page, widths, script)
   local dir = command.folder()
   command.write(dir .. "/page.html",
      OUTER:format(frames('srcdoc="' .. report.escape(page) .. '"', widths), script))
   local out = command.shell(("timeout -k 5 120 %s %s --user-data-dir=%s/profile file://%s/page.html 2>%s/said"):format(
      browser.program(), FLAGS, dir, dir, dir))
   local said = {}
   for line in command.read(dir .. "/said"):gmatch("[^\n]+") do
      if line:find("CONSOLE", 1, true) then said[#said + 1] = line end
   end
   command.remove(dir)
   local text = out:match('<pre id="found">(.-)</pre>')
   if not text or text == "" then error("the browser found nothing: " .. out:sub(-2000)) end
   return cjson.decode((text:gsub("&#?%w+;", ENTITIES))), table.concat(said, "\n")
end

return browser
