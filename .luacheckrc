std = "lua54"
max_line_length = 120
max_string_line_length = false
-- set by spec/run.lua: the program that runs the specs
files["spec"] = {std = "+busted", read_globals = {"BCLUA"}}
files["spec/run.lua"] = {globals = {"BCLUA", "arg"}}
