// The workloads of bench/README.md for js-libp2p, both sides. Without AutoNAT: its server never
// answers (tests/interop/README.md). Run with --expose-gc.
import { readFileSync } from 'node:fs'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { CODE_P2P, multiaddr } from '@multiformats/multiaddr'

const kSink = '/pyrsia-bench/sink/1.0.0'
const kStats = '/pyrsia-bench/stats/1.0.0'
const kBlockBytes = 64 * 1024
const kMaxUnsentBytes = 1024 * 1024
const kConnecting = 32
const kPageBytes = 4096
const kMany = { maxInboundStreams: 1e6, maxOutboundStreams: 1e6 }

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const now = () => performance.now() / 1000

const makeNode = listen => createLibp2p({
  addresses: { listen },
  transports: [tcp()],
  connectionEncrypters: [noise()],
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
  services: { identify: identify(kMany) }
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

async function serve (flags) {
  const node = await makeNode([flags.listen])
  let identified = 0
  node.addEventListener('peer:identify', () => { identified++ })
  await node.handle(kSink, stream => { sink(stream).catch(e => stream.abort(e)) }, kMany)
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
      if (!stream.send(block)) await stream.onDrain()
      // send() may go on saying yes while nothing leaves: only a turn of the event loop helps then.
      while (stream.writeBufferLength > kMaxUnsentBytes) await new Promise(resolve => setImmediate(resolve))
    }
    await stream.close()
    return Number((await answer).readBigUInt64LE())
  }))
  const bytes = counts.reduce((a, b) => a + b)
  console.log(`result gbps=${(bytes * 8 / (now() - begin) / 1e9).toFixed(3)}`)
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

const flags = { atOnce: 1, seconds: 5 }
const [what, ...rest] = process.argv.slice(2)
for (let i = 0; i < rest.length; i += 2) {
  const name = rest[i].slice(2).replace(/-(.)/g, (_, letter) => letter.toUpperCase())
  flags[name] = ['atOnce', 'seconds'].includes(name) ? Number(rest[i + 1]) : rest[i + 1]
}
const workloads = { throughput, setup, idle }
if (what === 'server') {
  await serve(flags)
} else if (workloads[what] != null) {
  await workloads[what](flags, multiaddr(flags.to))
  process.exit(0)
} else {
  console.error('unknown workload')
  process.exit(2)
}
