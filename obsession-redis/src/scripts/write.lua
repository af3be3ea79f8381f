-- KEYS: record, deadlines. ARGV as for create and update.
local now, new, ttl, key, score = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local subjects, now_ms, until_ms, until_ttl = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local function covered(old, is)
  return subject(old) == is and not later(indexed(new), indexed(old))
end

local function put(old)
  local is = subject(new)
  if not old or deadline(old) ~= deadline(new) then
    redis.call('ZADD', KEYS[2], score, key)
  end
  if not old or later(indexed(new), indexed(old)) then keep(KEYS[2], until_ttl) end
  if is and subjects ~= '' and not covered(old, is) then
    enter(subjects .. is, key, until_ms, now_ms, until_ttl)
  end
  redis.call('SET', KEYS[1], new, 'PX', ttl)
  if subject(old) ~= is then leave(subjects, old, key) end
  return 1
end
