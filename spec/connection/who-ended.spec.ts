import { expect } from 'chai';
import { whoEnded } from '../../lib/connection/who-ended.js';
import { nodeError } from '../support/fake-stream.js';

describe('whoEnded', () => {
  for (const [what, error, peerEnded, by] of [
    ['the FIN of the peer', undefined, true, 'peer'],
    ['an end without error or FIN', undefined, false, 'us'],
    ['a reset', nodeError('ECONNRESET'), false, 'peer'],
    ['a reset after the FIN', nodeError('ECONNRESET'), true, 'peer'],
    ['a write that the peer refuses', nodeError('EPIPE'), false, 'peer'],
    ['an error without a code', new Error('x'), false, 'peer'],
    ['silence of the way', nodeError('ETIMEDOUT'), false, 'network'],
    ['a host that is gone', nodeError('EHOSTUNREACH'), true, 'network'],
    ['a write in flight whose stream was destroyed here', nodeError('ECANCELED'), false, 'us'],
    ['a write that waited for it', nodeError('ERR_STREAM_DESTROYED'), false, 'us'],
    ['either after the FIN of the peer', nodeError('ECANCELED'), true, 'peer'],
  ] as const) {
    it(`puts ${what} down to ${by}`, () => {
      expect(whoEnded(error, peerEnded)).to.equal(by);
    });
  }
});
