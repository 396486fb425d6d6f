/**
 * A process that has nothing but a socket that dials in vain, for one way to end it after another. It never calls exit.
 *
 *     says, for each way   'backoff' three times: only the socket has kept the process alive till then
 *                          'ended'   when it was told to end that way
 *                          'idle'    when nothing keeps the process alive any more
 *                          and the way goes on with the next, until the process exits by itself
 *
 *     options   { ways: ['destroy', 'end', …] }
 */
import process from 'node:process';
import { tcpSocket } from '../../lib/index.js';

const { ways } = JSON.parse(process.argv[2]);
const WEEKS = 2 ** 31 - 1;
const gone = new Error('gone');
const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

const endings = {
  destroy: ({ socket }) => socket.destroy(),
  'destroy with an error': ({ socket }) => socket.destroy(gone),
  end: ({ socket }) => void socket.end(),
  'end with a message that waits': ({ socket }) => void socket.end({ timeout: 1 }),
  'outbound.complete': ({ socket }) => socket.outbound.complete(),
  abort: ({ abort }) => abort.abort(gone),
  'await using': async ({ socket }) => socket[Symbol.asyncDispose](),
  'its limit of redials': () => undefined,
};

function start(way) {
  const abort = new globalThis.AbortController();
  const limited = way === 'its limit of redials';
  const socket = tcpSocket({
    dial: () => Promise.reject(refused),
    reconnect: { initialDelay: 2, maxDelay: 2, jitter: 0, ...(limited ? { maxAttempts: 3 } : {}) },
    signal: abort.signal,
    // A timer that is left behind keeps the process for weeks.
    endTimeout: WEEKS,
    connectTimeout: WEEKS,
  });
  socket.inbound.subscribe({ error: () => undefined });
  if (way === 'end with a message that waits') socket.outbound.next('never written');
  let backoffs = 0;
  socket.status.subscribe(({ type }) => {
    if (type === 'closed') process.send(`${way}: ended`);
    if (type !== 'backoff') return;
    // The channel of its own keeps no process alive that does not listen.
    process.send(`${way}: backoff`);
    if (++backoffs === 3) void endings[way]({ socket, abort });
  });
}

// Comes each time that nothing is left to wait for, and once more after whatever it starts is over.
let running;
process.on('beforeExit', () => {
  if (running !== undefined) process.send(`${running}: idle`);
  running = ways.shift();
  if (running !== undefined) start(running);
});
