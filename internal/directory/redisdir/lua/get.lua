-- Reads a row.
-- KEYS: row.
-- Returns: nothing, or owner, epoch, version, value, ms left (0 or less: the row is free).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'o', 'e', 'v', 'd', 'x')
if not r[5] then return {} end
return {r[1], r[2], r[3], r[4] or '', tonumber(r[5]) - now}
