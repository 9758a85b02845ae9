// The state transitions of the queue, each as one script, so that each is atomic. They work on BullMQ's own keys and fields
// (https://github.com/taskforcesh/bullmq/tree/master/src/commands is their reference), so that BullMQ's tools, producers and
// workers see ordinary jobs. Decision 0029 says why they are not BullMQ's own.
//
// Every script gets the set of the queues' names as KEYS[1] and its arguments as JSON in ARGV[1]. For each job name there is one
// BullMQ queue under `prefix:queue:`, here `q`:
//
//   q .. id           hash: name, data, opts, timestamp, delay, ats (claims so far), atm (attempts that counted and are over),
//                     deid (deduplication key), failedReason, finishedOn; and our own `failure` (JSON) and `generation`, since
//                     a tool of BullMQ may set `ats` back
//   q .. id .. ':lock'  who holds an active job; without expiry, since `leases` says when the claim ends
//   q .. 'wait'       list, the next on its right: jobs that were due when they were added
//   q .. 'delayed'    sorted by 4096 * available at: all others that wait
//   q .. 'active'     list
//   q .. 'completed', q .. 'failed'  sorted by when they finished
//   q .. 'de:' .. key  the unfinished job that has the key
//   q .. 'underpin:leases', q .. 'underpin:retention'  ours: sorted by the end of the lease, and of the retention
//
// A job is available at `timestamp + delay`.

import { luaScript, type Script } from '../../redis/index.ts';

const common = `
local queuesKey = KEYS[1]
local prefix = string.sub(queuesKey, 1, -7)
local input = cjson.decode(ARGV[1])
local call = redis.call

local function base(queue) return prefix .. queue .. ':' end

local queues
local function allQueues()
  if not queues then
    queues = {}
    for i, queue in ipairs(call('SMEMBERS', queuesKey)) do queues[i] = base(queue) end
  end
  return queues
end

local function asked()
  if input.queue then return { base(input.queue) } end
  return allQueues()
end

-- A number as all its digits.
local function digits(number) return string.format('%.0f', number) end

local function isJob(key) return redis.pcall('HEXISTS', key, 'timestamp') == 1 end

local function locate(id)
  for _, q in ipairs(allQueues()) do
    if isJob(q .. id) then return q end
  end
end

-- The queue of a claim that is still held.
local function held(id, generation)
  local q = locate(id)
  if q and call('ZSCORE', q .. 'underpin:leases', id)
    and tonumber(call('HGET', q .. id, 'generation')) == generation then return q end
end

local maxEvents = {}
local function emit(q, event, id, ...)
  if not maxEvents[q] then
    maxEvents[q] = call('HGET', q .. 'meta', 'opts.maxLenEvents') or 10000
  end
  call('XADD', q .. 'events', 'MAXLEN', '~', maxEvents[q], '*', 'event', event, 'jobId', id, ...)
end

local function isPaused(q) return call('HEXISTS', q .. 'meta', 'paused') == 1 end

-- How many more jobs may be active under the queue's global concurrency.
local function roomIn(q)
  local concurrency = tonumber(call('HGET', q .. 'meta', 'concurrency') or nil)
  return concurrency and concurrency - call('LLEN', q .. 'active') or math.huge
end

-- Wakes BullMQ's own workers, which block on the marker.
local function mark(q)
  if isPaused(q) then return end
  if call('LLEN', q .. 'wait') > 0 then return call('ZADD', q .. 'marker', 0, '0') end
  local first = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
  if first[2] then call('ZADD', q .. 'marker', digits(first[2] / 4096), '1') end
end

-- A hint alone: whoever may not publish is polled.
local function wake() redis.pcall('PUBLISH', prefix .. 'wake', input.sender) end

-- Ends the claim of an active job.
local function letGo(q, id)
  call('ZREM', q .. 'underpin:leases', id)
  call('LREM', q .. 'active', -1, id)
  call('DEL', q .. id .. ':lock')
end

local function freeKey(q, id)
  local key = call('HGET', q .. id, 'deid')
  if key and call('GET', q .. 'de:' .. key) == id then call('DEL', q .. 'de:' .. key) end
end

local function waitUntil(q, id, availableAt, previous)
  local timestamp = tonumber(call('HGET', q .. id, 'timestamp'))
  call('HSET', q .. id, 'delay', digits(availableAt - timestamp))
  call('ZADD', q .. 'delayed', digits(availableAt * 4096), id)
  emit(q, 'delayed', id, 'delay', digits(availableAt), 'prev', previous)
  mark(q)
end

local function bury(q, id, failure, now)
  freeKey(q, id)
  call('ZADD', q .. 'failed', digits(now), id)
  call('HSET', q .. id, 'finishedOn', digits(now), 'failedReason', failure.message, 'failure', failure.json)
  emit(q, 'failed', id, 'failedReason', failure.message, 'prev', 'active')
end

-- All keys that BullMQ may keep of a job.
local function erase(q, id)
  local key = q .. id
  freeKey(q, id)
  call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful')
end

-- A job as the driver reads it: its Row.
local function read(q, id, state)
  local fields = call('HMGET', q .. id, 'data', 'opts', 'timestamp', 'delay', 'generation', 'atm', 'deid',
    'failedReason', 'failure', 'finishedOn')
  return { string.sub(q, #prefix + 1, -2), id, state, unpack(fields) }
end
`;

