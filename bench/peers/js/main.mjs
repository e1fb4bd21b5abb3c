// The workloads of bench/README.md for js-libp2p, both sides. Without AutoNAT v1: its server never
// answers (tests/interop/README.md). Run with --expose-gc.
import { readFileSync } from 'node:fs'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { quic } from '@chainsafe/libp2p-quic'
import { tls } from '@libp2p/tls'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { pbStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { CODE_P2P, multiaddr } from '@multiformats/multiaddr'

// The library has no call "probe once", so its codec is used, which it does not export by name.
const { Message } = await import(new URL('./node_modules/@libp2p/autonat-v2/dist/src/pb/index.js', import.meta.url))

const kSink = '/pyrsia-bench/sink/1.0.0'
const kSource = '/pyrsia-bench/source/1.0.0'
const kDialRequest = '/libp2p/autonat/2/dial-request'
const kNonceWait = 5
const kStats = '/pyrsia-bench/stats/1.0.0'
const kBlockBytes = 64 * 1024
const kMaxUnsentBytes = 1024 * 1024
const kConnecting = 32
const kPageBytes = 4096
const kMany = { maxInboundStreams: 1e6, maxOutboundStreams: 1e6 }

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const now = () => performance.now() / 1000

const flags = { atOnce: 1, seconds: 5, security: 'noise', also: [] }
const [what, ...rest] = process.argv.slice(2)
for (let i = 0; i < rest.length; i += 2) {
  const name = rest[i].slice(2).replace(/-(.)/g, (_, letter) => letter.toUpperCase())
  if (name === 'also') flags.also.push(rest[i + 1])
  else flags[name] = ['atOnce', 'seconds'].includes(name) ? Number(rest[i + 1]) : rest[i + 1]
}

const makeNode = (listen, services = {}) => createLibp2p({
  addresses: { listen },
  transports: [tcp(), quic()],
  connectionEncrypters: [flags.security === 'tls' ? tls() : noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: async () => false },
  connectionManager: {
    maxConnections: 1e6,
    inboundConnectionThreshold: 1e9,
    maxIncomingPendingConnections: 1e5,
    maxParallelDials: 1000,
    maxDialQueueLength: 1e5,
    reconnectRetries: 0
  },
  connectionMonitor: { enabled: false },
  services: { identify: identify(kMany), ...services }
})

const chunks = data => data instanceof Uint8Array ? [data] : [...data]

// Every byte until the peer has closed its half; the library's own iterator may miss that end.
function readAll (stream, onPart) {
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', e => { for (const part of chunks(e.data)) onPart(part) })
    stream.addEventListener('remoteCloseWrite', () => resolve())
    stream.addEventListener('close', e => { if (e.error != null) reject(e.error); else resolve() })
    if (stream.remoteWriteStatus === 'closed') setTimeout(resolve, 0)
  })
}

async function readBytes (stream) {
  const parts = []
  await readAll(stream, part => parts.push(part))
  return Buffer.concat(parts)
}

async function sink (stream) {
  let count = 0
  await readAll(stream, part => { count += part.length })
  const answer = Buffer.alloc(8)
  answer.writeBigUInt64LE(BigInt(count))
  stream.send(answer)
  await stream.close()
}

const cpuSeconds = () => {
  const usage = process.cpuUsage()
  return (usage.user + usage.system) / 1e6
}

// Writes for as many milliseconds as it is told.
async function source (stream) {
  const request = await new Promise((resolve, reject) => {
    const parts = []
    stream.addEventListener('message', e => {
      parts.push(...chunks(e.data))
      if (Buffer.concat(parts).length >= 8) resolve(Buffer.concat(parts))
    })
    stream.addEventListener('close', e => reject(e.error ?? new Error('closed')))
  })
  const end = now() + Number(request.readBigUInt64LE()) / 1000
  const block = new Uint8Array(kBlockBytes)
  await write(stream, block.subarray(0, 1))
  do {
    await write(stream, block)
  } while (now() < end)
  await stream.close()
}

