import { expect } from 'chai';
import { virtualTurns } from '../support/virtual-socket.js';
import { askById, askInOrder } from './asking.js';

const failure = (reply: string): Error | undefined =>
  reply.includes('-ERR') ? Object.assign(new Error(reply), { code: 'REFUSED' }) : undefined;

describe('a reply that is a refusal', () => {
  virtualTurns();

  it('is the error of its request, and no reply of it; the next has its own', () => {
    askInOrder({ requests: { failure } }, ({ ask, say, at, stats, dials, socket }) => {
      const [bad, good] = [ask('bad'), ask('good')];
      at(5, () => say(['-ERR no such thing', '+OK']));
      at(6, () => {
        expect([bad.ended, bad.replies, (bad.error as Error).message]).to.eql(['REFUSED', [], '-ERR no such thing']);
        expect([good.ended, good.replies]).to.eql(['answered', ['+OK']]);
        expect(stats()).to.include({ answered: 2, failed: 0, inFlight: 0 });
        expect(dials).to.have.lengthOf(1);
        socket.destroy();
      });
    });
  });

  it('is looked for in the last reply of several, and of those that nobody waits for not told', () => {
    const until = (reply: string): boolean => !reply.startsWith('more');
    askInOrder({ requests: { failure, until } }, ({ ask, say, at, stats, socket }) => {
      const [listed, cancelled, after] = [ask('list'), ask('list'), ask('after')];
      at(4, () => cancelled.cancel());
      at(5, () => say(['more -ERR is no refusal', '-ERR at last', 'more', '-ERR unheard', 'end']));
      at(6, () => {
        expect([listed.ended, listed.replies]).to.eql(['REFUSED', ['more -ERR is no refusal']]);
        expect([cancelled.ended, cancelled.replies]).to.eql([undefined, []]);
        expect([after.ended, after.replies]).to.eql(['answered', ['end']]);
        expect(stats()).to.include({ answered: 2, cancelled: 1, late: 2 });
        socket.destroy();
      });
    });
  });

  it('may be told for one request alone', () => {
    askInOrder({}, ({ ask, say, at, socket }) => {
      const [plain, strict] = [ask('plain'), ask('strict', { failure })];
      at(5, () => say(['-ERR one', '-ERR two']));
      at(6, () => {
        expect([plain.ended, plain.replies]).to.eql(['answered', ['-ERR one']]);
        expect(strict.ended).to.equal('REFUSED');
        socket.destroy();
      });
    });
  });

  it('that cannot be judged drops the connection where replies come in order, and fails its request alone where they have ids', () => {
    const throws = (): never => {
      throw new Error('cannot tell');
    };
    askInOrder({ requests: { failure: throws } }, ({ ask, say, at, errors, dials, socket }) => {
      const [first, second] = [ask('first'), ask('second')];
      at(5, () => say(['one']));
      at(500, () => {
        expect([first.ended, second.ended]).to.eql(['TCP_FRAME', 'TCP_FRAME']);
        expect(errors).to.eql(['TCP_FRAME']);
        expect(dials.length).to.be.greaterThan(1);
        socket.destroy();
      });
    });
    askById({ requests: { failure: throws } }, ({ ask, say, at, wire, dials, socket }) => {
      const first = ask('first');
      at(5, () => say([wire()[0] ?? '']));
      at(500, () => {
        expect(first.ended).to.equal('TCP_FRAME');
        expect(dials).to.have.lengthOf(1);
        socket.destroy();
      });
    });
  });
});
