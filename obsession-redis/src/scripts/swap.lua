-- The usual update, of a value that the caller has loaded: nothing but the record changes. KEYS:
-- record. ARGV: value, the bytes of the old one up to the revision, ttl. 1: done. Else the current
-- value, if there is one; a master says so, since a replica refuses to read by this command.
local call, key = redis.call, KEYS[1]
if call('GETRANGE', key, '0', '28') == ARGV[2] then
  call('SET', key, ARGV[1], 'PX', ARGV[3])
  return 1
end
return call('GETEX', key)
