-- KEYS: record, deadlines. ARGV as for create and update.
local key = string.sub(KEYS[1], -16)

-- What can be refused comes first: an index may have too much, never too little.
local function put(old)
  local was, is = subject(old), subject(new)
  local longer = not old or later(string.sub(new, 9, 16), string.sub(old, 9, 16))
  if not old or string.sub(old, 1, 8) ~= string.sub(new, 1, 8) then
    redis.call('ZADD', KEYS[2], score, key)
  end
  if longer or was ~= is then
    local index = nil
    if is and subjects ~= '' then index = subjects .. is end
    keep(new, now, longer and KEYS[2], index, key)
  end
  redis.call('SET', KEYS[1], new, 'PX', ttl)
  if was and was ~= is and subjects ~= '' then redis.pcall('ZREM', subjects .. was, key) end
  return 1
end
