// A js-libp2p node that does what it is told on standard input; see ../README.md.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

// Node 20 lacks this one function of those that js-libp2p calls; it must be there before the imports run.
if (!Promise.withResolvers) {
  Promise.withResolvers = function () {
    let resolve, reject
    const promise = new this((a, b) => { resolve = a; reject = b })
    return { promise, resolve, reject }
  }
}
const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { webSockets } = await import('@libp2p/websockets')
const { quic } = await import('@chainsafe/libp2p-quic')
const { noise } = await import('@chainsafe/libp2p-noise')
const { tls } = await import('@libp2p/tls')
const { yamux } = await import('@libp2p/yamux')
const { identify, identifyPush } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { autoNAT } = await import('@libp2p/autonat')
const { autoNATv2 } = await import('@libp2p/autonat-v2')
const { generateKeyPairFromSeed } = await import('@libp2p/crypto/keys')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { pbStream } = await import('@libp2p/utils')
const { CODE_P2P, multiaddr } = await import('@multiformats/multiaddr')
// The libraries have no call "probe once", so `autonat` and `autonat2` use their codecs, which are not exported by name.
const codecs = name => import(new URL(`./node_modules/@libp2p/${name}/dist/src/pb/index.js`, import.meta.url))
const { Message } = await codecs('autonat')
const { Message: Message2 } = await codecs('autonat-v2')

const kEcho = '/pyrsia-test/echo/1.0.0'
const kAutonat = '/libp2p/autonat/1.0.0'
const kAutonat2 = '/libp2p/autonat/2/dial-request'
const kDialDataChunk = 4096
const kMaxDialData = 200_000
const kDialBackTimeout = 5_000
const kPatternBytes = 65521
const kEchoTimeout = 180_000
const kExchangeTimeout = 45_000
const kManyStreams = { maxInboundStreams: 1024, maxOutboundStreams: 1024 }

const emit = o => process.stdout.write(JSON.stringify(o) + '\n')

const { values: flags } = parseArgs({
  options: {
    listen: { type: 'string', multiple: true, default: [] },
    security: { type: 'string', default: 'noise' }, // over TCP and WebSocket
    'web-tls': { type: 'string' }, // the folder with what secure WebSockets need
    announce: { type: 'string', multiple: true, default: [] },
    'key-seed': { type: 'string', default: '1' },
    'autonat-server': { type: 'boolean', default: false },
    'allow-loopback': { type: 'boolean', default: false } // ignored: this library has no such switch
  }
})

class Adler32 {
  a = 1
  b = 0
  update (bytes) {
    let { a, b } = this
    for (let i = 0; i < bytes.length;) {
      const end = Math.min(i + 5552, bytes.length)
      for (; i < end; i++) { a += bytes[i]; b += a }
      a %= 65521
      b %= 65521
    }
    this.a = a
    this.b = b
  }

  get value () { return ((this.b << 16) | this.a) >>> 0 }
}

function pattern () {
  const p = new Uint8Array(kPatternBytes)
  let x = 2463534242
  for (let i = 0; i < p.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    p[i] = x >>> 24
  }
  return p
}

const chunks = data => data instanceof Uint8Array ? [data] : [...data]

async function send (stream, bytes, signal) {
  if (!stream.send(bytes)) await stream.onDrain({ signal })
}

// What `for await (… of stream)` is meant to be: the library's own iterator never ends if the peer
// closed its half before the iteration began, as it does when it sends a small request at once.
async function * read (stream) {
  const parts = []
  let isAtEnd = false
  let error
  let wake = () => {}
  stream.addEventListener('remoteCloseWrite', () => { isAtEnd = true; wake() })
  stream.addEventListener('close', e => { isAtEnd = true; error = e.error; wake() })
  stream.addEventListener('message', e => { parts.push(...chunks(e.data)); wake() })
  await null // Until what was buffered has been dispatched.
  for (;;) {
    while (parts.length > 0) yield parts.shift()
    if (error != null) throw error
    if (isAtEnd || stream.remoteWriteStatus === 'closed') return
    await new Promise(resolve => { wake = resolve })
  }
}

async function serveEcho (stream, connection) {
  const signal = AbortSignal.timeout(kEchoTimeout)
  const peer = connection.remotePeer.toString()
  const sum = new Adler32()
  let count = 0
  try {
    for await (const part of read(stream)) {
      sum.update(part)
      count += part.length
      await send(stream, part, signal)
    }
    await stream.close({ signal })
    emit({ event: 'served', peer, bytes: count, sum: sum.value })
  } catch (e) {
    stream.abort(e)
    emit({ event: 'stream_failed', peer, bytes: count, reset: e?.name === 'StreamResetError', error: e?.message ?? String(e) })
  }
}

