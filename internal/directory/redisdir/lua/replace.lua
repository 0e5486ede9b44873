-- Replaces what is kept, unless somebody else has changed it.
-- KEYS: what is kept, what replaces it. ARGV: head that it must have.
-- Returns: the head that it has, which is another one than that of what replaces it if nothing was
-- changed.
local head = redis.call('HGET', KEYS[1], 'head') or ''
if head ~= ARGV[1] then
  redis.call('DEL', KEYS[2])
  return head
end
redis.call('RENAME', KEYS[2], KEYS[1])
redis.call('PERSIST', KEYS[1])
return redis.call('HGET', KEYS[1], 'head')
