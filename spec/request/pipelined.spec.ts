import { expect } from 'chai';
import { lines } from '../../lib/codec/lines.js';
import { connection, pipelined, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { refusal } from '../support/refusal.js';

/** One that never dials. */
function lazySocket(config = {}): TcpSocket<string, string> {
  return kept(tcpSocket({ codec: lines(), lazyConnect: true, port: 1, reconnect: false, ...config }));
}

describe('pipelined', () => {
  leavesNothingOpen();

  for (const [what, config, message] of [
    ['an unknown option', { inflight: 5 }, '`inflight` is not an option of pipelined; did you mean `inFlight`?'],
    ['an option of the other', { idOf: () => 1 }, '`idOf` is not an option of pipelined'],
    ['no function', { unsolicited: true }, '`unsolicited` must be a function, got true (boolean)'],
    ['no number', { waiting: '9' }, '`waiting` must be a whole number from 0 to Infinity, got "9" (string)'],
    ['a bad default of requests', { timeout: -1 }, '`timeout` must be a number from 0 to 2147483647, got -1 (number)'],
    ['no options', null, '`pipelined` must be an object, got null'],
  ] as const) {
    it(`refuses ${what}, and leaves the socket free and undialled`, () => {
      const socket = lazySocket();
      expect(refusal(() => pipelined(socket, config as never))).to.equal(message);
      expect(socket.stats().dials).to.equal(0);
      pipelined(socket);
    });
  }

  it('refuses what is no socket of tcpSocket(): another pipelined() of the peer’s would pair its replies', () => {
    const socket = lazySocket();
    const others = [undefined, null, 5, {}, { ...socket }, Object.create(socket), connection({ port: 1 })];
    for (const other of others)
      expect(refusal(() => pipelined(other as never))).to.match(
        /^`socket` must be a socket made by tcpSocket\(\), got /,
      );
  });

  it('refuses a second one on a socket, and takes another socket', () => {
    const socket = lazySocket();
    pipelined(socket);
    expect(refusal(() => pipelined(socket))).to.equal('`socket` is used by another pipelined() already');
    pipelined(lazySocket());
  });

  it('refuses a socket whose heartbeat is answered, unless `unsolicited` tells its replies', () => {
    const heartbeat = { interval: 1_000, timeout: 1_000, message: () => 'PING' };
    const socket = lazySocket({ heartbeat });
    expect(refusal(() => pipelined(socket))).to.match(
      /^`heartbeat.message` needs an `unsolicited` that tells its replies/,
    );
    pipelined(socket, { unsolicited: (frame) => frame === 'PONG' });
    pipelined(lazySocket({ heartbeat: { interval: 1_000, timeout: 1_000 } }));
  });

  it('takes over what is known of retries: the retryLimit of the socket', () => {
    expect(refusal(() => pipelined(lazySocket({ retryLimit: 3 }), { retryLimit: -1 }))).to.match(/`retryLimit`/);
  });

  it('checks the options of a request each time, and once if nobody can change them', () => {
    let reads = 0;
    const options = {
      get timeout() {
        reads++;
        return 3;
      },
    };
    const { request } = pipelined(lazySocket());
    for (const _ of [1, 2]) request('a', options);
    expect(reads).to.equal(2);
    Object.freeze(options);
    for (const _ of [1, 2, 3]) request('a', options);
    expect(reads).to.equal(3);
  });

  it('does not change options, and reads them once', () => {
    let reads = 0;
    const config = Object.freeze({
      get inFlight() {
        reads++;
        return 3;
      },
    });
    pipelined(lazySocket(), config);
    expect(reads).to.equal(1);
  });
});