function script(body: string): Script {
  return luaScript(common + body);
}

/** `{ jobs: [{ id, queue, name, data, opts, timestamp, availableAt, key? }], sender }` gives `[id, isDuplicate]` for each. */
export const enqueueScript: Script = script(`
local results = {}
local touched = {}
for i, job in ipairs(input.jobs) do
  local q = base(job.queue)
  local twin
  if isJob(q .. job.id) then
    results[i] = { job.id, 0 }
  else
    if job.key then
      twin = call('GET', q .. 'de:' .. job.key)
      -- A tool of BullMQ may have dropped the job and left its key.
      if twin and not isJob(q .. twin) then twin = nil end
    end
    if twin then
      emit(q, 'deduplicated', twin, 'deduplicationId', job.key, 'deduplicatedJobId', job.id)
      results[i] = { twin, 1 }
    else
      touched[q] = true
      call('SADD', queuesKey, job.queue)
      local delay = job.availableAt - job.timestamp
      call('HSET', q .. job.id, 'name', job.name, 'data', job.data, 'opts', job.opts,
        'timestamp', digits(job.timestamp), 'delay', digits(delay), 'priority', 0)
      if job.key then
        call('SET', q .. 'de:' .. job.key, job.id)
        call('HSET', q .. job.id, 'deid', job.key)
      end
      emit(q, 'added', job.id, 'name', job.name)
      if delay > 0 then
        call('ZADD', q .. 'delayed', digits(job.availableAt * 4096), job.id)
        emit(q, 'delayed', job.id, 'delay', digits(job.availableAt))
      else
        call('LPUSH', q .. 'wait', job.id)
        emit(q, 'waiting', job.id)
      end
      results[i] = { job.id, 0 }
    end
  end
end
for q in pairs(touched) do mark(q) end
if next(touched) then wake() end
return results
`);

/** `{ queues, limit, now, leaseUntil, token }` gives the claimed jobs. */
export const claimScript: Script = script(`
-- The next job of a queue that is due: those that BullMQ or we put into the list are due whatever their time.
local function front(q)
  local found
  local listed = call('LINDEX', q .. 'wait', -1)
  while listed and not isJob(q .. listed) do
    call('RPOP', q .. 'wait')
    listed = call('LINDEX', q .. 'wait', -1)
  end
  if listed then
    local at = call('HMGET', q .. listed, 'timestamp', 'delay')
    found = { q = q, id = listed, at = tonumber(at[1]) + tonumber(at[2] or 0), isListed = true }
  end
  local delayed = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
  while delayed[1] and not isJob(q .. delayed[1]) do
    call('ZREM', q .. 'delayed', delayed[1])
    delayed = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
  end
  if delayed[1] then
    local at = math.floor(delayed[2] / 4096)
    local isBefore = not found or at < found.at or (at == found.at and delayed[1] < found.id)
    if at <= input.now and isBefore then found = { q = q, id = delayed[1], at = at } end
  end
  return found
end

local fronts, room, names = {}, {}, {}
for _, queue in ipairs(input.queues) do
  local q = base(queue)
  names[q] = queue
  room[q] = isPaused(q) and 0 or roomIn(q)
  if room[q] > 0 then fronts[q] = front(q) end
end
local claimed = {}
while #claimed < input.limit do
  local first
  for _, candidate in pairs(fronts) do
    if not first or candidate.at < first.at or (candidate.at == first.at and candidate.id < first.id) then
      first = candidate
    end
  end
  if not first then break end
  local q, id = first.q, first.id
  if first.isListed then call('RPOP', q .. 'wait') else call('ZREM', q .. 'delayed', id) end
  call('LPUSH', q .. 'active', id)
  call('ZADD', q .. 'underpin:leases', digits(input.leaseUntil), id)
  call('HINCRBY', q .. id, 'ats', 1)
  call('HINCRBY', q .. id, 'generation', 1)
  call('HSET', q .. id, 'processedOn', digits(input.now))
  call('SET', q .. id .. ':lock', input.token)
  emit(q, 'active', id, 'prev', first.isListed and 'waiting' or 'delayed')
  -- BullMQ's own producers do not tell us of their queues.
  call('SADD', queuesKey, names[q])
  claimed[#claimed + 1] = read(q, id, 'active')
  room[q] = room[q] - 1
  fronts[q] = room[q] > 0 and front(q) or nil
end
return claimed
`);

