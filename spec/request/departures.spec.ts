import { expect } from 'chai';
import { streetsOf } from '../../lib/streets.js';
import { virtualTurns } from '../support/virtual-socket.js';
import { askInOrder, type Asking } from './asking.js';

/** The requester of a socket, as its outlet tells it of a loss. */
function loserOf({ socket }: Asking): { losing(cause: undefined): void; lost(): void } {
  return streetsOf(socket)!.outlet.losers[0]!;
}

describe('Departures', () => {
  virtualTurns();

  it('lets none go while the queue puts a loss in order, neither a new one nor one that goes again', () => {
    askInOrder({ requests: { resend: 'always' } }, (asking) => {
      const { ask, at, stats, wire, socket } = asking;
      ask('before');
      at(5, () => {
        loserOf(asking).losing(undefined);
        const meanwhile = ask('meanwhile');
        ask('cancelled').cancel(); // room for another
        expect(stats()).to.include({ inFlight: 0, waiting: 2 });
        loserOf(asking).lost();
        expect(stats()).to.include({ inFlight: 2, waiting: 0, resent: 1 });
        expect(meanwhile.ended).to.equal(undefined);
      });
      at(6, () => {
        expect(wire()).to.eql(['before', 'before', 'meanwhile']);
        socket.destroy();
      });
    });
  });

  it('goes again in the order in which it went, before all that waits', () => {
    askInOrder({ requests: { resend: 'always', inFlight: 2 } }, (asking) => {
      const { ask, at, wire, socket } = asking;
      for (const message of ['1', '2', '3', '4']) ask(message);
      at(5, () => {
        loserOf(asking).losing(undefined);
        loserOf(asking).lost();
      });
      at(6, () => {
        expect(wire()).to.eql(['1', '2', '1', '2']);
        socket.destroy();
      });
    });
  });
});
