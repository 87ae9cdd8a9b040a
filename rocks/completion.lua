-- usage: bclua rocks/completion.lua bash|zsh OUT SCRIPT...
-- Write what a shell needs to complete `bclua`: its own options, the scripts, their
-- commands and options, read out of the parsers that the scripts make. The build
-- runs it.
local cli = require "bclua.cli"
local help = require "bclua.help"
local system = require "bclua.system"

-- The program's own; a spec compares them with `bclua --help`.
local OWN = {{"-e", "execute a statement"}, {"-i", "enter the REPL after the script"},
   {"-l", "require a module"}, {"-v", "show the version"}, {"--version", "show the version"},
   {"--threads", "threads for everything"}, {"-h", "show help"}, {"--help", "show help"}, {"--", "end of the options"},
   {"-", "standard input is the script"}}

local function first_sentence(text)
   text = (text or ""):gsub("%s+", " ")
   return (text:match("^(.-)%.%f[%s%z]") or text):sub(1, 60)
end

local function options_of(parser, into)
   for _, option in ipairs(parser._options) do
      for _, alias in ipairs(option._public_aliases) do
         into[#into + 1] = {alias, first_sentence(option._description)}
      end
   end
   return into
end

-- script -> command ("" for none) -> list of {word, text}
local function describe(paths)
   local scripts = {}
   for _, path in ipairs(paths) do
      local parser = cli.parser_of(path)
      if parser then
         local commands = {}
         scripts[#scripts + 1] = {name = path:match("[^/]+$"), path = path:match("scripts/.*$"), commands = commands}
         local words = {}
         for _, command in ipairs(parser._commands) do
            words[#words + 1] = {command._public_aliases[1], first_sentence(command._description)}
            commands[#commands + 1] = {command._public_aliases[1], options_of(command, {})}
         end
         commands[#commands + 1] = {"", options_of(parser, words)}
      end
   end
   return scripts
end

local function words_of(list)
   local words = {}
   for i, entry in ipairs(list) do words[i] = entry[1] end
   return table.concat(words, " ")
end

local function scripts_list(scripts)
   local paths = {}
   for i, script in ipairs(scripts) do paths[i] = script.name:gsub("%.lua$", "") .. " " .. script.path end
   return table.concat(paths, " ")
end

-- The loops that both shells share: where the script and its command are.
local function bash(scripts)
   local out = {"# bash completion of bclua; generated when bclua was built", "_bclua_words() {", '   case "$1 $2" in'}
   for _, script in ipairs(scripts) do
      for _, command in ipairs(script.commands) do
         out[#out + 1] = ('   "%s %s") echo "%s" ;;'):format(script.name, command[1], words_of(command[2]))
      end
   end
   out[#out + 1] = ([==[
   esac
}

_bclua() {
   local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i word script= command= words
   for ((i = 1; i < COMP_CWORD; i++)); do
      word=${COMP_WORDS[i]}
      if [ -z "$script" ]; then
         case $word in
         -e | -l | --threads) ((i++)) ;;
         -?*) ;;
         *) script=${word##*/} script=${script%%%%.lua}.lua ;;
         esac
      elif [ -z "$command" ] && [ -n "$(_bclua_words "$script" "$word")" ]; then
         command=$word
      fi
   done
   COMPREPLY=()
   if [ -z "$script" ]; then
      case $prev in
      -l) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
      -e | --threads) return ;;
      esac
      if [ "${cur:0:1}" = - ]; then
         COMPREPLY=($(compgen -W "%s" -- "$cur"))
      else
         COMPREPLY=($(compgen -W "%s" -- "$cur") $(compgen -f -- "$cur"))
         compopt -o filenames 2>/dev/null
      fi
      return
   fi
   words=$(_bclua_words "$script" "$command")
   if [ "${cur:0:1}" = - ]; then
      words=$(printf '%%s\n' $words | grep '^-')
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
   else
      words=$(printf '%%s\n' $words | grep -v '^-')
      COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
      compopt -o filenames 2>/dev/null
   fi
}

complete -F _bclua bclua
]==]):format(table.concat(help.modules(), " "), words_of(OWN), scripts_list(scripts))
   return table.concat(out, "\n")
end

-- `word:text` in single quotes, as _describe takes it.
local function described(list)
   local words = {}
   for i, entry in ipairs(list) do
      words[i] = "'" .. (entry[1]:gsub(":", "\\:") .. ":" .. entry[2]):gsub("'", "'\\''") .. "'"
   end
   return table.concat(words, " ")
end

local function zsh(scripts)
   local out = {"#compdef bclua", "# zsh completion of bclua; generated when bclua was built", "",
      "_bclua_words() { # SCRIPT COMMAND: sets reply", '   case "$1 $2" in'}
   for _, script in ipairs(scripts) do
      for _, command in ipairs(script.commands) do
         out[#out + 1] = ('   "%s %s") reply=(%s) ;;'):format(script.name, command[1], described(command[2]))
      end
   end
   out[#out + 1] = ([==[
   *) reply=() ;;
   esac
}

_bclua() {
   local word script= command= i
   local -a reply options
   for ((i = 2; i < CURRENT; i++)); do
      word=${words[i]}
      if [[ -z $script ]]; then
         case $word in
         -e | -l | --threads) ((i++)) ;;
         -?*) ;;
         *) script=${${word:t}%%%%.lua}.lua ;;
         esac
      elif [[ -z $command ]]; then
         _bclua_words "$script" "$word"
         (($#reply)) && command=$word
      fi
   done
   if [[ -z $script ]]; then
      case ${words[CURRENT-1]} in
      -l) compadd -- %s; return ;;
      -e | --threads) return ;;
      esac
      if [[ $PREFIX = -* ]]; then
         options=(%s)
         _describe -o option options
      else
         compadd -- %s
         _files
      fi
      return
   fi
   _bclua_words "$script" "$command"
   if [[ $PREFIX = -* ]]; then
      options=(${(M)reply:#-*})
      _describe -o option options
   else
      options=(${reply:#-*})
      (($#options)) && _describe command options
      _files
   fi
}

_bclua "$@"
]==]):format(table.concat(help.modules(), " "), described(OWN), scripts_list(scripts))
   return table.concat(out, "\n")
end

local scripts = describe(table.move(arg, 3, #arg, 1, {}))
assert(system.write_file(arg[2], (arg[1] == "zsh" and zsh or bash)(scripts)))
