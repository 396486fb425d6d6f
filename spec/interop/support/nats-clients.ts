/** What the specs of the NATS client share. */
import { expect } from 'chai';
import { firstValueFrom } from 'rxjs';
import { natsClient } from '../../../demo/nats/client.js';
import type { NatsMessage } from '../../../demo/nats/protocol.js';
import type { NatsConfig } from '../../../demo/nats/socket.js';
import { kept, outcome } from '../../support/fixture.js';
import type { Where } from './first-words.js';

export type Client = ReturnType<typeof natsClient>;

/** A client that comes back soon, and is gone when its spec is over. */
export function openClient({ port }: Pick<Where, 'port'>, config: NatsConfig = {}, host = '127.0.0.1'): Client {
  const client = natsClient({ host, port, reconnect: { initialDelay: 1, maxDelay: 20 }, settle: 0, ...config });
  kept(client.socket);
  return client;
}

let places = 0;

/** A subject of one's own: whoever uses the server of this machine meets nobody else's messages. */
export function newPlace(): string {
  return `spec.${process.pid}.${++places}`;
}

/** The server has done all that this client has said so far: it has answered a question, that nobody listens to it. */
export async function isHeard(client: Client): Promise<void> {
  const question = client.request({ subject: newPlace(), payload: '' }, { resend: 'always', retryLimit: 1_000 });
  expect(await outcome(firstValueFrom(question))).to.have.property('code', 'NATS_NO_RESPONDERS');
}

/** Answers each question with its own text. */
export function echo(client: Client, subject: string, queue?: string): void {
  client.subscribe(subject, queue).subscribe(({ reply = '', payload }: NatsMessage) => {
    void client.publish({ subject: reply, payload });
  });
}
