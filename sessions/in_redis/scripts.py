"""What Redis decides in one piece. Needs nothing newer than Redis 6.2."""

from __future__ import annotations

from sessions.model import SAME_START_S

_IS_SAME = f"""
local function is_same(pid, host, started, other_pid, other_host, other_started)
  if pid ~= other_pid or host ~= other_host then return false end
  return math.abs(tonumber(started or 0) - tonumber(other_started or 0)) <= {SAME_START_S}
end
"""

ADD = """
local hash, user, starting, index, rooms, creator, ended = unpack(KEYS)
local id, ttl, most, room, start, expires = unpack(ARGV, 1, 6)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZSCORE', ended, id) then return 'ended' end
if redis.call('EXISTS', hash) == 1 then
  local same = redis.call('HGET', hash, 'startTime') == start
  return same and redis.call('HGET', hash, 'roomName') == room and 'added' or 'exists'
end
redis.call('ZREMRANGEBYSCORE', creator, '-inf', now)
if tonumber(most) > 0 and redis.call('ZCARD', creator) >= tonumber(most) then return 'too many' end
redis.call('HSET', hash, unpack(ARGV, 7))
redis.call('EXPIRE', hash, ttl)
redis.call('SET', user, id, 'EX', ttl)
redis.call('SADD', starting, id)
redis.call('ZADD', index, start, id)
redis.call('HSET', rooms, room, id)
redis.call('ZADD', creator, expires, id)
redis.call('PEXPIREAT', creator, math.max(tonumber(expires), now + ttl * 1000))
return 'added'
"""

UPDATE = """
local hash, starting, ready, pool, ended = unpack(KEYS)
local id, status = ARGV[1], ARGV[2]
if redis.call('EXISTS', hash) == 0 or redis.call('ZSCORE', ended, id) then return 0 end
redis.call('HSET', hash, unpack(ARGV, 3))
if status ~= '' then
  for _, set in ipairs({starting, ready, pool}) do redis.call('SREM', set, id) end
  if status == 'starting' then redis.call('SADD', starting, id) end
  if status == 'ready' then
    redis.call('SADD', ready, id)
    redis.call('SADD', pool, id)
  end
end
return 1
"""

STARTED = (
    _IS_SAME
    + """
local hash, pid_key, ended = unpack(KEYS)
local id, ttl, pid, host, started, attempt = unpack(ARGV)
if redis.call('EXISTS', hash) == 0 or redis.call('ZSCORE', ended, id) then return 0 end
local newest, taken, by, at, since, gone = unpack(redis.call('HMGET', hash, 'dispatches',
  'agentAttempt', 'agentPid', 'agentHost', 'agentStarted', 'agentGone'))
if tonumber(newest or 0) > tonumber(attempt) then return 0 end
local held = tonumber(by or 0) > 0 and (gone or '') == ''
if held and tonumber(taken or 0) >= tonumber(attempt) then
  if not is_same(by, at, since, pid, host, started) then return 0 end
end
redis.call('HSET', hash, 'agentPid', pid, 'agentHost', host, 'agentStarted', started,
  'agentAttempt', attempt)
redis.call('HDEL', hash, 'agentGone')
redis.call('SET', pid_key, pid, 'EX', ttl)
return 1
"""
)

GONE = (
    _IS_SAME
    + """
local hash, pid_key, cleanups = unpack(KEYS)
local id, how, pid, host, started = unpack(ARGV)
local known = redis.call('HGET', cleanups, id)
local claim = known and cjson.decode(known)
local lives = redis.call('EXISTS', hash) == 1
local by, at, since
if lives then
  by, at, since = unpack(redis.call('HMGET', hash, 'agentPid', 'agentHost', 'agentStarted'))
elseif claim then
  by, at, since = claim.record.agentPid, claim.record.agentHost, claim.record.agentStarted
else
  return 0
end
if pid ~= '' and tonumber(by or 0) > 0 and not is_same(by, at, since, pid, host, started) then
  return 0
end
if lives then redis.call('HSET', hash, 'agentGone', how) end
if claim then
  claim.record.agentGone = how
  redis.call('HSET', cleanups, id, cjson.encode(claim))
end
redis.call('DEL', pid_key)
return 1
"""
)

