-- The usual update with a large value, which has been set aside: Lua hashes all of a string that a
-- script is given. KEYS: record, value. ARGV: the bytes of the old one up to the revision, ttl. Answers
-- like the one without a value set aside.
local call, key, value = redis.call, KEYS[1], KEYS[2]
if call('GETRANGE', key, '0', '28') == ARGV[1] then
  -- It keeps the time that it has left.
  call('PEXPIRE', value, ARGV[2])
  local moved = redis.pcall('RENAME', value, key)
  if not moved.err then return 1 end
  call('DEL', value)
  return moved
end
call('DEL', value)
return call('GETEX', key)
