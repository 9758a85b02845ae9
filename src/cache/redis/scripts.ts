import { createHash } from 'node:crypto';

/** A Lua script, which Redis runs as one step, and the name under which Redis keeps it. */
export interface Script {
  readonly source: string;
  readonly sha1: string;
}

// What is where, `P` being the prefix in braces, which makes one slot of a cluster of all of it:
//
//   P:root     the generation of the whole cache
//   P:t:TAG    the generation of a tag
//   P:g:KEY    the gate of a key: whoever leases the key notes what stands there; every change of the key removes it
//   P:e:KEY    an entry: the hash of `v`, its value, and `m`, a MessagePack array of
//              version, root, freshUntil, refreshAt, expiresAt, isMutable, size, tags, the tags' generations
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
  local entry = redis.call('HMGET', prefix .. ':e:' .. key, 'm', 'v')
  if not root or not entry[1] then return nil end
  local m = cmsgpack.unpack(entry[1])
  if m[2] ~= root then return nil end
  for i, tag in ipairs(m[8]) do
    if generation(tag) ~= m[9][i] then return nil end
  end
  return m, entry[2]
end

local function fresh(key)
  local m, value = find(key)
  if m and now < m[3] then return m, value end
  return nil
end

local function left(time)
  return string.format('%.0f', time - now)
end

local function reply(m, value)
  if not m then return false end
  return { value, m[1], left(m[3]), left(m[4]), left(m[5]), m[6] and 1 or 0, m[7], m[8], m[9] }
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

local function write(key, value, e)
  local function at(delay) return delay and now + delay or math.huge end
  if e.life and e.life <= 0 then
    redis.call('UNLINK', prefix .. ':e:' .. key, prefix .. ':g:' .. key)
    return
  end
  local life = e.life and math.ceil(e.life) + e.spare
  local generations = generationsOf(e.tags)
  local m = { token, root or token, at(e.fresh), at(e.refresh), at(e.expires), e.isMutable, e.size, e.tags, generations }
  redis.call('HSET', prefix .. ':e:' .. key, 'm', cmsgpack.pack(m), 'v', value)
  if life then
    redis.call('PEXPIRE', prefix .. ':e:' .. key, life)
  else
    redis.call('PERSIST', prefix .. ':e:' .. key)
  end
  redis.call('DEL', prefix .. ':g:' .. key)
  hold(e.tags, generations, life)
  ensureRoot()
end
`;

function script(body: string): Script {
  const source = prelude + body;
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

/** The live entries of the keys that follow. */
export const readScript: Script = script(`
local entries = {}
for i = 4, #ARGV do entries[i - 3] = reply(find(ARGV[i])) end
return entries
`);

/** Writes one entry: its key, its value, its facts, and its condition. Gives 1 if it did. */
export const writeScript: Script = script(`
local key, value, e, condition = ARGV[4], ARGV[5], cjson.decode(ARGV[6]), cjson.decode(ARGV[7])
if condition.kind == 'lease' then
  if not holds(key, condition) then return 0 end
elseif condition.kind == 'version' then
  local m = fresh(key)
  if (m and m[1] or false) ~= condition.version then return 0 end
end
write(key, value, e)
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
  leases[i - 5] = { gate, reply(find(ARGV[i])) }
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
local key, by, e = ARGV[4], tonumber(ARGV[5]), cjson.decode(ARGV[6])
local m, value = fresh(key)
if not m then
  write(key, 'J' .. ARGV[5], e)
  return ARGV[5]
end
local digits = string.match(value, '^J(%-?%d+)$')
local before = digits and tonumber(digits)
if not before or math.abs(before) > 9007199254740991 or math.abs(before + by) > 9007199254740991 then return false end
local sum = string.format('%.0f', before + by + 0)
m[1] = token
redis.call('HSET', prefix .. ':e:' .. key, 'm', cmsgpack.pack(m), 'v', 'J' .. sum)
redis.call('DEL', prefix .. ':g:' .. key)
return sum
`);

/** Removes those of the entries that follow, by their whole names, that a clear has left behind. */
export const sweepScript: Script = script(`
for i = 4, #ARGV do
  local packed = redis.call('HGET', ARGV[i], 'm')
  if packed and cmsgpack.unpack(packed)[2] ~= root then redis.call('UNLINK', ARGV[i]) end
end
return 1
`);
