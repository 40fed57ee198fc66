-- What Redis keeps of verdicts: one hash. Stands in front of the scripts that use it.
--
-- Each provider's name is a field, with its verdict packed: the time until which it is believed,
-- the version that it came with, the verdict as JSON. The field '' is the record of all: version
-- of the last news, until when the health worker counts as alive, whether it is suspect, version
-- at which everything was cleared, until when any verdict is believed, the last ids answered.
-- A version is a fence and a number; times are milliseconds by Redis's own clock.

local RECORD = ''
local RECORD_LENGTH, VERDICT_LENGTH = 8, 4

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function unpack_array(value, length)
  local is_read, array = pcall(cmsgpack.unpack, value)
  if is_read and type(array) == 'table' and #array == length then return array end
end

-- Returns nothing where there is none, also where something else stands in its place.
local function read_record(key)
  local record = unpack_array(redis.pcall('HGET', key, RECORD), RECORD_LENGTH)
  if not record or type(record[RECORD_LENGTH]) ~= 'table' then return end
  for i = 1, RECORD_LENGTH - 1 do
    if type(record[i]) ~= 'number' then return end
  end
  return record
end
