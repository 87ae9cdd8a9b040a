-- The pages of README and doc/: every code block is run, every link is followed.
local command = require "support.command"
local pages = require "support.pages"
local lfs = require "lfs"

local quote = command.quote
local ROOT = lfs.currentdir()
local PATHS = {"README.md"}
for name in lfs.dir("doc") do
   if name:match("%.md$") then PATHS[#PATHS + 1] = "doc/" .. name end
end
table.sort(PATHS)

-- What no spec can run, by page; anything else that says so is a mistake.
local SKIPPED = {
   ["README.md"] = 1, -- make demo, and a user's own recordings
   ["doc/howto.md"] = 4, -- trainings of minutes, Slurm, a network of somebody else
   ["doc/install.md"] = 2, -- what installs
   ["doc/quickstart.md"] = 2, -- the same; a server that ends with Ctrl-C
   ["doc/pipeline.md"] = 1, -- browse
   ["doc/performance.md"] = 1, -- a cross compiler
   ["doc/kernel.md"] = 1, -- make check and asan
   ["doc/detect.md"] = 5, -- browse; a network of somebody else, four times
   ["doc/explore.md"] = 1,
   ["doc/cluster.md"] = 2, -- mpirun, twice
}

-- As one reads them who is new here, and the quick start first: it makes the recordings of all others, as `make demo`.
local IN_ORDER = {"doc/quickstart.md", "README.md", "doc/tutorial.md", "doc/pipeline.md", "doc/experiment.md",
   "doc/detect.md", "doc/explore.md", "doc/sweep.md"}

local function read(path) return pages.parse(command.read(path)) end

-- Run it in a page's folder; returns output and status.
local function run(folder, text)
   return command.shell(("cd %s && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BCLUA_QUIET PATH=%s:\"$PATH\" " ..
      "TERM=xterm LC_ALL=C.UTF-8 timeout 200 %s"):format(quote(folder), quote(folder .. "/.bin"), text))
end

local RUN = {}

function RUN.sh(folder, block)
   command.write(folder .. "/.block", block.text)
   return run(folder, "sh -eu .block </dev/null")
end

function RUN.lua(folder, block)
   command.write(folder .. "/.block", block.text)
   return run(folder, "bclua .block </dev/null")
end

function RUN.repl(folder, block)
   command.write(folder .. "/.block", pages.typed(block.text))
   local out, status = run(folder, "sh -c 'bclua -i <.block 2>.stderr'")
   local err = command.read(folder .. "/.stderr")
   if err ~= "" then return out .. err, 1 end
   -- the line with the version, and the last prompt
   out = out:gsub("^[^\n]*\n", ""):gsub("> %s*$", "")
   if not pages.matches(block.text, out) then return "the REPL says\n" .. out, 1 end
   return out, status
end

local function write(folder, block)
   local path = folder .. "/" .. block.file
   if block.file:find("/") then assert(os.execute("mkdir -p " .. quote(path:match("^(.*)/")))) end
   command.write(path, block.text)
   if block.language == "lua" then assert(load(block.text, "=" .. block.file)) end
end

-- Width and height of a PNG.
local function size(path)
   local width, height = (">I4I4"):unpack(command.read(path), 17)
   return {width, height}
end

-- A copy of the checkout as it was built, in which make finds its objects; they count as new,
-- lest a checkout that was changed since is built from the beginning.
local function copy_tree(folder)
   local build = command.program:match("^(.*)/")
   local out, status = command.shell(([[
      cp -a csrc lua rocks spec scripts doc Makefile VERSION %s/ && mkdir %s/build && cd %s && for f in obj bclua bclua.so \
      version help.lua bclua.bash _bclua; do cp -a "$f" %s/build/ || exit 1; done && ln -s "$PWD"/libduckdb.so %s/build/ && \
      find %s/build -type f -exec touch {} +]]
      ):format(quote(folder), quote(folder), quote(build), quote(folder), quote(folder), quote(folder)))
   assert(status == 0, out)
end

describe("the pages", function()
   local folder

   before_each(function()
      folder = command.folder()
      assert(lfs.mkdir(folder .. "/.bin"))
      local program = command.program:sub(1, 1) == "/" and command.program or ROOT .. "/" .. command.program
      assert(lfs.link(program, folder .. "/.bin/bclua", true))
   end)
   after_each(function() command.remove(folder) end)

   local run_page
   local left, before = {}, {} -- of pages that others begin behind: a copy of the folder, what was skipped; which ones
   for _, path in ipairs(PATHS) do before["doc/" .. (read(path).settings.after or "")] = true end
   teardown(function()
      for _, of in pairs(left) do command.remove(of.folder) end
   end)

   -- A page in an empty folder, what it leaves and returns; if it is one that others begin behind it is run once.
   local function follow(path)
      local function copy(from, to) assert(os.execute(("cp -a %s/. %s/"):format(quote(from), quote(to)))) end
      if not before[path] then return run_page(path, read(path)) end
      if left[path] then
         copy(left[path].folder, folder)
      else
         local of = {skipped = run_page(path, read(path)), folder = command.folder()}
         copy(folder, of.folder)
         left[path] = of
      end
      return left[path].skipped
   end

   -- All blocks of a page; the number of those that no spec can run. `again`: something is there already, and what is
   -- printed need not be what the page says.
   function run_page(path, page, again)
      local last, skipped = nil, 0
      if page.settings.after and not again then follow("doc/" .. page.settings.after) end
      if page.settings.before then
         local out, status = run(folder, ("sh -euc %s"):format(quote(page.settings.before)))
         assert(status == 0, out)
      end
      for _, block in ipairs(page.blocks) do
         local where = ("%s:%d: "):format(path, block.line)
         if block.skipped then
            skipped, last = skipped + 1, nil
         elseif block.file then
            write(folder, block)
         elseif block.output then
            assert(last, where .. "no block before it was run")
            assert(again or pages.matches(block.text, last), where .. "what was printed is\n" .. last)
         elseif RUN[block.language] then
            local status
            last, status = RUN[block.language](folder, block)
            assert(status == 0, where .. last)
         else
            assert.equal("text", block.language, where .. "a block in a language that nobody runs")
         end
      end
      return skipped
   end

   it("run one after the other, in one folder", function()
      if os.getenv("BCLUA_SANITIZED") then pending("the pages are not run under a sanitizer") return end
      for i, path in ipairs(IN_ORDER) do
         if i == 1 then follow(path) else run_page(path, read(path), true) end
      end
   end)

   for _, path in ipairs(PATHS) do
      it("run: " .. path, function()
         local page = read(path)
         assert.same({}, page.indented, "blocks that are indented, not fenced")
         if #page.blocks == 0 then return end
         if os.getenv("BCLUA_SANITIZED") then pending("the pages are not run under a sanitizer") return end
         if page.settings.folder == "tree" then
            if not lfs.attributes(command.program:match("^(.*)/") .. "/obj") then
               pending("there are no object files beside " .. command.program)
               return
            end
            copy_tree(folder)
            assert(os.remove(folder .. "/.bin/bclua"))
            assert(lfs.link(folder .. "/build/bclua", folder .. "/.bin/bclua", true))
         end
         local skipped = follow(path)
         for _, target in ipairs(pages.links(page)) do
            if target:match("%.png$") and lfs.attributes(folder .. "/" .. target) then
               assert.same(size(folder .. "/" .. target), size("doc/" .. target), "an old picture: " .. target)
            end
         end
         assert.equal(SKIPPED[path] or 0, skipped, path .. ": blocks that are not run")
      end)

      it("lead somewhere: " .. path, function()
         for _, target in ipairs(pages.links(read(path))) do
            if not target:match("^https?://") then
               local file, anchor = target:match("^([^#]*)#?(.*)$")
               local other = file == "" and path or (path:match("^(.*/)") or "") .. file
               assert(lfs.attributes(other), ("%s: there is no %s"):format(path, target))
               if anchor ~= "" then
                  assert(pages.anchors(read(other))[anchor], ("%s: no heading for %s"):format(path, target))
               end
            end
         end
      end)
   end
end)

-- A row of a table cannot be broken.
describe("the lines of a page", function()
   for _, path in ipairs{"CHANGELOG.md", table.unpack(PATHS)} do
      it("have at most 100 characters: " .. path, function()
         local number = 0
         for line in command.read(path):gmatch("([^\n]*)\n") do
            number = number + 1
            assert(line:find("^|") or utf8.len(line) <= 100, ("%s:%d: %s"):format(path, number, line))
         end
      end)
   end
end)

describe("the page of settings", function()
   it("is what `make settings` writes, and has every setting of the pipeline", function()
      local folder = command.folder()
      local out, status = command.bclua({"rocks/settings.lua", folder .. "/settings.md"})
      assert.equal(0, status, out)
      local page = command.read(folder .. "/settings.md")
      command.remove(folder)
      assert(page == command.read("doc/settings.md"), "doc/settings.md is out of date: make settings")
      local pipeline = require "bclua.workflow.pipeline"
      for step, settings in pairs(pipeline.defaults) do
         for name in pairs(settings) do
            assert.is_truthy(page:find(("`%s.%s`"):format(step, name), 1, true), step .. "." .. name)
         end
      end
   end)

   it("has default, limits, unit and text of an option, and the pipeline's own default", function()
      local page = command.read("doc/settings.md")
      for _, row in ipairs{"| `--dataset-root DIR` | needed |  |  |",
         "| `--batch-size N` | 64 | an integer from 1 to 1048576 | `fit.batch_size` (16) | Triplets in a batch. |",
         "| `--duration S` | 7 | a number from 0.1 to 600, s | `tiles.duration` | Length of a tile; "} do
         assert.is_truthy(page:find(row, 1, true), row)
      end
   end)
end)

describe("what the pages say", function()
   it("of options: there are such", function()
      local known = {["--lua-version"] = true, ["--logdir"] = true} -- of luarocks, of TensorBoard; below of Slurm
      for option in ("--array --cpus-per-task --time --requeue --mpi"):gmatch("%S+") do known[option] = true end
      local sources = command.shell("cat $(find scripts lua -name '*.lua') csrc/host/*.c")
      for option in sources:gmatch('"(%-%-%l[%w-]*)') do known[option] = true end
      local completion = command.read(command.program:match("^(.*)/") .. "/bclua.bash") -- also what schemas declare
      for option in completion:gmatch("%-%-%l[%w-]*") do known[option] = true end
      for _, path in ipairs(PATHS) do
         for option in command.read(path):gmatch("%f[%-%w]%-%-%l[%w-]*") do
            assert(known[option], ("%s: there is no option %s"):format(path, option))
         end
      end
   end)

   it("of defaults: they are so", function()
      local fit, pipeline = require "bclua.workflow.fit", require "bclua.workflow.pipeline"
      local page = command.read("doc/pipeline.md")
      local losses = page:match("%*%*Losses%*%*: (.-)%.%s")
      assert.equal(fit.defaults.loss, losses:match("^`%-%-loss ([%w_]+)` %(default%)"), losses)
      local named, all = {}, {table.unpack(require("bclua.train.options").losses)}
      for loss in losses:gsub("%-%-loss ", ""):gmatch("`([%w_]+)`") do named[#named + 1] = loss end
      table.sort(named)
      table.sort(all)
      assert.same(all, named)
      assert.equal(pipeline.defaults.tiles.store, page:match("| `(%w+)` %(default%) |"))
      page = command.read("doc/quickstart.md")
      local f = pipeline.defaults.fit
      assert.same({tostring(f.batches_per_round * f.max_rounds), tostring(f.batch_size)},
         {page:match("training is (%d+) steps of (%d+) triplets")})
      local dataset = require "bclua.data.dataset"
      local p = {}
      for k, v in pairs(dataset.defaults) do p[k] = v end
      for k, v in pairs(pipeline.demo_data) do p[k] = v end
      assert.equal(tostring(#select(2, dataset.plan(p))), page:match("(%d+) of them"))
   end)
end)

describe("the page on installing", function()
   it("names the packages that make deps installs, and no others", function()
      local wanted, named = {}, {}
      for line in command.read("rocks/deps.sh"):gmatch("[^\n]+") do
         local words = line:match("%f[%w]need ([%l%d][^;|}#]*)") or line:match("%f[%w]want ([%l%d][^;|}#]*)") or
            line:match("%f[%w]wish ([%l%d][^;|}#]*)") or line:match("%f[%w]hint ([%l%d][^;|}#]*)")
         for word in (words or ""):gmatch("[%l%d][%w.+-]+") do wanted[word] = true end
      end
      wanted["lua-ldoc"], wanted["lua-markdown"] = true, true -- make doc
      local text = command.read("doc/install.md"):match("Debian 12 packages: (.-)\n\n")
      for word in text:gmatch("`([%l%d][%w.+-]+)`") do named[word] = true end
      assert.same(wanted, named)
   end)
end)

describe("a page", function()
   it("is cut into blocks", function()
      local page = pages.parse("a\n<!-- folder: tree -->\n\n<!-- file: x.lua -->\n```lua\nx = 1\n```\n\n" ..
         "<!-- run: not, because -->\n\n```sh\ny\n```\n```text\nz\n```\n\n    indented\n\n- a\n\n    more of it\n")
      assert.equal("tree", page.settings.folder)
      assert.same({18}, page.indented)
      assert.equal(3, #page.blocks)
      assert.same({"lua", "x = 1\n", "x.lua"}, {page.blocks[1].language, page.blocks[1].text, page.blocks[1].file})
      assert.equal("because", page.blocks[2].skipped)
      assert.is_nil(page.blocks[3].skipped)
   end)

   it("is compared line by line", function()
      assert.is_true(pages.matches("a 1\nb ... c\n...\nd\n", "a 1 \nb 2 c\n\nx\ny\nd\n\n"))
      assert.is_false(pages.matches("a\n", "a\nb\n"))
      assert.is_false(pages.matches("a.c\n", "abc\n"))
      assert.is_false(pages.matches("b ... c\n", "b\nc\n"))
      assert.is_true(pages.matches("f(x) 50%\n", "f(x) 50%\n"))
   end)

   it("has anchors and links", function()
      local page = pages.parse("# A `code` & more: x\ntext [a](b.md#c), `[not](this)`\n```text\n# no\n[no](no)\n```\n")
      assert.same({["a-code--more-x"] = true}, pages.anchors(page))
      assert.same({"b.md#c"}, pages.links(page))
   end)

   it("types what follows the prompts", function()
      assert.equal("x = 1\nfor i = 1, 2 do\nend\n", pages.typed("> x = 1\nout\n> for i = 1, 2 do\n>> end\n"))
   end)
end)

describe("the reference", function()
   it("is made by LDoc without a warning", function()
      if not os.execute("command -v ldoc >/dev/null 2>&1") then pending("there is no ldoc here (lua-ldoc)") return end
      local folder = command.folder()
      local build = command.program:match("^(.*)/")
      local out, status = command.shell(("%s rocks/reference.lua %s/help.lua %s/in && " ..
         "HOME=%s ldoc -c doc/config.ld -d %s/out %s/in"):format(quote(command.program), quote(build), folder, folder,
         folder, folder))
      assert.equal(0, status, out)
      for line in out:gmatch("[^\n]+") do
         assert(line:match("^reading ") or line:match("^output written ") or line:match("^format: "), line)
      end
      local page = command.read(folder .. "/out/modules/bclua.stomp.html")
      assert.is_truthy(page:find('<a name = "self_join"></a>', 1, true))
      assert.is_truthy(command.read(folder .. "/out/modules/bclua.audio.html"):find('Class reader', 1, true))
      command.remove(folder)
   end)
end)
