-- Adds a member to a set, and forgets what has expired.
-- KEYS: set. ARGV: member, number of the call, life of the entry (ms).
-- Returns: the readers.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local text = string.format('%.0f', now) -- as long as each time in the set: texts compare as numbers
local all = redis.call('HGETALL', KEYS[1])
local readers = {}
for i = 1, #all, 2 do
  if all[i + 1] <= text then
    redis.call('HDEL', KEYS[1], all[i])
  elseif string.byte(all[i]) == 114 then -- r
    readers[#readers + 1] = string.sub(all[i], 2)
  end
end
local own = redis.call('HGET', KEYS[1], ARGV[1])
if not own or tonumber(string.match(own, ' (%d+)$')) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now + ARGV[3], ARGV[2]))
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return readers
