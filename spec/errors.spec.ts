import { inspect } from 'node:util';
import { expect } from 'chai';
import * as errors from '../lib/errors.js';
import {
  ClosedError,
  codeOf,
  ConfigError,
  ConnectError,
  ConnectionLostError,
  ConnectTimeoutError,
  FrameError,
  IdleTimeoutError,
  OverflowError,
  ReconnectLimitError,
  RequestTimeoutError,
  TcpError,
  TlsError,
  WriteError,
  WriteStallError,
  type ConnectionFacts,
  type ErrorContext,
} from '../lib/errors.js';
import { asError, asTcpError } from '../lib/as-error.js';

const SECRET = 'c0ffee-secret';
const FACTS: ConnectionFacts = {
  clean: false,
  endedBy: 'peer',
  age: 12.6,
  silence: 3,
  bytesRead: 10,
  bytesWritten: 20,
  unconfirmed: 2,
  unread: 1,
  answered: true,
};

interface Kind {
  readonly name: string;
  readonly code: string;
  readonly message: RegExp;
  /** What it knows beside code, endpoint and epoch. */
  readonly facts: object;
  readonly make: (context: ErrorContext) => TcpError;
}

const FAMILY: readonly Kind[] = [
  {
    ...{ name: 'ConfigError', code: 'TCP_CONFIG', message: /^wrong$/, facts: {} },
    make: (context) => new ConfigError('wrong', context),
  },
  {
    ...{ name: 'ConnectError', code: 'TCP_CONNECT', message: /^could not connect to db:5432: tls failed/ },
    facts: { phase: 'tls' },
    make: (context) => new ConnectError('tls', context),
  },
  {
    ...{ name: 'ConnectTimeoutError', code: 'TCP_CONNECT_TIMEOUT', facts: { phase: 'lookup', timeout: 50 } },
    message: /^no connection to db:5432 after 50 ms, still in lookup$/,
    make: (context) => new ConnectTimeoutError(50, 'lookup', context),
  },
  {
    ...{ name: 'TlsError', code: 'TCP_TLS', message: /^TLS with db:5432 failed/, facts: { opened: true } },
    make: (context) => new TlsError(context, true),
  },
  {
    ...{ name: 'ConnectionLostError', code: 'TCP_CONNECTION_LOST', facts: FACTS },
    message: /^connection to db:5432 lost.* after 13 ms$/,
    make: (context) => new ConnectionLostError(FACTS, context),
  },
  {
    ...{ name: 'IdleTimeoutError', code: 'TCP_IDLE_TIMEOUT', facts: {} },
    message: /^nothing came from db:5432 for 70 ms$/,
    make: (context) => new IdleTimeoutError(70, context),
  },
  {
    ...{ name: 'WriteStallError', code: 'TCP_WRITE_STALL', message: /^db:5432 took no byte for 80 ms$/, facts: {} },
    make: (context) => new WriteStallError(80, context),
  },
  {
    ...{ name: 'WriteError', code: 'TCP_WRITE', facts: { fate: 'unknown', attempts: 3 } },
    message: /^message not written: unknown after 3 attempts( \(E[A-Z]+\))?$/,
    make: (context) => new WriteError('unknown', 3, context, Buffer.from(SECRET)),
  },
  {
    ...{ name: 'OverflowError', code: 'TCP_OVERFLOW', facts: { fate: 'unsent' } },
    message: /^message dropped: the write buffer has no room for it$/,
    make: (context) => new OverflowError('unsent', context, SECRET),
  },
  {
    ...{ name: 'FrameError', code: 'TCP_FRAME', facts: { kind: 'corrupt', detail: 'bad length 7' } },
    message: /^corrupt frame: bad length 7$/,
    make: (context) => new FrameError('corrupt', 'bad length 7', context),
  },
  {
    ...{ name: 'RequestTimeoutError', code: 'TCP_REQUEST_TIMEOUT', facts: {} },
    message: /^no reply from db:5432 within 90 ms$/,
    make: (context) => new RequestTimeoutError(90, context),
  },
  {
    ...{ name: 'ReconnectLimitError', code: 'TCP_RECONNECT_LIMIT', facts: { attempts: 4 } },
    message: /^gave up on db:5432 after 4 redials$/,
    make: (context) => new ReconnectLimitError(4, context),
  },
  {
    ...{ name: 'ClosedError', code: 'TCP_CLOSED', message: /^the socket is closed$/, facts: {} },
    make: (context) => new ClosedError(context),
  },
];

