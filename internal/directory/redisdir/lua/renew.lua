-- Starts the lease of a row again.
-- KEYS: row. ARGV: owner, epoch, lease, keep (ms).
-- Returns: 1, or 0 if the lease is lost, or -1 if there is no row.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'o', 'e', 'x')
if not r[3] then return -1 end
if tonumber(r[3]) <= now or r[1] ~= ARGV[1] or r[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'x', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
return 1
