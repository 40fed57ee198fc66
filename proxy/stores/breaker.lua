-- The circuit breaker of proxy/policy/breaker.py inside of Redis: the same names in the same
-- order, so that the two can be read side by side. Where they differ, that one is right.
--
-- KEYS[1]  one breaker: an array of its fields, packed
-- KEYS[2]  hash of all that are not closed, or not in their first epoch any more
-- KEYS[3]  the order in which these have changed (breaker_order.lua)
-- ARGV     what to do, the breaker's id, the field of KEYS[2] for it, the channel that hears of
--          changes, rules (packed), what to do it with (packed), the time in ms ('': Redis's own)
--
-- Returns, packed, how it stands: state, epoch (0 while closed in the first one), ms to wait,
-- cause, failures, trips; then what came of it: for acquire whether there is a permit (1) or not
-- (0), for report how many counted; last the ms after which a refused acquire may ask again.
-- `read` returns the time and the whole breaker instead.

local BUCKETS = 10
local LOST_LEASES_MAX = 2
local FIRST_HOLD_MS = 1000
local LONGEST_HOLD_MS = 300000
local LONGEST_HOLD_WAIT_MS = 330000
local LONGEST_LEASE_MS = 900000
local MAX_DOUBLINGS = 10
local KEPT_S = 3600
local LARGEST = 2 ^ 53
local MOST_LEASES = 4096

local COMMANDS = { open = 'forced_open', close = 'disabled', reset = 'closed' }
local STATES = { closed = true, open = true, half_open = true, forced_open = true, disabled = true }
local CAUSES = {
  [''] = true, failures = true, slow = true, overloaded = true, rate_limit = true, quota = true, auth = true,
  misconfigured = true,
}

local OUR_OWN_CAUSES = { failures = true, slow = true, auth = true, misconfigured = true }

local KEY, INDEX, ORDER = KEYS[1], KEYS[2], KEYS[3]
local OP, ID, FIELD, CHANNEL = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local packed_rules = cmsgpack.unpack(ARGV[5])
local rules = {
  consecutive = packed_rules[1], min_calls = packed_rules[2], failure_percent = packed_rules[3],
  slow_percent = packed_rules[4], window_ms = packed_rules[5], open_ms = packed_rules[6],
  open_max_ms = packed_rules[7], permits = packed_rules[8],
}
local with = cmsgpack.unpack(ARGV[6])
local now_ms = tonumber(ARGV[7])
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function begin()
  return {
    epoch = now_ms, born = now_ms, state = 'closed', cause = '', opened_ms = 0, until_ms = 0,
    trips = 0, holds = 0, failures = 0, failures_before = 0, proven = 0, lost = 0,
    last_failure_ms = 0, buckets = {}, leases = {},
  }
end

local function pack(self)
  local buckets, leases = {}, {}
  for i, bucket in ipairs(self.buckets) do
    buckets[i] = { bucket.number, bucket.calls, bucket.failed, bucket.slow }
  end
  for i, lease in ipairs(self.leases) do
    leases[i] = { lease.token, lease.expires_ms }
  end
  return cmsgpack.pack({
    self.epoch, self.born, self.state, self.cause, self.opened_ms, self.until_ms, self.trips,
    self.holds, self.failures, self.failures_before, self.proven, self.lost,
    self.last_failure_ms, buckets, leases,
  })
end

local function check(is_right)
  if not is_right then error('not a breaker') end
end

local function check_number(value)
  check(type(value) == 'number' and value >= 0 and value < LARGEST and value % 1 == 0)
  return value
end

-- Raises an error for whatever `pack` has not written.
local function unpack_breaker(value)
  local a = cmsgpack.unpack(value)
  check(type(a) == 'table' and STATES[a[3]] and CAUSES[a[4]])
  check(type(a[14]) == 'table' and #a[14] <= BUCKETS)
  check(type(a[15]) == 'table' and #a[15] <= MOST_LEASES)
  local self = {
    epoch = check_number(a[1]), born = check_number(a[2]), state = a[3], cause = a[4],
    opened_ms = check_number(a[5]), until_ms = check_number(a[6]), trips = check_number(a[7]),
    holds = check_number(a[8]), failures = check_number(a[9]),
    failures_before = check_number(a[10]), proven = check_number(a[11]),
    lost = check_number(a[12]), last_failure_ms = check_number(a[13]), buckets = {}, leases = {},
  }
  for i, bucket in ipairs(a[14]) do
    self.buckets[i] = {
      number = check_number(bucket[1]), calls = check_number(bucket[2]),
      failed = check_number(bucket[3]), slow = check_number(bucket[4]),
    }
  end
  for i, lease in ipairs(a[15]) do
    check(type(lease[1]) == 'string' and #lease[1] <= 128)
    self.leases[i] = { token = lease[1], expires_ms = check_number(lease[2]) }
  end
  return self
end

local function longest_ms()
  return math.max(rules.open_ms, rules.open_max_ms, LONGEST_HOLD_WAIT_MS)
end

local function wait_ms(self)
  if self.state ~= 'open' then return 0 end
  return math.min(math.max(0, self.until_ms - now_ms), longest_ms())
end

local function draw(self)
  return (now_ms % 1000000 * 7919 + self.epoch % 1000000 * 104729) % 1000
end

local function move(self, state)
  self.state = state
  self.epoch = self.epoch + 1
  self.proven, self.lost = 0, 0
  self.leases = {}
end

local function note_failure(self, failures)
  self.failures = failures
  self.failures_before = 0
  self.last_failure_ms = now_ms
end

local function open(self, wait, cause)
  move(self, 'open')
  self.cause = cause
  self.opened_ms = now_ms
  self.until_ms = now_ms + wait
  self.buckets = {}
end

local function back_off_ms(self)
  local doublings = math.min(self.trips - 1, MAX_DOUBLINGS)
  local wait = math.min(math.max(rules.open_ms, rules.open_max_ms), rules.open_ms * 2 ^ doublings)
  return wait - math.floor(wait * draw(self) / 10000)
end

local function trip(self, cause)
  self.trips = self.trips + 1
  open(self, back_off_ms(self), cause)
end

local function hold(self, hold_ms, cause)
  local is_open = self.state == 'open'
  if hold_ms <= 0 then
    self.holds = is_open and math.max(1, self.holds) or self.holds + 1
    hold_ms = FIRST_HOLD_MS * 2 ^ math.min(self.holds - 1, MAX_DOUBLINGS)
  end
  hold_ms = math.min(hold_ms, LONGEST_HOLD_MS)
  local wait = hold_ms + math.floor(hold_ms * draw(self) / 10000)
  if is_open then
    if now_ms + wait > self.until_ms then
      self.until_ms, self.cause = now_ms + wait, cause
    end
    return
  end
  if self.state == 'half_open' and self.trips > 0 then
    wait = math.max(wait, back_off_ms(self))
  end
  open(self, wait, cause)
end

local function find_bucket(self)
  local number = math.floor(now_ms * BUCKETS / rules.window_ms)
  local last = self.buckets[#self.buckets]
  if last and last.number > number + BUCKETS then
    self.buckets = {}
    last = nil
  end
  if last and last.number >= number then return last end
  local bucket = { number = number, calls = 0, failed = 0, slow = 0 }
  table.insert(self.buckets, bucket)
  if #self.buckets > BUCKETS then table.remove(self.buckets, 1) end
  return bucket
end

local function sum_window(self)
  local newest = math.floor(now_ms * BUCKETS / rules.window_ms)
  local calls, failed, slow = 0, 0, 0
  for _, bucket in ipairs(self.buckets) do
    if newest - BUCKETS < bucket.number and bucket.number <= newest + BUCKETS then
      calls = calls + bucket.calls
      failed = failed + bucket.failed
      slow = slow + bucket.slow
    end
  end
  return calls, failed, slow
end

local function count(self, result)
  if result == 'neutral' then return end
  local bucket = find_bucket(self)
  if result == 'broke' then
    bucket.failed = bucket.failed + 1
    note_failure(self, math.max(self.failures, self.failures_before) + 1)
  elseif result == 'fail' then
    bucket.calls = bucket.calls + 1
    bucket.failed = bucket.failed + 1
    note_failure(self, self.failures + 1)
  else
    bucket.calls = bucket.calls + 1
    self.failures_before, self.failures = self.failures, 0
    if result == 'slow' then bucket.slow = bucket.slow + 1 end
  end
  if result == 'ok' then return end
  local calls, failed, slow = sum_window(self)
  local is_full = calls >= rules.min_calls
  if self.failures >= rules.consecutive
    or (is_full and failed * 100 >= rules.failure_percent * calls) then
    trip(self, 'failures')
  elseif is_full and slow * 100 >= rules.slow_percent * calls then
    trip(self, 'slow')
  end
end

local function expire_leases(self)
  local kept = {}
  for _, lease in ipairs(self.leases) do
    if now_ms < lease.expires_ms and lease.expires_ms <= now_ms + LONGEST_LEASE_MS then
      table.insert(kept, lease)
    end
  end
  self.lost = self.lost + #self.leases - #kept
  self.leases = kept
  if self.lost >= LOST_LEASES_MAX then
    note_failure(self, self.failures + 1)
    trip(self, 'failures')
  end
end

local function judge_probe(self, token, result)
  expire_leases(self)
  local held
  for i, lease in ipairs(self.leases) do
    if not held and lease.token == token then held = i end
  end
  if self.state ~= 'half_open' then return false end
  if not held then
    if not (result == 'broke' and token ~= '' and self.proven > 0) then return false end
    note_failure(self, self.failures + 1)
    trip(self, 'failures')
    return true
  end
  table.remove(self.leases, held)
  self.lost = 0
  if result == 'ok' then
    self.proven = self.proven + 1
    if self.proven >= rules.permits then
      move(self, 'closed')
      self.cause = ''
      self.until_ms, self.opened_ms, self.trips, self.holds = 0, 0, 0, 0
      self.failures, self.failures_before = 0, 0
      self.buckets = {}
    end
  elseif result ~= 'neutral' then
    if result ~= 'slow' then note_failure(self, self.failures + 1) end
    trip(self, result == 'slow' and 'slow' or 'failures')
  end
  return true
end

-- Returns whether there is a permit (1, 0), and in how many ms one who is refused may ask again.
local function acquire(self, token, lease_ms)
  if self.state == 'closed' or self.state == 'disabled' then return 0, 0 end
  if self.state == 'forced_open' then return 0, 0 end
  if self.state == 'open' then
    local wait = wait_ms(self)
    if wait > 0 then
      self.until_ms = now_ms + wait
      return 0, wait
    end
    move(self, 'half_open')
  end
  expire_leases(self)
  if self.state == 'open' then return 0, wait_ms(self) end
  if #self.leases > 0 and #self.leases + self.proven >= rules.permits then
    local soonest_ms = self.leases[1].expires_ms
    for _, lease in ipairs(self.leases) do
      soonest_ms = math.min(soonest_ms, lease.expires_ms)
    end
    return 0, soonest_ms - now_ms
  end
  table.insert(self.leases, {
    token = token, expires_ms = now_ms + math.min(lease_ms, LONGEST_LEASE_MS),
  })
  return 1, 0
end

local function report(self, epoch, token, result, hold_ms, cause)
  if self.state == 'forced_open' or self.state == 'disabled' then return false end
  if result == 'hold' then
    hold(self, hold_ms, cause)
    return true
  end
  if result == 'alive' then
    local is_ours = self.state == 'open' and OUR_OWN_CAUSES[self.cause] == true
    if is_ours then move(self, 'half_open') end
    return is_ours
  end
  if self.state == 'closed' and token == '' then
    if epoch ~= self.epoch and (epoch ~= 0 or self.epoch ~= self.born) then return false end
    count(self, result)
    return true
  end
  if self.state == 'half_open' and epoch == self.epoch then
    return judge_probe(self, token, result)
  end
  return false
end

local function command(self, word)
  move(self, COMMANDS[word])
  self.cause = ''
  self.until_ms, self.opened_ms, self.trips, self.holds = 0, 0, 0, 0
  self.failures, self.failures_before, self.last_failure_ms = 0, 0, 0
  self.buckets = {}
end

local function adopt(self, wait, trips, cause)
  if self.state == 'forced_open' or self.state == 'disabled' then return end
  if self.state == 'closed' and wait <= 0 then return end
  self.trips = math.max(self.trips, trips)
  if wait <= 0 or (self.state == 'open' and self.until_ms >= now_ms + wait) then return end
  if self.state ~= 'open' then
    move(self, 'open')
    self.opened_ms = now_ms
    self.buckets = {}
  end
  self.until_ms, self.cause = now_ms + wait, cause
end

-- From here on it is about Redis.

local value = redis.pcall('GET', KEY)
local is_read, self = false, nil
if type(value) == 'string' then is_read, self = pcall(unpack_breaker, value) end
if not is_read then value, self = nil, begin() end

local function is_plain()
  return self.state == 'closed' and self.epoch == self.born
end

local function shown_epoch()
  return is_plain() and 0 or self.epoch
end

local function tell(before)
  if self.state == before then return end
  redis.call('PUBLISH', CHANNEL, cmsgpack.pack({
    ID, before, self.state, shown_epoch(), wait_ms(self), self.cause, self.failures, self.trips,
  }))
end

local function save()
  local packed = pack(self)
  -- Whoever only asks makes no breaker.
  if packed == value or (not value and OP == 'acquire') then return end
  if self.state == 'forced_open' or self.state == 'disabled' then
    redis.call('SET', KEY, packed)
  else
    -- Longer than any wait: what was forgotten would be closed.
    local kept_s = math.max(KEPT_S, math.ceil(2 * longest_ms() / 1000))
    redis.call('SET', KEY, packed, 'EX', kept_s)
  end
end

local function index()
  local known = redis.pcall('HGET', INDEX, FIELD)
  if type(known) == 'table' then
    redis.call('DEL', INDEX, ORDER)
    known = false
  end
  if is_plain() and not known then return end
  local entry = is_plain() and pack_forgotten(ID) or cmsgpack.pack({
    ID, self.state, shown_epoch(), self.until_ms, self.cause, self.failures, self.trips,
  })
  if known == entry and find_number(ORDER, FIELD) then return end
  announce(INDEX, ORDER, FIELD, entry)
end

if OP == 'read' then return cmsgpack.pack({ now_ms, cmsgpack.unpack(pack(self)) }) end

local answer, retry_in_ms = 0, 0
local before = self.state
if OP == 'acquire' then
  answer, retry_in_ms = acquire(self, with[1], with[2])
elseif OP == 'report' then
  for _, each in ipairs(with) do
    for _ = 1, each[6] do
      before = self.state
      if report(self, each[2], each[3], each[1], each[4], each[5]) then answer = answer + 1 end
      tell(before)
    end
  end
  before = self.state
elseif OP == 'command' then
  command(self, with[1])
elseif OP == 'adopt' then
  adopt(self, with[1], with[2], with[3])
end
tell(before)
save()
index()
return cmsgpack.pack({
  self.state, shown_epoch(), wait_ms(self), self.cause, self.failures, self.trips, answer,
  retry_in_ms,
})
