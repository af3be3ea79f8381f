-- Replaces a record of the revision ARGV[10]. 1: done, 0: there is none, 2: its subject has to be
-- indexed first, which is not done here (ARGV[11] says that it has been). Else the current value.
local old = redis.call('GET', KEYS[1])
if not live(old, now) then
  master()
  return 0
end
if revision(old) == revision(new) then
  master()
  return 1
end
if revision(old) ~= ARGV[10] then
  master()
  return old
end
if ttl == '0' then
  drop(old, KEYS[2], subjects, key)
  return 1
end
local is = subject(new)
if is and subjects == '' and ARGV[11] == '0' and not covered(old, is) then
  master()
  return 2
end
return put(old)