const WHERE = { endpoint: { host: 'db', port: 5432 }, epoch: 2 };
const MESSAGE_ERRORS = ['WriteError', 'OverflowError', 'FrameError'];

/** An error of Node's or a user's, with a secret wherever one can be. */
function telltale(): Error {
  const cause = Object.assign(new Error(`peer said ${SECRET}`), { code: 'ECONNRESET', body: Buffer.from(SECRET) });
  cause.stack = `Error: ${SECRET}`;
  return cause;
}

function circular(): Error {
  const cause: Error & { self?: unknown } = new Error(SECRET);
  cause.cause = cause;
  cause.self = cause;
  return cause;
}

/** Both forms in which an error reaches a log. */
function logged(error: unknown): string[] {
  return [JSON.stringify(error), inspect(error, { depth: 20 }), inspect({ nested: [error] }, { depth: 20 })];
}

describe('the error family', () => {
  it('is closed: all that errors.ts exports, each with a code of its own', () => {
    const classes = Object.entries(errors).filter(([name]) => /^[A-Z]\w+Error$/.test(name) && name !== 'TcpError');
    expect(classes.map(([name]) => name).sort()).to.eql(FAMILY.map(({ name }) => name).sort());
    expect(new Set(FAMILY.map(({ code }) => code)).size).to.equal(13);
  });

  for (const { name, code, message, facts, make } of FAMILY) {
    describe(name, () => {
      it('has its name, its code, its message and what it knows', () => {
        const error = make(WHERE);
        expect(error.name).to.equal(name);
        expect(error.code).to.equal(code);
        expect(error.message).to.match(message);
        expect(error).to.include(facts);
        expect(String(error)).to.equal(`${name}: ${error.message}`);
      });

      it('tells where it happened, and keeps its cause', () => {
        const cause = telltale();
        const error = make({ ...WHERE, cause });
        expect(error.endpoint).to.equal(WHERE.endpoint);
        expect(error.epoch).to.equal(2);
        expect(error.cause).to.equal(cause);
        expect('cause' in make(WHERE)).to.equal(false);
      });

      it('is an Error and a TcpError', () => {
        const error: unknown = make(WHERE);
        expect(error).to.be.instanceOf(TcpError);
        expect(error).to.be.instanceOf(Error);
        expect(error).to.be.instanceOf(errors[name as 'ClosedError']);
      });

      it('becomes JSON with every field but the cause, of which name and code are shown', () => {
        const error = make({ ...WHERE, cause: telltale() });
        expect(JSON.parse(JSON.stringify(error))).to.eql({
          ...{ name, code, message: error.message, ...facts, ...WHERE },
          cause: { name: 'Error', code: 'ECONNRESET' },
        });
      });

      it('is inspected with the same fields as text', () => {
        const text = inspect(make({ ...WHERE, cause: telltale() }));
        expect(text.startsWith(`${name}: `)).to.equal(true);
        for (const part of [code, "host: 'db'", 'port: 5432', 'epoch: 2', 'ECONNRESET', ...Object.keys(facts)]) {
          expect(text).to.include(part);
        }
      });

      it('shows neither payload nor text of a cause, however deep it sits', () => {
        const inner = new WriteError('unsent', 0, { ...WHERE, cause: telltale() }, SECRET);
        for (const cause of [telltale(), inner, SECRET, { body: SECRET }, [SECRET], Symbol(SECRET), circular()]) {
          const error = make({ ...WHERE, cause });
          for (const text of [...logged(error), error.message, String(error.stack)]) {
            expect(text).to.not.include(SECRET);
            expect(text).to.not.include(Buffer.from(SECRET).toString('hex').slice(0, 10));
          }
        }
      });

      it('keeps a hostile host name from breaking a line or colouring a terminal', () => {
        const host = 'db\r\nERROR forged\u001b[31m\u009b31m\u2028\u0000';
        for (const endpoint of [{ host, port: 1 }, { path: host }]) {
          const error = make({ endpoint, cause: Object.assign(new Error(host), { code: host, name: host }) });
          // eslint-disable-next-line no-control-regex -- they are what is looked for
          for (const text of [error.message, JSON.stringify(error)]) expect(text).to.not.match(/[\r\n\u001b\u0000]/);
          expect(error.message).to.not.match(/[\u0080-\u009f\u2028]/);
          // eslint-disable-next-line no-control-regex
          expect(inspect(error, { colors: false })).to.not.match(/\r|\n *ERROR forged|[\u001b\u009b\u0000]/);
        }
      });

      it('stays short for a host name without end', () => {
        const error = make({ endpoint: { host: 'x'.repeat(100_000), port: 1 } });
        expect(error.message.length).to.be.below(350);
      });

      it(MESSAGE_ERRORS.includes(name) ? 'captures no stack' : 'says where it was made', () => {
        const limit = Error.stackTraceLimit;
        const { stack } = make(WHERE);
        if (MESSAGE_ERRORS.includes(name)) expect(stack ?? '').to.not.match(/\n\s+at /);
        else expect(stack).to.match(/\n\s+at .*errors\.spec/);
        expect(Error.stackTraceLimit).to.equal(limit);
      });
    });
  }

  it('can be logged when a chain of causes comes back to an error of the family', () => {
    const first = new ClosedError({ cause: undefined });
    const second = new ReconnectLimitError(1, { cause: first });
    Object.assign(first, { cause: second });
    for (const text of logged(first)) expect(text).to.include('TCP_RECONNECT_LIMIT');
  });

  it('shows a cause of the family with its fields, and the causes of that one', () => {
    const lost = new ConnectionLostError(FACTS, { ...WHERE, cause: telltale() });
    const error = new WriteError('unknown', 1, { cause: lost });
    const json = JSON.parse(JSON.stringify(error)) as { cause: { code: string; cause: object } };
    expect(json.cause.code).to.equal('TCP_CONNECTION_LOST');
    expect(json.cause.cause).to.eql({ name: 'Error', code: 'ECONNRESET' });
  });

  it('narrows by its code', () => {
    const told = (error: TcpError): string => {
      switch (error.code) {
        case 'TCP_WRITE':
          return `${error.fate} after ${error.attempts}`;
        case 'TCP_CONNECT':
          return error.phase;
        case 'TCP_FRAME':
          return error.kind;
        case 'TCP_CONNECTION_LOST':
          return error.endedBy;
        default:
          return error.code;
      }
    };
    expect(FAMILY.map(({ make }) => told(make(WHERE)))).to.include.members([
      'unknown after 3',
      'tls',
      'corrupt',
      'peer',
    ]);
  });
});

