import { expect } from 'chai';
import { run } from '../../../demo/redis.js';
import { leavesNothingOpen } from '../../support/fixture.js';
import { deadPort } from '../../support/servers.js';

describe('the Redis demo', () => {
  leavesNothingOpen();

  it('says how to start a server if there is none, and leaves nothing open', async () => {
    const printed: string[] = [];
    const exitCode = process.exitCode;
    const where = `127.0.0.1:${await deadPort()}`;
    try {
      await run((line) => printed.push(line), where);
      expect(process.exitCode).to.equal(1);
    } finally {
      process.exitCode = exitCode;
    }
    expect(printed[0]).to.include(where).and.include('ECONNREFUSED');
    expect(printed[1]).to.include('redis-server --port 6379 --save ""');
  });
});
