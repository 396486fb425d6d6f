import type { Duplex } from 'node:stream';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import type { Observable } from 'rxjs';
import {
  connection,
  lengthPrefixed,
  lines,
  reconnect,
  type Codec,
  type Connection,
  type ConnectionConfig,
  type ConnectionLostError,
  type Endpoint,
} from '../../lib/index.js';
import { a, is, type Same } from './same.js';

const PLACE = { host: 'localhost', port: 1 };

const plain = connection(PLACE);
is<Same<typeof plain, Observable<Connection>>>();
is<Same<Connection, Connection>>();

const text = connection({ ...PLACE, codec: lines() });
is<Same<typeof text, Observable<Connection<string, string>>>>();

const prefixed = connection({ ...PLACE, codec: lengthPrefixed() });
is<Same<typeof prefixed, Observable<Connection>>>();

const strict = connection({ ...PLACE, codec: a<Codec<Buffer, string>>() });
is<Same<typeof strict, Observable<Connection<Buffer, string>>>>();

// @ts-expect-error In other than bytes needs a codec
connection<string, string>(PLACE);
// @ts-expect-error its codec may be missing
connection(a<ConnectionConfig<string, string>>());
// @ts-expect-error a single connection does not come back
connection({ ...PLACE, reconnect: false });
// @ts-expect-error it has no queue to retry from
connection({ ...PLACE, retryLimit: 1 });

// ---- options of a connection

connection({ endpoints: [{ port: 1 }], tls: true, idleTimeout: 1, writeTimeout: 1, socket: { unref: true } });
connection({
  ...PLACE,
  codec: lines(),
  handshake: (link) => (is<Same<typeof link, Connection<string, string>>>(), []),
});
connection({ ...PLACE, codec: lines(), heartbeat: { interval: 1, timeout: 1, message: () => 'PING' } });
// @ts-expect-error lines() takes strings alone
connection({ ...PLACE, codec: lines(), heartbeat: { interval: 1, timeout: 1, message: () => Buffer.of(1) } });

// ---- reconnect keeps the type

const again = text.pipe(reconnect({ maxAttempts: 1 }));
is<Same<typeof again, typeof text>>();

// ---- what a connection has

const live = a<Connection<string, number>>();
is<Same<typeof live.inbound, Observable<string>>>();
is<Same<typeof live.endpoint, Endpoint>>();
is<Same<typeof live.epoch, number>>();
is<Same<typeof live.raw, Duplex>>();
is<Same<typeof live.closed, Promise<ConnectionLostError | undefined>>>();
is<Same<ReturnType<typeof live.write>, Promise<void>>>();
void live.write(5);
// @ts-expect-error it takes numbers
void live.write('5');
// @ts-expect-error a direct write has no options: it is never retried
void live.write(5, { retryLimit: 0 });

is<Same<ReturnType<typeof live.upgrade>, Promise<void>>>();
void live.upgrade();
void live.upgrade(a<ConnectionOptions>());
void live.upgrade(a<TlsOptions>());
// @ts-expect-error it is asked once: the options, not a function of them
void live.upgrade(() => ({}));
// @ts-expect-error that is for a server's connection
live.flush;

async function loop(): Promise<void> {
  for await (const line of live) is<Same<typeof line, string>>();
}

export { loop };
