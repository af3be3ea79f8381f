-- The usual update, ahead of everything else: the subject stays, and no index has to be kept longer.
-- What it needs is written out, since a function costs more than what it does here.
local now, new, ttl, score, subjects = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local old = redis.call('GET', KEYS[1])
local sub = string.sub
if old and #old >= 51 and ttl ~= '0' and sub(old, 22, 29) == ARGV[6]
  and sub(old, 9, 16) == sub(new, 9, 16) then
  local low, high = string.byte(new, 46, 47)
  local last = math.max(47, 46 + low + 256 * high)
  local a, b = struct.unpack('>I4I4', old)
  local c, d = struct.unpack('>I4I4', now)
  if (a > c or a == c and b > d) and sub(old, 46, last) == sub(new, 46, last)
    and sub(new, 22, 29) ~= ARGV[6] then
    if sub(old, 1, 8) ~= sub(new, 1, 8) then
      redis.call('ZADD', KEYS[2], score, sub(KEYS[1], -16))
    end
    redis.call('SET', KEYS[1], new, 'PX', ttl)
    return 1
  end
end
