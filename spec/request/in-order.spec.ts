import { expect } from 'chai';
import type { Asked } from '../../lib/request/asked.js';
import { InOrder } from '../../lib/request/in-order.js';
import { askedFor, flyingAt } from './asked-for.js';

/** A pairing with requests at these places. */
function pairingOf(...places: number[]) {
  const pairing = new InOrder<string, string>((frame) => frame.startsWith('*'));
  const requests = places.map((place) => flyingAt(place));
  for (const request of requests) pairing.flew(request);
  return { pairing, requests };
}

describe('InOrder', () => {
  it('writes the message as it is', () => {
    expect(pairingOf().pairing.depart(askedFor('hello'))).to.equal('hello');
  });

  it('gives each reply to the oldest request, until that one has landed', () => {
    const { pairing, requests } = pairingOf(1, 2);
    expect([pairing.size, pairing.all()]).to.eql([2, requests]);
    expect([pairing.whose('A', false, 2), pairing.whose('A2', false, 2)]).to.eql([requests[0], requests[0]]);
    pairing.landed(requests[0]!);
    expect(pairing.whose('B', false, 2)).to.equal(requests[1]);
    pairing.landed(requests[1]!);
    expect([pairing.size, pairing.whose('C', false, 2)]).to.eql([0, 'unsolicited']);
  });

  it('knows that the peer cannot answer what it has not got', () => {
    const { pairing, requests } = pairingOf(3, 4);
    expect([2, 3, 4].map((handed) => pairing.whose('A', false, handed))).to.eql([
      'unsolicited',
      requests[0],
      requests[0],
    ]);
  });

  it('takes out first what answers nobody, then what is of a lost connection', () => {
    const { pairing, requests } = pairingOf(1);
    const frames = [
      ['*', false],
      ['*', true],
      ['A', true],
      ['A', false],
    ] as const;
    expect(frames.map(([frame, stale]) => pairing.whose(frame, stale, 1))).to.eql([
      ...['unsolicited', 'unsolicited', 'stale', requests[0]],
    ]);
  });

  it('takes `unsolicited` at its word, and at nothing like it', () => {
    const pairing = new InOrder<string, string>((() => 'yes') as never);
    const request = flyingAt(1);
    pairing.flew(request);
    expect(pairing.whose('A', false, 1)).to.equal(request);
  });

  it('keeps the place of one that nobody waits for', () => {
    const { pairing, requests } = pairingOf(1, 2);
    expect(pairing.abandon()).to.equal(true);
    expect(pairing.whose('A', false, 2)).to.equal(requests[0]);
  });

  it('lets any request land, once, wherever it stands', () => {
    const { pairing, requests } = pairingOf(1, 2, 3);
    const [a, b, c] = requests as [Asked<string, string>, Asked<string, string>, Asked<string, string>];
    pairing.landed(b);
    pairing.landed(b);
    pairing.landed(askedFor('never flew'));
    expect([pairing.size, pairing.all()]).to.eql([2, [a, c]]);
  });

  it('cannot do without a frame', () => {
    expect(pairingOf().pairing.fragile).to.equal(true);
  });
});
