-- What has been told since: nothing but the record where the asker knows all of it.
--
-- KEYS[1]  the hash of verdicts (verdict_record.lua)
-- ARGV     fence and number of the version up to which the asker knows everything
--
-- Returns nothing where nothing was told; else, packed, the version of the last news, for how
-- many ms more the health worker counts as alive, whether it is suspect, the version at which
-- everything was cleared, the ids answered; then each later verdict, packed: for how many ms
-- more it is believed, its version, and the verdict as JSON.

local VERDICTS = KEYS[1]
local known_fence, known_number = tonumber(ARGV[1]), tonumber(ARGV[2])

local record = read_record(VERDICTS)
if not record then return {} end
local fence, number, alive_until, suspect, cleared_fence, cleared_number = unpack(record)
local now = now_ms()
local answer = { cmsgpack.pack({
  fence, number, math.max(0, alive_until - now), suspect, cleared_fence, cleared_number,
  record[RECORD_LENGTH],
}) }
if fence == known_fence and number == known_number then return answer end

local all = redis.call('HGETALL', VERDICTS)
for i = 1, #all, 2 do
  local verdict = all[i] ~= RECORD and unpack_array(all[i + 1], VERDICT_LENGTH)
  if verdict and type(verdict[1]) == 'number' and verdict[1] > now then
    local its_fence, its_number = tonumber(verdict[2]) or 0, tonumber(verdict[3]) or 0
    if its_fence > known_fence or (its_fence == known_fence and its_number > known_number) then
      verdict[1] = verdict[1] - now
      table.insert(answer, cmsgpack.pack(verdict))
    end
  end
end
return answer
