-- The usual update with a large value, which has been set aside: Lua hashes all of a string that a
-- script is given. KEYS: record, value. ARGV: the bytes of the old one up to the revision, ttl. Answers
-- like the one without a value set aside.
local call, key, value = redis.call, KEYS[1], KEYS[2]
if call('GETRANGE', key, '0', '28') == ARGV[1] then
  call('PEXPIRE', value, ARGV[2])
  call('RENAME', value, key)
  return 1
end
call('DEL', value)
return call('GETEX', key)
