-- Tells news, if whoever tells them still leads; its lease is renewed with it.
--
-- KEYS[1]  the lease: who leads
-- KEYS[2]  the fence of who leads
-- KEYS[3]  the hash of verdicts (verdict_record.lua)
-- ARGV     who asks, its fence, for how many ms the lease then holds, the channel of news, the
--          news as they are published, and the same for here: their number, for how many ms the
--          health worker counts as alive, whether it is suspect (1, 0), whether everything
--          before is forgotten (1, 0), the ids answered, and for each verdict the provider's
--          name, for how many ms it is believed, and the verdict as JSON
--
-- Returns whether it was told (1), or another one leads (0).

local MOST_ANSWERED = 32
local SWEPT_EACH = 16

local LEASE, FENCE, VERDICTS = KEYS[1], KEYS[2], KEYS[3]
local HOLDER, LEASE_MS, CHANNEL, NEWS = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local fence = tonumber(ARGV[2])
local number, lives_ms, suspect, cleared, answered, verdicts = unpack(cmsgpack.unpack(ARGV[6]))

if redis.pcall('GET', LEASE) ~= HOLDER or tonumber(redis.pcall('GET', FENCE)) ~= fence then
  return 0
end
redis.call('SET', LEASE, HOLDER, 'PX', LEASE_MS)

local now = now_ms()
local record = read_record(VERDICTS)
if not record or cleared == 1 then redis.call('DEL', VERDICTS) end
record = record or { 0, 0, 0, 0, 0, 0, 0, {} }
local cleared_fence, cleared_number, believed_until, answered_before = unpack(record, 5)
if cleared == 1 then
  cleared_fence, cleared_number, believed_until = fence, number, 0
end

for _, each in ipairs(verdicts) do
  local until_ms = now + each[2]
  redis.call('HSET', VERDICTS, each[1], cmsgpack.pack({ until_ms, fence, number, each[3] }))
  believed_until = math.max(believed_until, until_ms)
end
for _, id in ipairs(answered_before) do
  if #answered < MOST_ANSWERED then table.insert(answered, id) end
end
redis.call('HSET', VERDICTS, RECORD, cmsgpack.pack({
  fence, number, now + lives_ms, suspect, cleared_fence, cleared_number, believed_until, answered,
}))
redis.call('PEXPIRE', VERDICTS, math.max(1, lives_ms, believed_until - now))

-- Providers come and go: what is over is dropped now and then, so that the hash stays small.
if number % SWEPT_EACH == 0 then
  local all = redis.call('HGETALL', VERDICTS)
  for i = 1, #all, 2 do
    local verdict = unpack_array(all[i + 1], VERDICT_LENGTH)
    local is_over = not verdict or type(verdict[1]) ~= 'number' or verdict[1] <= now
    if all[i] ~= RECORD and is_over then redis.call('HDEL', VERDICTS, all[i]) end
  end
end

redis.call('PUBLISH', CHANNEL, NEWS)
return 1
