-- Returns what is kept under a key; false where nothing is.
-- KEYS: one, of a response or of an item of its output.
return redis.call('GET', KEYS[1])
