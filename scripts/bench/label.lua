-- usage: bclua scripts/bench/label.lua EMBEDDINGS.parquet [LABELS [PAUSE_MS]]
-- LABELS (500) answers by keys in a headless Chromium, on `browse` over a table of embeddings whose recordings are
-- there, PAUSE_MS (0) after each window: milliseconds from the key to the next window's picture, and until its sound
-- plays. Answers go to a file of their own.
require("bclua.cli").help_by_comment()
package.path = "spec/?.lua;" .. package.path
local browse = require "bclua.workflow.browse"
local browse_server = require "bclua.workflow.browse.server"
local browser = require "support.browser"
local files = require "bclua.files"
local system = require "bclua.system"

local AT_ONCE = 100 -- of a visit
local embeddings, labels, pause = arg[1], tonumber(arg[2]) or 500, tonumber(arg[3]) or 0
local run = os.tmpname()
os.remove(run)
assert(system.mkdir(run))
local scratch <close> = files.scratch()
scratch[1] = run
local b = assert(browse.open{run = run, embeddings = embeddings})
assert(b.windows:answer(1, "bird", "yes"))

local shown, heard, slowest, start = {}, {}, 0, system.clock()
for first = 1, labels, AT_ONCE do
   local found, console = browser.visit(function(port)
      local s = browse_server.new(b, port)
      return function(request)
         local from = system.clock()
         local status, headers, body = s:handle(request)
         slowest = math.max(slowest, system.clock() - from)
         return status, headers, body
      end
   end, "/review", {1000}, browser.help .. ([[
      const strip = d.getElementById("strip"), shown = [], heard = [], play = view.Audio.prototype.play;
      let isPlaying = null;
      view.Audio.prototype.play = function() {
         this.addEventListener("playing", () => isPlaying && isPlaying(), {once: true});
         return play.call(this);
      };
      await until(() => strip.dataset.window !== undefined);
      for (let i = 0; i < %d; i++) {
         await new Promise(r => setTimeout(r, %d));
         const from = strip.dataset.window, t = performance.now();
         const sound = new Promise(done => { isPlaying = () => done(performance.now() - t); });
         const picture = new Promise(done => new view.MutationObserver((_, me) => {
            me.disconnect();
            done(performance.now() - t);
         }).observe(strip, {attributes: true, attributeFilter: ["data-window"]}));
         key("ynu"[(i * 7 + i %% 5) %% 3]);
         shown.push(await picture);
         heard.push(await sound);
      }
      return {shown, heard};]]):format(math.min(AT_ONCE, labels - first + 1), pause))
   assert(console == "", console)
   table.move(found[1].shown, 1, #found[1].shown, #shown + 1, shown)
   table.move(found[1].heard, 1, #found[1].heard, #heard + 1, heard)
end

local function quantiles(list)
   table.sort(list)
   local function at(q) return list[math.max(1, math.ceil(q * #list))] end
   return ("median %.0f ms, 95 %% %.0f ms, most %.0f ms"):format(at(0.5), at(0.95), at(1))
end
print(("%d windows, %d labels in %.0f s, with the starts of the browser; %d rows on disk"):format(b.windows.n, #shown,
   system.clock() - start, b.windows.answered))
print("shown: " .. quantiles(shown))
print("plays: " .. quantiles(heard))
print(("slowest answer of the server: %.0f ms"):format(1e3 * slowest))
