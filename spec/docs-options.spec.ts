import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { bytes } from '../lib/codec/bytes.js';
import { delimited } from '../lib/codec/delimited.js';
import { fixedLength } from '../lib/codec/fixed-length.js';
import { jsonLines } from '../lib/codec/json-lines.js';
import { lengthPrefixed } from '../lib/codec/length-prefixed.js';
import { lines } from '../lib/codec/lines.js';
import { mapCodec } from '../lib/codec/map-codec.js';
import { netstrings } from '../lib/codec/netstrings.js';
import { varintPrefixed } from '../lib/codec/varint-prefixed.js';
import { connection } from '../lib/connect.js';
import { echoServer } from '../lib/echo-server.js';
import { ConfigError } from '../lib/errors.js';
import { correlated } from '../lib/request/correlated.js';
import { pipelined } from '../lib/request/pipelined.js';
import { resolveLimits } from '../lib/request/request-config.js';
import { resolveConfig, resolveReconnect, resolveSocketOptions } from '../lib/resolve-config.js';
import { resolveServer } from '../lib/resolve-server.js';
import { clientOptions, serverOptions } from '../lib/resolve-tls.js';
import { tcpServer } from '../lib/tcp-server.js';
import { tcpSocket } from '../lib/tcp-socket.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Row {
  readonly option: string;
  readonly takes: string;
  readonly byDefault: string;
}

/** The tables of options, in the order of the page. */
function tablesOf(page: string): Row[][] {
  const tables = page.split(/^\| option +\|.*\n/m).slice(1);
  return tables.map((text) => {
    const rows = text.split('\n').slice(1);
    const end = rows.findIndex((row) => !row.startsWith('|'));
    return rows.slice(0, end).map((row) => {
      const [, option = '', takes = '', , byDefault = ''] = row.split('|').map((cell) => cell.trim());
      return { option: plain(option), takes: takes.replace(/(?<=\d),(?=\d)/g, ''), byDefault: plain(byDefault) };
    });
  });
}

