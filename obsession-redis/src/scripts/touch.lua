-- Moves a deadline. KEYS: record, deadlines. ARGV: now, head of the value, ttl, score, subjects, the
-- revision that it must have, and 1 if its subject has been indexed. 1: done, 0: there is none, 2: it
-- has another revision, { subject }: to be indexed first. A damaged value is given back.
local now, head, ttl, subjects = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local key = string.sub(KEYS[1], -16)
local old = redis.call('GET', KEYS[1])
if not live(old, now) then
  master()
  return 0
end
if #old < 51 then return old end
if string.sub(old, 22, 29) ~= ARGV[6] then
  master()
  return 2
end
if not later(head, old) then
  master()
  return 1
end
if later(string.sub(head, 9, 16), string.sub(old, 9, 16)) then
  local is, index = subject(old), nil
  if is and subjects ~= '' then
    index = subjects .. is
  elseif is and ARGV[7] == '0' then
    master()
    return { is }
  end
  keep(head, now, KEYS[2], index, key)
end
redis.call('ZADD', KEYS[2], ARGV[4], key)
redis.call('SETRANGE', KEYS[1], 0, head)
-- By a clock that is ahead the time that is left is shorter; what another promised holds.
if redis.call('PTTL', KEYS[1]) < tonumber(ttl) then redis.call('PEXPIRE', KEYS[1], ttl) end
return 1
