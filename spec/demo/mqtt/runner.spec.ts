import { expect } from 'chai';
import { run } from '../../../demo/mqtt.js';
import { leavesNothingOpen } from '../../support/fixture.js';
import { deadPort } from '../../support/servers.js';
import { fakeBroker } from './fake-broker.js';

describe('the MQTT demo', () => {
  leavesNothingOpen();

  /** What it prints about a broker that is of no use, and the exit code that it sets. */
  async function runsAt(where: string): Promise<{ printed: string[]; exitCode: typeof process.exitCode }> {
    const printed: string[] = [];
    const { exitCode: before } = process;
    try {
      await run((line) => printed.push(line), where);
      return { printed, exitCode: process.exitCode };
    } finally {
      process.exitCode = before;
    }
  }

  it('explains how to start a broker where there is none, and exits with 1', async () => {
    const where = `127.0.0.1:${await deadPort()}`;
    expect(await runsAt(where)).to.eql({
      printed: [
        `There is no MQTT broker for us at ${where}: could not connect to ${where}: connect failed (ECONNREFUSED)`,
        'To start one:  mosquitto -p 1883',
      ],
      exitCode: 1,
    });
  });

  it('does so too where it is not let in', async () => {
    const broker = await fakeBroker();
    broker.answer('CONNECT', () => '\x20\x02\0\x05');
    const { printed, exitCode } = await runsAt(`127.0.0.1:${broker.port}`);
    expect(printed[0]).to.match(/MQTT_REFUSED/);
    expect(exitCode).to.equal(1);
  });
});
