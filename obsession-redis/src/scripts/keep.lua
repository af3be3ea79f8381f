-- Keeps indexes for as long as a new value says, and enters it into that of its subject if it has one
-- and it is on this node. Only seldom does a value say longer than the one before it.
local function keep(value, now, deadlines, subjects, key)
  local function millis(bytes, from)
    local sum = 0
    for i = from, from + 7 do sum = sum * 256 + string.byte(bytes, i) end
    return math.min(sum, 9007199254740991)
  end
  local function text(number) return string.format('%.0f', number) end
  local at, good = millis(now, 1), millis(value, 9)
  local ttl = math.min(good - at, 1000000000000000)
  local function extend(index)
    if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, text(2 * ttl)) end
  end
  if deadlines then extend(deadlines) end
  if subjects then
    redis.call('ZADD', subjects, text(good), key)
    redis.call('ZREMRANGEBYSCORE', subjects, '-inf', '(' .. text(at))
    extend(subjects)
  end
end