async function echoOn (stream, bytes) {
  const signal = AbortSignal.timeout(kEchoTimeout)
  const sent = new Adler32()
  const got = new Adler32()
  let count = 0
  const write = async () => {
    const data = pattern()
    for (let left = bytes; left > 0; left -= kPatternBytes) {
      const part = data.slice(0, Math.min(left, kPatternBytes))
      sent.update(part)
      await send(stream, part, signal)
    }
    await stream.close({ signal }) // the write half
  }
  const receive = async () => {
    for await (const part of read(stream)) {
      got.update(part)
      count += part.length
    }
  }
  try {
    await Promise.all([write(), receive()])
  } catch (e) {
    stream.abort(e)
    throw e
  }
  if (count !== bytes || got.value !== sent.value) {
    throw new Error(`sent ${bytes} (${sent.value}), got back ${count} (${got.value})`)
  }
  return got.value
}

// Whom it trusts as client is Node's own affair: NODE_EXTRA_CA_CERTS.
function webTls (folder) {
  if (folder == null) return {}
  const pem = name => readFileSync(join(folder, name))
  return { https: { cert: pem('cert.pem'), key: pem('key.pem') } }
}

const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(Number(flags['key-seed']))),
  addresses: { listen: flags.listen, appendAnnounce: flags.announce },
  transports: [tcp(), webSockets(webTls(flags['web-tls'])), quic()],
  connectionEncrypters: [flags.security === 'tls' ? tls() : noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: async () => false },
  connectionManager: { inboundConnectionThreshold: 1000, reconnectRetries: 0 },
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    identifyPush: identifyPush({ debounce: 100 }),
    ping: ping(),
    autonat2: autoNATv2(), // It has no client without a server.
    ...(flags['autonat-server'] ? { autonat: autoNAT() } : {})
  }
})

// It would ask every peer at once as it is identified, and take the two streams that a peer may have.
node.services.autonat2.client.verifyExternalAddresses = async () => {}

// Public addresses that nobody has verified yet are missing from getMultiaddrs().
const listening = () => node.components.transportManager.getAddrs().map(a => a.decapsulateCode(CODE_P2P))

const connectionTo = peer => {
  const open = node.getConnections(peerIdFromString(peer)).find(c => c.status === 'open')
  if (open == null) throw new Error('not connected')
  return open
}
const openEcho = peer => connectionTo(peer).newStream(kEcho, { ...kManyStreams, signal: AbortSignal.timeout(kExchangeTimeout) })

const identified = new Map() // peer -> what it said last
const firstOf = new WeakSet() // connections whose first identify has come: what comes later was pushed

async function probe (peer) {
  const stream = await connectionTo(peer).newStream(kAutonat, { signal: AbortSignal.timeout(kExchangeTimeout) })
  try {
    const messages = pbStream(stream).pb(Message)
    const addrs = [...listening(), ...flags.announce.map(a => multiaddr(a))].map(a => a.bytes)
    const options = { signal: AbortSignal.timeout(kExchangeTimeout) }
    const dial = { peer: { id: node.peerId.toMultihash().bytes, addrs } }
    await messages.write({ type: Message.MessageType.DIAL, dial }, options)
    const { dialResponse } = await messages.read(options)
    await stream.close(options)
    const status = { OK: 'public', E_DIAL_ERROR: 'private' }[dialResponse?.status] ?? 'unknown'
    return { status, response: dialResponse?.status ?? '', text: dialResponse?.statusText ?? '' }
  } catch (e) {
    stream.abort(e)
    return { status: 'unknown', response: '', text: e.message }
  }
}

async function until (holds, milliseconds) {
  for (let waited = 0; waited < milliseconds && !holds(); waited += 20) await new Promise(resolve => setTimeout(resolve, 20))
  return holds()
}

// One address, one request; the library's own handler takes the dial-back if it knows the nonce.
async function probe2 (peer, address) {
  const { nonces } = node.services.autonat2.client
  // As the library's: it reads a larger one as another number.
  const nonce = BigInt(Math.floor(Math.random() * Number.MAX_SAFE_INTEGER))
  const result = { address: String(address), status: 'unknown', response: '', dialStatus: '', text: '' }
  const options = { signal: AbortSignal.timeout(kExchangeTimeout) }
  nonces.add(nonce)
  let stream
  try {
    stream = await connectionTo(peer).newStream(kAutonat2, options)
    const messages = pbStream(stream).pb(Message2)
    await messages.write({ dialRequest: { addrs: [address.bytes], nonce } }, options)
    let answer = await messages.read(options)
    const wanted = Number(answer.dialDataRequest?.numBytes ?? 0)
    if (wanted > kMaxDialData) throw new Error(`asked for ${wanted} bytes`)
    for (let left = wanted; left > 0; left -= kDialDataChunk) {
      await messages.write({ dialDataResponse: { data: new Uint8Array(Math.min(left, kDialDataChunk)) } }, options)
    }
    if (wanted > 0) answer = await messages.read(options)
    await stream.close(options)
    result.response = answer.dialResponse?.status ?? ''
    result.dialStatus = answer.dialResponse?.dialStatus ?? ''
    result.text = `${wanted} bytes of dial data`
    const isReached = result.dialStatus === 'OK' ? await until(() => !nonces.has(nonce), kDialBackTimeout) : !nonces.has(nonce)
    if (result.response === 'OK' && result.dialStatus === 'OK' && isReached) result.status = 'reachable'
    if (result.response === 'OK' && result.dialStatus === 'E_DIAL_ERROR' && !isReached) result.status = 'unreachable'
  } catch (e) {
    stream?.abort(e)
    result.text = e.message
  } finally {
    nonces.delete(nonce)
  }
  return result
}

