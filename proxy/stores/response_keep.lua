-- Keeps a response, and under the key of each of its items where that response is.
-- KEYS: of the response, then of its items. ARGV: the response, what leads to it, milliseconds.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
for number = 2, #KEYS do
  redis.call('SET', KEYS[number], ARGV[2], 'PX', ARGV[3])
end
return #KEYS
