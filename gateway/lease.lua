-- What one process may have of the limit of a provider or an endpoint. KEYS: the processes there. One that has said
-- nothing for its time to live counts for nothing. Times are this server's.
local key, me = KEYS[1], ARGV[1]
local limit, reserve, taken = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wanted, waiting, live_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local busy_here, newcomers = cjson.decode(ARGV[8]), cjson.decode(ARGV[9])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local weight = math.max(#busy_here, 1)
local all_weights, held, others, busy = weight, 0, {}, {}
local rows = redis.call('HGETALL', key)
for i = 1, #rows, 2 do
  if rows[i] ~= me then
    local other = cjson.decode(rows[i + 1])
    if other.live_until <= now then
      redis.call('HDEL', key, rows[i])
    else
      others[#others + 1] = other
      held = held + other.leased
      all_weights = all_weights + math.max(#other.busy, 1)
      for _, organization in ipairs(other.busy) do busy[organization] = true end
    end
  end
end

-- The last places are kept for organizations that have nothing at this provider.
local room = limit - reserve
local function share(of)
  return math.max(1, math.floor(room * of / all_weights))
end
local contended, hungry = 0, false
for _, other in ipairs(others) do
  if other.waiting > 0 then
    contended = 1
    hungry = hungry or other.leased < share(math.max(#other.busy, 1))
  end
end

local most = room - held
if hungry then most = math.min(most, share(weight)) end
local leased = math.max(taken, math.min(wanted, most))
local lent = {}
for _, organization in ipairs(newcomers) do
  if leased < taken + waiting and leased + held < limit and not busy[organization] then
    leased = leased + 1
    lent[#lent + 1] = organization
  end
end
local excess = math.max(leased + held - room, 0)
if hungry then excess = math.max(excess, leased - share(weight)) end

if leased == 0 and waiting == 0 then
  redis.call('HDEL', key, me)
else
  local row = {leased = leased, waiting = math.max(taken + waiting - leased, 0), busy = busy_here, live_until = now + live_ms}
  redis.call('HSET', key, me, cjson.encode(row))
  redis.call('PEXPIRE', key, live_ms * 2)
end
return {leased, math.min(excess, leased), contended, unpack(lent)}
