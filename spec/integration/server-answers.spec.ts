/** What a server can still say: to what came before the client's FIN, and when its own functions end the connection; and that its sums add up. */
import { once } from 'node:events';
import * as net from 'node:net';
import { expect } from 'chai';
import {
  ClosedError,
  lines,
  mapCodec,
  tcpServer,
  tcpSocket,
  type Codec,
  type Connection,
  type TcpServerConfig,
} from '../../lib/index.js';
import { atEnd, kept, leavesNothingOpen, outcome } from '../support/fixture.js';
import { listen, record, type Recording } from '../support/servers.js';
import { tape } from '../support/tape.js';

const host = '127.0.0.1';
type Line = Connection<string, string>;

async function start(config: TcpServerConfig<string, string> = {}) {
  const server = tcpServer({ host, codec: lines(), ...config });
  atEnd(() => server.close({ timeout: 0 }));
  return { server, errors: tape(server.errors), connections: tape(server.connections), ...(await server.listening) };
}

/** A plain client, and all that it is told. */
function client(port: number): { raw: net.Socket; heard: Recording } {
  const raw = kept(net.connect({ port, host, allowHalfOpen: true }));
  raw.on('error', () => undefined);
  return { raw, heard: record(raw) };
}

/** Lines; encoding 'now' does this first. */
function doing(action: () => void): Codec<string, string> {
  const encode = (line: string): string => {
    if (line === 'now') action();
    return line;
  };
  return mapCodec(lines(), { decode: (line) => line, encode });
}

describe('a server whose client has sent its FIN', () => {
  leavesNothingOpen();

  it('writes every answer that its handler gives at once, however late a frame is handed out [S2][S6]', async () => {
    const { server, port, errors } = await start();
    const outcomes: Promise<unknown>[] = [];
    let atFin = 0;
    server.connections.subscribe((connection) => {
      void once(connection.raw, 'end').then(() => (atFin = outcomes.length));
      connection.inbound.subscribe((line) => outcomes.push(outcome(connection.write(line))));
    });
    const sent = Array.from({ length: 20_000 }, (_, i) => String(i)).join('\n') + '\n';
    const { raw, heard } = client(port);
    raw.end(sent);
    await once(raw, 'close');
    expect(heard.text).to.equal(sent);
    expect(new Set(await Promise.all(outcomes))).to.eql(new Set(['written']));
    expect(atFin).to.be.below(20_000); // some of them were late
    expect(errors.values).to.eql([]);
  });

  it('writes the answers to frames that were held until after it [S2][S6]', async () => {
    const { server, port, errors } = await start();
    server.connections.subscribe((connection) => {
      const release = connection.pause();
      connection.inbound.subscribe((line) => void connection.write(line.toUpperCase()));
      void once(connection.raw, 'end').then(release);
    });
    const { raw, heard } = client(port);
    raw.end('a\nb\n');
    await once(raw, 'close');
    expect(heard.text).to.equal('A\nB\n');
    expect(errors.values).to.eql([]);
  });

  it('is ended by its deadline if nobody ever asks for what came before [S3]', async () => {
    const { server, port } = await start({ endTimeout: 20 });
    server.connections.subscribe((connection) => void connection.pause());
    const { raw } = client(port);
    raw.end('a\n');
    await once(raw, 'close');
  });
});

