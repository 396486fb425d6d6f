import { expect } from 'chai';
import { bytes } from '../lib/codec/bytes.js';
import { flowInto } from '../lib/flow.js';
import type { LiveConnection } from '../lib/framed.js';
import { Outlet } from '../lib/outbound/outlet.js';
import type { Bytes } from '../lib/codec/codec.js';
import { fakeLink } from './support/fake-link.js';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A queue, and a connection that writes down what it is told. */
function made() {
  const link = fakeLink();
  const told: unknown[] = [];
  const connection = {
    link,
    tally: { wrote: (count: number) => told.push(['wrote', count]) },
    failed: (error: Error) => told.push(['failed', error]),
  } as unknown as LiveConnection<Buffer, Bytes>;
  const ignore = (): void => undefined;
  const outlet = new Outlet<Bytes>(
    { codec: bytes(), writeBuffer: { frames: 10, bytes: 1000 }, overflow: 'dropNewest', retryLimit: 0 },
    {
      ...{ accepted: () => session?.wake(), changed: ignore, undelivered: ignore, refused: ignore },
      written: (frames, count) => told.push(['written', frames, count]),
      where: () => ({}),
    },
  );
  let session: ReturnType<typeof flowInto> | undefined;
  const start = () => (session = flowInto(connection, outlet));
  return { link, told, outlet, start };
}

describe('flowInto()', () => {
  it('lets what is queued flow at once, and what is queued later', async () => {
    const { link, outlet, start } = made();
    outlet.offer('early');
    start();
    await turn();
    expect(link.texts).to.deep.equal(['early']);
    link.confirm();
    outlet.offer('later');
    await turn();
    expect(link.texts).to.deep.equal(['early', 'later']);
  });

  it('counts what the kernel took for the connection before the messages hear that they are written', async () => {
    const { link, outlet, told, start } = made();
    start();
    outlet.offer('ab', { retryLimit: undefined, settled: (error) => told.push(['settled', error]) });
    outlet.offer('c');
    await turn();
    expect(told).to.deep.equal([]);
    link.confirm();
    expect(told).to.deep.equal([
      ['wrote', 3],
      ['written', 2, 3],
      ['settled', undefined],
    ]);
  });

  it('tells the connection of a write that failed, and takes nothing for written', async () => {
    const { link, outlet, told, start } = made();
    start();
    outlet.offer('a');
    await turn();
    const error = new Error('no');
    link.fail(error);
    expect(told).to.deep.equal([['failed', error]]);
    expect(outlet.queue.inFlightFrames).to.equal(1);
  });

  it('ends with its session: no late answer counts [S10]', async () => {
    const { link, outlet, told, start } = made();
    const session = start();
    outlet.offer('a');
    await turn();
    session.stop();
    link.confirm();
    outlet.offer('b');
    await turn();
    expect([link.texts, told]).to.deep.equal([['a'], []]);
  });
});