RENEW = """
local id, ttl = ARGV[1], ARGV[2]
for i = 2, #KEYS do redis.call('EXPIRE', KEYS[i], ttl) end
local user = redis.call('HGET', KEYS[2], 'userId')
if user then
  local newest = KEYS[1] .. user
  if redis.call('GET', newest) == id then redis.call('EXPIRE', newest, ttl) end
end
return 1
"""

KEEP_IF_LIVES = """
local hash, ended, key = unpack(KEYS)
local id, ttl, command = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', hash) == 0 or redis.call('ZSCORE', ended, id) then return 0 end
if command == 'LOG' then
  redis.call('RPUSH', key, unpack(ARGV, 5))
  redis.call('LTRIM', key, -tonumber(ARGV[4]), -1)
elseif command == 'BEAT' then
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(ARGV, 4))
elseif command == 'TASK' then
  redis.call('HSET', key, ARGV[4], ARGV[5])
else
  for i = 4, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]) end
end
redis.call('PEXPIRE', key, ttl)
return 1
"""

CLAIM = """
local hash, cleanups, ended = unpack(KEYS)
local id, owner, lease, reason, fence, orphan = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', cleanups, id)
local claim
if known then
  claim = cjson.decode(known)
  if claim.owner ~= owner and claim['until'] > now then return {'joined', known} end
  claim.resumed = true
else
  local stored = redis.call('HGETALL', hash)
  claim = {reason = reason, resumed = false}
  if #stored > 0 then
    claim.record = {}
    for i = 1, #stored, 2 do claim.record[stored[i]] = stored[i + 1] end
  elseif orphan ~= '' then
    claim.record = cjson.decode(orphan)
  else
    return {'unknown'}
  end
end
claim.owner = owner
claim['until'] = now + tonumber(lease)
redis.call('ZREMRANGEBYSCORE', ended, '-inf', now)
redis.call('ZADD', ended, now + tonumber(fence), id)
local text = cjson.encode(claim)
redis.call('HSET', cleanups, id, text)
return {'claimed', text}
"""

RENEW_CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return 0 end
local claim = cjson.decode(known)
if claim.owner ~= ARGV[2] then return 0 end
claim['until'] = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(claim))
return 1
"""

LET_GO = """
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local claim = cjson.decode(all[i + 1])
  if claim.owner == ARGV[1] then
    claim['until'] = 0
    redis.call('HSET', KEYS[1], all[i], cjson.encode(claim))
  end
end
return 1
"""

ABANDONED = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, gone = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if cjson.decode(all[i + 1])['until'] <= now then gone[#gone + 1] = all[i] end
end
return gone
"""

FINISH = """
local cleanups, reports, starting, ready, pool, index, rooms = unpack(KEYS, 1, 7)
local id, owner, report, keep, user_prefix, creator_prefix = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', cleanups, id)
if not known then return -1 end
local claim = cjson.decode(known)
if claim.owner ~= owner then return -1 end
local removed = 0
for i = 8, #KEYS do removed = removed + redis.call('DEL', KEYS[i]) end
local record = claim.record
if record.userId and redis.call('GET', user_prefix .. record.userId) == id then
  removed = removed + redis.call('DEL', user_prefix .. record.userId)
end
for _, set in ipairs({starting, ready, pool}) do redis.call('SREM', set, id) end
redis.call('ZREM', index, id)
if record.roomName and redis.call('HGET', rooms, record.roomName) == id then
  redis.call('HDEL', rooms, record.roomName)
end
if record.creator then redis.call('ZREM', creator_prefix .. record.creator, id) end
redis.call('HDEL', cleanups, id)
local old = redis.call('HGETALL', reports)
for i = 1, #old, 2 do
  if cjson.decode(old[i + 1]).at < now - tonumber(keep) then redis.call('HDEL', reports, old[i]) end
end
redis.call('HSET', reports, id, cjson.encode({at = now, report = report}))
redis.call('PEXPIRE', reports, keep)
return removed
"""

LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

SPEAKING = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
"""