async function write (stream, block) {
  if (!stream.send(block)) await stream.onDrain()
  // send() may go on saying yes while nothing leaves: only a turn of the event loop helps then.
  while (stream.writeBufferLength > kMaxUnsentBytes) await new Promise(resolve => setImmediate(resolve))
}

// Client and server: it has no client without a server.
const autonat2 = () => ({ autonat2: autoNATv2({ maxInboundStreams: 1e6, maxOutboundStreams: 1e6 }) })

async function serve (flags) {
  const node = await makeNode([flags.listen], autonat2())
  node.services.autonat2.client.verifyExternalAddresses = async () => {} // It would probe every client.
  let identified = 0
  node.addEventListener('peer:identify', () => { identified++ })
  await node.handle(kSink, stream => { sink(stream).catch(e => stream.abort(e)) }, kMany)
  await node.handle(kSource, stream => { source(stream).catch(e => stream.abort(e)) }, kMany)
  await node.handle(kStats, async stream => {
    const cpu = cpuSeconds()
    for (let i = 0; i < 4; i++) { globalThis.gc(); await sleep(100) }
    const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1])
    stream.send(Buffer.from(`cpu=${cpu} rss=${pages * kPageBytes} identified=${identified}\n`))
    await stream.close()
  }, kMany)
  const address = node.components.transportManager.getAddrs()[0].decapsulateCode(CODE_P2P)
  console.log(`ready ${address}/p2p/${node.peerId}`)
}

const identifiedOnce = node => new Promise(resolve => node.addEventListener('peer:identify', resolve, { once: true }))

async function connect (node, to) {
  const identified = identifiedOnce(node)
  const connection = await node.dial(to)
  await identified
  return connection
}

async function statsOf (connection) {
  const stream = await connection.newStream(kStats, kMany)
  const text = readBytes(stream)
  await stream.close()
  return Object.fromEntries((await text).toString().trim().split(' ').map(pair => {
    const [key, value] = pair.split('=')
    return [key, Number(value)]
  }))
}

const makeNodes = async count => {
  const nodes = []
  for (let i = 0; i < count; i++) nodes.push(await makeNode([]))
  return nodes
}

async function throughput (flags, to) {
  const connection = await connect(await makeNode([]), to)
  const block = new Uint8Array(kBlockBytes)
  const begin = now()
  const counts = await Promise.all(Array.from({ length: flags.atOnce }, async () => {
    const stream = await connection.newStream(kSink, kMany)
    const answer = readBytes(stream)
    while (now() - begin < flags.seconds) {
      await write(stream, block)
    }
    await stream.close()
    return Number((await answer).readBigUInt64LE())
  }))
  const bytes = counts.reduce((a, b) => a + b)
  console.log(`result gbps=${(bytes * 8 / (now() - begin) / 1e9).toFixed(3)}`)
}

const request = milliseconds => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(Math.round(milliseconds)))
  return bytes
}

async function download (flags, to) {
  const connection = await connect(await makeNode([]), to)
  const begin = now()
  let bytes = 0
  await Promise.all(Array.from({ length: flags.atOnce }, async () => {
    const stream = await connection.newStream(kSource, kMany)
    const end = readAll(stream, part => { bytes += part.length })
    stream.send(request(flags.seconds * 1000))
    await stream.close()
    await end
  }))
  console.log(`result gbps=${(bytes * 8 / (now() - begin) / 1e9).toFixed(3)}`)
}

// The time from the start of a dial to the first byte of an answer on a stream, once for each peer.
async function firstByte (flags, to) {
  const times = []
  const peer = to.toString().split('/p2p/')[1]
  const addresses = [to, ...flags.also.map(text => multiaddr(`${text}/p2p/${peer}`))]
  for (const node of await makeNodes(flags.atOnce)) {
    const begin = now()
    const connection = await node.dial(addresses)
    const stream = await connection.newStream(kSource, kMany)
    const first = new Promise(resolve => stream.addEventListener('message', resolve, { once: true }))
    stream.send(request(1))
    await first
    times.push((now() - begin) * 1000)
    stream.abort(new Error('the first byte is enough'))
  }
  times.sort((a, b) => a - b)
  console.log(`result ms=${times[times.length >> 1].toFixed(2)} least=${times[0].toFixed(2)} most=${times.at(-1).toFixed(2)}`)
}

