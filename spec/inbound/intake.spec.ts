import { expect } from 'chai';
import { lines } from '../../lib/codec/lines.js';
import { FrameError } from '../../lib/errors.js';
import { DecodeDriver } from '../../lib/inbound/decode.js';
import { Intake } from '../../lib/inbound/intake.js';
import { fakeLink, type FakeLink } from '../support/fake-link.js';

const WHERE = { endpoint: { host: 'h', port: 1 }, epoch: 3 };

interface Made {
  readonly intake: Intake<string>;
  readonly link: FakeLink;
  readonly drivers: () => number;
}

function made(codec = lines()): Made {
  let drivers = 0;
  const link = fakeLink();
  const intake = new Intake<string>(link, WHERE, { decoded: () => {}, failed: () => {} }, () => {
    drivers++;
    return new DecodeDriver(codec, () => {});
  });
  return { intake, link, drivers: () => drivers };
}

function take(intake: Intake<string>, ...texts: string[]): void {
  for (const text of texts) intake.take(Buffer.from(text));
}

describe('Intake', () => {
  it('gives the frames of its chunks, one a call', () => {
    const { intake } = made();
    take(intake, 'a\nb', '\nc\nd');
    expect([intake.next(), intake.next(), intake.next(), intake.next()]).to.eql(['a', 'b', 'c', undefined]);
    take(intake, '\n');
    expect([intake.next(), intake.next()]).to.eql(['d', undefined]);
  });

  it('makes its decoder at the first chunk that is decoded, and one only [S7]', () => {
    const { intake, drivers } = made();
    take(intake, 'a\n');
    expect(drivers()).to.equal(0);
    intake.next();
    intake.next();
    take(intake, 'b\n');
    intake.next();
    expect(drivers()).to.equal(1);
  });

  it('is spent when everything was handed out, save part of a frame', () => {
    const { intake } = made();
    expect(intake.spent).to.be.true;
    take(intake, 'a\nb');
    expect(intake.spent).to.be.false;
    intake.next();
    expect(intake.spent, 'the decoder may have another').to.be.false;
    intake.next();
    expect(intake.spent).to.be.true;
  });

  it('counts the bytes that wait, the chunk in the decoder among them', () => {
    const { intake } = made();
    take(intake, 'a\nb\n');
    expect(intake.heldBytes).to.equal(4);
    intake.next();
    take(intake, 'c\n');
    expect(intake.heldBytes).to.equal(6);
    intake.next();
    intake.next();
    expect(intake.heldBytes).to.equal(2);
    intake.next();
    expect(intake.heldBytes).to.equal(0);
  });

  it('pauses its link while anything waits, and resumes it, once each', () => {
    const { intake, link } = made();
    intake.resume();
    intake.settle();
    expect([link.pauses, link.resumes]).to.eql([0, 0]);
    for (const text of ['a\n', 'b\n']) {
      take(intake, text);
      intake.settle();
    }
    expect([link.pauses, link.resumes]).to.eql([1, 0]);
    intake.resume();
    intake.resume();
    expect([link.pauses, link.resumes]).to.eql([1, 1]);
  });

  it('leaves a link alone that is gone [S10]', () => {
    const { intake, link } = made();
    take(intake, 'a\n');
    intake.settle();
    intake.over = true;
    intake.resume();
    take(intake, 'b\n');
    intake.settle();
    expect([link.pauses, link.resumes]).to.eql([1, 0]);
  });

  it('finishes with the frame that was cut off, told where it happened [S7]', () => {
    const { intake } = made();
    take(intake, 'whole\nha');
    intake.next();
    intake.next();
    const cut = intake.finish();
    expect(cut).to.be.instanceOf(FrameError);
    expect(cut).to.deep.include({ kind: 'truncated', ...WHERE });
    expect(intake.cut).to.equal(cut);
  });

  it('finishes with nothing after whole frames, and without any byte', () => {
    const { intake, drivers } = made();
    expect(intake.finish()).to.be.undefined;
    expect(drivers()).to.equal(0);
    take(intake, 'whole\n');
    intake.next();
    intake.next();
    expect(intake.finish()).to.be.undefined;
  });

  it('discards all that waits, and tells how many bytes nobody will read', () => {
    const { intake } = made();
    take(intake, 'a\nb\n', 'c\n');
    intake.next();
    expect(intake.discard()).to.equal(6);
    expect([intake.finished, intake.spent, intake.heldBytes, intake.next()]).to.eql([true, true, 0, undefined]);
    expect(intake.discard()).to.equal(0);
  });

  it('throws what the decoder throws, as a FrameError [S12]', () => {
    const { intake } = made(lines({ maxFrameLength: 2 }));
    take(intake, 'ok\ntoo long\n');
    expect(intake.next()).to.equal('ok');
    expect(() => intake.next()).to.throw(FrameError, 'too-large');
  });
});
