import { expect } from 'chai';
import { Observable, type Observer, type Subscriber } from 'rxjs';
import { Audience, settle, type Listener } from '../../lib/inbound/audience.js';
import { Intake } from '../../lib/inbound/intake.js';
import { fakeLink } from '../support/fake-link.js';

interface Ear extends Listener<string> {
  readonly heard: string[];
}

function intake(): Intake<string> {
  return new Intake<string>(fakeLink(), {}, { decoded: () => {}, failed: () => {} }, () => expect.fail('a driver'));
}

function ear(only?: Intake<string>, hook: (frame: string) => void = () => {}): Ear {
  const heard: string[] = [];
  const subscriber = subscriberOf({
    next: (frame) => {
      heard.push(frame);
      hook(frame);
    },
    error: (error: Error) => heard.push(`error ${error.message}`),
    complete: () => heard.push('complete'),
  });
  return { subscriber, only, heard };
}

/** What an Observable makes of an observer. */
function subscriberOf(observer: Partial<Observer<string>>): Subscriber<string> {
  let made: Subscriber<string> | undefined;
  new Observable<string>((subscriber) => void (made = subscriber)).subscribe(observer);
  return made!;
}

describe('Audience', () => {
  it('tells a frame to everybody, in the order of their coming', () => {
    const order: number[] = [];
    const audience = new Audience<string>();
    const ears = [0, 1, 2].map((index) => ear(undefined, () => order.push(index)));
    for (const each of ears) audience.join(each);
    audience.hear('a');
    expect(ears.map(({ heard }) => heard)).to.eql([['a'], ['a'], ['a']]);
    expect(order).to.eql([0, 1, 2]);
  });

  it('tells nobody nothing', () => {
    new Audience<string>().hear('a');
  });

  it('tells those who want one connection only frames of that one', () => {
    const audience = new Audience<string>();
    const [first, second] = [intake(), intake()];
    const ears = [ear(first), ear(second), ear()];
    audience.listenTo(first);
    for (const each of ears) audience.join(each);
    audience.hear('a');
    audience.listenTo(second);
    audience.hear('b');
    audience.listenTo(undefined);
    audience.hear('c');
    audience.hearOf(first, 'd');
    audience.hearOf(undefined, 'e');
    expect(ears.map(({ heard }) => heard)).to.eql([['a', 'd'], ['b'], ['a', 'b', 'c', 'd', 'e']]);
  });

  it('changes nothing for the frame that is told while somebody joins or leaves [S6]', () => {
    const audience = new Audience<string>();
    const late = ear();
    let leave = (): void => {};
    const early = ear(undefined, (frame) => {
      if (frame === 'a') audience.join(late);
      if (frame === 'b') leave();
    });
    const gone = ear();
    audience.join(early);
    leave = audience.join(gone);
    for (const frame of ['a', 'b', 'c']) audience.hear(frame);
    expect(early.heard).to.eql(['a', 'b', 'c']);
    expect(late.heard).to.eql(['b', 'c']);
    expect(gone.heard).to.eql(['a', 'b']);
  });

  it('forgets who has left, and may be told twice', () => {
    const audience = new Audience<string>();
    const [one, two] = [ear(), ear()];
    const leave = audience.join(one);
    audience.join(two);
    leave();
    leave();
    audience.hear('a');
    expect([one.heard, two.heard]).to.eql([[], ['a']]);
  });

  it('completes those of one connection alone', () => {
    const audience = new Audience<string>();
    const [first, second] = [intake(), intake()];
    const ears = [ear(first), ear(second), ear()];
    for (const each of ears) audience.join(each);
    audience.completeOf(first);
    expect(ears.map(({ heard }) => heard)).to.eql([['complete'], [], []]);
  });

  it('ends everybody: with the error only those who hear all connections', () => {
    const audience = new Audience<string>();
    const first = intake();
    audience.listenTo(first);
    const ears = [ear(first), ear()];
    for (const each of ears) audience.join(each);
    audience.end(new Error('gone'));
    audience.hear('late');
    audience.end(undefined);
    expect(ears.map(({ heard }) => heard)).to.eql([['complete'], ['error gone']]);
  });

  it('survives somebody who leaves because somebody else is ended', () => {
    const audience = new Audience<string>();
    const two = ear();
    let leave = (): void => {};
    const one: Listener<string> = {
      only: undefined,
      subscriber: subscriberOf({ complete: () => leave() }),
    };
    audience.join(one);
    leave = audience.join(two);
    audience.end(undefined);
    expect(two.heard).to.eql(['complete']);
  });

  it('settles one subscriber with an error or well', () => {
    const [well, ill] = [ear(), ear()];
    settle(well.subscriber, undefined);
    settle(ill.subscriber, new Error('ill'));
    expect([well.heard, ill.heard]).to.eql([['complete'], ['error ill']]);
  });

  describe('absorb()', () => {
    it('takes over those who hear one connection and those who hear all, behind its own', () => {
      const order: string[] = [];
      const [audience, other] = [new Audience<string>(), new Audience<string>()];
      const [first, second] = [intake(), intake()];
      audience.join(ear(undefined, (frame) => order.push(`own ${frame}`)));
      const ears = [ear(first, (frame) => order.push(`first ${frame}`)), ear(second), ear()];
      for (const each of ears) other.join(each);
      audience.absorb(other, first);
      audience.hear('a');
      audience.hearOf(second, 'b');
      expect(ears.map(({ heard }) => heard)).to.eql([['a'], ['b'], ['a', 'b']]);
      expect(order).to.eql(['own a', 'first a', 'own b']);
    });

    it('lets those leave who joined the other, and the other has nobody to tell', () => {
      const [audience, other] = [new Audience<string>(), new Audience<string>()];
      const [leaving, staying] = [ear(), ear()];
      const leave = other.join(leaving);
      other.join(staying);
      audience.absorb(other, undefined);
      other.hear('nobody');
      audience.hear('a');
      leave();
      leave();
      audience.hear('b');
      expect([leaving.heard, staying.heard]).to.eql([['a'], ['a', 'b']]);
    });

    it('ends them with its own', () => {
      const [audience, other] = [new Audience<string>(), new Audience<string>()];
      const first = intake();
      const ears = [ear(first), ear()];
      for (const each of ears) other.join(each);
      audience.absorb(other, undefined);
      other.end(new Error('nobody'));
      audience.end(new Error('gone'));
      expect(ears.map(({ heard }) => heard)).to.eql([['complete'], ['error gone']]);
    });

    it('changes nothing for the frame that the other tells just now [S6]', () => {
      const [audience, other] = [new Audience<string>(), new Audience<string>()];
      const [early, late] = [ear(undefined, () => audience.absorb(other, undefined)), ear()];
      other.join(early);
      other.join(late);
      other.hear('a');
      expect([early.heard, late.heard]).to.eql([['a'], ['a']]);
    });
  });
});
