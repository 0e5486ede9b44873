-- Writes the value of a row.
-- KEYS: row. ARGV: owner, epoch, version, value.
-- Returns: 1, or 0 if the lease is lost, -1 if there is no row, -2 if the version is another one.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'o', 'e', 'v', 'x')
if not r[4] then return -1 end
if tonumber(r[4]) <= now or r[1] ~= ARGV[1] or r[2] ~= ARGV[2] then return 0 end
if r[3] ~= ARGV[3] then return -2 end
redis.call('HSET', KEYS[1], 'd', ARGV[4], 'v', string.format('%.0f', tonumber(r[3]) + 1))
return 1
