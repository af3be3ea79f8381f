local now, new, ttl, score, subjects = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local old = redis.call('GET', KEYS[1])
