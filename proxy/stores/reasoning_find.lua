-- Returns what is kept under each key, in their order; false where nothing is.
-- KEYS: one for each call.
local found = {}
for number, key in ipairs(KEYS) do
  found[number] = redis.call('GET', key)
end
return found
