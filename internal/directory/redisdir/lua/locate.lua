-- Reads a set, and registers a reader.
-- KEYS: set. ARGV: reader, its lease (ms; 0: none).
-- Returns: the members.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local text = string.format('%.0f', now) -- as long as each time in the set: texts compare as numbers
local all = redis.call('HGETALL', KEYS[1])
local members = {}
for i = 1, #all, 2 do
  if string.byte(all[i]) == 109 and all[i + 1] > text then -- m
    members[#members + 1] = string.sub(all[i], 2)
  end
end
if ARGV[2] ~= '0' then
  local expires = math.max(now + ARGV[2], tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0))
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', expires))
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return members
