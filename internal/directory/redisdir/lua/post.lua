-- Adds messages to a box, or none if there is no room for all.
-- KEYS: box. ARGV: the most messages in a box, life of the box (ms), messages.
-- Returns: 1, or 0 if there is no room.
local added = 0
for i = 3, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then added = added + 1 end
end
if redis.call('ZCARD', KEYS[1]) + added > tonumber(ARGV[1]) then return 0 end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000000 + t[2])
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
