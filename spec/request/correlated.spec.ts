import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import { jsonLines } from '../../lib/codec/json-lines.js';
import { correlated, tcpSocket, type TcpSocket } from '../../lib/index.js';
import { kept, leavesNothingOpen } from '../support/fixture.js';
import { echo, listen } from '../support/servers.js';
import { refusal } from '../support/refusal.js';

interface Frame {
  readonly id?: number;
  readonly text: string;
}

/** One that never dials. */
function lazySocket(config = {}): TcpSocket<Frame, Frame> {
  return kept(tcpSocket({ codec: jsonLines<Frame, Frame>(), lazyConnect: true, port: 1, reconnect: false, ...config }));
}

const CONFIG = {
  assign: (text: string, id: unknown) => ({ id: id as number, text }),
  idOf: ({ id }: Frame) => id,
};

describe('correlated', () => {
  leavesNothingOpen();

  for (const [what, config, message] of [
    ['no options', undefined, '`correlated` must be an object, got undefined'],
    ['no `assign`', { idOf: CONFIG.idOf }, '`assign` must be a function, got undefined'],
    ['no `idOf`', { assign: CONFIG.assign }, '`idOf` must be a function, got undefined'],
    ['a name for a function', { ...CONFIG, idOf: 'id' }, '`idOf` must be a function, got "id" (string)'],
    ['ids in a list', { ...CONFIG, nextId: [1, 2] }, '`nextId` must be a function, got an array'],
    ['an option of the other', { ...CONFIG, unsolicited: () => true }, '`unsolicited` is not an option of correlated'],
    [
      'an unknown option',
      { ...CONFIG, nextid: () => 1 },
      '`nextid` is not an option of correlated; did you mean `nextId`?',
    ],
    [
      'too few in flight',
      { ...CONFIG, inFlight: 0 },
      '`inFlight` must be a whole number from 1 to Infinity, got 0 (number)',
    ],
  ] as const) {
    it(`refuses ${what}, and leaves the socket undialled`, () => {
      const socket = lazySocket();
      expect(refusal(() => correlated(socket, config as never))).to.equal(message);
      expect(socket.stats().dials).to.equal(0);
    });
  }

  it('refuses what is no socket of tcpSocket()', () => {
    for (const other of [undefined, null, 'socket', { ...lazySocket() }])
      expect(refusal(() => correlated(other as never, CONFIG))).to.match(
        /^`socket` must be a socket made by tcpSocket\(\)/,
      );
  });

  it('shares a socket with others, whose ids are never its own, and a heartbeat', async () => {
    const { port } = await listen(echo);
    const heartbeat = { interval: 1_000, timeout: 1_000, message: () => ({ text: 'beat' }) };
    const socket = kept(tcpSocket({ port, codec: jsonLines<Frame, Frame>(), heartbeat }));
    const users = [correlated(socket, CONFIG), correlated(socket, CONFIG)];
    const texts = ['a', 'b', 'c', 'd'];
    const replies = await Promise.all(texts.map((text, i) => firstValueFrom(users[i % 2]!.request(text))));
    expect(replies.map(({ text }) => text)).to.eql(texts);
    expect(new Set(replies.map(({ id }) => id)).size).to.equal(4);
    expect(users.map((user) => [user.stats().answered, user.stats().unknown])).to.eql([
      [2, 2],
      [2, 2],
    ]);
  });
});
