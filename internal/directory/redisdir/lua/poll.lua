-- Says what has changed in a kind since a number of the caller, after it has turned leases that have
-- expired into changes.
-- KEYS: index. ARGV: number (-1: none), the most changes to return, channel.
-- Returns: the last number, and 0 and the rows that have changed, or 1 if all must be read.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not last[2] or tonumber(last[2]) >= 0 then return {'0', ARGV[1] == '0' and 0 or 1} end
local number = -tonumber(last[2])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 1, string.format('%.0f', now), 'LIMIT', 0, 1000)
for _, d in ipairs(due) do
  number = math.max(number + 1, t[1] * 1000000 + t[2])
  redis.call('ZREM', KEYS[1], d)
  redis.call('ZADD', KEYS[1], string.format('%.0f', -number), 'c' .. string.sub(d, 2))
end
if #due > 0 then redis.pcall('PUBLISH', ARGV[3], '') end
local known = tonumber(ARGV[1])
local text = string.format('%.0f', number)
if known == number then return {text, 0} end
if known > number or known < -tonumber(redis.call('ZSCORE', KEYS[1], 'p')) then return {text, 1} end
local rows = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', -known), 'LIMIT', 0, ARGV[2] + 1)
if #rows > tonumber(ARGV[2]) then return {text, 1} end
local answer = {text, 0}
for _, r in ipairs(rows) do answer[#answer + 1] = string.sub(r, 2) end
return answer
