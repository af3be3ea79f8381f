-- A value, counted from 1: deadline 1-8, indexed until 9-16, check 17-20, then core's row: format
-- 21, revision 22-29, created_at 30-37, deadline when written 38-45, length of the subject plus 1
-- 46-47, subject from 48. Deadlines are big-endian, so that they compare byte by byte; they are
-- never made numbers, since Lua's are doubles, nor compared as strings, since that is by locale.

local function later(a, b)
  for i = 1, 8 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return false
end

local function deadline(value) return string.sub(value, 1, 8) end
local function indexed(value) return string.sub(value, 9, 16) end
local function revision(value) return string.sub(value, 22, 29) end

-- What is too short to be a value is nobody's to replace; whoever reads it says that it is damaged.
local function damaged(value) return #value < 51 end

local function live(value, now)
  return value and (damaged(value) or later(value, now))
end

local function subject(value)
  if not value or damaged(value) then return nil end
  local low, high = string.byte(value, 46, 47)
  local length = low + 256 * high
  if length == 0 then return nil end
  return string.sub(value, 48, 46 + length)
end

-- An answer that changed nothing must be a master's too. A replica refuses this command, since it
-- is one of those that write, though without options it only reads.
local function master() redis.call('GETEX', KEYS[1]) end

-- Every key has an end. Twice the time is asked for, so that this is seldom done.
local function keep(key, ttl)
  if redis.call('PTTL', key) < tonumber(ttl) then
    redis.call('PEXPIRE', key, string.format('%.0f', 2 * tonumber(ttl)))
  end
end

-- What can be refused comes first: an index may have too much, never too little.
local function enter(index, member, score, now, ttl)
  redis.call('ZADD', index, score, member)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. now)
  keep(index, ttl)
end

-- What comes after the write cannot fail it any more.
local function leave(subjects, old, key)
  local was = subject(old)
  if was and subjects ~= '' then redis.pcall('ZREM', subjects .. was, key) end
end

local function drop(old, deadlines, subjects, key)
  redis.call('DEL', KEYS[1])
  redis.pcall('ZREM', deadlines, key)
  leave(subjects, old, key)
end