/** Without the marks of code and text, and the commas in numbers. */
function plain(cell: string): string {
  return cell.replace(/[`']|(?<=\d),(?=\d)/g, '');
}

/** What the ConfigError of this call says; empty if there is none. */
function refusal(call: () => unknown): string {
  try {
    call();
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/** A function that takes options, and what makes it refuse even options that it knows, if it would do something else. */
interface Taker {
  readonly name: string;
  readonly take: (options: object) => unknown;
  readonly wrong?: object;
}

/** It checks what it is given all the same. */
const closed = tcpSocket({ port: 1, lazyConnect: true });
closed.destroy();
const beats = { interval: 1, timeout: 1 };
const functions = { decode: String, encode: String };

/** Options that are right but for these. */
function right(options: object): object {
  if ('endpointCooldown' in options) return { endpoints: [{ port: 1 }], ...options };
  return 'endpoints' in options ? options : { port: 1, ...options };
}

/** The words of the library's source: the name of an option is one of them. */
function wordsOfLib(): Set<string> {
  const files = readdirSync(`${ROOT}lib`, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return new Set(files.flatMap((file) => readFileSync(`${ROOT}lib/${file}`, 'utf8').match(/[A-Za-z]+/g) ?? []));
}

/** The options among these words: what is not refused as unknown is known. */
function knownTo(take: (options: object) => unknown, words: Iterable<string>, wrong: object = {}): string[] {
  return [...words].filter(
    (word) => !refusal(() => take({ [word]: undefined, ...wrong })).includes('is not an option of'),
  );
}

const requests = pipelined(closed);
const asking = { assign: String, idOf: String };
const wrong = { timeout: -1 };
const REQUEST: Taker = { name: 'request', take: (options) => requests.request('', options), wrong };
const PIPELINED: Taker = { name: 'pipelined', take: (options) => pipelined(closed, options), wrong };
const CORRELATED: Taker = {
  name: 'correlated',
  take: (options) => correlated(closed, { ...asking, ...options }),
  wrong,
};

/** Who takes the options of each table, in the order of the page. */
const TABLES: readonly (readonly Taker[])[] = [
  [
    { name: 'tcpSocket', take: (options) => resolveConfig(right(options)) },
    { name: 'connection', take: (options) => connection(right(options)) },
  ],
  [{ name: 'tcpSocket', take: (options) => resolveConfig({ port: 1, ...options }) }],
  [{ name: 'readBuffer', take: (options) => resolveConfig({ port: 1, readBuffer: options }) }],
  [{ name: 'writeBuffer', take: (options) => resolveConfig({ port: 1, writeBuffer: options }) }],
  [{ name: 'endpoints', take: (options) => resolveConfig({ endpoints: [{ port: 1, ...options }] }) }],
  [{ name: 'heartbeat', take: (options) => resolveConfig({ port: 1, heartbeat: { ...beats, ...options } }) }],
  [{ name: 'reconnect', take: (options) => resolveReconnect(options) }],
  [{ name: 'socket', take: (options) => resolveSocketOptions(options) }],
  [{ name: 'write', take: (options) => closed.write('', options), wrong: { retryLimit: -1 } }],
  [{ name: 'end', take: (options) => closed.end(options), wrong: { timeout: -1 } }],
  [REQUEST, PIPELINED, CORRELATED],
  [PIPELINED, CORRELATED],
  [PIPELINED],
  [CORRELATED],
  [{ name: 'tcpServer', take: (options) => tcpServer(options), wrong: { path: 1 } }],
  [{ name: "tcpServer's socket", take: (options) => tcpServer({ socket: options }), wrong: { keepAlive: 1 } }],
  [{ name: 'echoServer', take: (options) => echoServer(options), wrong: { path: 1 } }],
  [{ name: 'lines', take: (options) => lines(options) }],
  [{ name: 'jsonLines', take: (options) => jsonLines(options) }],
  [{ name: 'delimited', take: (options) => delimited({ delimiter: ',', ...options }) }],
  [{ name: 'fixedLength', take: (options) => fixedLength({ length: 1, ...options }) }],
  [{ name: 'lengthPrefixed', take: (options) => lengthPrefixed(options) }],
  [{ name: 'varintPrefixed', take: (options) => varintPrefixed(options) }],
  [{ name: 'netstrings', take: (options) => netstrings(options) }],
  [{ name: 'mapCodec', take: (options) => mapCodec(lines(), { ...functions, ...options }) }],
  [{ name: 'bytes', take: (options) => bytes(options) }],
];

describe('docs/options.md', () => {
  const page = readFileSync(`${ROOT}docs/options.md`, 'utf8');
  const tables = tablesOf(page);
  const rows = TABLES.flatMap((takers, i) => takers.map((taker) => ({ taker, rows: tables[i] ?? [] })));
  const documented = new Map<string, string[]>();
  for (const { taker, rows: own } of rows) {
    documented.set(taker.name, [...(documented.get(taker.name) ?? []), ...own.map(({ option }) => option)]);
  }
  // The page says so in a sentence.
  const notEchoed = ['codec', 'handshake', 'heartbeat'];
  documented
    .get('echoServer')
    ?.push(...(documented.get('tcpServer') ?? []).filter((name) => !notEchoed.includes(name)));

  it('has a table for each who takes options', () => expect(tables).to.have.lengthOf(TABLES.length));

  it('has every option that the library knows, and no other', () => {
    const words = wordsOfLib();
    for (const { name, take, wrong } of new Map(rows.map(({ taker }) => [taker.name, taker])).values()) {
      const known = knownTo(take, words, wrong);
      expect(documented.get(name), `the options of ${name}`).to.have.members(known);
    }
  });

  for (const [i, { taker, rows: own }] of rows.entries()) {
    it(`says what the options of ${taker.name} take, as the library does (${i + 1})`, () => {
      expect(own).to.not.have.lengthOf(0);
      for (const { option, takes } of own) {
        const message = refusal(() => taker.take({ [option]: null }));
        const expected = /must be (.*), got/.exec(message)?.[1] ?? 'nothing: it takes null';
        expect(takes.replace(/[;,] .*/, ''), `${taker.name}: ${option}`).to.equal(expected.replace(/[;,] .*/, ''));
      }
    });
  }

  it('has every option of TLS that the library knows, on its side, and no other', () => {
    const told = (whose: string): string[] =>
      (new RegExp(`^\\| of ${whose} \\| (.*) \\|$`, 'm').exec(page)?.[1] ?? '').replaceAll('`', '').split(', ');
    const words = wordsOfLib();
    const client = knownTo(clientOptions, words);
    const server = knownTo((options) => serverOptions({ key: '', cert: '', ...options }), words);
    expect([...told('both ends'), ...told('a client')]).to.have.members(client);
    expect([...told('both ends'), ...told('a server')]).to.have.members(server);
  });

  it('says the defaults, as the library has them', () => {
    const config = resolveConfig({ port: 1 });
    const endpointCooldown = resolveConfig({ endpoints: [{ port: 1 }] }).endpoints?.cooldown;
    const parts = { ...config.reconnect, ...config.socket, ...config.writeBuffer, endpointCooldown };
    const resolved = { ...config, ...parts };
    const plainDefaults = Object.entries(resolved).flatMap(([option, value]: [string, unknown]) =>
      /number|boolean|string/.test(typeof value) ? [[option, String(value)] as const] : [],
    );
    expect(plainDefaults).to.have.lengthOf.above(15);
    const said = new Map(
      tables.slice(0, 8).flatMap((table) => table.map(({ option, byDefault }) => [option, byDefault])),
    );
    for (const [option, value] of plainDefaults) expect(said.get(option), option).to.equal(value);
    const ahead = (tables[2] ?? []).map(({ option, byDefault }) => [option, Number(byDefault)]);
    expect(Object.fromEntries(ahead)).to.deep.equal(config.readBuffer);
  });

  it('says the defaults of requests, as the library has them', () => {
    const { limits } = resolveLimits('', {}, 0, []);
    const { terms, ...bounds } = limits;
    const { retryLimit: _ofTheSocket, until: _none, failure: _noneEither, ...plainTerms } = terms;
    const said = TABLES.flatMap((takers, i) => (takers.includes(PIPELINED) ? (tables[i] ?? []) : []));
    const byName = new Map(said.map(({ option, byDefault }) => [option, byDefault]));
    for (const [option, value] of Object.entries({ ...bounds, ...plainTerms }))
      expect(byName.get(option), option).to.equal(String(value));
  });

  it('says the defaults of a server, as the library has them', () => {
    const { socket, place, ...server } = resolveServer({});
    const resolved: Readonly<Record<string, unknown>> = { ...server, ...place, ...socket };
    const served = TABLES.flatMap(([taker], i) =>
      (taker?.name ?? '').startsWith('tcpServer') ? (tables[i] ?? []) : [],
    );
    const plainOnes = served.filter(({ option }) => /number|boolean/.test(typeof resolved[option]));
    expect(plainOnes).to.have.lengthOf.above(9);
    for (const { option, byDefault } of plainOnes) expect(byDefault, option).to.equal(String(resolved[option]));
  });
});
