/** An MQTT 3.1.1 client: QoS 0 and 1, and subscriptions that outlive a connection. */
import { defer, filter, finalize, firstValueFrom, type Observable, Subject, tap } from 'rxjs';
import { type Bytes, type Connection, correlated, OverflowError, type Requests } from '../../lib/index.js';
import { type TcpSocket, tcpSocket, type TcpSocketConfig } from '../../lib/index.js';
import { mqttCodec } from './codec.js';
import * as packets from './packets.js';
import { type Packet, REFUSED } from './parse.js';
import { isFilter, matches } from './topics.js';

/** Who the client is, where and how it connects, and the longest packet that it takes. */
export type MqttConfig = Partial<packets.Identity> &
  Omit<TcpSocketConfig<Packet, Buffer>, 'codec' | 'handshake' | 'heartbeat'> & { readonly maxPacketSize?: number };

/** Whoever subscribes in the turn in which it is made misses nothing that the broker has kept for an old session. */
export class MqttClient {
  readonly socket: TcpSocket<Packet, Buffer>;
  readonly #requests: Requests<Packet, (id: number) => Buffer>;
  /** By filter. */
  readonly #wanted = new Map<string, Subject<packets.Message>>();
  /** Those of the wanted filters that the broker knows: a new connection begins with them. */
  readonly #granted = new Set<string>();
  #newestId = 0;

  constructor(config: MqttConfig) {
    const { clientId = '', clean = true, keepAlive = 30, username, password, maxPacketSize, ...where } = config;
    const hello = packets.connect({ clientId, clean, keepAlive, username, password });
    this.socket = tcpSocket({
      port: 1883,
      ...where,
      codec: mqttCodec(maxPacketSize),
      handshake: (connection) => this.#begin(connection, hello),
      heartbeat: { interval: 1_000 * keepAlive, timeout: 500 * keepAlive, message: () => packets.PINGREQ },
    });
    this.#requests = correlated(this.socket, {
      assign: (packet: (id: number) => Buffer, id) => packet(Number(id)),
      idOf: (packet) => ('id' in packet && packet.type !== 'publish' ? packet.id : undefined),
      nextId: () => (this.#newestId = (this.#newestId % 65_535) + 1),
      resend: 'always', // and in their order: what was said last about a filter stays the last
      timeout: 0,
    });
    this.socket.connections.subscribe((by) => void by.inbound.subscribe((packet) => this.#take(packet, by)));
    this.#requests.unsolicited.subscribe({
      error: (error) => this.#wanted.forEach((messages) => messages.error(error)),
      complete: () => this.#wanted.forEach((messages) => messages.complete()),
    });
  }

  /**
   * Resolves when it is written (QoS 0), or when the broker has it (QoS 1): until then it is written again on each new connection, at most `retryLimit`
   * times, with the flag that says so. The promise may be ignored.
   */
  publish(topic: string, payload: Bytes, { qos = 0, retain = false }: { qos?: 0 | 1; retain?: boolean } = {}) {
    const done = this.#publish({ topic, payload: Buffer.from(payload), qos, retain });
    done.catch(() => undefined);
    return done;
  }

  /**
   * What is published to topics that match, on every connection; the broker is asked once, however many subscribe. A message of QoS 1 is acknowledged
   * when all of them have returned from it. Errors if the broker refuses, and ends with the socket.
   */
  subscribe(topics: string): Observable<packets.Message> {
    if (!isFilter(topics)) throw new TypeError(`not a filter of topics: ${topics}`);
    return defer(() => {
      const heard = this.#wanted.get(topics) ?? this.#ask(topics);
      return heard.pipe(finalize(() => heard.observed || this.#wanted.get(topics) !== heard || this.#leave(topics)));
    });
  }

  /** Takes leave of the broker, and ends the socket. */
  async end(): Promise<void> {
    if ((await firstValueFrom(this.socket.status)).type === 'open') void this.socket.write(packets.DISCONNECT);
    await this.socket.end();
  }

  async #begin(connection: Connection<Packet, Buffer>, hello: Buffer): Promise<void> {
    void connection.write(hello);
    const answer = await firstValueFrom(connection.inbound);
    if (answer.type !== 'connack') throw new Error('a broker begins with CONNACK');
    if (answer.returnCode !== 0) throw refusal(answer.returnCode);
    const filters = [...this.#granted];
    if (filters.length === 0) return;
    void connection.write(packets.subscribe(1, filters));
    const taken = connection.inbound.pipe(tap((packet) => this.#take(packet, connection)));
    this.#answered(filters, await firstValueFrom(taken.pipe(filter(({ type }) => type === 'suback'))));
  }

  async #publish(message: packets.Message, tries = 0): Promise<void> {
    if (message.qos === 0) return this.socket.write(packets.publish(message));
    await firstValueFrom(this.#requests.request((id) => packets.publish(message, id, tries++ > 0)));
  }

  #ask(topics: string): Subject<packets.Message> {
    const messages = new Subject<packets.Message>();
    this.#wanted.set(topics, messages);
    const error = (reason: unknown) => this.#wanted.get(topics) === messages && this.#fail(topics, reason);
    const answers = this.#requests.request((id) => packets.subscribe(id, [topics]));
    answers.subscribe({ next: (answer) => this.#answered([topics], answer), error });
    return messages;
  }

  /** Forgotten before it errors: who subscribes anew because of the error asks anew. */
  #fail(topics: string, error: unknown): void {
    const messages = this.#wanted.get(topics);
    if (messages !== undefined) this.#leave(topics);
    messages?.error(error);
  }

  #leave(topics: string): void {
    this.#wanted.delete(topics);
    this.#granted.delete(topics);
    this.#requests.request((id) => packets.unsubscribe(id, topics)).subscribe({ error: () => undefined }); // nobody waits
  }

  #answered(filters: readonly string[], answer: Packet): void {
    const codes = answer.type === 'suback' ? answer.granted : [];
    for (const [i, topics] of filters.entries()) {
      if ((codes[i] ?? REFUSED) === REFUSED) this.#fail(topics, new Error(`the broker refuses ${topics}`));
      else if (this.#wanted.has(topics)) this.#granted.add(topics);
    }
  }

  /** PUBACK goes past the queue, which may be full. Without it a broker may fall silent for good: where there is no room it costs the connection. */
  #take(packet: Packet, by: Connection<Packet, Buffer>): void {
    if (packet.type !== 'publish') return;
    for (const [topics, messages] of this.#wanted) if (matches(topics, packet.topic)) messages.next(packet);
    const failed = (error: unknown) => error instanceof OverflowError && by.destroy(error);
    if (packet.qos === 1) by.write(packets.puback(packet.id)).catch(failed);
  }
}

/** By return code. */
const REASONS = ['', 'the protocol', 'the client id', 'anybody for now', 'the user name or password', 'the client'];

/** A code makes it final: none where the broker may let the client in later. */
function refusal(returnCode: number): Error {
  const error = new Error(`the broker refuses ${REASONS[returnCode] ?? `the client, code ${returnCode}`}`);
  return returnCode === 3 ? error : Object.assign(error, { code: 'MQTT_REFUSED' });
}
