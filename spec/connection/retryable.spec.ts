import { inspect } from 'node:util';
import { expect } from 'chai';
import { isRetryable } from '../../lib/connection/retryable.js';
import { ClosedError, ConfigError, ConnectError, ConnectionLostError, ConnectTimeoutError } from '../../lib/errors.js';
import { FrameError, IdleTimeoutError, TlsError, WriteStallError } from '../../lib/errors.js';
import type { ConnectionFacts, ConnectPhase, TcpError } from '../../lib/errors.js';

/** What passes by itself, and what does not. */
const PASSING =
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EADDRNOTAVAIL EMFILE ENFILE ENOBUFS ENOTFOUND EAI_AGAIN ECANCELED';
const STAYING =
  'ERR_SOCKET_BAD_PORT ERR_INVALID_ARG_TYPE ERR_OSSL_PEM_NO_START_LINE ERR_MISSING_ARGS CERT_HAS_EXPIRED CERT_NOT_YET_VALID ' +
  'DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_VERIFY_LEAF_SIGNATURE ERR_TLS_CERT_ALTNAME_INVALID ' +
  'ERR_SSL_WRONG_VERSION_NUMBER EPROTO EACCES';

const FACTS: ConnectionFacts = {
  ...{ clean: true, endedBy: 'peer', age: 1, silence: 1, bytesRead: 0, bytesWritten: 0 },
  ...{ unconfirmed: 0, unread: 0, answered: false },
};

function coded(code: string, make: new (message: string) => Error = Error): Error {
  return Object.assign(new make(code), { code });
}

function dialFailed(cause: unknown, phase: ConnectPhase = 'connect'): ConnectError {
  return new ConnectError(phase, { cause });
}

describe('isRetryable', () => {
  for (const code of PASSING.split(' ')) {
    it(`goes on after a dial that failed with ${code} [S8]`, () => {
      expect(isRetryable(dialFailed(coded(code)))).to.be.true;
    });
  }

  for (const code of STAYING.split(' ')) {
    it(`stops after a dial that failed with ${code} [S8]`, () => {
      expect(isRetryable(dialFailed(coded(code)))).to.be.false;
      expect(isRetryable(dialFailed(coded(code, TypeError)))).to.be.false;
    });
  }

  it('waits for a unix socket that is not there yet', () => {
    expect(isRetryable(dialFailed(coded('ENOENT')))).to.be.true;
  });

  it('goes on when any of several addresses failed with a code that passes', () => {
    const both = new AggregateError([coded('EACCES'), coded('ETIMEDOUT')]);
    const neither = new AggregateError([coded('EACCES'), coded('EPROTO')]);
    expect(isRetryable(dialFailed(both))).to.be.true;
    expect(isRetryable(dialFailed(neither))).to.be.false;
    expect(isRetryable(dialFailed(new AggregateError([])))).to.be.true;
  });

  it('looks at the addresses and not at the code of the first alone', () => {
    const mixed = Object.assign(new AggregateError([coded('EACCES'), coded('ECONNREFUSED')]), { code: 'EACCES' });
    expect(isRetryable(dialFailed(mixed))).to.be.true;
  });

  for (const cause of [new Error('proxy says no'), 'a text', undefined, null, { code: 42 }]) {
    it(`goes on after a custom dial that failed without a code: ${inspect(cause).slice(0, 20)}`, () => {
      expect(isRetryable(dialFailed(cause))).to.be.true;
    });
  }

  for (const cause of [new TypeError('x'), new RangeError('x'), new SyntaxError('x')]) {
    it(`stops after a ${cause.name} without a code: it is a mistake in the program`, () => {
      expect(isRetryable(dialFailed(cause, 'config'))).to.be.false;
    });
  }

  it('goes on after a lost connection, clean or not', () => {
    expect(isRetryable(new ConnectionLostError(FACTS, {}))).to.be.true;
    expect(isRetryable(new ConnectionLostError({ ...FACTS, clean: false }, { cause: coded('EPROTO') }))).to.be.true;
  });

  const others: readonly [TcpError, boolean][] = [
    [new ConnectTimeoutError(1, 'connect', {}), true],
    [new FrameError('corrupt', 'x'), true],
    [new IdleTimeoutError(1, {}), true],
    [new WriteStallError(1, {}), true],
    [new TlsError({}), false],
    [new ConfigError('x'), false],
    [new ClosedError(), false],
  ];
  for (const [error, verdict] of others) {
    it(`${verdict ? 'goes on' : 'stops'} after a ${error.name}`, () => {
      expect(isRetryable(error)).to.equal(verdict);
    });
  }
});
