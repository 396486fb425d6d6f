import { expect } from 'chai';
import { ObjectUnsubscribedError, of } from 'rxjs';
import { entrance } from '../../lib/outbound/entrance.js';
import { tape } from '../support/tape.js';

/** An entrance, and what came in by it. */
function rig() {
  const came: string[] = [];
  const subject = entrance<string>({
    next: (value) => came.push(value),
    error: (error) => came.push(`error ${String(error)}`),
    complete: () => came.push('complete'),
  });
  return { subject, came };
}

describe('entrance', () => {
  it('hands on what it is given, each once and in the order of the calls, whether anybody subscribes or not', () => {
    const { subject, came } = rig();
    subject.next('a');
    const heard = tape(subject);
    subject.next('b');
    heard.stop();
    subject.next('c');
    subject.complete();
    expect([came, heard.values]).to.eql([['a', 'b', 'c', 'complete'], ['b']]);
  });

  it('tells its subscribers after it has handed on', () => {
    const { subject, came } = rig();
    const seen: number[] = [];
    subject.subscribe(() => seen.push(came.length));
    subject.next('a');
    subject.next('b');
    expect(seen).to.eql([1, 2]);
  });

  it('takes nothing after its end, and hands that on once', () => {
    const { subject, came } = rig();
    const heard = tape(subject);
    subject.complete();
    subject.complete();
    subject.error('late');
    subject.next('late');
    expect([came, heard.values, heard.ended]).to.eql([['complete'], [], 'completed']);
    expect(tape(subject).ended).to.equal('completed');
    const other = rig();
    const errored = tape(other.subject);
    other.subject.error('mine');
    other.subject.complete();
    other.subject.next('late');
    expect([other.came, errored.error, tape(other.subject).error]).to.eql([['error mine'], 'mine', 'mine']);
  });

  it('is an observer as it stands: a source may be subscribed to by it', () => {
    const { subject, came } = rig();
    of('a', 'b').subscribe(subject);
    expect(came).to.eql(['a', 'b', 'complete']);
  });

  it('has functions that may be passed around without it', () => {
    const { subject, came } = rig();
    ['a', 'b'].forEach(Reflect.get<typeof subject, 'next'>(subject, 'next'));
    Reflect.get<typeof subject, 'complete'>(subject, 'complete')();
    expect(came).to.eql(['a', 'b', 'complete']);
  });

  it('takes what is given inside a call: it comes in behind what is being handed on', () => {
    const came: string[] = [];
    const subject = entrance<string>({
      next: (value) => {
        came.push(value);
        if (value === 'a') subject.next('b');
      },
      error: () => {},
      complete: () => {},
    });
    subject.next('a');
    expect(came).to.eql(['a', 'b']);
  });

  it('throws as a Subject does once it is unsubscribed, and hands nothing on', () => {
    const { subject, came } = rig();
    subject.unsubscribe();
    expect(() => subject.next('a')).to.throw(ObjectUnsubscribedError);
    expect(() => subject.complete()).to.throw(ObjectUnsubscribedError);
    expect(() => subject.error('e')).to.throw(ObjectUnsubscribedError);
    expect(came).to.eql([]);
  });
});
