-- jobs_sql.lua: what worker states run for sql_spec.lua.
local jobs = {}

function jobs.sum(path)
   local sql = require "bclua.sql"
   sql.exec "create temp table mine (a bigint)"
   sql.append("mine", sql.columns("select a from " .. sql.quote(path)))
   local total = sql.query("select sum(a) n from mine")[1].n
   sql.exec "drop table mine"
   return total
end

return jobs
