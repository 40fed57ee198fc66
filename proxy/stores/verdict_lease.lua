-- Who leads the health workers of all machines: one at a time, for as long as it renews.
--
-- KEYS[1]  the lease: who leads; Redis drops it when its time is over
-- KEYS[2]  the fence of who led last
-- ARGV     `lead` or `release`, who asks, for how many ms the lease then holds
--
-- `lead` returns the asker's fence, 0 if another one leads, and the fence that was there before,
-- 0 if there was none. Whoever begins to lead gets a fence that is greater than all before: it
-- is a time in microseconds, so that this is so also after Redis has lost everything.
-- `release` lets the next one lead at once, if it is the asker who leads.

local FENCE_KEPT_S = 86400

local LEASE, FENCE = KEYS[1], KEYS[2]
local OPERATION, HOLDER, LEASE_MS = ARGV[1], ARGV[2], ARGV[3]

local leader = redis.pcall('GET', LEASE)
if OPERATION == 'release' then
  if leader == HOLDER then redis.call('DEL', LEASE) end
  return { 0, 0 }
end

local before = tonumber(redis.pcall('GET', FENCE)) or 0
if type(leader) == 'string' and leader ~= HOLDER then return { 0, before } end
local fence = before
if leader ~= HOLDER or before == 0 then
  local time = redis.call('TIME')
  fence = math.max(before + 1, time[1] * 1000000 + time[2])
end
redis.call('SET', LEASE, HOLDER, 'PX', LEASE_MS)
-- Lua would write it down with fewer digits.
redis.call('SET', FENCE, string.format('%.0f', fence), 'EX', FENCE_KEPT_S)
return { fence, before }
