/** A client of NATS: jobs that two workers share, questions with their answers, and subscriptions that outlive their connection. */
import { firstValueFrom, map, merge, take, toArray } from 'rxjs';
import { natsClient } from './nats/client.js';

const SUBJECT = `demo.${process.pid}`;

export async function run(print: (line: string) => void = console.log, where = '127.0.0.1:4222'): Promise<void> {
  const [host, port = '4222'] = where.split(':');
  const client = natsClient({ host, port, name: 'rx-tcp demo', connectTimeout: 3_000, reconnect: { maxAttempts: 1 } });
  const { socket } = client;
  if (!(await firstValueFrom(socket.connections, { defaultValue: false }))) {
    const { message } = await firstValueFrom(socket.errors);
    print(`No NATS server lets us in: ${message}`);
    print('To start one: nats-server -js');
    process.exitCode = 1;
    return;
  }
  socket.connections.subscribe(({ epoch }) => print(`-- connection ${epoch}`));

  const worker = () => client.subscribe(`${SUBJECT}.jobs`, 'workers');
  const jobs = merge(worker().pipe(map(() => 'ann')), worker().pipe(map(() => 'bob')));
  const workers = firstValueFrom(jobs.pipe(take(12), toArray()));
  for (let job = 1; job <= 12; job++) void client.publish({ subject: `${SUBJECT}.jobs`, payload: `job ${job}` });
  print(`12 jobs, and each has one worker: ${(await workers).join(', ')}`);

  const questions = client.subscribe(`${SUBJECT}.questions`).subscribe(({ reply = '', headers, payload }) => {
    const who = new Map(headers).get('Who') ?? 'you';
    void client.publish({ subject: reply, payload: `${payload.toString()} is ${payload.length} letters, ${who}` });
  });
  const ask = async (payload: string) => {
    const headers = [['Who', 'Eve']] as const;
    const question = { subject: `${SUBJECT}.questions`, headers, payload };
    const answer = await firstValueFrom(client.request(question, { timeout: 5_000 }));
    print(`> ${payload}`);
    print(`< ${answer.payload.toString()}`);
  };
  await ask('cat');
  socket.redial(); // loses this connection, on purpose
  await ask('elephant'); // over the next one, where the subscriptions are there again
  questions.unsubscribe();
  await ask('dog').catch((error: unknown) => print(`and nobody listens to "dog" any more: ${String(error)}`));
  await socket.end();
}
