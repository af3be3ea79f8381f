-- Takes entries out of the index of a subject whose records are gone or another's. KEYS: index, then
-- records. ARGV: subject, then the key of each record.
for i = 2, #KEYS do
  if subject(redis.call('GET', KEYS[i])) ~= ARGV[1] then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return 1