describe('the undelivered message of an error', () => {
  const made = (context: ErrorContext, message: unknown): (WriteError | OverflowError)[] => [
    new WriteError('unknown', 2, context, message),
    new OverflowError('unknown', context, message),
  ];

  it('is the very value that was given, and in no listing of the fields', () => {
    const message = { body: SECRET };
    for (const error of made(WHERE, message)) {
      expect(error.undelivered).to.equal(message);
      expect(Object.keys(error)).to.not.include('undelivered');
      const own = Object.values(Object.getOwnPropertyDescriptors(error)) as PropertyDescriptor[];
      expect(own.map(({ value }) => value as unknown)).to.not.include(message);
      for (const text of logged(error)) expect(text).to.not.match(/undelivered|c0ffee/);
    }
  });

  it('is not in the copy that a log replays, which is the same otherwise', () => {
    const cause = telltale();
    for (const error of made({ ...WHERE, cause }, 'x')) {
      const copy = error.replay()();
      expect(copy.undelivered).to.equal(undefined);
      expect(error.undelivered).to.equal('x');
      expect(copy.cause).to.equal(cause);
      expect(copy).to.be.instanceOf(error.constructor);
      expect(JSON.stringify(copy)).to.equal(JSON.stringify(error));
    }
  });
});

describe('the message of an error', () => {
  const endpoints: readonly (readonly [ErrorContext['endpoint'], string])[] = [
    [{ host: 'db', port: 5432 }, 'db:5432'],
    [{ host: '::1', port: 80 }, '[::1]:80'],
    [{ path: '/run/db.sock' }, '/run/db.sock'],
    [{ host: 'db' }, 'db'],
    [{ port: 80 }, 'port 80'],
    [{}, 'the peer'],
    [undefined, 'the peer'],
  ];
  for (const [endpoint, text] of endpoints) {
    it(`names the endpoint ${JSON.stringify(endpoint)} as ${text}`, () => {
      expect(new TlsError({ endpoint }).message).to.equal(`TLS with ${text} failed`);
    });
  }

  it('ends with the code of the cause, if that is a plain word', () => {
    const { message } = new ConnectError('connect', { ...WHERE, cause: telltale() });
    expect(message).to.equal('could not connect to db:5432: connect failed (ECONNRESET)');
  });

  it('tells a connection that the peer ended from one that was lost', () => {
    const ended = new ConnectionLostError({ ...FACTS, clean: true }, WHERE);
    expect(ended.message).to.equal('connection to db:5432 ended by the peer after 13 ms');
    const byUs = new ConnectionLostError({ ...FACTS, clean: true, endedBy: 'us' }, WHERE);
    expect(byUs.message).to.equal('connection to db:5432 ended by us after 13 ms');
  });
});

