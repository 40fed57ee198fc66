-- Keeps one turn's reasoning under each of its calls.
-- KEYS: one for each call. ARGV: the reasoning, and how many milliseconds it is kept.
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return #KEYS
