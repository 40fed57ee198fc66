-- What is not closed, of all breakers at once: one small read, four times a second and process.
--
-- KEYS[1]  hash that breaker.lua keeps: one packed entry for each
-- ARGV     what the keys of breakers begin with, the time in ms ('': Redis's own)
--
-- Returns the time, then the entries as they are. One whose breaker is gone goes with it.

local now_ms = tonumber(ARGV[2])
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
local pairs_of_all = redis.pcall('HGETALL', KEYS[1])
if pairs_of_all.err then
  redis.call('DEL', KEYS[1])
  pairs_of_all = {}
end
local answer = { now_ms }
for i = 1, #pairs_of_all, 2 do
  if redis.call('EXISTS', ARGV[1] .. pairs_of_all[i]) == 1 then
    table.insert(answer, pairs_of_all[i + 1])
  else
    redis.call('HDEL', KEYS[1], pairs_of_all[i])
  end
end
return answer