/** `{ settlements, now, sender }` gives 1 or 0 for each. */
export const settleScript: Script = script(`
local results = {}
local isAnyWaiting = false
for i, settlement in ipairs(input.settlements) do
  local id = settlement.id
  local q = held(id, settlement.generation)
  results[i] = q and 1 or 0
  if q then
    letGo(q, id)
    local kind = settlement.kind
    if kind ~= 'release' then call('HINCRBY', q .. id, 'atm', 1) end
    if kind == 'complete' then
      emit(q, 'completed', id, 'returnvalue', 'null', 'prev', 'active')
      if settlement.keepUntil then
        freeKey(q, id)
        call('ZADD', q .. 'completed', digits(input.now), id)
        call('ZADD', q .. 'underpin:retention', digits(settlement.keepUntil), id)
        call('HSET', q .. id, 'finishedOn', digits(input.now), 'returnvalue', 'null')
      else
        erase(q, id)
      end
    elseif kind == 'bury' then
      bury(q, id, settlement.failure, input.now)
    else
      if kind == 'retry' then
        call('HSET', q .. id, 'failedReason', settlement.failure.message, 'failure', settlement.failure.json)
      end
      waitUntil(q, id, settlement.availableAt, 'active')
      isAnyWaiting = true
    end
  end
end
if isAnyWaiting then wake() end
return results
`);

/** `{ claims, leaseUntil }` gives 1 or 0 for each. */
export const extendScript: Script = script(`
local results = {}
for i, claim in ipairs(input.claims) do
  local q = held(claim.id, claim.generation)
  if q then call('ZADD', q .. 'underpin:leases', digits(input.leaseUntil), claim.id) end
  results[i] = q and 1 or 0
end
return results
`);

/** `{ now, limit, failure, sender }` gives how many were recovered, buried and removed; at most `limit` of a queue at once. */
export const maintainScript: Script = script(`
local recovered, buried, removed = 0, 0, 0
for _, q in ipairs(allQueues()) do
  for _, id in ipairs(call('ZRANGEBYSCORE', q .. 'underpin:leases', '-inf', digits(input.now), 'LIMIT', 0, input.limit)) do
    letGo(q, id)
    -- A tool of BullMQ may have dropped it.
    if isJob(q .. id) then
      call('HINCRBY', q .. id, 'stc', 1)
      local attempts = call('HINCRBY', q .. id, 'atm', 1)
      emit(q, 'stalled', id)
      if attempts >= (cjson.decode(call('HGET', q .. id, 'opts') or '{}').attempts or 1) then
        bury(q, id, input.failure, input.now)
        buried = buried + 1
      else
        call('HSET', q .. id, 'failedReason', input.failure.message, 'failure', input.failure.json)
        waitUntil(q, id, input.now, 'active')
        recovered = recovered + 1
      end
    end
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', q .. 'underpin:retention', '-inf', digits(input.now), 'LIMIT', 0, input.limit)) do
    call('ZREM', q .. 'underpin:retention', id)
    if call('ZREM', q .. 'completed', id) == 1 then
      erase(q, id)
      emit(q, 'removed', id, 'prev', 'completed')
      removed = removed + 1
    end
  end
end
if recovered > 0 then wake() end
return { recovered, buried, removed }
`);

/** `{ queues }` gives the earliest time, or nothing. */
export const nextEventScript: Script = script(`
local earliest
local function consider(at)
  if at and (not earliest or at < earliest) then earliest = at end
end
for _, queue in ipairs(input.queues) do
  local q = base(queue)
  if not isPaused(q) and roomIn(q) > 0 then
    local listed = call('LINDEX', q .. 'wait', -1)
    if listed then
      local at = call('HMGET', q .. listed, 'timestamp', 'delay')
      consider((tonumber(at[1] or nil) or 0) + (tonumber(at[2] or nil) or 0))
    end
    local delayed = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')
    if delayed[2] then consider(math.floor(delayed[2] / 4096)) end
  end
end
for _, q in ipairs(allQueues()) do
  consider(tonumber(call('ZRANGE', q .. 'underpin:leases', 0, 0, 'WITHSCORES')[2]))
end
return earliest and digits(earliest) or nil
`);

