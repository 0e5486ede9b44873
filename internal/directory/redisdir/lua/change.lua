-- Changes what is kept, unless somebody else has.
-- KEYS: what is kept, a hash. ARGV: head that it must have, head that it gets, life (ms; 0: for
-- ever), number of fields to remove, these fields, fields to set with their values.
-- Returns: the head that it has, which is another one if nothing was changed.
local head = redis.call('HGET', KEYS[1], 'head') or ''
if head ~= ARGV[1] then return head end
local n = 4 + tonumber(ARGV[4])
for i = 5, n do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = n + 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'head', ARGV[2])
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return ARGV[2]
