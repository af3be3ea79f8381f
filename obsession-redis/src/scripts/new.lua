-- The usual create, of a record of nobody: nothing but it and its deadline. KEYS: record, deadlines.
-- ARGV: value, ttl, score, how long the index is to be kept at least. 1: it is there, 0: something was
-- there before, which the whole script is for. What can be refused comes first: an index may have too
-- much, never too little.
local call, key = redis.call, KEYS[1]
local added = call('ZADD', KEYS[2], 'NX', ARGV[3], string.sub(key, -16))
if call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then
  call('PEXPIRE', KEYS[2], string.format('%.0f', 2 * ARGV[4]))
end
if not call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
-- The entry of one that was over before.
if added == 0 then call('ZADD', KEYS[2], ARGV[3], string.sub(key, -16)) end
return 1
