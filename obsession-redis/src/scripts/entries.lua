-- The index of a subject. KEYS: index. ARGV: now_ms. The time in milliseconds, then the members.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
local time = redis.call('TIME')
local found = redis.call('ZRANGE', KEYS[1], 0, -1)
table.insert(found, 1, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return found