describe('a function of the user that ends the connection it is to write to', () => {
  leavesNothingOpen();

  /** A peer that says its last words when it has heard the FIN. */
  const saysLastWords = (): ReturnType<typeof listen> =>
    listen((peer) => void peer.resume().once('end', () => peer.end('last words\n')));

  for (const whose of ['the connection', 'the socket']) {
    it(`as \`encode\` by end() of ${whose}: the message is refused, and the end stays a good one [S2][S3]`, async () => {
      const { port } = await saysLastWords();
      let end = (): unknown => undefined;
      const codec = doing(() => void end());
      const socket = kept(tcpSocket({ host, port, codec, reconnect: false }));
      const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
      const live = await tape(socket.connections).at(0);
      end = () => (whose === 'the socket' ? socket : live).end();
      expect(await outcome(live.write('now'))).to.be.instanceOf(ClosedError);
      await inbound.end;
      expect([inbound.values, inbound.ended]).to.eql([['last words'], 'completed']);
      for (const error of errors.values) expect(error).to.include({ endedBy: 'us', clean: true });
    });
  }

  it('as `encode` by destroy(): the message has an outcome [S3]', async () => {
    const { port } = await saysLastWords();
    let destroy = (): void => undefined;
    const codec = doing(() => destroy());
    const socket = kept(tcpSocket({ host, port, codec, reconnect: false }));
    tape(socket.inbound);
    const live = await tape(socket.connections).at(0);
    destroy = () => live.destroy();
    expect(await outcome(live.write('now'))).to.be.instanceOf(ClosedError);
  });

  it('as the message of a heartbeat: nothing is written after the FIN, on either side [S2]', async () => {
    const { port } = await saysLastWords();
    let end = (): unknown => undefined;
    const message = (): string => {
      end();
      return 'ping';
    };
    const heartbeat = { interval: 5, timeout: 60_000, message };
    const socket = kept(tcpSocket({ host, port, codec: lines(), reconnect: false, heartbeat }));
    end = () => void socket.end();
    const [inbound, errors] = [tape(socket.inbound), tape(socket.errors)];
    await inbound.end;
    expect([inbound.values, inbound.ended, errors.values]).to.eql([['last words'], 'completed', []]);

    const served = await start({ heartbeat });
    const raw = kept(net.connect({ port: served.port, host, allowHalfOpen: true }));
    raw.resume().once('end', () => raw.end('last words\n'));
    const connection = await served.connections.at(0);
    end = () => void connection.end();
    const read = tape(connection.inbound);
    await read.end;
    expect(await connection.closed).to.equal(undefined);
    expect([read.values, served.errors.values]).to.eql([['last words'], []]);
  });
});

describe('the sums of a server', () => {
  leavesNothingOpen();

  it('count a message that was refused after the connection was over, as `errors` and its own stats do [S9]', async () => {
    const { server, port, errors, connections } = await start();
    const { raw } = client(port);
    const connection = await connections.at(0);
    tape(connection.inbound);
    let goOn = (): void => undefined;
    const gone = new Promise<void>((resolve) => (goOn = resolve));
    const items = async function* (): AsyncGenerator<string> {
      await gone;
      yield 'late';
    };
    const written = outcome(connection.writeAll(items()));
    raw.resetAndDestroy();
    await connection.closed;
    goOn();
    await written;
    await errors.first(({ code }) => code === 'TCP_WRITE');
    const told = errors.values.filter(({ code }) => code === 'TCP_WRITE');
    expect([told.length, connection.stats().framesRefused, server.stats().framesRefused]).to.eql([1, 1, 1]);
  });

  it('count the bytes and frames of handshakes that failed', async () => {
    const handshake = async (connection: Line): Promise<void> => {
      for await (const line of connection) {
        await connection.write('no');
        throw new Error(line);
      }
    };
    const { server, port, errors } = await start({ handshake });
    const { raw } = client(port);
    raw.write('hello\n');
    await errors.at(0);
    expect(server.stats()).to.include({ failed: 1, bytesRead: 6, framesRead: 1, bytesWritten: 3, framesWritten: 1 });
  });
});

describe('the errors of a server', () => {
  leavesNothingOpen();

  it('tell the loss of a connection before the messages that it left unwritten [S9]', async () => {
    const { port, errors, connections } = await start();
    const raw = kept(net.connect({ port, host }));
    raw.on('error', () => undefined).pause();
    const connection = await connections.at(0);
    const written = Array.from({ length: 200 }, () => outcome(connection.write('x'.repeat(60_000))));
    await once(raw, 'readable');
    raw.resetAndDestroy();
    const left = (await Promise.all(written)).filter((how) => how !== 'written');
    await errors.at(left.length);
    const codes = errors.values.map(({ code }) => code);
    expect(left.length).to.be.above(0);
    expect(codes).to.eql(['TCP_CONNECTION_LOST', ...left.map(() => 'TCP_WRITE')]);
  });
});
