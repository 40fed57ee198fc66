-- What has changed in the index: one small read, four times a second and process.
--
-- KEYS[1]  hash that breaker.lua keeps: one packed entry for each
-- KEYS[2]  their order (breaker_order.lua)
-- ARGV     what the keys of breakers begin with, the time in ms ('': Redis's own), the first
--          number of the order as the asker knows it, the number up to which the asker knows
--          everything, the place at which to look for entries whose breaker is gone
--
-- Returns the time; the first number; the number after which it tells, 0 where it begins at the
-- beginning; the number up to which it tells; whether there is more (1) or not (0); the place at
-- which to look next time; then the entries as they are.

local MOST_TOLD = 500
local MOST_LOOKED_AT = 50
local FORGOTTEN_KEPT_US = 3600 * 1000000

local INDEX, ORDER, PREFIX = KEYS[1], KEYS[2], ARGV[1]
local now_ms = tonumber(ARGV[2]) or math.floor(now_us() / 1000)
local known_first, since, place = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function begin_anew()
  if redis.call('EXISTS', INDEX, ORDER) > 0 then redis.call('DEL', INDEX, ORDER) end
  return { now_ms, 0, 0, 0, 0, 0 }
end

-- A breaker is gone. Whoever knows of it is told so; an hour later everybody has heard.
-- Returns whether it has left its place in the order.
local function bury(field)
  local entry = redis.pcall('HGET', INDEX, field)
  local is_read, a = pcall(cmsgpack.unpack, entry)
  local is_entry = is_read and type(a) == 'table' and type(a[1]) == 'string'
  local is_told = is_entry and a[2] == 'closed' and a[3] == 0
  if is_entry and not is_told then
    announce(INDEX, ORDER, field, pack_forgotten(a[1]))
    return true
  end
  if is_told and find_number(ORDER, field) > now_us() - FORGOTTEN_KEPT_US then return false end
  redis.call('ZREM', ORDER, field)
  redis.call('HDEL', INDEX, field)
  return true
end

local first, last = read_order(ORDER)
if not first then return begin_anew() end

-- A few at each time; it needs more than one poll for more than that.
local looked_at = redis.call('ZRANGE', ORDER, place, place + MOST_LOOKED_AT - 1)
local is_end = #looked_at < MOST_LOOKED_AT
place = place + #looked_at
for _, field in ipairs(looked_at) do
  if field ~= BEGINNING and redis.call('EXISTS', PREFIX .. field) == 0 then
    -- A full Redis does not let it write: then it stays for now.
    local is_done, has_left = pcall(bury, field)
    if is_done and has_left then place = place - 1 end
  end
end
if is_end then place = 0 end

if known_first ~= first or since > last then since = 0 end
local told, fields = since, {}
local changed = redis.call(
  'ZRANGE', ORDER, '(' .. write_number(since), '+inf', 'BYSCORE', 'LIMIT', 0, MOST_TOLD, 'WITHSCORES'
)
for i = 1, #changed, 2 do
  if changed[i] ~= BEGINNING then table.insert(fields, changed[i]) end
  told = tonumber(changed[i + 1])
end
local is_more = #changed == 2 * MOST_TOLD and 1 or 0
local answer = { now_ms, first, since, told, is_more, place }
if #fields == 0 then return answer end
local entries = redis.pcall('HMGET', INDEX, unpack(fields))
if entries.err then return begin_anew() end
for _, entry in ipairs(entries) do
  if not entry then return begin_anew() end
  table.insert(answer, entry)
end
return answer
