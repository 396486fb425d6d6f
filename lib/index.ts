/** rx-tcp: a TCP client for RxJS. Start at {@link tcpSocket}. */
export { tcpSocket } from './tcp-socket.js';
export type { TcpSocket } from './socket.js';
export { tcpServer } from './tcp-server.js';
export type { TcpServer, TcpServerConfig } from './server.js';
export type { ServerConnection } from './served.js';
export { echoServer, type EchoServerConfig } from './echo-server.js';
export { toDuplex } from './duplex.js';
export { connection } from './connect.js';
export type { Connection } from './connection/connection.js';
export { reconnect } from './connection/reconnect.js';
export { decode } from './inbound/decode.js';
export { pacedMap, type Pausable } from './inbound/paced-map.js';
export { encode } from './outbound/encode.js';
export type { WriteOptions } from './outbound/write-one.js';
export type { ConnectionConfig, HeartbeatConfig, ReconnectConfig, SocketOptions, StreamConfig } from './config.js';
export type { TcpSocketConfig } from './config.js';
export type { Bytes, Codec, Decoder } from './codec/codec.js';
export { bytes, type BytesConfig } from './codec/bytes.js';
export { lines, type LinesConfig } from './codec/lines.js';
export { jsonLines, type JsonLinesConfig } from './codec/json-lines.js';
export { delimited, type DelimitedConfig } from './codec/delimited.js';
export { fixedLength, type FixedLengthConfig } from './codec/fixed-length.js';
export { lengthPrefixed, type LengthPrefixedConfig } from './codec/length-prefixed.js';
export { varintPrefixed, type VarintPrefixedConfig } from './codec/varint-prefixed.js';
export { netstrings, type NetstringsConfig } from './codec/netstrings.js';
export { mapCodec, type MapCodecConfig } from './codec/map-codec.js';
export { pipelined } from './request/pipelined.js';
export { correlated } from './request/correlated.js';
export type { Requests } from './request/requests.js';
export type { CorrelatedConfig, PipelinedConfig, RequestConfig, RequestId } from './request/request-config.js';
export type { RequestOptions, Resend } from './request/request-config.js';
export type { RequestStats } from './request/request-stats.js';
export { countByName, openSockets } from './monitor/registry.js';
export type { ServerStats } from './monitor/server-stats.js';
export type { SocketSnapshot, SocketStats } from './monitor/stats.js';
export type { ConnectionStatus } from './monitor/status.js';
export {
  ClosedError,
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
  type ConnectPhase,
  type Endpoint,
  type ErrorContext,
  type Fate,
  type FrameErrorKind,
} from './errors.js';
