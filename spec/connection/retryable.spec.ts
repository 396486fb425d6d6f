import { inspect } from 'node:util';
import { expect } from 'chai';
import { isRetryable } from '../../lib/connection/retryable.js';
import { ClosedError, ConfigError, ConnectError, ConnectionLostError, ConnectTimeoutError } from '../../lib/errors.js';
import { FrameError, IdleTimeoutError, RequestTimeoutError, TlsError, WriteError } from '../../lib/errors.js';
import { WriteStallError } from '../../lib/errors.js';
import type { ConnectionFacts, ConnectPhase, Endpoint, TcpError } from '../../lib/errors.js';

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

  for (const code of ['EACCES', 'EPERM']) {
    it(`goes on after a connect that a firewall forbids with ${code}, and not after a unix socket that does [S8]`, () => {
      const cause = Object.assign(coded(code), { syscall: 'connect' });
      const at = (endpoint: Endpoint): boolean => isRetryable(new ConnectError('connect', { cause, endpoint }));
      expect([at({ host: '::1', port: 1 }), at({ path: '/run/x' })]).to.eql([true, false]);
      expect(isRetryable(dialFailed(Object.assign(coded(code), { syscall: 'open' })))).to.be.false;
    });
  }

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

  for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT']) {
    it(`goes on after TLS that the network cut with ${code}, as after a dial [S8]`, () => {
      expect(isRetryable(dialFailed(coded(code), 'tls'))).to.be.true;
    });
  }

  it('goes on after TLS that ended without a code: the peer hung up', () => {
    expect(isRetryable(dialFailed(new Error('the stream closed before it was open'), 'tls'))).to.be.true;
  });

  for (const code of ['CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_SSL_WRONG_VERSION_NUMBER', 'EPROTO']) {
    it(`stops after TLS that was refused with ${code} while opening, and goes on after it once open [S8]`, () => {
      expect(isRetryable(new TlsError({ cause: coded(code) }))).to.be.false;
      expect(isRetryable(new TlsError({ cause: coded(code) }, false))).to.be.false;
      expect(isRetryable(new TlsError({ cause: coded(code) }, true))).to.be.true;
    });
  }

  it('stops after a TlsError of another copy of the library, likewise', () => {
    expect(isRetryable({ code: 'TCP_TLS', opened: false } as unknown as TcpError)).to.be.false;
    expect(isRetryable({ code: 'TCP_TLS', opened: true } as unknown as TcpError)).to.be.true;
    expect(isRetryable({ code: 'TCP_TLS' } as unknown as TcpError)).to.be.false;
  });

  it('stops after options that a function answered and nobody can use: it would answer them again', () => {
    expect(isRetryable(dialFailed(new ConfigError('`tls` must be an object'), 'config'))).to.be.false;
    expect(isRetryable(dialFailed(new ConfigError('`endpoints[0].port` must be'), 'lookup'))).to.be.false;
  });

  describe('when a handshake failed', () => {
    const lost = new ConnectionLostError({ ...FACTS, clean: false }, { cause: coded('EPROTO') });
    const causes: readonly (readonly [what: string, cause: unknown, verdict: boolean])[] = [
      ['a plain Error', new Error('wrong password'), true],
      ['nothing', undefined, true],
      ['a text', 'no', true],
      ['a mistake in the program', new TypeError('x is not a function'), false],
      ['a RangeError', new RangeError('x'), false],
      ['its connection, lost', lost, true],
      ['its connection, ended by the peer', new ConnectionLostError(FACTS, {}), true],
      ['bytes that are no frame', new FrameError('corrupt', 'x'), true],
      ['a silent peer', new IdleTimeoutError(1, {}), true],
      ['a peer that takes nothing', new WriteStallError(1, {}), true],
      ['a reply that did not come', new RequestTimeoutError(1, {}), true],
      ['a message that was not written', new WriteError('unknown', 0, { cause: lost }), true],
      ['a wrong option of upgrade()', new ConfigError('x'), false],
      ['an upgrade that was refused', new TlsError({}), false],
      ['an end that it asked for itself', new ClosedError(), false],
      ['a `fetch` that the network failed', new TypeError('fetch failed', { cause: coded('ECONNREFUSED') }), true],
      ['a time limit of its own', coded('ABORT_ERR'), true],
      ['a code that passes', coded('ECONNREFUSED'), true],
      ['a code that stays', coded('EACCES'), false],
      ['a dial of its own that may pass', dialFailed(coded('ECONNREFUSED')), true],
      ['a dial of its own that will not', dialFailed(coded('EACCES')), false],
      ['a dial of its own, TLS of which was cut', dialFailed(coded('ECONNRESET'), 'tls'), true],
      ['a handshake of its own', dialFailed(dialFailed(new TypeError('x'), 'handshake'), 'handshake'), false],
      ['several things, one of which may pass', new AggregateError([new ClosedError(), coded('ETIMEDOUT')]), true],
      ['several things, none of which may', new AggregateError([new ClosedError(), new TlsError({})]), false],
    ];
    for (const [what, cause, verdict] of causes) {
      it(`with ${what}, ${verdict ? 'goes on' : 'stops'} [S8]`, () => {
        expect(isRetryable(dialFailed(cause, 'handshake'))).to.equal(verdict);
      });
    }
  });

  const others: readonly [TcpError, boolean][] = [
    [new ConnectTimeoutError(1, 'lookup', {}), true],
    [new ConnectTimeoutError(1, 'connect', {}), true],
    [new ConnectTimeoutError(1, 'tls', {}), true],
    [new ConnectTimeoutError(1, 'handshake', {}), true],
    [new FrameError('corrupt', 'x'), true],
    [new IdleTimeoutError(1, {}), true],
    [new WriteStallError(1, {}), true],
    [new TlsError({}), false],
    [new ConfigError('x'), false],
    [new ClosedError(), false],
  ];
  for (const [error, verdict] of others) {
    const phase = error instanceof ConnectTimeoutError ? ` in the phase ${error.phase}` : '';
    it(`${verdict ? 'goes on' : 'stops'} after a ${error.name}${phase}`, () => {
      expect(isRetryable(error)).to.equal(verdict);
    });
  }
});
