import { expect } from 'chai';
import { Waiting } from '../../lib/request/waiting.js';
import { askedFor } from './asked-for.js';

function waitingOf(...messages: string[]) {
  const waiting = new Waiting<string, string>();
  const requests = messages.map((message) => askedFor(message));
  for (const request of requests) waiting.push(request);
  const text = (): string =>
    waiting
      .all()
      .map(({ message }) => message)
      .join('');
  return { waiting, requests, text };
}

describe('Waiting', () => {
  it('keeps requests in the order in which they came, and says of each that it waits', () => {
    const { waiting, requests, text } = waitingOf('a', 'b');
    expect([waiting.length, waiting.first, text()]).to.eql([2, requests[0], 'ab']);
    expect(requests.map(({ state }) => state)).to.eql(['waiting', 'waiting']);
  });

  it('puts those that are back before the first, in their own order', () => {
    const { waiting, requests, text } = waitingOf('c', 'd');
    const back = ['a', 'b'].map((message) => askedFor(message));
    waiting.putBack(back);
    expect([text(), waiting.length, waiting.first]).to.eql(['abcd', 4, back[0]]);
    expect(back[1]!.state).to.equal('waiting');
    waiting.leave(back[1]!);
    waiting.leave(requests[1]!);
    expect(text()).to.equal('ac');
  });

  it('is left once by each, and by those that do not stand in it without harm', () => {
    const { waiting, requests, text } = waitingOf('a', 'b', 'c');
    waiting.leave(requests[1]!);
    waiting.leave(requests[1]!);
    waiting.leave(askedFor('x'));
    expect([waiting.length, text()]).to.eql([2, 'ac']);
  });
});
