/**
 * Where to dial: one place, or several.
 */
import { given, integer, milliseconds, refused, text, type Given } from './check.js';
import type { EndpointsConfig } from './config.js';
import { ConfigError, type Endpoint } from './errors.js';

const PLACE = ['host', 'port', 'path'];

/** A TCP port as a number; a numeric string is accepted. */
export function resolvePort(value: unknown, min: number, fallback?: number, option = 'port'): number {
  const numeric = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (numeric === undefined && fallback === undefined)
    throw refused(option, `a whole number from ${String(min)} to 65535`, value);
  return integer(option, numeric, fallback ?? min, min, 65_535);
}

/** A host name or address; an IPv6 address may stand in brackets, as in a URL. */
export function resolveHost(value: unknown, option = 'host'): string | undefined {
  return text(option, typeof value === 'string' ? value.replace(/^\[(.*)\]$/, '$1') : value);
}

/** The one place of these options; empty where there are several, or where `dial` needs none. */
export function resolveEndpoint(options: Given, what: string): Endpoint {
  const place = placeOf(options, what, '');
  const placed = Object.keys(place).length > 0;
  if (options.endpoints !== undefined && placed) {
    throw new ConfigError(`\`endpoints\` excludes \`host\`, \`port\` and \`path\`; ${what} got both`);
  }
  if (place.path !== undefined || options.endpoints !== undefined) return Object.freeze({ ...place });
  if (options.dial !== undefined && place.port === undefined) return Object.freeze({ ...place });
  if (!placed) {
    throw new ConfigError(
      `${what} needs \`host\` and \`port\`, or \`path\`, or \`endpoints\`, or \`dial\`; got none of them`,
    );
  }
  return complete(place, '');
}

/** The several places of these options, if they are given; a list is checked now, what a function answers when it is asked. */
export function resolveEndpoints(options: Given): EndpointsConfig | undefined {
  const cooldown = milliseconds('endpointCooldown', options.endpointCooldown, 10_000);
  const { endpoints } = options;
  if (endpoints === undefined) {
    if (options.endpointCooldown === undefined) return undefined;
    throw new ConfigError('`endpointCooldown` needs `endpoints`; got it alone');
  }
  const dialled = options.dial !== undefined;
  if (typeof endpoints === 'function') return { list: endpoints as () => unknown, dialled, cooldown };
  const list = endpointList(endpoints, dialled);
  if (list.length === 0) throw refused('endpoints', 'a list of at least one endpoint, or a function', endpoints);
  return { list: () => list, dialled, cooldown };
}

/** A list of endpoints, each checked; with `dialled` a custom dial knows what to do with one that is not complete. */
export function endpointList(value: unknown, dialled: boolean): readonly Endpoint[] {
  if (!Array.isArray(value)) throw refused('endpoints', 'a list of endpoints', value);
  return Object.freeze(
    Array.from(value, (item: unknown, index) => {
      const option = `endpoints[${String(index)}]`;
      const place = placeOf(given(option, item, PLACE), option, `${option}.`);
      return dialled || place.path !== undefined ? Object.freeze({ ...place }) : complete(place, `${option}.`);
    }),
  );
}

/** What is given of a place, checked; without prototype, as what is left out must not be inherited. */
function placeOf(options: Given, what: string, prefix: string): Endpoint {
  const host = resolveHost(options.host, `${prefix}host`);
  const path = text(`${prefix}path`, options.path);
  const port = options.port === undefined ? undefined : resolvePort(options.port, 1, undefined, `${prefix}port`);
  if (path !== undefined && (host !== undefined || port !== undefined)) {
    throw new ConfigError(`\`path\` excludes \`host\` and \`port\`; ${what} got both`);
  }
  return Object.assign(Object.create(null) as Endpoint, {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(path === undefined ? {} : { path }),
  });
}

function complete({ host = 'localhost', port }: Endpoint, prefix: string): Endpoint {
  return Object.freeze({ host, port: resolvePort(port, 1, undefined, `${prefix}port`) });
}
