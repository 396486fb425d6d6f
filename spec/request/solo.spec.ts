import { expect } from 'chai';
import { Solo } from '../../lib/request/solo.js';
import { inVirtualTime, type VirtualTime } from '../support/virtual-socket.js';

interface Rig extends VirtualTime {
  readonly solo: Solo<string>;
  /** Those that a link has. */
  readonly handed: Set<string>;
  /** When somebody may go. */
  readonly told: number[];
}

function rig(script: (rig: Rig) => void): number {
  return inVirtualTime((time) => {
    const handed = new Set<string>();
    const told: number[] = [];
    const solo = new Solo<string>(
      () => told.push(time.now()),
      (request) => handed.has(request),
      undefined,
    );
    script({ ...time, solo, handed, told });
  });
}

describe('Solo', () => {
  it('keeps all others back for a second, if a link has the request by then', () => {
    const end = rig(({ solo, handed, at, told }) => {
      handed.add('a');
      solo.start('a');
      at(999, () => expect([solo.busy, told]).to.eql([true, []]));
      at(1_001, () => expect([solo.busy, told]).to.eql([false, [1_000]]));
    });
    expect(end).to.equal(1_001);
  });

  it('gives it a whole second with a link, however long it waits for one', () => {
    rig(({ solo, handed, at }) => {
      solo.start('a');
      at(5_500, () => handed.add('a'));
      at(6_999, () => expect(solo.busy).to.equal(true));
      at(7_001, () => expect(solo.busy).to.equal(false));
    });
  });

  it('ends with the request, once it is answered or will not be, and leaves no timer [S11]', () => {
    const end = rig(({ solo, at, told }) => {
      solo.start('a');
      at(10, () => {
        solo.end('b');
        expect(solo.busy).to.equal(true);
        solo.end('a');
        expect([solo.busy, told]).to.eql([false, []]);
      });
    });
    expect(end).to.equal(10);
  });

  it('lets it follow others after a second, and says when', () => {
    rig(({ solo, at, told }) => {
      expect([solo.mayFollow('a'), solo.busy]).to.eql([false, false]);
      at(500, () => expect(solo.mayFollow('a')).to.equal(false));
      at(1_001, () => expect([solo.mayFollow('a'), told]).to.eql([true, [1_000]]));
    });
  });

  it('begins anew for another that would follow', () => {
    rig(({ solo, at, told }) => {
      solo.mayFollow('a');
      at(500, () => expect(solo.mayFollow('b')).to.equal(false));
      at(1_001, () => expect([solo.mayFollow('b'), told]).to.eql([false, []]));
      at(1_501, () => expect([solo.mayFollow('b'), told]).to.eql([true, [1_500]]));
    });
  });

  it('forgets what was proved once one has gone', () => {
    rig(({ solo, at }) => {
      solo.mayFollow('a');
      at(1_001, () => {
        solo.start('a');
        solo.end('a');
        expect(solo.mayFollow('a')).to.equal(false);
        solo.stop();
      });
    });
  });

  it('leaves no timer after stop() [S11]', () => {
    const ends = (['mayFollow', 'start'] as const).map((what) =>
      rig(({ solo, at }) => {
        solo[what]('a');
        at(10, () => solo.stop());
      }),
    );
    expect(ends).to.eql([10, 10]);
  });
});
