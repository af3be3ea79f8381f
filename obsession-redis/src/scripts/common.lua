-- A value, counted from 1: deadline 1-8, indexed until 9-16, check 17-20, then core's row: format
-- 21, revision 22-29, created_at 30-37, deadline when written 38-45, length of the subject plus 1
-- 46-47, subject from 48. Instants are big-endian and are compared by halves: Lua's numbers are
-- doubles, which hold 53 bits, and its strings compare by locale. Each function costs every call of a
-- script a moment, so there are few.

local function later(a, b)
  local high, low = struct.unpack('>I4I4', a)
  local other_high, other_low = struct.unpack('>I4I4', b)
  return high > other_high or high == other_high and low > other_low
end

-- What is too short to be a value is nobody's to replace; whoever reads it says that it is damaged.
local function live(value, now)
  return value and (#value < 51 or later(value, now))
end

local function subject(value)
  if not value or #value < 51 then return nil end
  local low, high = string.byte(value, 46, 47)
  local length = low + 256 * high
  if length == 0 then return nil end
  return string.sub(value, 48, 46 + length)
end

-- An answer that changed nothing must be a master's too. A replica refuses this command, since it
-- is one of those that write, though without options it only reads.
local function master() redis.call('GETEX', KEYS[1]) end
