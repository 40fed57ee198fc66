-- Forgets a response and what leads to it; returns how many keys there were.
-- KEYS: of the response, then of its items.
return redis.call('DEL', unpack(KEYS))
