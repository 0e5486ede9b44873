-- Removes messages from a box, and reads the oldest of the others.
-- KEYS: box. ARGV: the most messages to return, messages to remove.
-- Returns: messages, oldest first.
for i = 2, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
