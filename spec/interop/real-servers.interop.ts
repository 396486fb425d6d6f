/** The servers of the specs themselves: that they come back where they were, with what they had. */
import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { needs, startMosquitto, startNats, startPostgres, startRedis, type OwnServer } from './support/real-servers.js';
import { answers, KNOWN, type Kind } from './support/first-words.js';
import { leavesNothingOpen } from '../support/fixture.js';

const START: readonly (readonly [Kind, () => OwnServer])[] = [
  ['redis', startRedis],
  ['nats', () => startNats({ jetstream: true })],
  ['mosquitto', startMosquitto],
  ['postgres', () => startPostgres({ tls: true })],
];

for (const kind of Object.keys(KNOWN) as Kind[]) {
  describe(`the ${kind} that is there`, () => {
    const where = needs(kind);
    leavesNothingOpen();

    it('answers as its kind does, and as no other', async () => {
      for (const other of Object.keys(KNOWN) as Kind[]) {
        expect(await answers(other, where, other === kind ? 10_000 : 300), `asked as ${other}`).to.equal(
          other === kind,
        );
      }
    });
  });
}

for (const [kind, start] of START) {
  let folder = '';

  describe(`a ${kind} of one's own`, () => {
    const server = start();
    leavesNothingOpen();

    for (const how of ['gracefully', 'abruptly'] as const) {
      it(`is stopped ${how}, and starts again on its port`, async () => {
        const { port } = server;
        folder = server.folder;
        await server.stop(how);
        expect(await answers(kind, server, 1_000)).to.be.false;
        await server.start();
        expect(await answers(kind, server, 1_000)).to.be.true;
        expect(server.port).to.equal(port);
      });
    }
  });

  describe(`after a suite with a ${kind} of its own`, () => {
    it('nothing is left of it', () => expect(existsSync(folder)).to.be.false);
  });
}
