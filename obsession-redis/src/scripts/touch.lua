-- Moves a deadline. KEYS: record, deadlines. ARGV: now, head of the value, ttl, key, score,
-- subjects, now_ms, until_ms, until_ttl, indexed. 1: done, 0: there is none; { subject }: to be
-- indexed first. A damaged value is given back.
local now, head, ttl, key, score = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local subjects = ARGV[6]
local old = redis.call('GET', KEYS[1])
if not live(old, now) then
  master()
  return 0
end
if damaged(old) then return old end
if not later(head, old) then
  master()
  return 1
end
local is = subject(old)
if is and later(indexed(head), indexed(old)) then
  if subjects ~= '' then
    enter(subjects .. is, key, ARGV[8], ARGV[7], ARGV[9])
  elseif ARGV[10] == '0' then
    master()
    return { is }
  end
end
redis.call('ZADD', KEYS[2], score, key)
if later(indexed(head), indexed(old)) then keep(KEYS[2], ARGV[9]) end
redis.call('SETRANGE', KEYS[1], 0, head)
-- By a clock that is ahead the time that is left is shorter; what another promised holds.
if redis.call('PTTL', KEYS[1]) < tonumber(ttl) then redis.call('PEXPIRE', KEYS[1], ttl) end
return 1
