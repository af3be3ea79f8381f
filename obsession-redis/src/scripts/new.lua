if not call('SET', key, ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
-- The entry of one that was over before.
if added == 0 then call('ZADD', KEYS[2], ARGV[3], string.sub(key, -16)) end
return 1
