import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect } from 'chai';
import { noneLeft, openHandles } from './leaks.js';

describe('the leak check of the specs', () => {
  it('names what is still open, and is content once it is closed', async () => {
    const before = openHandles();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const timer = setTimeout(() => undefined, 1e6);
    const { port } = server.address() as { port: number };
    const [accepted, socket] = [once(server, 'connection'), connect(port, '127.0.0.1')];
    const [peer] = (await accepted) as [typeof socket];

    const message = await noneLeft(before).catch((error: unknown) => String(error));
    expect(message).to.equal('Error: still open: TCPServerWrap, TCPSocketWrap, TCPSocketWrap, Timeout');

    clearTimeout(timer);
    socket.destroy();
    peer.destroy();
    server.close();
    await noneLeft(before);
  });

  describe("does not count mocha's own timer", () => {
    let before: string[];

    beforeEach(() => void (before = openHandles()));
    afterEach(async () => {
      expect(openHandles()).to.eql(before);
      await Promise.resolve();
      expect(openHandles()).to.eql(before);
    });

    it('in a spec that waits', async () => {
      expect(openHandles()).to.eql(before);
      await new Promise((resolve) => setImmediate(resolve));
      expect(openHandles()).to.eql(before);
    });

    it('in a spec that has none', function () {
      this.timeout(0);
      expect(openHandles()).to.eql(before);
    });
  });

  it('counts handles of one kind', async () => {
    const none = openHandles();
    const one = setTimeout(() => undefined, 1e6);
    const before = openHandles();
    const two = setTimeout(() => undefined, 1e6);
    const message = await noneLeft(before).catch((error: unknown) => String(error));
    clearTimeout(one);
    await noneLeft(before);
    clearTimeout(two);
    await noneLeft(none);
    expect(message).to.equal('Error: still open: Timeout');
  });
});
