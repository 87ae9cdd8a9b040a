local array = require "bclua.array"
local command = require "support.command"
local quote = command.quote

describe("audio.play", function()
   local dir
   setup(function() dir = command.folder() end)
   teardown(function() command.remove(dir) end)

   local play = "require('bclua.audio').play"
   local tone = "require('bclua.array').full({800}, 0.5)"

   -- A player that is a shell script; the program finds no other.
   local function with_player(name, script, code, env)
      local tools = dir .. "/tools"
      command.shell("rm -rf " .. tools .. " && mkdir " .. tools .. " && ln -s $(command -v sh) $(command -v cp) " ..
         "$(command -v sleep) $(command -v kill 2>/dev/null || true) " .. tools)
      if name then
         command.write(tools .. "/" .. name, "#!/bin/sh\n" .. script .. "\n")
         command.shell("chmod +x " .. tools .. "/" .. name)
      end
      return command.bclua({"-e", code}, {env = "PATH=" .. quote(tools) .. " " .. (env or "BCLUA_PLAYER=")})
   end

   it("hands a WAV file to the player, and removes it", function()
      local out = with_player("aplay",
         'for f; do :; done; cp "$f" ' .. dir .. '/got.wav; echo "$f" >' .. dir .. "/name",
         ("print(%s(%s, 16000))"):format(play, tone))
      assert.equal("true\n", out)
      local y, rate = require("bclua.audio").load(dir .. "/got.wav")
      assert.equal(16000, rate)
      assert.equal(800, #y)
      assert.near(0.5, y[400], 1e-4)
      assert.is_nil(io.open((command.read(dir .. "/name"):gsub("\n", ""))))
   end)

   it("takes the player that it is told", function()
      local script = command.write(dir .. "/mine", "echo mine \"$1\" >" .. dir .. "/said\n")
      assert.equal("true\n", (with_player("aplay", "exit 1", ("print(%s(%s, 8000))"):format(play, tone),
         "BCLUA_PLAYER=" .. quote("sh " .. script .. " --loud"))))
      assert.equal("mine --loud\n", command.read(dir .. "/said"))
   end)

   it("says that there is none, or what it said", function()
      local out = with_player(nil, nil, ("print(%s(%s, 8000))"):format(play, tone))
      assert.matches("^nil\tno player found %(pw%-play, .*alsa%-utils has aplay", out)
      local there = "PULSE_SERVER=somewhere BCLUA_PLAYER="
      out = with_player("ffplay", "echo 'ALSA lib' >&2; echo 'broken' >&2; exit 3",
         ("print(%s(%s, 8000))"):format(play, tone), there)
      assert.equal("nil\tffplay: broken\n", out)
      out = with_player("paplay", "exit 3", ("print(%s(%s, 8000))"):format(play, tone), there)
      assert.equal("nil\tpaplay: ended with status 3\n", out)
   end)

   it("says that there is no device, and tries the next player", function()
      local out = with_player("aplay", "exit 3", ("print(%s(%s, 8000))"):format(play, tone))
      if select(2, command.shell("ls /dev/snd/pcm*p")) ~= 0 then
         assert.equal("nil\tno sound device here: audio.save writes what can be heard elsewhere (aplay: ended with " ..
            "status 3)\n", out)
      end
      local both = command.write(dir .. "/tools/paplay", "#!/bin/sh\nexit 1\n")
      command.write(dir .. "/tools/aplay", "#!/bin/sh\nexit 0\n")
      out = command.shell(("chmod +x %s && PATH=%s BCLUA_PLAYER= %s -e %s"):format(both, quote(dir .. "/tools"),
         quote(command.program), quote(("print(%s(%s, 8000))"):format(play, tone))))
      assert.equal("true\n", out)
   end)

   it("plays nothing of nothing, and takes no noise for sound", function()
      local audio = require "bclua.audio"
      assert.is_true(audio.play(array.zeros({0}), 8000))
      assert.error_matches(function() audio.play(array.full({3}, 0 / 0), 8000) end, "bad argument #1 to 'play'")
      assert.error_matches(function() audio.play("x", 8000) end, "bad argument #1 to 'play'")
      assert.error_matches(function() audio.play(array.zeros({3}), 0) end, "bad argument #2 to 'play'")
   end)

   it("is stopped by Ctrl-C, and stops the player", function()
      local tool = command.write(dir .. "/slow", "echo $$ >" .. dir .. "/pid.new; mv " .. dir .. "/pid.new " .. dir ..
         "/pid\nexec sleep 60\n")
      local out, status = command.shell(("BCLUA_PLAYER=%s %s -e %s & p=$!; " ..
         "while [ ! -e %s/pid ]; do sleep 0.01; done; " ..
         "kill -INT $p; wait $p; s=$?; kill -0 $(cat %s/pid) 2>/dev/null && echo alive; exit $s"):format(
         quote("sh " .. tool), command.program, quote(("print(%s(%s, 8000))"):format(play, tone)), dir, dir))
      assert.matches("interrupted!", out)
      assert.is_nil(out:find("alive"))
      assert.equal(130, status)
   end)
end)
