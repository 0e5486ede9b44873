-- Adds a member to a set, and forgets what has expired.
-- KEYS: set. ARGV: member, number of the call, life of the entry (ms).
-- Returns: the readers.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local readers, newer = {}, false
for i = 1, #all, 2 do
  local expires, number = string.match(all[i + 1], '^(%d+) ?(%d*)$')
  if tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif string.sub(all[i], 1, 1) == 'r' then
    readers[#readers + 1] = string.sub(all[i], 2)
  elseif all[i] == ARGV[1] and tonumber(number) > tonumber(ARGV[2]) then
    newer = true
  end
end
if not newer then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now + ARGV[3], ARGV[2]))
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return readers
