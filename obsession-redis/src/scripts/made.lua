-- What is left to do for a record that has been made: the index has its deadline, and is kept for long
-- enough. KEYS: record, deadlines. ARGV: how long the index is to be kept at least. 1, or 0 if the record
-- is not there any more.
local head = redis.call('GETRANGE', KEYS[1], 0, 7)
if #head < 8 then return 0 end
local at = 0
for i = 1, 8 do at = at * 256 + string.byte(head, i) end
redis.call('ZADD', KEYS[2], string.format('%.0f', math.min(at, 9007199254740991)), string.sub(KEYS[1], -16))