describe('codeOf', () => {
  it('gives a code that is a plain word, as Node and this library have them', () => {
    for (const code of ['ECONNRESET', 'ERR_TLS_CERT_ALTNAME_INVALID', 'TCP_WRITE', 'E2BIG']) {
      expect(codeOf({ code })).to.equal(code);
    }
  });

  it('gives none for anything else, which may be text of the peer', () => {
    const codes = ['', 'lower', 'A B', 'A\nB', 'A'.repeat(81), 5, null, { toString: () => 'ABC' }];
    for (const code of codes) expect(codeOf({ code })).to.equal(undefined);
    for (const cause of [undefined, null, 'ECONNRESET', 5, new Error('ECONNRESET')]) {
      expect(codeOf(cause)).to.equal(undefined);
    }
  });

  it('gives the first inner one of an AggregateError without a code, as Node makes them for several addresses', () => {
    const inner = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
    expect(codeOf(new AggregateError([inner]))).to.equal('ECONNREFUSED');
    expect(codeOf(new AggregateError([]))).to.equal(undefined);
    expect(codeOf(Object.assign(new AggregateError([inner]), { code: 'EOWN' }))).to.equal('EOWN');
  });
});

describe('the end of a message', () => {
  const messageWith = (cause: unknown): string => new FrameError('decode', 'x', { cause }).message;

  it('is the code of the cause, or its name if it has none, or nothing', () => {
    expect(messageWith(Object.assign(new TypeError('secret'), { code: 'ENOPE' }))).to.equal('decode frame: x (ENOPE)');
    expect(messageWith(new TypeError('secret'))).to.equal('decode frame: x (TypeError)');
    expect(messageWith(new DOMException('secret', 'AbortError'))).to.equal('decode frame: x (AbortError)');
    for (const nothing of [new Error('secret'), 'secret', 5, null, undefined]) {
      expect(messageWith(nothing)).to.equal('decode frame: x');
    }
  });

  it('has no text that somebody else has chosen', () => {
    const named = (name: unknown): string => messageWith(Object.defineProperty(new Error(), 'name', { value: name }));
    for (const name of ['two words', 'lines\nX', '', 5, 'a', `A${'a'.repeat(60)}`]) {
      expect(named(name)).to.equal('decode frame: x');
    }
  });

  it('has nothing of a cause that throws when it is looked at', () => {
    const hostile = new Proxy(new Error('x'), {
      get: () => {
        throw new Error('looked at');
      },
    });
    expect(messageWith(hostile)).to.equal('decode frame: x');
    expect(JSON.parse(JSON.stringify(new FrameError('decode', 'x', { cause: hostile })))).to.include({
      cause: 'object',
    });
  });
});

describe('FrameError.at', () => {
  it('is the same error with a place, and leaves the first as it is', () => {
    const cause = telltale();
    const error = new FrameError('decode', 'bad', { cause });
    const placed = error.at(WHERE);
    expect(placed).to.include({ ...WHERE, kind: 'decode', detail: 'bad', message: error.message });
    expect(placed.cause).to.equal(cause);
    expect(error.endpoint).to.equal(undefined);
  });
});

describe('asError and asTcpError', () => {
  it('pass on what is one, and wrap what is none as the cause of a ClosedError', () => {
    const ours = new ClosedError();
    const foreign = new Error('x');
    expect([asError(ours), asError(foreign)]).to.eql([ours, foreign]);
    expect(asError('stop')).to.include({ code: 'TCP_CLOSED', cause: 'stop' });
    expect(asTcpError(ours, WHERE)).to.equal(ours);
    expect(asTcpError(foreign, WHERE)).to.include({ code: 'TCP_CLOSED', cause: foreign, ...WHERE });
  });
});
