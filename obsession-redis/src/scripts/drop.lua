-- What comes after the first write cannot fail the call any more.
local function drop(old, deadlines, subjects, key)
  redis.call('DEL', KEYS[1])
  redis.pcall('ZREM', deadlines, key)
  local was = subject(old)
  if was and subjects ~= '' then redis.pcall('ZREM', subjects .. was, key) end
end
