-- Keeps an index, the last of KEYS, for as long as the last of ARGV says at least.
if redis.call('PTTL', KEYS[#KEYS]) < tonumber(ARGV[#ARGV]) then
  redis.call('PEXPIRE', KEYS[#KEYS], string.format('%.0f', 2 * ARGV[#ARGV]))
end