const commands = {
  async connect ({ address }) {
    const a = multiaddr(address)
    // The dialler joins what it knows of the peer to what it is told.
    const peer = a.getComponents().find(c => c.name === 'p2p').value
    await node.peerStore.delete(peerIdFromString(peer)).catch(() => {})
    const c = await node.dial(a, { signal: AbortSignal.timeout(kExchangeTimeout) })
    return { peer: c.remotePeer.toString() }
  },
  async identify ({ peer }) {
    for (let i = 0; i < 100 && !identified.has(peer); i++) await new Promise(resolve => setTimeout(resolve, 100))
    const r = identified.get(peer)
    if (r == null) throw new Error('not identified within 10 s')
    return {
      protocols: r.protocols,
      agent: r.agentVersion,
      protocolVersion: r.protocolVersion,
      listenAddresses: r.listenAddrs.map(String),
      observedAddress: r.observedAddr?.toString(),
      signedRecord: r.signedPeerRecord != null
    }
  },
  async push ({ protocol }) { await node.handle(protocol, serveEcho) },
  async ping ({ peer, count }) {
    const milliseconds = []
    for (let i = 0; i < count; i++) milliseconds.push(await node.services.ping.ping(peerIdFromString(peer)))
    return { milliseconds }
  },
  async echo ({ peer, bytes }) {
    const start = performance.now()
    const sum = await echoOn(await openEcho(peer), bytes)
    return { bytes, sum, seconds: (performance.now() - start) / 1000 }
  },
  async streams ({ peer, count }) { // all are open before the first is used
    const opened = await Promise.all(Array.from({ length: count }, () => openEcho(peer)))
    await Promise.all(opened.map((s, i) => echoOn(s, 1000 + i)))
    return { count }
  },
  async reset ({ peer }) {
    const stream = await openEcho(peer)
    stream.send(new Uint8Array(1000))
    let count = 0
    for await (const part of read(stream)) { if ((count += part.length) >= 1000) break }
    stream.abort(new Error('the scenario asked for a reset'))
  },
  async autonat ({ peer }) { return probe(peer) },
  async autonat2 ({ peer, addresses }) {
    const results = []
    for (const a of addresses?.map(a => multiaddr(a)) ?? [...listening(), ...flags.announce.map(a => multiaddr(a))]) {
      results.push(await probe2(peer, a))
    }
    return { results }
  },
  async latency ({ address }) {
    const start = performance.now()
    const { peer } = await commands.connect({ address })
    await node.services.ping.ping(peerIdFromString(peer))
    const handshakePlusOneRtt = performance.now() - start
    return { peer, handshakePlusOneRtt, pingRtt: await node.services.ping.ping(peerIdFromString(peer)) }
  },
  async disconnect ({ peer }) { await node.hangUp(peerIdFromString(peer)) }
}

node.addEventListener('peer:identify', ({ detail: r }) => {
  const peer = r.peerId.toString()
  identified.set(peer, r)
  if (firstOf.has(r.connection)) return emit({ event: 'pushed', peer, protocols: r.protocols })
  firstOf.add(r.connection)
  emit({ event: 'identified', peer })
})
node.addEventListener('connection:open', ({ detail: c }) => emit({
  event: 'connected', peer: c.remotePeer.toString(), address: c.remoteAddr.toString(), direction: c.direction
}))
node.addEventListener('connection:close', ({ detail: c }) => {
  if (node.getConnections(c.remotePeer).length === 0) identified.delete(c.remotePeer.toString())
  emit({ event: 'disconnected', peer: c.remotePeer.toString() })
})
await node.handle(kEcho, serveEcho, kManyStreams)
emit({ event: 'listening', peer: node.peerId.toString(), addresses: listening().map(String) })

for await (const line of createInterface({ input: process.stdin })) {
  const { id, cmd, ...rest } = JSON.parse(line)
  if (cmd === 'quit') {
    emit({ event: 'reply', id, ok: true })
    break
  }
  const run = commands[cmd] ?? (async () => { throw new Error(`unknown command ${cmd}`) })
  run(rest).then(
    r => emit({ event: 'reply', id, ok: true, ...r }),
    e => {
      const all = [e, ...(e?.errors ?? [])]
      // Whichever of its checks comes first, of the security protocol's: not all leave an error of a kind of their own.
      const mismatch = all.some(x => x?.name === 'UnexpectedPeerError' || x?.cause?.name === 'UnexpectedPeerError' ||
        /does not match expected remote identity|Unexpected Peer|^Dialed peer \S+ but connected to/.test(x?.message))
      emit({ event: 'reply', id, ok: false, kind: mismatch ? 'wrong_peer_id' : 'other', error: all.map(x => `${x?.name}: ${x?.message ?? x}`).join('; ') })
    })
}
await Promise.race([node.stop(), new Promise(resolve => setTimeout(resolve, 2000))])
process.exit(0)