/** `{ id }` gives the job, or nothing. */
export const findScript: Script = script(`
local q = locate(input.id)
if not q then return nil end
local state = 'waiting'
if call('EXISTS', q .. input.id .. ':lock') == 1 then state = 'active'
elseif call('ZSCORE', q .. 'completed', input.id) then state = 'completed'
elseif call('ZSCORE', q .. 'failed', input.id) then state = 'dead' end
return read(q, input.id, state)
`);

/** `{ state?, queue?, after?, limit }` gives jobs by their ids. It reads the ids of all jobs in the state: BullMQ has no index of them. */
export const listScript: Script = script(`
local sets = {
  { 'waiting', 'wait' }, { 'waiting', 'paused' }, { 'waiting', 'delayed' }, { 'waiting', 'prioritized' },
  { 'active', 'active' }, { 'completed', 'completed' }, { 'dead', 'failed' },
}
local found = {}
for _, q in ipairs(asked()) do
  for _, set in ipairs(sets) do
    local state, key = set[1], q .. set[2]
    if not input.state or input.state == state then
      local isList = call('TYPE', key).ok == 'list'
      local ids = isList and call('LRANGE', key, 0, -1) or call('ZRANGE', key, 0, -1)
      for _, id in ipairs(ids) do
        if not input.after or id > input.after then found[#found + 1] = { id = id, q = q, state = state } end
      end
    end
  end
end
table.sort(found, function(a, b) return a.id < b.id end)
local rows = {}
for _, job in ipairs(found) do
  if #rows == input.limit then break end
  if isJob(job.q .. job.id) then rows[#rows + 1] = read(job.q, job.id, job.state) end
end
return rows
`);

/** `{ queue? }` gives how many are waiting, active, completed and dead. */
export const countsScript: Script = script(`
local waiting, active, completed, dead = 0, 0, 0, 0
for _, q in ipairs(asked()) do
  waiting = waiting + call('LLEN', q .. 'wait') + call('LLEN', q .. 'paused')
    + call('ZCARD', q .. 'delayed') + call('ZCARD', q .. 'prioritized')
  active = active + call('LLEN', q .. 'active')
  completed = completed + call('ZCARD', q .. 'completed')
  dead = dead + call('ZCARD', q .. 'failed')
end
return { waiting, active, completed, dead }
`);

/** `{ ids?, queue?, limit, now, sender }` gives their number. */
export const redriveScript: Script = script(`
local wanted
if input.ids then
  wanted = {}
  for _, id in ipairs(input.ids) do wanted[id] = true end
end
local dead = {}
for _, q in ipairs(asked()) do
  for _, id in ipairs(call('ZRANGE', q .. 'failed', 0, -1)) do
    if (not wanted or wanted[id]) and isJob(q .. id) then dead[#dead + 1] = { id = id, q = q } end
  end
end
table.sort(dead, function(a, b) return a.id < b.id end)
local redriven = 0
for _, job in ipairs(dead) do
  if redriven == input.limit then break end
  local q, id = job.q, job.id
  local key = call('HGET', q .. id, 'deid')
  local twin = key and call('GET', q .. 'de:' .. key)
  if not (twin and isJob(q .. twin)) then
    if key then call('SET', q .. 'de:' .. key, id) end
    call('ZREM', q .. 'failed', id)
    call('HSET', q .. id, 'atm', 0)
    call('HDEL', q .. id, 'finishedOn', 'processedOn')
    waitUntil(q, id, input.now, 'failed')
    redriven = redriven + 1
  end
end
if redriven > 0 then wake() end
return redriven
`);

/** `{ id }` gives 1 when there was one that was not active. */
export const removeScript: Script = script(`
local id = input.id
local q = locate(id)
if not q or call('EXISTS', q .. id .. ':lock') == 1 then return 0 end
for _, list in ipairs({ 'wait', 'paused', 'active' }) do call('LREM', q .. list, 1, id) end
for _, set in ipairs({ 'delayed', 'prioritized', 'completed', 'failed', 'underpin:retention' }) do call('ZREM', q .. set, id) end
erase(q, id)
emit(q, 'removed', id, 'prev', 'unknown')
return 1
`);
