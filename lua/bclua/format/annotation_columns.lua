--- What the columns of tables of labels are called, and what they mean.
-- @module bclua.format.annotation_columns
local columns = {}

local UNITS = {s = 1, sec = 1, secs = 1, second = 1, seconds = 1, ms = 1e-3, hz = 1, khz = 1e3}

-- Names without blanks and units, the best one first.
local ROLES = {
   start = {"begintime", "start", "starttime", "startoffset", "begin", "onset", "timestart", "tstart", "tmin"},
   stop = {"endtime", "end", "stop", "endoffset", "stoptime", "timeend", "tend", "tmax"},
   length = {"deltatime", "duration", "length"},
   offset = {"fileoffset"},
   low = {"lowfreq", "lowfrequency", "low", "minfreq", "freqmin", "minfrequency", "freqlow", "bottomfreq", "fmin",
      "flow", "lowerfreq"},
   high = {"highfreq", "highfrequency", "high", "maxfreq", "freqmax", "maxfrequency", "freqhigh", "topfreq", "fmax",
      "fhigh", "upperfreq"},
   score = {"confidence", "score", "probability", "prob", "conf"},
   path = {"beginpath", "path", "filepath", "audiopath", "audiofilepath", "fullpath", "notatedpath"},
   file = {"beginfile", "infile", "sourcename", "filename", "file", "soundfile", "soundfiles", "audiofile",
      "audiofilename", "audio", "wav", "wavfile", "recording", "source", "sourcefile"},
   folder = {"folder"}, root = {"indir"}, view = {"view"}, selection = {"selection", "selec"},
}

local LABELS = {"species", "annotation", "annotations", "label", "labels", "commonname", "scientificname",
   "speciesname", "speciescode", "primarylabel", "ebirdcode", "manualid", "autoid", "top1match", "class", "classname",
   "category", "calltype", "soundtype", "songtype", "type", "code", "tag", "tags", "name", "text", "comments",
   "comment", "notes"}

-- A name as those above, and the factor of its unit; nil where it names none.
local function plain(name)
   local unit
   name = name:lower():match("^%s*(.-)%s*$")
   name = name:gsub("%s*[%(%[](%a+)[%)%]]$", function(word)
      unit = UNITS[word]
      return unit and ""
   end):gsub("[%s_.%-]+", " ")
   local head, word = name:match("^(.+) (%a+)$")
   if head and UNITS[word] then name, unit = head, UNITS[word] end
   return name:gsub(" ", ""), unit
end

-- The column of the best of some names.
local function first_of(at, names)
   for _, name in ipairs(names) do
      if at[name] then return at[name] end
   end
   return nil
end

--- What the columns of a table mean.
-- @tparam {string,...} names as the table has them
-- @treturn[1] table `at`: number of a column by role (`start`, `stop`, `length`, `offset` in the file, `low`, `high`,
-- `score`, `path`, `file`, `folder`, `root`, `view`, `selection`), `by_key`: the same by plain name; `scale`: by role
-- the factor that makes seconds and hertz of its numbers; `labels`: numbers of columns that may be the label, the best
-- first; `kind` (`raven`, `birdnet`, `kaleidoscope` or `csv`), `names`
-- @treturn[2] nil where none says when a label starts
function columns.read(names)
   local at, units = {}, {}
   local t = {at = {}, scale = {}, labels = {}, names = names, by_key = at}
   for i, name in ipairs(names) do
      local key, unit = plain(name)
      if not at[key] then at[key], units[i] = i, unit end
   end
   for role, known in pairs(ROLES) do t.at[role] = first_of(at, known) end
   if at.offset and at.onset then
      t.at.stop = t.at.stop or at.offset
   elseif at.offset and t.at.length then
      t.at.start = t.at.start or at.offset
   end
   if not t.at.start then t.at.start, t.at.offset, t.at.stop = t.at.offset, nil, nil end
   if not t.at.start then return nil end
   -- Kaleidoscope's bat analysis has its frequencies in kilohertz.
   for role, i in pairs(t.at) do
      t.scale[role] = units[i] or (role == "low" or role == "high") and at.pulses and 1e3 or 1
   end
   for _, name in ipairs(LABELS) do t.labels[#t.labels + 1] = at[name] end
   t.kind = at.confidence and at.commonname and "birdnet" or at.infile and at.offset and "kaleidoscope"
      or at.begintime and "raven" or "csv"
   return t
end

--- The column of that name, in any case.
-- @tparam {string,...} names
-- @tparam string name
-- @treturn ?integer
function columns.find(names, name)
   for i, one in ipairs(names) do
      if one:lower():match("^%s*(.-)%s*$") == name:lower() then return i end
   end
   return nil
end

return columns
