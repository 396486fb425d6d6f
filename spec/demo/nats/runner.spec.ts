import { expect } from 'chai';
import { run } from '../../../demo/nats.js';
import { leavesNothingOpen } from '../../support/fixture.js';
import { deadPort } from '../../support/servers.js';

describe('the NATS demo', () => {
  leavesNothingOpen();

  it('says how to start a server where there is none, and exits with 1', async () => {
    const printed: string[] = [];
    const before = process.exitCode;
    await run((line) => printed.push(line), `127.0.0.1:${await deadPort()}`);
    const exitCode = process.exitCode;
    process.exitCode = before;
    expect(exitCode).to.equal(1);
    expect(printed).to.have.lengthOf(2);
    expect(printed[0]).to.match(/^No NATS server lets us in: could not connect to 127\.0\.0\.1:\d+.*ECONNREFUSED/);
    expect(printed[1]).to.equal('To start one: nats-server -js');
  });
});
