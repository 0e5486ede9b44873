-- Reads a set, and registers a reader.
-- KEYS: set. ARGV: reader, its lease (ms; 0: none).
-- Returns: the members.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local members, expires = {}, now + ARGV[2]
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^%d+'))
  if all[i] == ARGV[1] then
    expires = math.max(expires, at)
  elseif string.sub(all[i], 1, 1) == 'm' and at > now then
    members[#members + 1] = string.sub(all[i], 2)
  end
end
if ARGV[2] ~= '0' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', expires))
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return members
