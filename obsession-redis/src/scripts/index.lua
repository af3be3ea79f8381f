-- Enters a key into the index of its subject, ahead of the record. KEYS: index. ARGV: key, until_ms,
-- now_ms, until_ttl. The member says when, so that nobody takes it for an old one while the
-- record is on its way. Says how many there are.
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
enter(KEYS[1], ARGV[1] .. at, ARGV[2], ARGV[3], ARGV[4])
return redis.call('ZCARD', KEYS[1])
