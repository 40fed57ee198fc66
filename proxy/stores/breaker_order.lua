-- The order in which entries of the index have changed; stands in front of the two scripts.
--
-- It is a sorted set of fields of the index, each with the number of its last change. Numbers
-- only grow: they are microseconds, or one more than the last. Member '' has the first one.
-- Whatever is found wrong with either key, both are dropped, and begin anew by another number.

local BEGINNING = ''
local LARGEST_NUMBER = 2 ^ 53

-- Lua would write large numbers down with fewer digits.
local function write_number(number)
  return string.format('%.0f', number)
end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function find_number(order, field)
  return tonumber(redis.pcall('ZSCORE', order, field))
end

-- Returns the first number and the last one; nothing where there is no order.
local function read_order(order)
  local first = find_number(order, BEGINNING)
  local last = redis.pcall('ZRANGE', order, 0, 0, 'REV', 'WITHSCORES')
  last = last[2] and tonumber(last[2])
  if first and last and last < LARGEST_NUMBER then return first, last end
end

local function announce(index, order, field, entry)
  local number, first, last = now_us(), read_order(order)
  if not first then
    redis.call('DEL', index, order)
    redis.call('ZADD', order, write_number(number), BEGINNING)
    last = number
  end
  number = math.max(number, last + 1)
  redis.call('ZADD', order, write_number(number), field)
  redis.call('HSET', index, field, entry)
end

-- What is said for a while of one that was in the index, and that Redis has forgotten since.
local function pack_forgotten(id)
  return cmsgpack.pack({ id, 'closed', 0, 0, '', 0, 0 })
end
