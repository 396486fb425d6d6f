import type * as net from 'node:net';
import type { SocksClient } from 'socks';
import { given, refused } from '../check.js';
import { ConfigError } from '../errors.js';
import { passage, type Passage } from './passage.js';
import { ProxyError } from './proxy-error.js';
import {
  PROXY_OPTIONS,
  resolveCredentials,
  resolvePlace,
  type Credentials,
  type ProxyOptions,
} from './proxy-options.js';
import { SocksLine } from './socks-line.js';
import { isGrant, socksRefusal } from './socks-refusal.js';
import { targetOf, type ProxyDial, type Target } from './target.js';

/** Options of {@link socksDial}. */
export interface SocksDialOptions extends ProxyOptions {
  /** Port of the proxy, 1 to 65,535; a numeric string is accepted. @default 1080 */
  readonly port?: number | string;
  /** Of the protocol; 4 is 4a as well, knows a user but no password, and reaches no IPv6 address. @default 5 */
  readonly version?: 4 | 5;
}

/**
 * Dials through a SOCKS proxy. It needs the package `socks` beside this one, and loads it at the first dial.
 *
 * The answer is a function for `dial`; `host` and `port` beside it are the target's, and the proxy looks up the name. User and password go over the
 * wire in the clear: SOCKS has no other way. A bad option throws a {@link ConfigError}; a dial that fails rejects with a {@link ProxyError}.
 * `connectTimeout` is the deadline; the proxy never has more than two minutes.
 *
 * @example no-run
 * import { tcpSocket } from 'rx-tcp';
 * import { socksDial } from 'rx-tcp/proxy';
 * const dial = socksDial({ host: 'localhost', port: 9050 });
 * tcpSocket({ host: 'example.com', port: 443, tls: true, dial });
 */
export function socksDial(options: SocksDialOptions): ProxyDial {
  const config = given('socksDial', options, [...PROXY_OPTIONS, 'version']);
  const { version = 5 } = config;
  if (version !== 4 && version !== 5) throw refused('version', '4 or 5', version);
  const place = resolvePlace(config, 1080);
  const credentials = resolveCredentials(config, /\0/); // which ends the user in SOCKS 4
  if (version === 4 && credentials !== undefined && credentials.password !== '')
    throw new ConfigError('`password` needs `version` 5: SOCKS 4 has none');
  return (endpoint, signal) => {
    const target = targetOf(endpoint, 'socksDial');
    if (version === 4 && target.host.includes(':'))
      throw new ConfigError('socksDial needs `version` 5 for a `host` that is an IPv6 address');
    const through = async () => {
      const Client = await loadClient();
      return passage(place, signal, (raw, way) => negotiate(Client, { version, credentials, target }, raw, way));
    };
    return through();
  };
}

async function loadClient(): Promise<typeof SocksClient> {
  try {
    return (await import('socks')).SocksClient;
  } catch (cause) {
    throw new ConfigError('socksDial needs the package `socks`, which could not be loaded: npm install socks', {
      cause,
    });
  }
}

/**
 * The client's own deadline, in ms, which cannot be switched off. Its timer keeps the client in memory until then, some 6 KB a dial, but not the
 * process alive.
 */
const MAX_HANDSHAKE = 120_000;

interface Wish {
  readonly version: 4 | 5;
  readonly credentials: Credentials | undefined;
  readonly target: Target;
}

function negotiate(
  Client: typeof SocksClient,
  { version, credentials, target }: Wish,
  raw: net.Socket,
  way: Passage,
): void {
  const line = new SocksLine(raw);
  const client = new Client({
    command: 'connect',
    destination: target,
    proxy: {
      host: 'proxy', // never dialled: the line is connected
      port: 1,
      type: version,
      ...(credentials && { userId: credentials.username, password: credentials.password }),
    },
    timeout: MAX_HANDSHAKE,
  });
  let listening = true;
  const feed = (): void => {
    // Byte by byte: whatever follows the reply stays in the socket, for its next reader.
    while (listening) {
      const byte = raw.read(1) as Buffer | null;
      if (byte === null) return;
      line.hear(byte);
    }
  };
  const decided = (outcome: () => void) => (): void => {
    client.removeAllListeners();
    outcome();
  };
  way.onSettled(() => {
    listening = false;
    raw.off('readable', feed);
    line.destroy();
  });
  client.once(
    'established',
    decided(() => {
      if (isGrant(version, line)) way.pass(raw);
      else way.fail(new ProxyError('ERR_PROXY_PROTOCOL', 'proxy'));
    }),
  );
  client.once(
    'error',
    decided(() => way.fail(socksRefusal(version, line))),
  );
  client.connect(line);
  raw.on('readable', feed);
}
