-- Takes a row, or renews the lease of its owner.
-- KEYS: row. ARGV: owner, lease, keep (ms), 1 if there is a value, value.
-- Returns: 0 if another one holds it, 1 if it was renewed, 2 if it was taken or written;
-- owner, epoch, version, value, ms left.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'o', 'e', 'v', 'x', 'd')
local owner, epoch, version, value = r[1], r[2] or '0', r[3] or '0', r[5] or ''
local held = r[4] and tonumber(r[4]) > now
if held and owner ~= ARGV[1] then
  return {0, owner, epoch, version, value, tonumber(r[4]) - now}
end
local result = 1
if not held then
  epoch = string.format('%.0f', math.max(tonumber(epoch) + 1, t[1] * 1000000 + t[2]))
  result = 2
end
if ARGV[4] == '1' then
  version = string.format('%.0f', tonumber(version) + 1)
  value = ARGV[5]
  redis.call('HSET', KEYS[1], 'd', value)
  result = 2
end
local expires = string.format('%.0f', now + ARGV[2])
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', epoch, 'v', version, 'x', expires)
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
return {result, ARGV[1], epoch, version, value, tonumber(ARGV[2])}
