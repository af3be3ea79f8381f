-- Adds a record. ARGV: now, value, ttl, score, subjects. 1: it is there, 0: the key is taken.
if live(old, now) then
  master()
  if string.sub(old, 22, 29) == string.sub(new, 22, 29) then return 1 end
  return 0
end
if ttl == '0' then
  -- Over before it began.
  drop(old, KEYS[2], subjects, key)
  return 1
end
return put(old)
