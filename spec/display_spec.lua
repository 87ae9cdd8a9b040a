local display = require "bclua.display"

local KIRA = "キラ" -- two letters of two columns each
local ZWOELF = "zwo\u{308}lf" -- the dots come as a letter of their own

describe("display", function()
   it("breaks lines that are too long below where their text begins", function()
      assert.equal("short  line\n   a  some\n      words\n   and more\n   of it",
         display.fit("short  line\n   a  some words\n   and more of it", 12))
      assert.equal(" - one\n   item\n - two", display.fit(" - one item\n - two", 8))
   end)

   it("counts the columns that a terminal takes", function()
      for s, width in pairs({[""] = 0, abc = 3, ["é€"] = 2, [KIRA] = 4, [ZWOELF] = 5, ["caf\xe9s"] = 5}) do
         assert.equal(width, display.width(s), s)
      end
      assert.equal("caf\u{FFFD}s\u{FFFD}", display.utf8("caf\xe9s\xff"))
   end)

   it("makes one line of a text, which does nothing to a terminal", function()
      for s, line in pairs({["a b"] = "a b", ["é鳥"] = "é鳥", ["a\nb\tc\r"] = "a\\nb\\tc\\r",
         ["\27[2J\7\0\127"] = "\\x1b[2J\\x07\\x00\\x7f",
         ["a\u{85}\u{9b}\u{2028}\u{202e}\u{2066}"] = "a\\u{85}\\u{9b}\\u{2028}\\u{202e}\\u{2066}",
         ["\u{2013}\u{a0}\u{2026}\xc2\xe2"] = "\u{2013}\u{a0}\u{2026}\xc2\xe2"}) do
         assert.equal(line, display.line(s))
      end
      assert.same({"a\\nb  1", "c     2"}, display.lines({{"a\nb", "1"}, {"c", "2"}}, {}))
   end)

   it("counts in words", function()
      assert.equal("1 recording", display.count(1, "recording"))
      assert.equal("0 recordings", display.count(0, "recording"))
      assert.equal("12 entries", display.count(12, "entry", "entries"))
      assert.equal("1 sound occurs", display.count(1, "sound occurs", "sounds occur"))
   end)

   it("makes one word for a shell of a text", function()
      for s, word in pairs({["a/b-1.ogg"] = "a/b-1.ogg", ["--x=1,2"] = "--x=1,2", [""] = "''", ["a b"] = "'a b'",
         ["~"] = "'~'", ["it's $1"] = "'it'\\''s $1'"}) do
         assert.equal(word, display.shell(s))
      end
      local pipe <close> = assert(io.popen("printf %s " .. display.shell("a\n'\"$(no)`no`\\")))
      assert.equal("a\n'\"$(no)`no`\\", pipe:read("a"))
   end)

   it("cuts between letters, and fills up with blanks", function()
      assert.equal("abc", display.cut("abc", 3))
      assert.equal("ab", display.cut("abc", 2))
      assert.equal("キ", display.cut(KIRA, 3))
      assert.equal("zwo\u{308}", display.cut(ZWOELF, 3))
      assert.equal("caf\xe9", display.cut("caf\xe9s", 4))
      assert.equal("", display.cut("abc", -1))
      assert.equal(KIRA .. "  ", display.pad(KIRA, 6))
      assert.equal("  \xe9", display.pad("\xe9", 3, true))
      assert.equal("abc", display.pad("abc", 2))
   end)

   it("puts columns below each other, as wide as a name may be", function()
      local long = ("x"):rep(150)
      assert.same({"name" .. (" "):rep(148) .. " n", long .. "  12", KIRA .. (" "):rep(146) .. "   3"},
         display.lines({{"name", "n"}, {long, "12"}, {KIRA, "3"}}, {[2] = true}))
   end)

   it("breaks the header of a table that is too wide, then its first column, and nothing in one that fits", function()
      local rows = {{"features", "near: cosine", "won"}, {"log-mel mean and deviation", "0.5", "70 %"}}
      local right = {[2] = true, [3] = true}
      assert.same(display.lines(rows, right), display.lines(rows, right, 46))
      assert.same({"                             near:", "features                    cosine   won",
         "log-mel mean and deviation     0.5  70 %"}, display.lines(rows, right, 41))
      local lines = display.lines(rows, right, 30)
      assert.same({"                   near:", "features          cosine   won", "log-mel mean and",
         "deviation            0.5  70 %"}, lines)
      for _, line in ipairs(lines) do assert.is_true(#line <= 30) end
   end)
end)
