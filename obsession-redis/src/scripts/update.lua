-- Replaces a record. ARGV: now, value, ttl, score, subjects, the revision that it must have, and 1 if
-- its subject has been indexed. 1: done, 0: there is none, 2: its subject has to be indexed first,
-- which is not done here. Else the current value.
if not live(old, now) then
  master()
  return 0
end
local revision = string.sub(old, 22, 29)
if revision ~= ARGV[6] or revision == string.sub(new, 22, 29) then
  master()
  if revision == string.sub(new, 22, 29) then return 1 end
  return old
end
if ttl == '0' then
  drop(old, KEYS[2], subjects, key)
  return 1
end
if subjects == '' and ARGV[7] == '0' then
  local is = subject(new)
  if is and (subject(old) ~= is or later(string.sub(new, 9, 16), string.sub(old, 9, 16))) then
    master()
    return 2
  end
end
return put(old)
