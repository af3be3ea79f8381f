-- The usual create, of a record of nobody: nothing but it and its deadline. KEYS: record, deadlines.
-- ARGV: value, ttl, score, how long the index is to be kept at least. 1: it is there, 0: something was
-- there before, which the whole script is for. What can be refused comes first: an index may have too
-- much, never too little.
local call, key = redis.call, KEYS[1]
local added = call('ZADD', KEYS[2], 'NX', ARGV[3], string.sub(key, -16))
