-- Removes a member from a set, unless it has entered after this call was made.
-- KEYS: set. ARGV: member, number of the call.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and tonumber(string.match(entry, ' (%d+)$')) < tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