// The library's own handler takes the dial-back, which it knows by its nonce.
async function isReached (connection, nonces, address) {
  const nonce = crypto.getRandomValues(new BigUint64Array(1))[0]
  nonces.add(nonce)
  const stream = await connection.newStream(kDialRequest, kMany)
  const messages = pbStream(stream).pb(Message)
  await messages.write({ dialRequest: { addrs: [address.bytes], nonce } })
  const { dialResponse } = await messages.read()
  await stream.close()
  const end = now() + kNonceWait
  while (dialResponse?.dialStatus === 'OK' && nonces.has(nonce) && now() < end) await sleep(1)
  return dialResponse?.status === 'OK' && dialResponse.dialStatus === 'OK' && !nonces.has(nonce)
}

async function autonat2Requests (flags, to) {
  const clients = []
  for (let i = 0; i < flags.atOnce; i++) {
    const node = await makeNode([flags.listen], autonat2())
    const { client } = node.services.autonat2
    client.verifyExternalAddresses = async () => {}
    const address = node.components.transportManager.getAddrs()[0].decapsulateCode(CODE_P2P)
    clients.push({ connection: await connect(node, to), nonces: client.nonces, address })
  }
  let reached = 0
  let refused = 0
  const begin = now()
  await Promise.all(clients.map(async ({ connection, nonces, address }) => {
    while (now() - begin < flags.seconds) {
      if (await isReached(connection, nonces, address).catch(() => false)) reached++
      else refused++
    }
  }))
  console.log(`result per_second=${(reached / (now() - begin)).toFixed(1)} refused=${refused}`)
}

async function setup (flags, to) {
  const asking = await connect(await makeNode([]), to)
  const nodes = await makeNodes(flags.atOnce)
  const before = await statsOf(asking)
  const begin = now()
  let done = 0
  await Promise.all(nodes.map(async node => {
    while (now() - begin < flags.seconds) {
      const connection = await connect(node, to)
      await connection.close()
      done++
    }
  }))
  const elapsed = now() - begin
  const after = await statsOf(asking)
  console.log(`result per_second=${(done / elapsed).toFixed(1)} both_ways=${((after.identified - before.identified) / done).toFixed(3)}`)
}

async function idle (flags, to) {
  const asking = await connect(await makeNode([]), to)
  const nodes = await makeNodes(flags.atOnce)
  const before = await statsOf(asking)
  for (let i = 0; i < nodes.length; i += kConnecting) {
    await Promise.all(nodes.slice(i, i + kConnecting).map(node => connect(node, to)))
  }
  await sleep(1000)
  const full = await statsOf(asking)
  const begin = await statsOf(asking)
  const cpuOfStats = await statsOf(asking)
  await sleep(flags.seconds * 1000)
  const end = await statsOf(asking)
  // A collection is not idling: what one costs is known from the two before.
  const cpu = end.cpu - cpuOfStats.cpu - (cpuOfStats.cpu - begin.cpu)
  console.log(`result rss_bytes=${((full.rss - before.rss) / flags.atOnce).toFixed(0)} ` +
    `cpu_percent=${Math.max(0, 100 * cpu / flags.seconds).toFixed(3)} connections=${flags.atOnce} ` +
    `identified=${full.identified - before.identified}`)
}

const workloads = { throughput, download, 'first-byte': firstByte, setup, idle, autonat2: autonat2Requests }
if (what === 'server') {
  await serve(flags)
} else if (workloads[what] != null) {
  await workloads[what](flags, multiaddr(flags.to))
  process.exit(0)
} else {
  console.error('unknown workload')
  process.exit(2)
}
