-- Ends a record. KEYS: record, deadlines. ARGV: now, subjects, and perhaps the subject that it must
-- have. 1: it was live, 0: there was none.
local old = redis.call('GET', KEYS[1])
if ARGV[3] and subject(old) ~= ARGV[3] then
  master()
  return 0
end
local was = live(old, ARGV[1])
drop(old, KEYS[2], ARGV[2], string.sub(KEYS[1], -16))
if was then return 1 end
return 0
