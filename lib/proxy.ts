/** rx-tcp/proxy: ways through a proxy, for the `dial` of `tcpSocket`. */
export { httpConnectDial, type HttpConnectDialOptions } from './proxy/http-connect-dial.js';
export { socksDial, type SocksDialOptions } from './proxy/socks-dial.js';
export { ProxyError, type ProxyErrorFacts } from './proxy/proxy-error.js';
export type { ProxyOptions, ProxySocketOptions } from './proxy/proxy-options.js';
export type { ProxyDial } from './proxy/target.js';
