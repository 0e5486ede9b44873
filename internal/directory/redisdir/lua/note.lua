-- Notes in the index of a kind that a row was claimed, renewed or changed. doc.go describes it.
-- KEYS: index. ARGV: row, lease (ms; 0 keeps what is known), 1 if the row has changed,
-- life of the index (ms), channel.
local t = redis.call('TIME')
local changed = ARGV[3] == '1'
if ARGV[2] ~= '0' then
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  if redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), 'd' .. ARGV[1]) == 1 then
    changed = true
  end
end
if changed then
  local last = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  local number = t[1] * 1000000 + t[2]
  if last[2] and tonumber(last[2]) < 0 then
    number = math.max(number, 1 - tonumber(last[2]))
  else
    redis.call('ZADD', KEYS[1], string.format('%.0f', 1 - number), 'p')
  end
  redis.call('ZADD', KEYS[1], string.format('%.0f', -number), 'c' .. ARGV[1])
  -- Each change forgets two of the oldest ones, when there are many more than rows.
  local changes = redis.call('ZCOUNT', KEYS[1], '-inf', '(0')
  if changes > 1024 + redis.call('ZCARD', KEYS[1]) - changes then
    local old = redis.call('ZRANGE', KEYS[1], changes - 3, changes - 2, 'WITHSCORES')
    redis.call('ZREM', KEYS[1], old[1], old[3])
    redis.call('ZADD', KEYS[1], old[2], 'p')
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if changed then redis.pcall('PUBLISH', ARGV[5], '') end
return 1
