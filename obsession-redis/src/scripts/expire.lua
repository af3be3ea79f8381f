-- Removes what has expired. KEYS: deadlines. ARGV: now, now_ms, limit, what record keys begin with,
-- subjects. The records have the hash tag of the deadlines, so they are on this node. Says how many.
local removed = 0
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(due) do
  local record = ARGV[4] .. key
  local old = redis.call('GET', record)
  if old and #old >= 51 and later(old, ARGV[1]) then
    -- The index is wrong about it, and is put right.
    local at = 0
    for i = 1, 8 do at = at * 256 + string.byte(old, i) end
    redis.call('ZADD', KEYS[1], string.format('%.0f', at), key)
  else
    redis.call('ZREM', KEYS[1], key)
    if not old then
      removed = removed + 1
    elseif #old >= 51 then
      redis.call('DEL', record)
      local was = subject(old)
      if was and ARGV[5] ~= '' then redis.pcall('ZREM', ARGV[5] .. was, key) end
      removed = removed + 1
    end
  end
end
return removed
