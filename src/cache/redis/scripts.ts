import { luaScript, type Script } from '../../redis/index.ts';

// What is where, `P` being the prefix in braces, which makes one slot of a cluster of all of it:
//
//   P:root     the generation of the whole cache
//   P:t:TAG    the generation of a tag
//   P:g:KEY    the gate of a key: whoever leases the key notes what stands there; every change of the key removes it
//   P:e:KEY    an entry, as a hash: `v` its value, `n` its version, `r` its root, `w` when it was written (milliseconds), `f` for how long it is
//              fresh (empty: for ever), `i` what only the client reads, and, if it has tags, `t`: each tag with its generation, as JSON
//
// Redis refuses a script for want of memory only at its first write, and only when that is one that takes memory: so those come first.
//
// A generation is a text that was never used before. To invalidate is to remove one: an entry or a lease is alive only while all that
// it was made under are still there. So whatever Redis evicts or expires by itself makes misses, and never brings a value back.

const prelude = `
local prefix, token = ARGV[1], ARGV[3]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local root = redis.call('GET', prefix .. ':root')
local known = {}

local function generation(tag)
  if known[tag] == nil then known[tag] = redis.call('GET', prefix .. ':t:' .. tag) end
  return known[tag]
end

local function find(key)
  local e = redis.call('HMGET', prefix .. ':e:' .. key, 'r', 't', 'n', 'w', 'v', 'i')
  if not root or e[1] ~= root then return nil end
  if e[2] then
    for _, tagged in ipairs(cjson.decode(e[2])) do
      if generation(tagged[1]) ~= tagged[2] then return nil end
    end
  end
  return e
end

local function fresh(key)
  local e = find(key)
  if not e then return nil end
  local term = redis.call('HGET', prefix .. ':e:' .. key, 'f')
  if term == '' or now - e[4] < tonumber(term) then return e end
  return nil
end

local function reply(e)
  return e and { e[5], e[3], now - e[4], e[6], e[2] or '[]' }
end

local function ensureRoot()
  if not root then redis.call('SET', prefix .. ':root', token) end
end

local function hold(tags, generations, life)
  for i, tag in ipairs(tags) do
    local key = prefix .. ':t:' .. tag
    if not generation(tag) then
      redis.call('SET', key, generations[i], 'PX', life)
    elseif redis.call('PTTL', key) < life then
      redis.call('PEXPIRE', key, life)
    end
  end
end

local function generationsOf(tags)
  local generations = {}
  for i, tag in ipairs(tags) do generations[i] = generation(tag) or token end
  return generations
end

local function holds(key, lease)
  if root ~= lease.root or redis.call('GET', prefix .. ':g:' .. key) ~= lease.gate then return false end
  for _, fence in ipairs(lease.fences) do
    if generation(fence[1]) ~= fence[2] then return false end
  end
  return true
end

local function write(key, value, facts)
  local name, life = prefix .. ':e:' .. key, facts.life
  if life and life <= 0 then
    redis.call('UNLINK', name, prefix .. ':g:' .. key)
    return
  end
  local generations = generationsOf(facts.tags)
  local tagged = {}
  for i, tag in ipairs(facts.tags) do tagged[i] = { tag, generations[i] } end
  redis.call('HSET', name, 'v', value, 'n', token, 'r', root or token, 'w', now, 'f', facts.fresh, 'i', facts.info)
  if tagged[1] then
    redis.call('HSET', name, 't', cjson.encode(tagged))
  else
    redis.call('HDEL', name, 't')
  end
  if life then redis.call('PEXPIRE', name, life) else redis.call('PERSIST', name) end
  redis.call('DEL', prefix .. ':g:' .. key)
  hold(facts.tags, generations, life)
  ensureRoot()
end
`;

function script(body: string): Script {
  return luaScript(prelude + body);
}

/** The live entries of the keys that follow. */
export const readScript: Script = script(`
local entries = {}
for i = 4, #ARGV do entries[i - 3] = reply(find(ARGV[i])) or false end
return entries
`);

/** Writes one entry: its key, its value, its facts, and its condition. Gives 1 if it did. */
export const writeScript: Script = script(`
local key, condition = ARGV[4], cjson.decode(ARGV[7])
if condition.kind == 'lease' then
  if not holds(key, condition) then return 0 end
elseif condition.kind == 'version' then
  local e = fresh(key)
  if (e and e[3] or false) ~= condition.version then return 0 end
end
write(key, ARGV[5], cjson.decode(ARGV[6]))
return 1
`);

/** Leases the keys that follow for how long, and the tags. Gives the root, the tags' generations, and each key's gate and entry. */
export const leaseScript: Script = script(`
local term, tags = tonumber(ARGV[4]), cjson.decode(ARGV[5])
local generations, leases = generationsOf(tags), {}
for i = 6, #ARGV do
  local gateKey = prefix .. ':g:' .. ARGV[i]
  local gate = redis.call('GET', gateKey) or token
  redis.call('SET', gateKey, gate, 'PX', term)
  leases[i - 5] = { gate, reply(find(ARGV[i])) or false }
end
hold(tags, generations, term)
ensureRoot()
return { root or token, generations, leases }
`);

/** Whether leases are not void: for each its key, and the lease as a condition. */
export const holdsScript: Script = script(`
local held = {}
for i = 4, #ARGV, 2 do held[(i - 2) / 2] = holds(ARGV[i], cjson.decode(ARGV[i + 1])) and 1 or 0 end
return held
`);

/** Removes the keys that follow. Gives how many held something fresh. */
export const deleteScript: Script = script(`
local count = 0
for i = 4, #ARGV do
  if fresh(ARGV[i]) then count = count + 1 end
  redis.call('UNLINK', prefix .. ':e:' .. ARGV[i], prefix .. ':g:' .. ARGV[i])
end
return count
`);

/** Adds to a counter: its key, by how much, and the facts of a new one. Gives the sum as text, or nothing where it cannot. */
export const incrementScript: Script = script(`
local key, by = ARGV[4], tonumber(ARGV[5])
local e = fresh(key)
if not e then
  write(key, 'J' .. ARGV[5], cjson.decode(ARGV[6]))
  return ARGV[5]
end
local digits = string.match(e[5], '^J(%-?%d+)$')
local before = digits and tonumber(digits)
if not before or math.abs(before) > 9007199254740991 or math.abs(before + by) > 9007199254740991 then return false end
local sum = string.format('%.0f', before + by + 0)
redis.call('HSET', prefix .. ':e:' .. key, 'n', token, 'v', 'J' .. sum)
redis.call('DEL', prefix .. ':g:' .. key)
return sum
`);

/** Removes those of the entries that follow, by their whole names, that a clear has left behind. */
export const sweepScript: Script = script(`
for i = 4, #ARGV do
  local made = redis.call('HGET', ARGV[i], 'r')
  if made and made ~= root then redis.call('UNLINK', ARGV[i]) end
end
return 1
`);
