-- Enters a key into the index of its subject, ahead of the record. KEYS: index. ARGV: now, head of the
-- value, key. The member says when, so that nobody takes it for an old one while the record is on
-- its way. Says how many there are.
local time = redis.call('TIME')
local made = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
keep(ARGV[2], ARGV[1], nil, KEYS[1], ARGV[3] .. made)
return redis.call('ZCARD', KEYS[1])
