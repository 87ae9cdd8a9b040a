local annotations = require "bclua.format.annotations"
local match = require "bclua.data.annotation_match"

local function tab(...)
   local lines = {}
   for i, line in ipairs{...} do lines[i] = line:gsub(" ?| ?", "\t") end
   return table.concat(lines, "\n") .. "\n"
end

local function utf16(s, unit, mark)
   local out = {mark}
   for _, code in utf8.codes(s) do
      if code >= 0x10000 then
         out[#out + 1] = unit:pack(0xD800 + ((code - 0x10000) >> 10))
         code = 0xDC00 + (code - 0x10000 & 0x3FF)
      end
      out[#out + 1] = unit:pack(code)
   end
   return table.concat(out)
end

-- Rows as lists: path, start, end, label, score; `wrong` alone where it is so.
local function rows(bytes, options)
   local t = assert(annotations.read(bytes, options))
   local list = {}
   for i, r in ipairs(t.rows) do
      list[i] = r.wrong and {r.line, r.wrong} or {r.path or "-", r.start_s, r.end_s, r.label or "-", r.score}
   end
   return list, t
end

describe("a Raven selection table", function()
   local HEADER = "Selection | View | Channel | Begin Time (s) | End Time (s) | Low Freq (Hz) | High Freq (Hz)"

   it("without files is of the recording that has its name", function()
      local list, t = rows(tab(HEADER .. " | Annotation", "1 | Spectrogram 1 | 1 | 1.5 | 2.25 | 500.0 | 4000.0 | song"))
      assert.same({{"-", 1.5, 2.25, "song"}}, list)
      assert.equal("raven", t.kind)
      assert.same({500, 4000, 2}, {t.rows[1].low_hz, t.rows[1].high_hz, t.rows[1].line})
   end)

   it("has a row for each view of a selection", function()
      local list, t = rows(tab(HEADER .. " | Species",
         "1 | Waveform 1 | 1 | 1 | 2 | | | robin", "1 | Spectrogram 1 | 1 | 1 | 2 | 100 | 900 | robin",
         "2 | Waveform 1 | 1 | 1 | 2 | 5 | 6 |", "2 | Spectrogram 1 | 1 | 1 | 2 | 7 | 8 | wren",
         "3 | Spectrogram 1 | 1 | 4 | 5 | 7 | 8 | wren", "3 | Spectrogram 1 | 1 | 4 | 5 | 7 | 8 | wren"))
      assert.same({{"-", 1, 2, "robin"}, {"-", 1, 2, "wren"}, {"-", 4, 5, "wren"}, {"-", 4, 5, "wren"}}, list)
      assert.equal(2, t.views)
      assert.same({100, 900, 7, 8}, {t.rows[1].low_hz, t.rows[1].high_hz, t.rows[2].low_hz, t.rows[2].high_hz})
   end)

   it("of a sequence of files says where in each", function()
      local list = rows(tab("Selection | Begin Time (s) | End Time (s) | Begin Path | Begin File | File Offset (s)",
         "1 | 100.5 | 102 | D:\\card\\a.wav | a.wav | 0.5", "2 | 201 | 202.1 | D:\\card\\ | b.wav | 1"))
      assert.same({{"/card/a.wav", 0.5, 2, "-"}, {"/card/b.wav", 1, 2.1, "-"}}, list)
   end)

   it("of a sequence without offsets is believed where its times can only be those of the files", function()
      local header = "Selection | Begin Time (s) | End Time (s) | Begin File"
      assert.same({{"a.wav", 1, 9, "-"}, {"b.wav", 2, 3, "-"}}, (rows(tab(header, "1 | 1 | 9 | a.wav",
         "2 | 2 | 3 | b.wav"))))
      local list = rows(tab(header, "1 | 1 | 2 | a.wav", "2 | 62 | 63 | b.wav"))
      assert.same({"a.wav", 1, 2, "-"}, list[1])
      assert.matches("File Offset", list[2][2], 1, true)
   end)

   it("calls its label by many names, and as one says", function()
      local text = tab("Begin Time (s) | End Time (s) | Species | Notes | Call type", "1 | 2 | | loud | trill")
      assert.equal("trill", rows(text)[1][4])
      assert.equal("loud", rows(text, {column = "notes"})[1][4])
      assert.matches("no column 'Tag' %(has: Begin Time", select(2, annotations.read(text, {column = "Tag"})))
   end)

   it("names lines that are none", function()
      local list = rows(tab("Begin Time (s) | End Time (s) | Species", "x | 2 | a", " | 2 | a", "3 | 2 | a",
         "-1 | 2 | a",
         "1 | 2 | a | more", "", "1 | 2 | a | |"))
      assert.same({{2, "no number: 'x' (Begin Time (s))"}, {3, "no 'Begin Time (s)'"}, {4, "ends before it starts"},
         {5, "starts before the recording"}, {6, "more cells than the header has: 4, not 3"}, {"-", 1, 2, "a"}}, list)
   end)
end)

describe("a label track of Audacity", function()
   it("has lines of frequencies, points, and labels without text", function()
      local list, t = rows(tab("1.0 | 2.0 | song", "\\ | 500 | 1500", "3 | 3 | tick", "\\ | -1.0 | 1500",
         "4 | 5", "6 | old"))
      assert.same({{"-", 1, 2, "song"}, {"-", 3, 3, "tick"}, {"-", 4, 5, "-"}, {"-", 6, 6, "old"}}, list)
      assert.same({500, 1500}, {t.rows[1].low_hz, t.rows[1].high_hz})
      assert.is_nil(t.rows[2].low_hz)
      assert.equal(1500, t.rows[2].high_hz)
      assert.equal("audacity", t.kind)
   end)

   it("names other lines", function()
      local wrong = "no label: expected start, end and text with tabs between"
      assert.same({{1, wrong}, {"-", 1, 2, "a"}, {3, wrong}, {4, wrong}}, (rows("\\\t1\t2\n1\t2\ta\nwords\n7\n")))
   end)

   it("may be empty", function()
      assert.same({}, (rows("")))
      assert.same({}, (rows("\n \n")))
   end)
end)

describe("results of BirdNET", function()
   local expected = {{"/data/a.wav", 0, 3, "Wren", 0.75}}

   it("are one thing in all their forms", function()
      assert.same(expected, (rows("Start (s),End (s),Scientific name,Common name,Confidence,File\n" ..
         "0,3.0,Troglodytes troglodytes,Wren,0.7500,/data/a.wav\n")))
      assert.same(expected, (rows("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t" ..
         "High Freq (Hz)\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n" ..
         "1\tSpectrogram 1\t1\t60.0\t63.0\t0\t15000\tWren\twinwre4\t0.7500\t/data/a.wav\t0\n")))
      assert.same(expected, (rows("INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat," ..
         "lon,week,overlap,sensitivity\n/,data,a.wav,0,3.0,Troglodytes troglodytes,Wren,0.75,-1,-1,-1,0,1\n")))
      assert.same(expected, (rows("filepath,start,end,scientific_name,common_name,confidence,lat,lon,week\n" ..
         "/data/a.wav,0,3,Troglodytes troglodytes,Wren,0.75,-1,-1,-1\n")))
      local list, t = rows("0.0\t3.0\tTroglodytes troglodytes, Wren\t0.7500\n")
      assert.same({{"-", 0, 3, "Wren", 0.75}}, list)
      assert.equal(3, t.overhang_s)
      assert.equal("Troglodytes troglodytes", rows("0\t3\tTroglodytes troglodytes, Wren\t0.75\n",
         {column = "Scientific name"})[1][4])
   end)

   it("of a recording without calls are no label", function()
      assert.same({{2, "says that there is no call"}}, (rows("Start (s),End (s),Scientific name,Common name," ..
         "Confidence\n0,3,nocall,nocall,1.0\n")))
   end)
end)

describe("a table of Kaleidoscope", function()
   it("has the folder in pieces, and who knows best is the label", function()
      local list, t = rows("INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,Fmean,Fmax,TOP1MATCH,AUTO ID," ..
         'MANUAL ID\r\nC:\\in,site\\one,a.wav,0,1.5,0.25,2000,2500,3000,c1,MYOLUC,"MYOSEP"\r\n' ..
         "C:\\in,,b.wav,0,1.5,0.25,2000,2500,3000,c1,NoID,\r\n")
      assert.same({{"/in/site/one/a.wav", 1.5, 1.75, "MYOSEP"}, {"/in/b.wav", 1.5, 1.75, "NoID"}}, list)
      assert.same({2000, 3000}, {t.rows[1].low_hz, t.rows[1].high_hz})
   end)

   it("of bats has kilohertz", function()
      local _, t = rows("INDIR,FOLDER,IN FILE,OFFSET,DURATION,AUTO ID,PULSES,Fmin,Fmax\n" ..
         "x,,a.wav,1,2,MYOLUC,5,39.5,80\n")
      assert.same({39500, 80000}, {t.rows[1].low_hz, t.rows[1].high_hz})
   end)
end)

describe("any other table", function()
   local expected = {{"a b.wav", 1.5, 2.25, "Wren"}, {"Zaunk\u{F6}nig.wav", 2, 3, "x, y"}}

   it("is read with its delimiter, decimal sign, encoding and line ends", function()
      local point = 'filename,start_s,end_s,label\n"a b.wav",1.5,2.25,Wren\nZaunk\u{F6}nig.wav,2,3,"x, y"\n'
      local comma = 'filename;start_s;end_s;label\n"a b.wav";1,5;2,25;Wren\nZaunk\u{F6}nig.wav;2;3;x, y\n'
      for _, s in ipairs{point, comma, comma:gsub(";", "\t"), 'sep=;\n' .. comma, "\n" .. point,
         (comma:gsub("1,5", '"1,5"')), (point:gsub("1%.5", '"1,5"')), (point:gsub("\n$", ""))} do
         for _, ends in ipairs{"\n", "\r\n", "\r"} do
            local text = s:gsub("\n", ends)
            for name, bytes in pairs{utf8 = text, mark = "\xEF\xBB\xBF" .. text, latin1 = text:gsub("\u{F6}", "\xF6"),
               le = utf16(text, "<I2", "\xFF\xFE"), be = utf16(text, ">I2", "\xFE\xFF"), bare = utf16(text, "<I2")} do
               local list = rows(bytes)
               assert.same(expected, list, name .. ": " .. text)
            end
         end
      end
      assert.equal("\u{1F426}", rows(utf16("start_s,label\n1,\u{1F426}\n", "<I2", "\xFF\xFE"))[1][4])
      assert.equal("\u{201C}x\u{201D}", rows("start_s,label\n1,\x93x\x94\n")[1][4])
   end)

   it("may have columns of other names and units", function()
      for _, header in ipairs{"file,start,end,species", "source_name,start_s,end_s,species",
         "Path;Onset (s);Offset (s);Tag", "sound.files,start,end,label", "wav_file,start_time_s,duration_s,class",
         "file|onset_s|offset_s|label"} do
         local line = header:find("duration") and "x/a.wav,1,2,y" or "x/a.wav,1,3,y"
         line = line:gsub(",", header:match("[;,|]"))
         assert.same({{"x/a.wav", 1, 3, "y"}}, (rows(header .. "\n" .. line .. "\n")), header)
      end
      local list, t = rows("file,start_ms,end_ms,low (kHz),label\na.wav,1500,2000,2.5,x\n")
      assert.same({{"a.wav", 1.5, 2, "x"}}, list)
      assert.equal(2500, t.rows[1].low_hz)
      assert.same({{"a.wav", 3723.5, 3725, "x"}}, (rows("file,start,end,label\na.wav,1:02:03.5,1:02:05,x\n")))
   end)

   it("may have cells of several lines, but a quote alone swallows none", function()
      assert.same({{"a.wav", 1, 2, "one two"}, {"b.wav", 3, 4, "x"}}, (rows('file,start,end,label\n' ..
         'a.wav,1,2,"one\ntwo"\n' .. "b.wav,3,4,x\n")))
      local list, t = rows('file,start,end,label\na.wav,1,2,"inch\nb.wav,3,4,5"\nc.wav,5,6,7\n')
      assert.same({{"a.wav", 1, 2, '"inch'}, {"b.wav", 3, 4, '5"'}, {"c.wav", 5, 6, "7"}}, list)
      assert.same({2, 3, 4}, {t.rows[1].line, t.rows[2].line, t.rows[3].line})
   end)

   it("is none where nothing says when", function()
      assert.matches("no column says where a label starts", select(2, annotations.read("a,b\n1,2\n")), 1, true)
      assert.is_nil(annotations.read("\x89PNG\r\n\26\n\0\0\0\rIHDR"))
   end)

   it("needs a file in each line if it has one in any", function()
      assert.same({{2, "names no sound file"}}, (rows("file,start,end\n,1,2\n")))
   end)
end)

describe("a recording", function()
   local NAMES = {"birds/north/A.WAV", "birds/south/A.WAV", "birds/south/b.flac", "birds/south/c.d.wav", "birds/x.wav",
      "birds/X.wav", "birds/e.wav", "birds/e.flac"}
   local m = match.new(NAMES)

   local function is(expected, path, method)
      local i, why = m[method or "find"](m, path)
      assert.equal(expected, i and NAMES[i] or why, path)
   end

   it("is found by source name, end of path, or name", function()
      is("birds/north/A.WAV", "birds/north/A.WAV")
      is("birds/north/A.WAV", "/media/card/north/A.WAV")
      is("birds/south/A.WAV", "SOUTH/a.wav")
      is("birds/south/b.flac", "b.wav")
      is("birds/x.wav", "x.wav")
      is("birds/e.flac", "e.flac")
      is("no recording is called so", "f.wav")
   end)

   it("is not guessed where several are called so", function()
      is("several recordings are called so: birds/north/A.WAV, birds/south/A.WAV", "A.wav")
      is("several recordings are called so: birds/north/A.WAV, birds/south/A.WAV", "west/A.WAV")
      is("several recordings are called so: birds/e.wav, birds/e.flac", "e.ogg")
   end)

   it("gives its name to tables", function()
      for _, name in ipairs{"c.d.Table.1.selections.txt", "c.d.txt", "c.d.wav.txt", "c.d.BirdNET.results.csv",
         "c.d_labels.txt", "C.D.selections.txt"} do
         is("birds/south/c.d.wav", "tables/" .. name, "of_table")
      end
      is("birds/north/A.WAV", "tables/north/A.Table.1.selections.txt", "of_table")
      is("several recordings are called so: birds/north/A.WAV, birds/south/A.WAV", "tables/A.txt", "of_table")
      is("no recording has the name of this file", "tables/q.txt", "of_table")
   end)
end)
