/** The other end of the benchmarks: a process of its own, told over IPC what to serve. */
import { Listener } from './listener.js';
import type { Envelope, Request } from './protocol.js';

const listeners = new Map<number, Listener>();

process.on('message', ({ id, body }: Envelope<Request>) => {
  void answer(body).then((value) => process.send?.({ id, body: value } satisfies Envelope<number>));
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0, body: 0 } satisfies Envelope<number>); // ready

async function answer(request: Request): Promise<number> {
  if (request.ask === 'serve') {
    const listener = await Listener.open(request.behaviour);
    listeners.set(listener.port, listener);
    return listener.port;
  }
  const listener = listeners.get(request.port);
  if (listener === undefined) throw new Error(`nothing listens on ${String(request.port)}`);
  if (request.ask === 'received') return listener.received(request.connections);
  if (request.ask === 'begun') return listener.begun();
  if (request.ask === 'reset') await listener.drop();
  else {
    listener.close();
    listeners.delete(request.port);
  }
  return 0;
}
